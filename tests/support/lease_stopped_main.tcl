# A process that takes a lease and looks at it all the time, to be stopped and continued. Arguments: url, bucket, key, ttl in ms,
# log file. What it appends to the log: `A begin` for each look at a valid lease, in microseconds before it; `N begin` for
# the first one at a lease that is not valid any more; `L reason now` when it is told; in between it computes, or serves events.
lassign $argv url bucket key ttl path
set argv {}
lappend auto_path [file dirname [file dirname [file dirname [file normalize [info script]]]]]
package require nats
set log [open $path {WRONLY APPEND CREAT}]
# One line is one write.
fconfigure $log -buffering line
proc lost {reason} { puts $::log "L $reason [clock microseconds]" }
set conn [nats::connection new]
$conn configure -servers $url -max_reconnect_attempts -1 -reconnect_time_wait 20
$conn connect
set lease [[[$conn jet_stream] bind_kv_bucket $bucket] lease $key [pid] -ttl $ttl -on_lost lost]
set valid 1
while 1 {
    set begin [clock microseconds]
    if {[$lease valid]} {
        puts $log "A $begin"
    } elseif {$valid} {
        puts $log "N $begin"
        set valid 0
    }
    if {rand() < 0.5} {
        after 2
    } else {
        after 2 {set turn 1}
        vwait turn
    }
}
