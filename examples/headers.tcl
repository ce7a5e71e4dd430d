# Headers: the message as a dict, and the commands nats::msg and nats::header.
#
#   nats-server &
#   TCLLIBPATH=<this checkout> tclsh examples/headers.tcl ?nats://127.0.0.1:4222?

package require nats

set conn [nats::connection new example]
$conn configure -servers [expr {$argc ? [lindex $argv 0] : "nats://127.0.0.1:4222"}]
$conn connect

proc received {subject message reply} {
    puts "data: [nats::msg data $message]"
    foreach name [lsort [nats::header keys $message]] {
        puts "  $name = [join [nats::header values $message $name] {, }]"
    }
    set ::trace_id [nats::header lookup $message Trace-Id none]
}
$conn subscribe orders -callback received -dictmsg true

set message [nats::msg create orders -data "two books"]
nats::header set message Content-Type text/plain Trace-Id 4711
nats::header add message Tag new
nats::header add message Tag urgent
$conn publish_msg $message
vwait trace_id
puts "trace $trace_id"

# The same without the message dict: name → list of values.
$conn publish orders "one pen" -header {Tag {cheap}}
vwait trace_id
puts "trace $trace_id"

$conn destroy
