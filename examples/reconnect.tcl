# What a program sees when a server goes away and comes back: the variables status and last_error, in a trace.
#
#   nats-server &
#   TCLLIBPATH=<this checkout> tclsh examples/reconnect.tcl ?nats://127.0.0.1:4222?
#
# Stop and start the server while it runs, or end the server's connection, and watch. Ends after -seconds (default 60).

package require nats

set url [expr {$argc ? [lindex $argv 0] : "nats://127.0.0.1:4222"}]
set seconds [expr {$argc > 1 ? [lindex $argv 1] : 60}]

set conn [nats::connection new example -log_level error]
$conn configure -servers $url -reconnect_time_wait 200 -max_reconnect_attempts -1 -ping_interval 5000

proc changed {name args} {
    upvar 1 $name value
    if {$name eq "last_error" && $value ne ""} {
        puts "error [lindex [dict get $value code] 1]: [dict get $value errorMessage]"
    } elseif {$name eq "status"} {
        puts "status $value"
        if {$value eq "connected"} { puts "server [lindex [$::conn current_server] 1], [array get ::${::conn}::serverInfo version]" }
    }
}
trace add variable ${conn}::status write changed
trace add variable ${conn}::last_error write changed

# Returns at once; the traces tell the rest. If no server can be reached at first, the status becomes closed.
$conn connect -async

# What is published while there is no connection is kept and sent later, in order. Subscriptions are restored.
set sent [set received 0]
proc tick {} {
    if {[$::conn cget -status] ne "closed"} { $::conn publish ticks [incr ::sent] }
    after 100 tick
}
$conn subscribe ticks -callback {apply {args { incr ::received }}}
tick
after [expr {int($seconds * 1000)}] {set finished 1}
vwait finished
puts "sent $sent, received $received"
$conn destroy
