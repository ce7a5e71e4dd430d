# The NATS protocol as a server speaks it: bytes to operations and back.

namespace eval protocol {}

# Take the complete operations off the front of the bytes in the variable. Each is a dict with op and line, and for
# MSG and HMSG also subject sid reply header payload.
proc protocol::parse {name} {
    upvar 1 $name buffer
    set result {}
    set at 0
    while {[set end [string first "\r\n" $buffer $at]] >= 0} {
        set line [string range $buffer $at [expr {$end - 1}]]
        set next [expr {$end + 2}]
        set words [regexp -all -inline {[^ \t]+} $line]
        set op [string toupper [lindex $words 0]]
        set m [dict create op $op line $line]
        if {$op in {MSG HMSG}} {
            set sizes [expr {$op eq "MSG" ? 1 : 2}]
            set reply [expr {[llength $words] == 4 + $sizes ? [lindex $words 3] : ""}]
            set total [lindex $words end]
            set head [expr {$op eq "MSG" ? 0 : [lindex $words end-1]}]
            if {[string length $buffer] < $next + $total + 2} break
            dict set m subject [lindex $words 1]
            dict set m sid [lindex $words 2]
            dict set m reply $reply
            dict set m header [string range $buffer $next [expr {$next + $head - 1}]]
            dict set m payload [string range $buffer [expr {$next + $head}] [expr {$next + $total - 1}]]
            incr next [expr {$total + 2}]
        }
        lappend result $m
        set at $next
    }
    set buffer [string range $buffer $at end]
    return $result
}

# The bytes of an operation.
proc protocol::bytes {m} {
    if {[dict get $m op] ni {MSG HMSG}} { return "[dict get $m line]\r\n" }
    set header [dict get $m header]
    set payload [dict get $m payload]
    set line "[dict get $m op] [dict get $m subject] [dict get $m sid]"
    if {[dict get $m reply] ne ""} { append line " [dict get $m reply]" }
    if {[dict get $m op] eq "HMSG"} { append line " [string length $header]" }
    append line " [expr {[string length $header] + [string length $payload]}]"
    return "$line\r\n$header$payload\r\n"
}

# The header block of a list of names and values; `status` goes to its first line.
proc protocol::header {pairs {status ""}} {
    set block "NATS/1.0[expr {$status eq {} ? {} : " $status"}]\r\n"
    foreach {name value} $pairs { append block "$name: $value\r\n" }
    return "$block\r\n"
}
# The reverse: a flat list of names and values, with the text of the first line under the name "".
proc protocol::header_pairs {block} {
    set lines [split [string map [list \r\n \n] [string trimright $block]] \n]
    set pairs [list "" [string trim [string range [lindex $lines 0] 8 end]]]
    foreach line [lrange $lines 1 end] {
        # A test may send lines without a colon.
        if {[regexp {^([^:]*):(.*)$} $line -> name value]} { lappend pairs $name [string trim $value] }
    }
    return $pairs
}
