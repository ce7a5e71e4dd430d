# A monitor: what a server does, and what happens to its streams and consumers. doc/tools.md has a picture.
#
#   nats-server -js -m 8222 &
#   TCLLIBPATH=<this checkout> wish examples/monitor.tcl -monitor http://127.0.0.1:8222
#   … examples/monitor.tcl ?options? ?nats://127.0.0.1:4222? ?seconds?           ends after so many seconds
#
#   -monitor URL    the monitoring port of the server, for connections, subscriptions and rates. Without it the server is asked
#                   over NATS: for all if the user is one of the system account, else for what belongs to the user's account
#   -system URL     with a user of the system account, if the other one is not
#   -context NAME   a context of natscli in the place of the address
#   -text           no window: a line for each advisory, and a table at the end. So it is with tclsh and without a display

package require nats
set parts [file join [file dirname [file normalize [info script]]] parts]
set usage {usage: monitor.tcl ?-monitor URL? ?-system URL? ?-context NAME? ?-text? ?nats://127.0.0.1:4222? ?seconds?}

proc fail {text code} {
    puts stderr "monitor.tcl: $text"
    exit $code
}

array set option {-monitor "" -system "" -context "" -text 0}
set places {}
for {set words $argv} {$words ne ""} {} {
    set words [lassign $words word]
    switch -glob -- $word {
        -text { set option(-text) 1 }
        -h - -help - --help { puts $usage; exit }
        -* {
            if {![info exists option($word)] || $words eq ""} { fail $usage 2 }
            set words [lassign $words option($word)]
        }
        default { lappend places $word }
    }
}
lassign [concat $places [lrange {nats://127.0.0.1:4222 0} [llength $places] end]] url seconds
if {[llength $places] > 2 || ![string is double -strict $seconds]} { fail $usage 2 }

set window [expr {!$option(-text) && ![catch {package require Tk}]}]
# A window waits for its server, and for one that is away.
set patience [expr {$window ? {-retry_on_failed_connect true -max_reconnect_attempts -1} : ""}]
set options [list -name monitor -log_chan [open /dev/null w]]

proc connect {url options patience} {
    set conn [nats::connection new {*}$options]
    $conn configure -servers $url {*}$patience
    $conn connect {*}[expr {$::window ? "-async" : ""}]
    return $conn
}
if {[catch {
    # The first word of the constructor is the name.
    set plain [lreplace $options 0 0]
    if {$option(-context) ne ""} {
        set conn [nats::context connect $option(-context) {*}$options {*}$patience]
    } else {
        set conn [connect $url $plain $patience]
    }
    set system [expr {$option(-system) eq "" ? $conn : [connect $option(-system) $plain $patience]}]
} text]} { fail $text 1 }
set js [$conn jet_stream]

if {$seconds > 0} { after [expr {int($seconds * 1000)}] {set finished 1} }
if {$window} {
    foreach part {units simple_json monitor_feed monitor_table monitor_plot monitor_window} { source [file join $parts $part.tcl] }
} else {
    source [file join $parts monitor_text.tcl]
}
vwait finished
if {!$window} print_table
$conn destroy
exit
