# A line of input at a terminal while other things are printed: what comes in between stands above the prompt, and the line that
# was begun stays. It has a history (arrows up and down), the keys of every shell, and Tab.
#
#   line_editor::start prompt callback complete      callback word ?text?: `line text`, `interrupt` (Ctrl-C), `end` (Ctrl-D)
#                                                    complete text: all lines that this may become
#   line_editor::show, line_editor::hide             the prompt; while it is hidden what is typed is kept, but for Ctrl-C
#   line_editor::print text                          a line of output, at any time
#   line_editor::stop                                the terminal is as it was
#
# The terminal tells each key as it is pressed, and echoes nothing (stty). Whatever becomes of this process, a small shell that
# waits for its end puts that back.

namespace eval line_editor {
    variable on 0
    variable shown 0
    variable line ""
    variable at 0
    variable typed ""
    # Lines that were entered, the place in them (after the last: the new line), and the new line meanwhile.
    variable history {}
    variable place 0
    variable kept ""
    variable keys {
        \x01 home \x02 left \x03 interrupt \x04 end_or_delete \x05 tail \x06 right \x08 rubout \t tab \n enter \x0b cut_tail
        \x0c redraw \r enter \x0e down \x10 up \x15 cut_head \x17 cut_word \x7f rubout
        \x1b\[A up \x1b\[B down \x1b\[C right \x1b\[D left \x1b\[H home \x1b\[F tail \x1b\[1~ home \x1b\[4~ tail \x1b\[3~ delete
        \x1bOA up \x1bOB down \x1bOC right \x1bOD left \x1bOH home \x1bOF tail
    }
}

proc line_editor::start {text command complete} {
    variable prompt $text
    variable callback $command
    variable completer $complete
    variable on 1
    variable guard
    set saved [exec stty -g <@stdin]
    set guard [open |[list sh -c {trap "" INT TTOU HUP; cat >/dev/null; stty "$0" </dev/tty} $saved] w]
    exec stty -icanon -echo -isig min 1 time 0 <@stdin
    fconfigure stdin -blocking 0 -translation lf
    fileevent stdin readable line_editor::Readable
}
proc line_editor::stop {} {
    variable on
    variable guard
    if {!$on} return
    hide
    set on 0
    fileevent stdin readable {}
    catch {close $guard}
}
proc line_editor::show {} {
    variable shown 1
    Draw
    # What was typed while a command was running.
    Take
}
proc line_editor::hide {} {
    variable shown
    if {$shown} { puts -nonewline "\r\x1b\[K"; flush stdout }
    set shown 0
}
proc line_editor::print {text} {
    variable on
    variable shown
    if {$on && $shown} { puts -nonewline "\r\x1b\[K" }
    puts $text
    if {$on && $shown} { Draw } else { flush stdout }
}

# The prompt and as much of the line as there is room for, with the cursor in it.
proc line_editor::Draw {} {
    variable prompt
    variable line
    variable at
    set room [expr {max(10, [lindex [terminal::size] 1] - [string length $prompt] - 1)}]
    set first [expr {max(0, $at - $room)}]
    set part [string range $line $first [expr {$first + $room - 1}]]
    set back [expr {[string length $part] - ($at - $first)}]
    puts -nonewline "\r\x1b\[K$prompt$part"
    if {$back} { puts -nonewline "\x1b\[${back}D" }
    flush stdout
}
proc line_editor::Readable {} {
    variable typed
    variable shown
    append typed [read stdin]
    if {[eof stdin]} { fileevent stdin readable {}; append typed \x04 }
    if {$shown} { Take } else { Interrupted }
}
# While a command is running Ctrl-C is for it, and what was typed before is of no use any more.
proc line_editor::Interrupted {} {
    variable typed
    set at [string last \x03 $typed]
    if {$at < 0} return
    set typed [string range $typed $at+1 end]
    Tell interrupt
}
# Keys, one after the other, as long as there is a prompt.
proc line_editor::Take {} {
    variable typed
    variable shown
    variable keys
    while {$shown && $typed ne ""} {
        if {![regexp {^(\x1b[\[O][0-9;]*[A-Za-z~]|[^\x1b]|\x1b[^\[O])} $typed key]} return
        set typed [string range $typed [string length $key] end]
        if {[dict exists $keys $key]} {
            Key_[dict get $keys $key]
        } elseif {![regexp {^[[:cntrl:]]} $key]} {
            Insert $key
        }
        if {$shown && $typed eq ""} { Draw }
    }
    if {!$shown} Interrupted
}
proc line_editor::Tell {args} {
    variable callback
    {*}$callback {*}$args
}
proc line_editor::Insert {text} {
    variable line
    variable at
    set line [string range $line 0 [expr {$at - 1}]]$text[string range $line $at end]
    incr at [string length $text]
}
proc line_editor::Set {text} {
    variable line $text
    variable at [string length $text]
}

# ---- The keys ----
proc line_editor::Key_enter {} {
    variable line
    variable history
    variable place
    Draw
    puts ""
    set text $line
    if {[string trim $text] ne "" && $text ne [lindex $history end]} { lappend history $text }
    set place [llength $history]
    Set ""
    Tell line $text
}
proc line_editor::Key_interrupt {} {
    variable line
    Draw
    puts ^C
    set was $line
    Set ""
    if {$was eq ""} { Tell interrupt }
}
proc line_editor::Key_end_or_delete {} {
    variable line
    if {$line ne ""} { Key_delete; return }
    puts ""
    Tell end
}
proc line_editor::Key_home {} { variable at 0 }
proc line_editor::Key_tail {} { variable line; variable at [string length $line] }
proc line_editor::Key_left {} { variable at; set at [expr {max(0, $at - 1)}] }
proc line_editor::Key_right {} { variable at; variable line; set at [expr {min([string length $line], $at + 1)}] }
proc line_editor::Key_redraw {} { puts -nonewline "\x1b\[H\x1b\[2J" }
proc line_editor::Key_delete {} {
    variable line
    variable at
    set line [string replace $line $at $at]
}
proc line_editor::Key_rubout {} {
    variable at
    if {$at == 0} return
    incr at -1
    Key_delete
}
proc line_editor::Key_cut_tail {} { variable line; variable at; set line [string range $line 0 [expr {$at - 1}]] }
proc line_editor::Key_cut_head {} { variable line; variable at; set line [string range $line $at end]; set at 0 }
proc line_editor::Key_cut_word {} {
    variable line
    variable at
    set head [regsub {\S*\s*$} [string range $line 0 [expr {$at - 1}]] ""]
    set line $head[string range $line $at end]
    set at [string length $head]
}
proc line_editor::Key_up {} { variable place; Go [expr {$place - 1}] }
proc line_editor::Key_down {} { variable place; Go [expr {$place + 1}] }
proc line_editor::Go {to} {
    variable history
    variable place
    variable kept
    variable line
    if {$to < 0 || $to > [llength $history]} return
    if {$place == [llength $history]} { set kept $line }
    set place $to
    Set [expr {$to == [llength $history] ? $kept : [lindex $history $to]}]
}
proc line_editor::Key_tab {} {
    variable line
    variable completer
    set all [{*}$completer $line]
    if {$all eq ""} return
    set common [lindex $all 0]
    foreach text $all {
        while {![string match [string map {* \\* ? \\? \[ \\\[ \\ \\\\} $common]* $text]} { set common [string range $common 0 end-1] }
    }
    if {[llength $all] == 1} { return [Set "$common "] }
    if {[string length $common] > [string length $line]} { return [Set $common] }
    print [terminal::colour grey [join $all "   "]]
}
