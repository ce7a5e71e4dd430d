# A service with two instances in two processes, and somebody who finds it, asks it, and stops it.
#
#   nats-server &
#   TCLLIBPATH=<this checkout> tclsh examples/service.tcl ?nats://127.0.0.1:4222?
#
# It starts itself once more, as the other instance: `service.tcl URL instance`.

package require nats

set url [expr {$argc ? [lindex $argv 0] : "nats://127.0.0.1:4222"}]
set conn [nats::connection new]
$conn configure -servers $url
$conn connect

# What the service does: an endpoint that answers at once, one that takes its time and lets others go on meanwhile, and one that
# tells whose fault it was.
proc upper {request} {
    nats::service respond $request [string toupper [nats::msg data $request]]
}
proc slow {request} {
    coroutine slow[dict get $request request] apply {request {
        after 100 [info coroutine]
        yield
        nats::service respond $request "answered by process [pid]"
    }} $request
}
proc divide {request} {
    lassign [nats::msg data $request] a b
    if {$b == 0} {
        return [nats::service respond_error $request 400 "division by 0"]
    }
    nats::service respond $request [expr {$a / $b}]
}
set service [nats::service new $conn -name demo_text -version 1.0.0 -description "an example" -error_handler {apply {error {
    puts stderr "[dict get $error endpoint]: [dict get $error errorMessage]"
}}}]
set group [$service group demo]
$group endpoint upper -callback upper
$group endpoint slow -callback slow
$group endpoint divide -callback divide

if {[lindex $argv 1] eq "instance"} {
    # The other process: until its input ends. What is in hand then is answered first.
    $conn flush
    puts ready
    flush stdout
    fileevent stdin readable {if {[gets stdin] < 0 && [eof stdin]} { set ended 1 }}
    vwait ended
    $service stop
    $conn destroy
    exit
}

set other [open |[list [info nameofexecutable] [info script] $url instance 2>@stderr] r+]
gets $other

puts "instances: [llength [nats::service discover $conn -name demo_text -kind ping]]"
puts "upper: [$conn request demo.upper hello]"
set reply [$conn request demo.divide {1 0} -dictmsg true]
puts "divide: [nats::header get $reply Nats-Service-Error] ([nats::header get $reply Nats-Service-Error-Code])"

# Many at once; the server shares them out.
set answers {}
for {set i 0} {$i < 20} {incr i} {
    $conn request demo.slow "" -timeout 5000 -callback {apply {{timed_out answer} { lappend ::answers $answer }}}
}
while {[llength $answers] < 20} { vwait answers }
puts "slow: 20 answers by [llength [lsort -unique $answers]] processes"

set sum 0
foreach instance [nats::service discover $conn -name demo_text -kind stats] {
    foreach endpoint [dict get $instance endpoints] { incr sum [dict get $endpoint num_requests] }
}
puts "requests counted: $sum"

# Nobody is asked in vain: the other one has answered what it had when its process ends.
close $other
puts "instances: [llength [nats::service discover $conn -name demo_text -kind ping]]"
$service stop
puts "instances: [llength [nats::service discover $conn -name demo_text -kind ping]]"
$conn destroy
