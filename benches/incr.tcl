# One of the processes of the row incr-10: adds 1 to a key so many times. A line on stdin starts it.
#
#   tclsh incr.tcl PORT BUCKET N
lassign $argv port bucket n
lappend auto_path [file dirname [file dirname [file normalize [info script]]]]
package require nats
set conn [nats::connection new bench]
$conn configure -servers nats://127.0.0.1:$port
$conn connect
set kv [[$conn jet_stream -timeout 60000] bind_kv_bucket $bucket]
puts ready
flush stdout
gets stdin
for {set i 0} {$i < $n} {incr i} { $kv incr counter }
puts done
flush stdout
$conn destroy
