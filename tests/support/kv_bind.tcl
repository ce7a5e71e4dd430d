# What the tests of bound arrays share. Source it after kv.tcl.
#
#   open_bound ?options of bind?    a bucket, the array ::arr bound to it as $b, with all that the bucket had
#   close_bound / close_bound_noisy as close_kv and close_noisy, without the array
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
