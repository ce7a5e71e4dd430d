# Publish and subscribe: callbacks, wildcards, queue groups, batches.
#
#   nats-server &
#   TCLLIBPATH=<this checkout> tclsh examples/publish-subscribe.tcl ?nats://127.0.0.1:4222?

package require nats

set conn [nats::connection new example]
$conn configure -servers [expr {$argc ? [lindex $argv 0] : "nats://127.0.0.1:4222"}]
$conn connect

# The callback gets three more words: subject, message and the subject for an answer.
proc weather {subject message reply} {
    puts "$subject: $message"
    set ::last $subject
}
$conn subscribe weather.> -callback weather

$conn publish weather.paris "18 °C" ;# characters above U+00FF would need -utf8_convert true
$conn publish weather.oslo "9 °C"
while {![info exists last] || $last ne "weather.oslo"} { vwait last }

# In a queue group each message goes to one of the subscribers.
proc work {who subject job reply} {
    incr ::jobs($who)
    incr ::done
}
$conn subscribe jobs -queue workers -callback {work first}
$conn subscribe jobs -queue workers -callback {work second}
set done 0
for {set i 0} {$i < 100} {incr i} { $conn publish jobs $i }
while {$done < 100} { vwait done }
puts "100 jobs, shared by [array size jobs] workers"

# A busy subject: one call for all messages that have come in the meantime.
proc samples {messages} {
    foreach message $messages { incr ::sum [nats::msg data $message] }
    incr ::count [llength $messages]
}
set sum [set count 0]
set id [$conn subscribe samples -batch true -callback samples]
for {set i 1} {$i <= 10000} {incr i} { $conn publish samples $i }
while {$count < 10000} { vwait count }
puts "sum of 10000 samples: $sum"

# A subscription that ends by itself, and one that is ended.
$conn unsubscribe $id
$conn subscribe alerts -max_msgs 1 -callback weather
$conn publish alerts "Storm!"
$conn publish alerts "Nobody hears this."
vwait last
$conn ping

# Nothing is lost by this: it writes out what is queued.
$conn destroy
