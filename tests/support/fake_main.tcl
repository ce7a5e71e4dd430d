# The process behind fake.tcl. Argument: the port to listen on.
source [file join [file dirname [info script]] child_main.tcl]

set port [lindex $argv 0]
set scripts {}
set lines {}
set accepted 0
array set open {}

proc accept {c args} {
    global scripts accepted open
    set script [lindex $scripts [expr {min($accepted, [llength $scripts] - 1)}]]
    incr accepted
    fconfigure $c -blocking 0 -translation binary -buffering none
    set open($c) ""
    coroutine ::play$accepted play $c $script ::play$accepted
}

# Runs as a coroutine: the steps are commands of namespace ::steps, which yield while they wait.
proc play {c script name} {
    set ::connection($name) $c
    fileevent $c readable [list wake $name]
    set code [catch {namespace eval ::steps $script} text options]
    if {$code == 1 && $text ne "(client is gone)"} { puts stderr "fake server: [dict get $options -errorinfo]" }
    end $c
    unset ::connection($name)
}
proc wake {name} {
    if {[llength [info commands $name]]} { $name }
}
proc resume {flags name} {
    unset -nocomplain ::${flags}($name)
    wake $name
}
proc end {c} {
    catch {close $c}
    unset -nocomplain ::open($c)
}

namespace eval steps {
    proc me {} { return $::connection([::info coroutine]) }
    proc say {data} {
        if {[catch {puts -nonewline [me] $data}]} { error "(client is gone)" }
    }
    # Next line of the client, without its end.
    proc line {} {
        set c [me]
        while {[catch {gets $c text} length] || $length < 0} {
            if {![::info exists ::open($c)] || [catch {eof $c} over] || $over} { error "(client is gone)" }
            yield
        }
        set text [string trimright $text \r]
        lappend ::lines $text
        return $text
    }
    # The test's members replace those of the same name.
    proc info {{members ""}} {
        set all {}
        foreach {name value} [list server_id {"FAKE"} server_name {"fake"} version {"2.11.0"} proto 1 headers true \
            max_payload 1048576 host {"127.0.0.1"} port $::port] {
            if {[string first "\"$name\":" $members] < 0} { lappend all "\"$name\":$value" }
        }
        if {$members ne ""} { lappend all $members }
        say "INFO {[join $all ,]} \r\n"
    }
    proc expect {glob} {
        while {![string match $glob [line]]} {}
    }
    proc send {data} { say $data }
    proc pong {} { say "PONG\r\n" }
    proc err {text} { say "-ERR '$text'\r\n" }
    proc handshake {{members ""}} {
        info $members
        expect CONNECT*
        expect PING
        pong
    }
    proc serve {} {
        while 1 {
            if {[line] eq "PING"} pong
        }
    }
    # Does not compare the time: by the clock, which counts whole milliseconds, its one wake-up may be too early.
    proc wait {ms} {
        set ::waiting([::info coroutine]) 1
        after $ms [list ::resume waiting [::info coroutine]]
        hold ::waiting([::info coroutine])
    }
    proc pause {} {
        set ::paused([::info coroutine]) 1
        hold ::paused([::info coroutine])
    }
    # Reads nothing, and does not go on while there is this variable.
    proc hold {flag} {
        fileevent [me] readable ""
        while {[::info exists $flag]} { yield }
        fileevent [me] readable [list ::wake [::info coroutine]]
    }
    proc close {} { return -code error "(client is gone)" }
}

namespace eval commands {
    proc scripts {list} {
        set ::scripts $list
        set ::accepted 0
        return
    }
    proc lines {} { return $::lines }
    proc connections {} { return $::accepted }
    proc open_now {} { return [array size ::open] }
    proc send {data} {
        foreach c [array names ::open] { catch {puts -nonewline $c $data} }
    }
    proc go {} {
        foreach name [array names ::paused] { after 0 [list ::resume paused $name] }
    }
    proc close_all {} {
        foreach c [array names ::open] { end $c }
        # Their coroutines are never woken again by a closed socket.
        foreach {name c} [array get ::connection] { after 0 [list ::wake $name] }
    }
}
# Inside ::steps `info` is a step: helper code there says ::info.
socket -server accept -myaddr 127.0.0.1 $port
serve $port
