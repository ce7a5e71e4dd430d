# A process that takes a lease and keeps it until it is killed. Arguments: url, bucket, key, ttl in ms.
lassign $argv url bucket key ttl
lappend auto_path [file dirname [file dirname [file dirname [file normalize [info script]]]]]
package require nats
set conn [nats::connection new]
$conn configure -servers $url
$conn connect
set lease [[[$conn jet_stream] bind_kv_bucket $bucket] lease $key [pid] -ttl $ttl]
vwait forever
