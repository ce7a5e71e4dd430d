# What most test files look at: the connection $conn and its end, what it has delivered, and this process.

namespace eval support {
    namespace export end_conn end_noisy status last_error var record payloads_of numbers longest threads descriptors resident setting
}

# Destroy the connection; an error if anything went wrong in the background, before or by that.
proc support::end_conn {} {
    set leftover [bgerrors]
    catch {$::conn destroy}
    update
    lappend leftover {*}[bgerrors]
    if {[llength $leftover]} { error "background errors: $leftover" }
}
# The same after a test whose background errors are its business and may still be under way.
proc support::end_noisy {} {
    catch {$::conn destroy}
    update
    bgerrors
}

proc support::status {} { return [$::conn cget -status] }
proc support::var {name} { return [set [info object namespace $::conn]::$name] }
proc support::last_error {} { return [var last_error] }
# Record the writes of status and last_error, in order, as `status=word` and `ErrCode` (or `-` for no error).
proc support::record {} {
    set ::trail {}
    set ns [info object namespace $::conn]
    trace add variable ${ns}::status write {apply {{name index op} {
        upvar 1 $name value
        lappend ::trail status=$value
    }}}
    trace add variable ${ns}::last_error write {apply {{name index op} {
        upvar 1 $name value
        lappend ::trail [expr {$value eq "" ? "-" : [lindex [dict get $value code] 1]}]
    }}}
}

# The second words of what a callback was called with.
proc support::payloads_of {calls} { return [lmap call $calls {lindex $call 1}] }
# How many elements the longest of these lists has.
proc support::longest {lists} {
    return [tcl::mathfunc::max 0 {*}[lmap list $lists {llength $list}]]
}
# A list from 1 to n, or words made of these numbers.
proc support::numbers {n {prefix ""}} {
    set result {}
    for {set i 1} {$i <= $n} {incr i} { lappend result $prefix$i }
    return $result
}

# Of this process, where the system shows it (constraint `proc`): how many threads and descriptors, and how much memory
# in kB.
proc support::threads {} { return [llength [glob -nocomplain /proc/self/task/*]] }
proc support::descriptors {} { return [llength [glob -nocomplain /proc/self/fd/*]] }
proc support::resident {} {
    set f [open /proc/self/statm]
    set pages [lindex [read $f] 1]
    close $f
    return [expr {$pages * 4}]
}

# What the environment says, or a default.
proc support::setting {name default} {
    if {[info exists ::env($name)] && $::env($name) ne ""} { return $::env($name) }
    return $default
}

namespace eval :: {namespace import -force ::support::*}
