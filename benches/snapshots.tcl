# Reads while others write: how many of them are wrong.
#
#   tclsh benches/snapshots.tcl ?-rounds 200? ?-writers "1 10 100"? ?-history "1 5"? ?-servers "1 3"? ?-keys 1000?
#
# Writers are in a process of their own; each has one write under way all the time, deletes among them. A round is one
# `keys`, one `watch` up to its end marker, and one `history`; what is checked stands in tests/support/snapshot.tcl. With
# three servers the bucket has three replicas, and readers and writers are at different servers. Prints a line for each
# combination: rounds, faults of each kind of read, writes per second meanwhile, and the mean ms of a read; then the
# first faults. Ends with status 1 if there were any.

set here [file dirname [file normalize [info script]]]
set options [dict merge {-rounds 200 -writers {1 10 100} -history {1 5} -servers {1 3} -keys 1000} $argv]
set argv {}
source [file join $here .. tests support.tcl]
source [file join $here .. tests support snapshot.tcl]
package require nats

set faults {}
puts "servers  history  writers   rounds     keys    watch  history    writes/s   ms/read"
foreach servers [dict get $options -servers] {
    if {$servers == 1} {
        set server [server::start]
        set urls [list [server::url $server]]
    } else {
        set cluster [cluster::start $servers -jetstream 1]
        set urls [cluster::urls $cluster]
    }
    foreach history [dict get $options -history] {
        foreach writers [dict get $options -writers] {
            snapshot::open [lindex $urls 0] -writers $writers -history $history -replicas $servers \
                -keys [dict get $options -keys] -write_to [lindex $urls end]
            array set bad {keys 0 watch 0 history 0}
            set start [clock milliseconds]
            for {set round 1} {$round <= [dict get $options -rounds]} {incr round} {
                foreach what {keys watch history} {
                    if {[catch {snapshot::$what} wrong]} { set wrong [list "error: $wrong"] }
                    if {$wrong ne ""} {
                        incr bad($what)
                        lappend faults "$servers servers, history $history, $writers writers, round $round, $what: [join $wrong {, }]"
                    }
                }
            }
            set ms [expr {[clock milliseconds] - $start}]
            set written [snapshot::close]
            puts [format "%7d  %7d  %7d  %7d  %7d  %7d  %7d  %10d  %8.1f" $servers $history $writers \
                [dict get $options -rounds] $bad(keys) $bad(watch) $bad(history) \
                [expr {$written * 1000 / max($ms, 1)}] [expr {$ms / 3.0 / [dict get $options -rounds]}]]
            flush stdout
        }
    }
    if {$servers == 1} { server::delete $server } else { cluster::delete $cluster }
}
foreach fault [lrange $faults 0 19] { puts $fault }
server::stop_all
exit [expr {[llength $faults] > 0}]
