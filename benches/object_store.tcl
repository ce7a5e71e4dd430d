# The rows of `make bench` about objects: this package beside a loop on bare async-nats, same server, same run.
#
#   tclsh benches/object_store.tcl ?-mb 256? ?-repeat 3? ?-storage file?
#
# An object of so many MB from a file and into one, and the same through channels. Prints MB per second of both and the
# ratio, the median of the repetitions, and how much memory this process had at most until then.

set here [file dirname [file normalize [info script]]]
set options [dict merge {-mb 256 -repeat 3 -storage file} $argv]
set argv {}
source [file join $here .. tests support.tcl]
source -encoding utf-8 [file join $here bare.tcl]
package require nats

set bare [bare_loop]
set server [server::start]
set port [server::port $server]
set conn [nats::connection new bench -log_level error]
$conn configure -servers nats://127.0.0.1:$port
$conn connect
set obj [[$conn jet_stream -timeout 60000] create_object_store bench -storage [dict get $options -storage]]

set mb [dict get $options -mb]
set folder [support::folder objects]
set from [file join $folder from]
set file [open $from wb]
# Of two lengths that do not fit, so that no chunk is like another one.
set block [string range [string repeat "all that is the case, and a little more 0123456789\n" 21000] 0 1048575]
for {set i 0} {$i < $mb} {incr i} { puts -nonewline $file [string replace $block 0 9 [format %010d $i]] }
close $file

proc seconds {script} {
    set start [clock microseconds]
    uplevel #0 $script
    return [expr {([clock microseconds] - $start) / 1e6}]
}
proc bare {row path} { return [lindex [exec $::bare $::port obj-$row bench 1 $path] 0] }
proc median {values} { return [lindex [lsort -real $values] [expr {[llength $values] / 2}]] }
proc most_resident {} {
    if {[catch {open /proc/self/status} file]} { return ? }
    regexp {VmHWM:\s+(\d+)} [read $file] -> kb
    close $file
    return [expr {$kb / 1024}]
}
proc same {path} { exec cmp $::from $path; file delete $path }

set to [file join $folder to]
foreach {name row script} {
    "put, a file"    put {$obj put own -file $from}
    "get, a file"    get {$obj get own -file $to}
    "put, a channel" put {set c [open $from rb]; $obj put own -channel $c; close $c}
    "get, a channel" get {set c [open $to wb]; $obj get own -channel $c; close $c}
} {
    set ours {}
    set theirs {}
    for {set i 0} {$i < [dict get $options -repeat]} {incr i} {
        set path [expr {$row eq "put" ? $from : $to}]
        lappend theirs [bare $row $path]
        if {$row eq "get"} { same $to }
        lappend ours [seconds $script]
        if {$row eq "get"} { same $to }
    }
    lassign [list [median $ours] [median $theirs]] ours theirs
    puts [format "%-16s %6.0f MB/s, bare %6.0f MB/s, ratio %.2f, at most %s MB of memory" \
        $name [expr {$mb / $ours}] [expr {$mb / $theirs}] [expr {$theirs / $ours}] [most_resident]]
}
$conn destroy
support::done
