# A small shell for NATS: publish, subscribe, request, answer, and look at buckets, streams and consumers.
#
#   nats-server -js &
#   TCLLIBPATH=<this checkout> tclsh examples/natsh.tcl                      a prompt; `help` says what there is
#   … examples/natsh.tcl pub greet.joe hello                                 one command
#   … examples/natsh.tcl -e 'pub a b' -e 'stream ls'                         several
#   echo 'stream ls' | … examples/natsh.tcl                                  commands from a file or a pipe
#
# Options: --server URL, --context NAME, --raw (of messages nothing but their data). Messages are shown while a command is being
# typed. The commands are in parts/natsh_commands.tcl.

package require nats
foreach part {terminal units line_editor natsh_commands} {
    source [file join [file dirname [file normalize [info script]]] parts $part.tcl]
}

# Lines that wait for the one before, whether no more will come, whether one has failed, whether somebody types them.
set queue {}
set at_end 0
set failed 0
set interactive 0

proc say {text} {
    terminal::end_progress
    line_editor::print $text
}
proc complain {text} {
    terminal::end_progress
    set ::failed 1
    if {$::interactive} { return [say [terminal::colour red [terminal::safe $text]]] }
    catch {puts stderr "natsh.tcl: [terminal::safe $text]"}
}

# ---- A line ----
# Words as a shell has them: in quotes "a \"b\"\n" or 'a b', else up to a blank. `count` of them, and the rest as it is.
proc words {line count} {
    set words {}
    set line [string trim $line]
    while {$line ne "" && [llength $words] < $count} {
        if {![regexp {^("(?:[^"\\]|\\.)*"|'[^']*'|[^"'\s]\S*)(?:\s+|$)(.*)$} $line -> word line]} {
            throw USAGE "a quote is not closed, or something stands behind it: $line"
        }
        lappend words [unquoted $word]
    }
    if {$line ne ""} { lappend words $line }
    return $words
}
proc unquoted {word} {
    switch -- [string index $word 0] {
        ' { return [string range $word 1 end-1] }
        {"} { return [subst -nocommands -novariables [string range $word 1 end-1]] }
    }
    return $word
}
# The command that a line begins with: its entry in the table of usage, and what stands behind its name.
proc lookup {line} {
    foreach {call text} $::usage {
        set name [name_of $call]
        if {[regexp -- "^[string map {{ } {\s+}} $name](?:\\s+(.*))?$" $line -> rest]} { return [list $name $call $rest] }
    }
    set word [lindex [split $line] 0]
    set others [lmap name [completions "$word "] { lindex $name 1 }]
    if {$others ne ""} { throw USAGE "behind $word comes one of [join $others {, }]" }
    throw USAGE "there is no command [terminal::cut $line 40]: help says what there is"
}
proc name_of {call} { lsearch -all -inline -regexp $call {^[a-z]+$} }
# What a command is called with. TEXT is all that is left of a line, quotes or not.
proc arguments {name call rest} {
    set places [lrange $call [llength $name] end]
    set least [llength [lsearch -all -inline -not $places {[?]*}]]
    set text [expr {[string trim [lindex $places end] ?] eq "TEXT"}]
    set words [words $rest [expr {[llength $places] - $text}]]
    if {[llength $words] < $least || [llength $words] > [llength $places]} { throw USAGE "usage: $call" }
    if {$text && [llength $words] == [llength $places] && [regexp {^("(?:[^"\\]|\\.)*"|'[^']*')$} [lindex $words end]]} {
        lset words end [unquoted [lindex $words end]]
    }
    return $words
}
proc execute {line} {
    if {[regexp {^\s*(#|$)} $line]} return
    lassign [lookup [string trim $line]] name call rest
    command::[join $name _] {*}[arguments $name $call $rest]
}

# ---- One after the other ----
# Each line is a coroutine: it waits for answers, and meanwhile messages are shown, and Ctrl-C is heard.
proc job {line} {
    try {
        execute $line
    } trap USAGE text - trap NATS text {
        complain $text
    } trap {POSIX EPIPE} {} {
        leave 0
    } on error {text options} {
        complain $text
    }
    after 0 next
}
proc next {} {
    if {[info commands ::running] ne ""} return
    terminal::end_progress
    if {$::queue ne ""} {
        line_editor::hide
        set ::queue [lassign $::queue line]
        coroutine ::running job $line
    } elseif {$::at_end} {
        leave $::failed
    } elseif {$::interactive} {
        line_editor::show
    }
}
proc typed {what {line ""}} {
    switch -- $what {
        line { line_editor::hide; lappend ::queue $line; next }
        end { leave 0 }
        interrupt { interrupt }
    }
}
# Ends the command that is running; at an empty prompt all that goes on.
proc interrupt {} {
    set ::queue {}
    if {[info commands ::running] ne ""} {
        rename ::running ""
        say [terminal::colour grey "(interrupted)"]
        after 0 next
    } elseif {[stop_all]} {
        say [terminal::colour grey "(all subscriptions and watches ended)"]
    } else {
        say [terminal::colour grey "(Ctrl-D ends the shell)"]
    }
}
proc read_line {} {
    if {[gets stdin line] >= 0} {
        lappend ::queue $line
    } elseif {[eof stdin]} {
        fileevent stdin readable {}
        set ::at_end 1
    }
    next
}
proc completions {line} {
    set names [lmap {call text} $::usage { join [name_of $call] }]
    return [lsort -unique [lsearch -all -inline -glob $names [string map {* \\* ? \\? \[ \\\[} [string trimleft $line]]*]]
}

# ---- The connection ----
proc connect {server context} {
    set options [list -name natsh.tcl -env true -event_callback connection_event -log_chan [open /dev/null w] -max_reconnect_attempts -1]
    if {$server ne ""} { lappend options -servers $server }
    set ::conn [nats::context connect $context {*}$options]
    set ::js [$::conn jet_stream]
}
proc connection_event {event} {
    # That there is none at all is an error of `connect`.
    if {![info exists ::js]} return
    switch -- [dict get $event event] {
        disconnected { notice "the connection is lost: [dict get $event errorMessage]" }
        reconnected { notice "connected again, to [dict get $event server]" }
        closed { if {[dict exists $event errorMessage]} { notice "the connection is closed: [dict get $event errorMessage]" } }
    }
}
proc notice {text} {
    if {$::interactive} { return [say [terminal::colour yellow "-- [terminal::safe $text]"]] }
    catch {puts stderr "natsh.tcl: [terminal::safe $text]"}
}
proc leave {code} {
    line_editor::stop
    catch {flush stdout}
    catch {$::conn destroy}
    exit $code
}

# ---- The call ----
proc main {words} {
    set server [set context ""]
    set lines {}
    while {[string match -* [lindex $words 0]]} {
        set words [lassign $words option]
        switch -- $option {
            -h - --help { puts [help_text]; exit 0 }
            --raw { set ::raw 1; continue }
            -s - --server - --context - -e {}
            default { throw USAGE "there is no option $option: see --help" }
        }
        if {$words eq ""} { throw USAGE "$option wants a value" }
        set words [lassign $words value]
        switch -- $option { -e { lappend lines $value } --context { set context $value } default { set server $value } }
    }
    # One command. Its last word is taken as it is, also with blanks in it.
    if {$words ne ""} { lappend lines [join $words] }
    set ::one_shot [expr {$lines ne ""}]
    foreach line $lines { lookup [string trim $line] }
    connect $server $context
    set ::queue $lines
    if {$::one_shot} {
        lappend ::queue stay
        set ::at_end 1
    } elseif {[terminal::is stdin] && [terminal::is stdout]} {
        set ::interactive 1
        puts "Connected to [join [$::conn current_server] :] (nats-server [dict get [$::conn server_info] version]). help says what there is."
        line_editor::start "[terminal::colour bold nats>] " typed completions
    } else {
        fconfigure stdin -blocking 0
        fileevent stdin readable read_line
    }
    next
}

interp bgerror {} {apply {{text options} {
    switch -glob -- [dict get $options -errorcode] {
        {POSIX EPIPE*} { leave 0 }
        {NATS ErrInvalidCoroutine*} {}
        default { complain $text }
    }
}}}
try {
    main $argv
} trap USAGE text {
    complain $text
    exit 2
} on error text {
    complain $text
    exit 1
}
vwait forever
