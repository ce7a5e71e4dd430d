# Fixtures of the tests of continuous pull. Source it after js.tcl.
#
# `open_pull` is open_js with a consumer C and no consumption yet; `pulling ?options?` starts to consume with a callback that
# collects messages under `got` and states under `states`, as $p. Acknowledgements by a foreign hand: `acked $msg ?payload?`.

proc open_pull {{members ""}} {
    open_js
    consumer C $members
    collect states
    collect got
}
proc pulling args {
    set ::p [$::js pull $::stream C -callback [collect got] -state [collect states] {*}$args]
}
# Without a callback.
proc asking args {
    set ::p [$::js pull $::stream C -state [collect states] {*}$args]
}
proc acked {message {payload ""}} { $::conn publish [dict get $message reply] $payload }
# The bodies that came, one word each; those of lists as lists.
proc got {} { return [lmap message [collected got] {dict get $message data}] }
proc got_lists {} { return [lmap list [collected got] {bodies $list}] }
# Wait for so many and return them.
proc got_when {count {ms 5000}} {
    if {[catch {wait_until {[llength $::support::collected(got)] >= $count} $ms}]} {
        error "[llength [got]] of $count messages within $ms ms"
    }
    return [got]
}
# The names of the states so far, and the dicts of those of one name.
proc states {} { return [lmap call [collected states] {lindex $call 0}] }
proc reports {state} {
    set result {}
    foreach call [collected states] {
        if {[lindex $call 0] eq $state} { lappend result [lindex $call 1] }
    }
    return $result
}
proc wait_state {state {ms 5000} {count 1}} {
    uplevel 1 [list wait_until "\[llength \[reports $state\]\] >= $count" $ms]
}
# A number in the foreign client's consumer info.
proc info_of {name {consumer C}} {
    set reply [raw::api $::raw CONSUMER.INFO.$::stream.$consumer]
    if {![regexp "\"$name\":(-?\[0-9\]+)" $reply -> value]} { return "" }
    return $value
}
# How many times the message was delivered, which is in its reply subject.
proc deliveries {message} { return [lindex [split [dict get $message reply] .] 4] }
proc sequence {message} { return [lindex [split [dict get $message reply] .] 5] }
# Publish without waiting for each one, by the foreign client.
proc store_many {count {size 0} {first 1}} {
    set body [string repeat x $size]
    for {set i $first} {$i < $first + $count} {incr i} { raw::store $::raw $::stream.a $i$body }
    raw::flush $::raw
}
proc delete_consumer {{name C}} { raw::api $::raw CONSUMER.DELETE.$::stream.$name }
# A message that no client library reads: a header line without a colon, or a subject that is no UTF-8.
proc store_malformed {body} { raw::request $::raw $::stream.a $body [list -raw "NATS/1.0\r\nno colon\r\n\r\n"] }
proc store_no_utf8 {body} { raw::request $::raw $::stream.\xff\xfe $body }
# As open_pull, through a proxy.
proc open_proxied {{members ""}} {
    open_pull $members
    $::conn destroy
    set ::proxy [proxy::start [server::port $::srv]]
    set ::conn [open_conn [proxy::url $::proxy]]
    set ::js [$::conn jet_stream]
}
proc close_proxied {} {
    proxy::stop $::proxy
    close_noisy_js
}
