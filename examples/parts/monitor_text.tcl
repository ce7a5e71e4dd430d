# The monitor without a window: it looks at streams and consumers once, and again at those that an advisory is about.

# The table: name of a stream, or of a stream and a consumer -> what is in it.
array set table {}
proc show_stream {info} {
    set state [dict get $info state]
    set ::table([list [dict get $info config name]]) "[dict get $state messages] messages, [dict get $state bytes] bytes"
}
proc show_consumer {info} {
    set ::table([list [dict get $info stream_name] [dict get $info name]]) \
        "[dict get $info num_pending] pending, [dict get $info num_ack_pending] unacknowledged, [dict get $info num_redelivered] again"
}
proc forget {id} {
    array unset ::table $id
    array unset ::table "$id *"
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
    puts $text
    flush stdout
}
proc print_table {} {
    foreach id [lsort [array names ::table]] { puts "[join $id /] = $::table($id)" }
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
try {
    foreach name [$js stream_names] {
        look $name
        foreach consumer [$js consumer_names $name] { look $name $consumer }
    }
} trap NATS text {
    fail $text 1
}
say "watching [array size table] streams and consumers"
