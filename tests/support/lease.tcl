# Fixtures of the tests of leases, locks and leaders. Source it after support/js.tcl.

# A bucket that leaves markers for a second.
proc open_leases args { open_kv -limit_marker_ttl 1000 -history 1 {*}$args }

# Another connection with its own handle of the bucket, in ::$name(conn), ::$name(kv).
proc open_other {name {url ""}} {
    upvar #0 $name other
    set other(conn) [open_conn $url]
    set other(js) [$other(conn) jet_stream]
    set other(kv) [$other(js) bind_kv_bucket $::bucket]
}
proc close_other {name} {
    upvar #0 $name other
    if {[info exists other(conn)]} { catch {$other(conn) destroy} }
    unset -nocomplain other
}
proc leases {} { return [llength [info class instances nats::kv_lease]] }
proc elections {} { return [llength [info class instances nats::kv_election]] }
# What the status of a lease or an election says.
proc told {object field} { return [dict get [$object status] $field] }
# What the key has: PUT, DEL, PURGE, or nothing.
proc has {key} {
    set history [$::kv history $key]
    return [expr {[llength $history] ? [dict get [lindex $history end] operation] : ""}]
}
# Whether somebody has the key, as a server tells a foreign client.
proc is_held {key} {
    set reply [raw::api $::raw STREAM.MSG.GET.KV_$::bucket "{\"last_by_subj\":\"\$KV.$::bucket.$key\"}"]
    if {[string match {*"error"*} $reply]} { return 0 }
    if {![regexp {"hdrs":"([^"]*)"} $reply -> block]} { return 1 }
    return [expr {![regexp {KV-Operation|Nats-Marker-Reason} [binary decode base64 $block]]}]
}
# Writes that a foreign client sees while the script runs: subject and value each.
proc writes {script} {
    set id [raw::subscribe $::raw "\$KV.$::bucket.>"]
    raw::flush $::raw
    uplevel 1 $script
    $::conn flush
    raw::flush $::raw
    set messages [raw::messages $::raw $id]
    raw::unsubscribe $::raw $id
    return [lmap m $messages { list [string range [dict get $m subject] [string length "\$KV.$::bucket."] end] [dict get $m payload] }]
}
# Starts a coroutine that evaluates the script at global level; {code result} in ::ended($name) when it has ended.
proc background {name script} {
    unset -nocomplain ::ended($name)
    coroutine ::background_$name apply {{name script} {
        set code [catch {uplevel #0 $script} result options]
        set ::ended($name) [expr {$code == 1 ? [dict get $options -errorcode] : $result}]
    }} $name $script
}
proc wait_ended {name {ms 5000}} {
    wait_until "\[info exists ::ended($name)\]" $ms
    return $::ended($name)
}
