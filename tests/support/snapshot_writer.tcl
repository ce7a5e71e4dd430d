# A program that writes to a bucket without a pause until its standard input is closed; see snapshot.tcl.
#
#   tclsh snapshot_writer.tcl url bucket keys writers
#
# Each of so many writers has a write under way all the time: it overwrites one of the keys stay.0 … at random, and now
# and then it deletes one of come.0 … or puts it again.
set auto_path [linsert $auto_path 0 [file join [file dirname [file normalize [info script]]] .. ..]]
package require nats
lassign $argv url bucket keys writers
set conn [nats::connection new writer -log_chan none]
$conn configure -servers $url
$conn connect
set kv [[$conn jet_stream] bind_kv_bucket $bucket]
set written 0
proc writer {} {
    while 1 {
        set key come.[expr {int(rand() * 50)}]
        switch [expr {int(rand() * 20)}] {
            0       { set code [catch {$::kv delete $key}] }
            1       { set code [catch {$::kv put $key x}] }
            default { set code [catch {$::kv put stay.[expr {int(rand() * $::keys)}] x}] }
        }
        if {!$code && [incr ::written] == 100} { puts writing; flush stdout }
    }
}
for {set i 0} {$i < $writers} {incr i} { coroutine writer$i writer }
fileevent stdin readable { if {[gets stdin line] < 0 && [eof stdin]} { set stop 1 } }
vwait stop
puts $written
flush stdout
$conn destroy
