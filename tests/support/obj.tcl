# Fixtures of the object store's tests. Source it after support.tcl; it loads the package.
#
# One server for the file in $srv, a foreign client $raw; `open_obj` makes conn, js, bucket (a fresh name) and obj as
# global variables, `close_obj` takes them down and fails if a background error was left.

source [file join $::support::here support kv.tcl]

# Options go to create_object_store.
proc open_obj args {
    set ::bucket [fresh_bucket]
    set ::conn [open_conn]
    set ::js [$::conn jet_stream]
    set ::obj [$::js create_object_store $::bucket {*}[dict merge {-storage memory} $args]]
}
# The same with what the connection logs in a file, which `logged` reads.
proc open_logged {} {
    set ::conn [nats::connection new test -log_level warn -log_chan [set ::log [file tempfile]]]
    $::conn configure -servers [server::url $::srv]
    $::conn connect
    set ::js [$::conn jet_stream]
    set ::bucket [fresh_bucket]
    set ::obj [$::js create_object_store $::bucket -storage memory]
}
proc logged {} {
    flush $::log
    seek $::log 0
    return [read $::log]
}
proc close_logged {} {
    close_obj
    close $::log
}
proc close_obj {} {
    catch {$::js delete_object_store $::bucket}
    end_conn
}
# The same after a test whose background errors are its business and may still be under way.
proc close_noisy_obj {} {
    catch {$::js delete_object_store $::bucket}
    end_noisy
}
# A name as subjects have it.
proc token_of {name} {
    return [string map {+ - / _} [binary encode base64 [encoding convertto utf-8 $name]]]
}
proc meta_subject {name {in ""}} { return "\$O.[expr {$in eq "" ? $::bucket : $in}].M.[token_of $name]" }

# What a foreign client stores as the description of an object, as bytes; waits until it is there.
proc foreign_meta {name json {in ""}} {
    return [dict get [raw::request $::raw [meta_subject $name $in] [encoding convertto utf-8 $json] {Nats-Rollup sub}] payload]
}
# A whole object by a foreign client, in chunks of the given size: with a description as other clients write it, and
# members of your own.
proc foreign_put {name data {size 10} {members ""}} {
    set nuid N[incr ::foreign_serial]
    set chunks 0
    for {set at 0} {$at < [string length $data]} {incr at $size} {
        raw::request $::raw \$O.$::bucket.C.$nuid [string range $data $at [expr {$at + $size - 1}]]
        incr chunks
    }
    if {$members ne ""} { append members , }
    foreign_meta $name [string cat "{\"name\":\"$name\",$members\"options\":{\"max_chunk_size\":$size}," \
        "\"bucket\":\"$::bucket\",\"nuid\":\"$nuid\",\"size\":[string length $data],\"mtime\":\"0001-01-01T00:00:00Z\"," \
        "\"chunks\":$chunks,\"digest\":\"SHA-256=[token_of x]\"}"]
    return $nuid
}
set foreign_serial 0

# The last description of an object as it is stored.
proc stored_meta {name {in ""}} {
    set in [expr {$in eq "" ? $::bucket : $in}]
    set reply [raw::api $::raw STREAM.MSG.GET.OBJ_$in "{\"last_by_subj\":\"[meta_subject $name $in]\"}"]
    if {![regexp {"data":"([^"]*)"} $reply -> data]} { return $reply }
    return [encoding convertfrom utf-8 [binary decode base64 $data]]
}
# How many messages the stream has under subjects that match: chunks of one object, or all.
proc messages_under {filter {in ""}} {
    set in [expr {$in eq "" ? $::bucket : $in}]
    set info [raw::api $::raw STREAM.INFO.OBJ_$in "{\"subjects_filter\":\"\$O.$in.$filter\"}"]
    if {![regexp {"subjects":\{([^\}]*)\}} $info -> subjects]} { return 0 }
    set count 0
    foreach {all n} [regexp -all -inline {"[^"]*":(\d+)} $subjects] { incr count $n }
    return $count
}
# Fields of an info: with a time that was checked and replaced by `now`, and the id by `id`.
proc shown_info {info} {
    set age [expr {[clock milliseconds] - [dict get $info mtime]}]
    if {abs($age) < 60000} { dict set info mtime now }
    if {[regexp {^[0-9A-Za-z]{22}$} [dict get $info nuid]]} { dict set info nuid id }
    return $info
}
