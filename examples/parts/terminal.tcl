# What a tool for the command line has to know of its terminal. Into a pipe or a file goes plain text that is never cut.
#
#   terminal::is stderr                     whether that channel is a terminal
#   terminal::size                          its rows and columns
#   terminal::text bytes                    the text that they are in UTF-8, or else the bytes as characters
#   terminal::safe text                     control characters shown as \n or \x1b, so that no message can play with the terminal
#   terminal::colour green text             on a terminal in this colour
#   terminal::table {{name left} {size right}} rows
#                                           columns with a heading; on a terminal cut at its width and at its height
#   terminal::progress text                 a line on stderr that is written over, ten times a second, if that is a terminal
#   terminal::end_progress                  takes it away, before anything else is written

namespace eval terminal {
    variable colours {red 31 green 32 yellow 33 blue 34 grey 90 bold 1}
    # When the line of progress was written last, and whether it is there.
    variable written 0
    variable progress 0
    variable asked 0
    variable escapes
    for {set i 0} {$i < 32} {incr i} { lappend escapes [format %c $i] [format {\x%02x} $i] }
    for {set i 127} {$i < 160} {incr i} { lappend escapes [format %c $i] [format {\x%02x} $i] }
    set escapes [list \\ \\\\ {*}[dict merge $escapes {"\n" \\n "\r" \\r "\t" \\t}]]
}

# Bytes that are no text, and characters that the locale does not have, are no reason to stop (Tcl 9).
foreach channel {stdin stdout stderr} { catch {fconfigure $channel -profile replace} }

# Only a terminal has a speed.
proc terminal::is {channel} {
    return [expr {![catch {fconfigure $channel -mode}]}]
}
# Asked once a second: a window may be given another size.
proc terminal::size {} {
    variable size
    variable asked
    if {[clock seconds] != $asked} {
        set asked [clock seconds]
        if {[catch {exec stty size </dev/tty 2>/dev/null} size] || ![string match {[1-9]* [1-9]*} $size]} { set size {24 80} }
    }
    return $size
}
proc terminal::text {bytes} {
    if {[catch {encoding convertfrom utf-8 $bytes} text] || [encoding convertto utf-8 $text] ne $bytes} { return $bytes }
    return $text
}
proc terminal::safe {text} {
    variable escapes
    return [string map $escapes $text]
}
proc terminal::colour {name text} {
    variable colours
    if {![is stdout] || [info exists ::env(NO_COLOR)]} { return $text }
    return "\x1b\[[dict get $colours $name]m$text\x1b\[0m"
}
proc terminal::cut {text width} {
    if {[string length $text] <= $width} { return $text }
    return [string range $text 0 [expr {$width - 2}]]\u2026
}

proc terminal::table {columns rows} {
    set safe [lmap row $rows { lmap cell $row { safe $cell } }]
    set more 0
    set width 0
    if {[is stdout]} {
        lassign [size] height width
        # The heading, the line below the table and the next prompt need room, too.
        set room [expr {max(5, $height - 4)}]
        if {[llength $safe] > $room} {
            set more [expr {[llength $safe] - $room}]
            set safe [lrange $safe 0 [expr {$room - 1}]]
        }
    }
    set widths [Widths $columns $safe]
    Row $columns $widths [lmap column $columns { string toupper [lindex $column 0] }] $width bold
    foreach row $safe { Row $columns $widths $row $width }
    if {$more} { puts [colour grey "\u2026 and $more more; through a pipe all are shown"] }
}
proc terminal::Widths {columns rows} {
    set widths [lmap column $columns { string length [lindex $column 0] }]
    foreach row $rows {
        set widths [lmap width $widths cell $row { expr {max($width, [string length $cell])} }]
    }
    return $widths
}
proc terminal::Row {columns widths cells width {colour ""}} {
    set line [join [lmap column $columns size $widths cell $cells {
        format [expr {[lindex $column 1] eq "right" ? "%${size}s" : "%-${size}s"}] $cell
    }] "  "]
    set line [string trimright $line]
    if {$width} { set line [cut $line $width] }
    puts [expr {$colour eq "" ? $line : [colour $colour $line]}]
}

proc terminal::progress {text} {
    variable written
    variable progress
    if {![is stderr]} return
    set now [clock milliseconds]
    if {$now - $written < 100} return
    set written $now
    set progress 1
    puts -nonewline stderr "\r[cut $text [expr {[lindex [size] 1] - 1}]]\x1b\[K"
    flush stderr
}
# Takes the line away, before something else is written.
proc terminal::end_progress {} {
    variable progress
    if {$progress} { puts -nonewline stderr "\r\x1b\[K"; flush stderr }
    set progress 0
}
