# What the tests of bound arrays share. Source it after kv.tcl.
#
#   open_bound ?options of bind?    a bucket, the array ::arr bound to it as $b, with all that the bucket had
#   close_bound / close_bound_noisy as close_kv and close_noisy, without the array
#   open_proxied / close_proxied    the same behind a proxy, with a server of its own and a jet_stream with -timeout 1000
#   offline, online                 cuts that proxy off, and lets it through again
# Losses that were reported are in `lost` (see collect), as dicts.

proc bind_array {args} {
    set ::is_ready 0
    set ::b [$::kv bind ::arr -on_error [collect lost] -on_ready {set ::is_ready 1} {*}$args]
    wait_until {$::is_ready}
}
proc open_bound {args} {
    open_kv
    unset -nocomplain ::arr
    bind_array {*}$args
}
proc close_bound {} {
    close_kv
    unset -nocomplain ::arr
}
proc close_bound_noisy {} {
    close_noisy
    unset -nocomplain ::arr
}

proc open_proxied {args} {
    set ::s2 [server::start]
    set ::p [proxy::start [server::port $::s2]]
    set ::conn [open_conn [proxy::url $::p]]
    $::conn configure -log_level error -reconnect_time_wait 20 -max_reconnect_attempts -1
    set ::js [$::conn jet_stream -timeout 1000]
    set ::bucket [fresh_bucket]
    set ::kv [$::js create_kv_bucket $::bucket -history 5]
    set ::direct [raw::connect [server::port $::s2]]
    # `stored` looks there.
    set ::kept_raw $::raw
    set ::raw $::direct
    unset -nocomplain ::arr
    bind_array {*}$args
}
proc close_proxied {} {
    set ::raw $::kept_raw
    close_bound_noisy
    raw::close $::direct
    proxy::stop $::p
    server::delete $::s2
}
proc offline {} {
    proxy::refuse $::p true; proxy::cut $::p
    wait_until {[dict get [$::b status] state] eq "stale"}
}
proc online {} {
    proxy::refuse $::p false
    wait_until {[dict get [$::b status] state] eq "live"}
}

# The array in the order of its keys, and the bucket as a foreign client has it.
proc content {{name ::arr}} { return [lsort -stride 2 [array get $name]] }
proc stored {key} {
    set reply [raw::api $::raw STREAM.MSG.GET.KV_$::bucket \
        "{\"last_by_subj\":\"\$KV.$::bucket.$key\"}"]
    if {![regexp {"seq":(\d+)} $reply -> revision]} { return "" }
    set value ""
    if {[regexp {"data":"([^"]*)"} $reply -> data]} { set value [binary decode base64 $data] }
    if {[regexp {"hdrs":"([^"]*)"} $reply -> data]} {
        set headers [binary decode base64 $data]
        if {[regexp {KV-Operation: (\w+)} $headers -> operation]} { set value ($operation) }
    }
    return $value
}
# The revision of the last message of the bucket: how many writes there were.
proc last_revision {} {
    regexp {"last_seq":(\d+)} [raw::api $::raw STREAM.INFO.KV_$::bucket] -> last
    return $last
}
# Sends what has been changed, without a wait: it is on its way when this returns.
proc send {} { coroutine send[incr ::sends] apply {{} {catch {$::b flush}}} }
# Of each loss the fields that count.
proc losses {} {
    return [lmap call [collected lost] {
        lmap field {key mine theirs code} { dict get $call $field }
    }]
}
