# A Tk window that stays alive under a flood of messages.
#
#   nats-server &
#   TCLLIBPATH=<this checkout> wish examples/window.tcl ?nats://127.0.0.1:4222? ?seconds?
#
# Messages come as fast as the server sends them. The label, the clock and the button go on working, since the package
# gives timers, files and redrawing their turn every millisecond. Old messages are dropped when there are too many.

package require Tk
package require nats

set url [expr {$argc ? [lindex $argv 0] : "nats://127.0.0.1:4222"}]
set seconds [expr {$argc > 1 ? [lindex $argv 1] : 0}]
foreach name {reader writer} {
    set $name [nats::connection new $name]
    [set $name] configure -servers $url
    [set $name] connect
}

set received [set redrawn [set ticks [set worst 0]]]
label .count -textvariable received -font {Helvetica 32} -width 12
label .clock -textvariable clock
button .stop -text Stop -command {set finished 1}
pack .count .clock .stop -padx 20 -pady 10

proc batch {messages} { incr ::received [llength $messages] }
$reader subscribe flood -batch true -callback batch -overflow drop_old -pending_msgs 100000

proc flood {} {
    for {set i 0} {$i < 2000} {incr i} { $::writer publish flood $i }
    after 1 flood
}
proc tick {due} {
    set now [clock milliseconds]
    set ::worst [expr {max($::worst, $now - $due)}]
    incr ::ticks
    set ::clock [clock format [clock seconds] -format %T]
    after 10 [list tick [expr {$now + 10}]]
}
# Idle scripts run when there is nothing else to do: Tk redraws in them.
proc redraw {} {
    incr ::redrawn
    after 20 {after idle redraw}
}
flood
redraw
tick [clock milliseconds]
if {$seconds > 0} { after [expr {int($seconds * 1000)}] {set finished 1} }
vwait finished
puts "$received messages, $ticks ticks of 10 ms, the worst $worst ms late, idle scripts $redrawn"
$reader destroy
$writer destroy
exit
