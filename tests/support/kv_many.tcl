# Fixtures of the tests of many keys at once. Source it after support/kv.tcl.
#
# Writers are processes of their own: `many_writer url bucket count` replaces the keys k.1 … k.count again and again,
# `many_pairs url bucket` writes the same number to x and y in one batch, `many_incr url bucket key count` adds 1 so many
# times, `many_incr_through` whatever happens, until `many_enough`, which returns how often surely and how often perhaps. `many_writes` asks a writer how much it has done, `many_stop` ends it.

# A dict of keys with this prefix and their values.
proc values {count {prefix k.}} {
    set result {}
    for {set n 1} {$n <= $count} {incr n} { dict set result $prefix$n value$n }
    return $result
}
# Has the stream of a bucket take atomic batches.
proc allow_batches {bucket} {
    set config [dict get [$::js stream_info KV_$bucket] config]
    dict set config allow_atomic true
    $::js update_stream KV_$bucket {*}[dict remove $config name]
    set ::kv [$::js bind_kv_bucket $bucket]
}
proc many_writer {url bucket count} { return [ManyStart writer $url $bucket $count] }
proc many_pairs {url bucket} { return [ManyStart pairs $url $bucket] }
proc many_incr {url bucket key count} { return [ManyStart incr $url $bucket $key $count] }

proc many_incr_through {url bucket key} { return [ManyStart incr_through $url $bucket $key] }
proc many_enough {pipe} {
    puts $pipe enough
    return [gets $pipe]
}

proc ManyStart {args} {
    set script [file join $::support::here support kv_many_writer.tcl]
    set pipe [open |[list [info nameofexecutable] $script {*}$args 2>@stderr] r+]
    fconfigure $pipe -buffering line
    # Its first word is that it has begun.
    if {[gets $pipe] ne "ready"} { error "the writer has ended" }
    return $pipe
}
proc many_writes {pipe} {
    puts $pipe count
    return [gets $pipe]
}
# Waits until it is done by itself: what it says then.
proc many_result {pipe} { return [gets $pipe] }
proc many_stop {pipe} { catch {close $pipe} }
