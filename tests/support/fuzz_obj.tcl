# Random calls of everything about object stores, for obj_fuzz.test. On top of fuzz.tcl.
#
#   fuzz_obj_setup        the objects that the calls use exist, whatever the last calls did
#   fuzz_obj_call         the next call, a list
#   fuzz_obj_note call result, fuzz_obj_sweep

set fuzz_good(bucket) {FUZZ_O FUZZ_O FUZZ_O FUZZ_P FUZZ_P NONE a.b}
set fuzz_good(own_bucket) {FUZZ_P FUZZ_P FUZZ_P FUZZ_Q}
set fuzz_good(object) [list a a a b b "c d" > \u00e9\u4e2d none link link.bucket [string repeat n 3000]]
set fuzz_good(target) {{name a} {name b} {bucket FUZZ_P name x} {name {}} {} {name} {name a deleted true} {name a options {link {bucket x}}} {bucket > name a}}
set fuzz_good(ttl) {0 1000 60000}
set fuzz_good(size) {0 100 100000 1000000000}
set fuzz_good(storage) {memory memory memory file}
set fuzz_good(heartbeat) {100 200 5000}
set fuzz_good(dict) {{} {a b} {a {1 2} b 3} {a}}
# Descriptions by others, good and bad.
set fuzz_good(meta) {{{"name":"a","nuid":"N1"}} {{"name":"a","nuid":"N1","size":1,"chunks":1,"digest":"x"}} {{"name":"a","nuid":">"}} {{}} {} x
    {{"name":"a","nuid":"N1","options":{"link":{"bucket":"FUZZ_O","name":"link"}}}} {{"name":"b","nuid":"N2","deleted":true}}
    {{"name":"a","nuid":"N1","size":99999999999999999999}} {{"name":"a","nuid":"N1","metadata":{"x":{}}}}}

# Data: of a chunk and of many. Files and channels: good ones, one that is full, one that is not there, and folders.
set fuzz_good(chunk) {100 1000 131072 131072 1 0 2000000}
set fuzz_good(bytes) [list {} x [string repeat "some bytes " 30] [string repeat 0123456789 2000]]
set fuzz_obj_folder [support::folder fuzz]
set fuzz_good(path) [list $fuzz_obj_folder/a $fuzz_obj_folder/a $fuzz_obj_folder/b $fuzz_obj_folder $fuzz_obj_folder/none/a]
set fuzz_good(wait) {50 200 1000}

set fuzz_obj_methods {
    obj put {object -data bytes} {description data metadata dict header header chunk_size chunk progress callback timeout wait}
    obj put {object -file path} {chunk_size chunk progress callback timeout wait}
    obj put {object -channel channel} {chunk_size chunk progress callback timeout wait}
    obj get object              {progress callback timeout wait}
    obj get {object -file path} {progress callback timeout wait}
    obj get {object -channel channel} {progress callback timeout wait}
    obj info object             {deleted bool}
    obj info object             {}
    obj list {}                 {deleted bool}
    obj delete object           {}
    obj update_meta object      {name object description data metadata dict header dict}
    obj update_meta object      {description data}
    obj add_link {object target} {}
    obj add_link {object target} {}
    obj add_bucket_link {object bucket} {}
    obj watch {-callback callback} {updates_only bool include_history bool ignore_deletes bool idle_heartbeat heartbeat}
    obj status {}               {}
    obj_w status {}             {}
    obj_w consumer {}           {}
    js create_object_store {own_bucket -storage storage} {ttl ttl max_bucket_size size description data metadata dict num_replicas count}
    js create_object_store own_bucket {}
    js bind_object_store bucket {}
    js delete_object_store own_bucket {}
    js object_stores {}         {}
}
proc fuzz_obj_call {} {
    set draw [expr {rand()}]
    if {$draw < 0.05} { return [fuzz_call] }
    if {$draw < 0.08} { return update }
    if {$draw < 0.14} { return [list raw::publish $::raw [meta_subject [pick {a b link}] FUZZ_O] [pick $::fuzz_good(meta)]] }
    set at [expr {4 * int(rand() * [llength $::fuzz_obj_methods] / 4)}]
    lassign [lrange $::fuzz_obj_methods $at $at+3] kind method kinds table
    set object [set ::fuzz_$kind]
    if {$draw < 0.2} {
        # Any method with any arguments.
        set method [pick [concat [info object methods $object -all] ::nosuch]]
        if {$method in {destroy seal} && [often 0.8]} { set method status }
        return [list $object $method {*}[some_values]]
    }
    return [list $object $method {*}[lmap kind $kinds { if {[string index $kind 0] eq "-"} { set kind } else { good $kind } }] {*}[options $table]]
}
proc fuzz_obj_note {call result} {
    if {[lindex $call 0] eq $::fuzz_obj && [lindex $call 1] eq "watch"} { set ::fuzz_obj_w $result }
    if {[lindex $call 0] eq $::fuzz_obj && [lindex $call 1] eq "info" && [often 0.1]} {
        set ::fuzz_good(target) [lreplace $::fuzz_good(target) 0 0 $result]
    }
}
proc fuzz_obj_setup {} {
    # Files that random words name are made where they do no harm.
    cd $::fuzz_obj_folder
    if {![info exists ::fuzz_obj_channels]} {
        foreach {path mode} {/dev/null r+ /dev/zero w /dev/full w a w+} { lappend ::fuzz_obj_channels [open $path $mode] }
        set ::fuzz_good(channel) [concat $::fuzz_obj_channels nosuch]
    }
    foreach name {obj obj_w} { append ::fuzz_$name {} }
    fuzz_setup
    if {[info commands $::fuzz_obj] eq "" || [catch {dict get [$::fuzz_obj status] sealed} sealed] || $sealed} {
        raw::api $::raw STREAM.DELETE.OBJ_FUZZ_O
        set ::fuzz_obj [$::fuzz_js create_object_store FUZZ_O -storage memory]
    }
    if {[info commands $::fuzz_obj_w] eq ""} { set ::fuzz_obj_w [$::fuzz_obj watch -callback list] }
    foreach name {a b} { raw::publish $::raw [meta_subject $name FUZZ_O] "{\"name\":\"$name\",\"nuid\":\"N$name\"}" {Nats-Rollup sub} }
    raw::flush $::raw
}
proc fuzz_obj_sweep {} {
    foreach class {object_watcher object_store} {
        foreach object [info class instances nats::$class] {
            if {$object ni [list $::fuzz_obj $::fuzz_obj_w]} { catch {$object destroy} }
        }
    }
    # What random names have made.
    regexp {"streams":\[([^]]*)\]} [raw::api $::raw STREAM.NAMES] -> names
    foreach name [split [string map {\" {}} $names] ,] {
        if {$name ni {keeper OBJ_FUZZ_O} && ![string match KV_* $name]} { raw::api $::raw STREAM.DELETE.$name }
    }
    fuzz_sweep
}
