# Requests: synchronous, asynchronous, in coroutines, to many responders; and what can go wrong.
#
#   nats-server &
#   TCLLIBPATH=<this checkout> tclsh examples/requests.tcl ?nats://127.0.0.1:4222?

package require nats

set url [expr {$argc ? [lindex $argv 0] : "nats://127.0.0.1:4222"}]
foreach name {client service} {
    set $name [nats::connection new $name]
    [set $name] configure -servers $url
    [set $name] connect
}

# A service answers to the reply subject. This one takes its time for slow words.
proc shout {word subject message reply} {
    set answer [list $::service publish $reply "$word [string toupper $message]!"]
    if {$message eq "slow"} { after 200 $answer } else { {*}$answer }
}
$service subscribe shout -callback {shout first}
$service subscribe shout -callback {shout second}
$service ping

# Waits in the event loop, or suspends the coroutine it is called in.
puts [$client request shout hello]

# With a callback it returns at once.
proc answered {timed_out message} { set ::answer [expr {$timed_out ? "too late" : $message}] }
$client request shout world -callback answered -timeout 1000
vwait answer
puts $answer

# Several answers: as many as wanted, or all that come within the timeout.
puts "[llength [$client request shout all -max_msgs 2]] answers"

# Two coroutines wait at the same time.
proc ask {word} { lappend ::heard [$::client request shout $word] }
coroutine a ask slow
coroutine b ask quick
while {![info exists heard] || [llength $heard] < 2} { vwait heard }
puts "in the order of the answers: $heard"

# Nobody there is known at once, a slow answer only after the timeout.
foreach {subject message} {nobody hello shout slow} {
    try {
        $client request $subject $message -timeout 50
    } trap {NATS ErrNoResponders} text {
        puts "nobody answers requests to $subject"
    } trap {NATS ErrTimeout} text {
        puts "timeout: $text"
    }
}

$client destroy
$service destroy
