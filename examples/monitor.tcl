# A monitor of streams and consumers: it looks at them once, and again at those that an advisory is about.
#
#   nats-server -js &
#   TCLLIBPATH=<this checkout> wish examples/monitor.tcl ?nats://127.0.0.1:4222? ?seconds?
#
# tclsh, or wish without a display, prints a line for each advisory, and the table at the end.

package require nats
set window [expr {![catch {package require Tk}]}]

set url [expr {$argc ? [lindex $argv 0] : "nats://127.0.0.1:4222"}]
set seconds [expr {$argc > 1 ? [lindex $argv 1] : 0}]
set conn [nats::connection new monitor]
$conn configure -servers $url
$conn connect
set js [$conn jet_stream]

# The table: name of a stream, or of a stream and a consumer -> what is in it.
array set table {}
proc show {id text} {
    set ::table($id) $text
    if {!$::window} return
    set parent [expr {[llength $id] > 1 ? [lrange $id 0 0] : ""}]
    if {[.tree exists $id]} { .tree item $id -values [list $text]; return }
    if {$parent ne "" && ![.tree exists $parent]} { show $parent "" }
    .tree insert $parent end -id $id -text [lindex $id end] -values [list $text] -open true
}
proc forget {id} {
    array unset ::table $id
    array unset ::table "$id *"
    if {$::window && [.tree exists $id]} { .tree delete [list $id] }
}
proc show_stream {info} {
    set state [dict get $info state]
    show [list [dict get $info config name]] "[dict get $state messages] messages, [dict get $state bytes] bytes"
}
proc show_consumer {info} {
    show [list [dict get $info stream_name] [dict get $info name]] \
        "[dict get $info num_pending] pending, [dict get $info num_ack_pending] unacknowledged, [dict get $info num_redelivered] again"
}
# Looks at a stream or a consumer; what has gone leaves the table.
proc look {stream {consumer ""}} {
    try {
        show_stream [$::js stream_info $stream]
        if {$consumer ne ""} { show_consumer [$::js consumer_info $stream $consumer] }
    } trap {NATS ErrStreamNotFound} {} {
        forget [list $stream]
    } trap {NATS ErrConsumerNotFound} {} {
        forget [list $stream $consumer]
    } trap NATS text {
        say $text
    }
}
proc say {text} {
    if {!$::window} { puts $text; return }
    .log insert end $text\n
    .log see end
}

if {$window} {
    ttk::treeview .tree -columns state -height 15
    .tree heading #0 -text "stream, consumer"
    .tree heading state -text state
    .tree column state -width 400
    text .log -height 10 -width 80
    pack .tree .log -fill both -expand 1
    wm protocol . WM_DELETE_WINDOW {set finished 1}
}

# A coroutine may wait for answers: what comes meanwhile is held back, in order.
coroutine watch apply {{} {
    set event [yield]
    while 1 {
        set names [list [dict get $event stream]]
        if {[dict exists $event consumer]} { lappend names [dict get $event consumer] }
        set what [dict get $event kind]
        foreach key {action stream_seq reason ack_time} {
            if {[dict exists $event $key]} { append what " $key [dict get $event $key]" }
        }
        say "[join $names /]: $what"
        look {*}$names
        set event [yield]
    }
}}
# Before the first look, so that nothing is missed in between.
$js events -callback watch -kinds {
    stream_action stream_leader_elected stream_quorum_lost
    consumer_action consumer_pause consumer_leader_elected consumer_quorum_lost
    max_deliver nak terminated ack_metric
}
foreach name [$js stream_names] {
    look $name
    foreach consumer [$js consumer_names $name] { look $name $consumer }
}
say "watching [array size table] streams and consumers"
if {$seconds > 0} { after [expr {int($seconds * 1000)}] {set finished 1} }
vwait finished
if {!$window} {
    foreach id [lsort [array names table]] { puts "[join $id /] = $table($id)" }
}
$conn destroy
exit
