# A program with a bound array, in a process of its own, told what to do by lines on its standard input.
#
#   tclsh kv_bind_program.tcl url bucket conflict seed
#
# `run n pause`  n sets and unsets of random keys, a few at a time with so many ms between    -> `ran`
# `settle`       waits until all of it is acknowledged                                -> `settled`
# `content`      -> the array, sorted by its keys, as one line
# `books`        -> values that were set last, values that were reported, background errors
# Values are `<seed>.<number>` and never used twice.
set auto_path [linsert $auto_path 0 [file join [file dirname [file normalize [info script]]] .. ..]]
package require nats
lassign $argv url bucket conflict seed
expr {srand($seed)}
interp bgerror {} {apply {{message options} {lappend ::errors $message}}}
set errors {}
set reported {}
set number 0
array set latest {}

set conn [nats::connection new bound -log_chan none]
$conn configure -servers $url -max_reconnect_attempts -1 -reconnect_time_wait 20
$conn connect
set js [$conn jet_stream -timeout 1000]
set kv [$js bind_kv_bucket $bucket]

proc lost {loss} { lappend ::reported [dict get $loss mine] }
proc change {} {
    set key k[expr {int(rand() * 50)}]
    if {[info exists ::arr($key)] && rand() < 0.2} {
        unset ::arr($key)
        unset -nocomplain ::latest($key)
    } else {
        set ::arr($key) $::seed.[incr ::number]
        set ::latest($key) $::arr($key)
    }
}
proc run {left pause} {
    for {set i 0} {$i < 20 && $left > 0} {incr i; incr left -1} { change }
    if {$left > 0} { after $pause [list run $left $pause] } else { answer ran }
}
proc answer {text} { puts $text; flush stdout }
# Without a server a flush has an end.
proc settle {} {
    while {[catch {$::b flush}] && [dict get [$::b status] pending] > 0} {}
    answer settled
}
proc command {} {
    if {[gets stdin line] < 0} { if {[eof stdin]} { set ::stop 1 }; return }
    switch [lindex $line 0] {
        run     { run {*}[lrange $line 1 end] }
        settle  { after 0 settle }
        content { answer [lsort -stride 2 [array get ::arr]] }
        books   { answer [list [array get ::latest] $::reported $::errors [$::b status]] }
    }
}
set b [$kv bind arr -on_error lost -on_ready {set ::ready 1} -conflict $conflict]
if {![info exists ready]} { vwait ready }
answer ready
fconfigure stdin -blocking 0
fileevent stdin readable command
vwait stop
$conn destroy
