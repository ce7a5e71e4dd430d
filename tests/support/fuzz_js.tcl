# Random calls of everything that has to do with streams, for js_fuzz.test. On top of fuzz.tcl.
#
#   fuzz_js_setup         the objects that the calls use exist, whatever the last calls did
#   fuzz_js_call          the next call, a list; it ends by itself within some hundred milliseconds, unless there is a bug
#   fuzz_js_note call result, fuzz_js_sweep
#
# Which options a method has is asked of the method itself: it lists them when it does not know one.

# Longer than servers take names, than the file names of a system, than a line of the protocol.
set fuzz_long [lmap length {300 3500 4097 9000} {string repeat L $length}]
set fuzz_good(long) $fuzz_long
set fuzz_good(stream) {FUZZ_S FUZZ_S FUZZ_S FUZZ_S FUZZ_S FUZZ_S FUZZ_T FUZZ_T FUZZ_T FUZZ_T FUZZ_NONE}
set fuzz_good(consumer) {pulled pulled pulled pulled pulled pulled pushed pushed made made none}
set fuzz_good(push_consumer) {pushed pushed pushed pushed made none}
# Where the consumers are.
set fuzz_good(home) {FUZZ_S FUZZ_S FUZZ_S FUZZ_S FUZZ_S FUZZ_S FUZZ_S FUZZ_S FUZZ_T FUZZ_NONE}
set fuzz_good(counters) {FUZZ_C FUZZ_C FUZZ_C FUZZ_C FUZZ_S}
set fuzz_good(counter) {fc.a fc.a fc.b fs.a}
set fuzz_good(made_stream) {FUZZ_T FUZZ_T FUZZ_T FUZZ_U FUZZ_U FUZZ_S}
set fuzz_good(made_subjects) {ft.> {ft.a ft.b} fu.> fs.>}
set fuzz_good(js_subject) {fs.a fs.b fs.c ft.a fs.nobody}
set fuzz_good(js_filter) {fs.a fs.> fs.* > {fs.a fs.b} {fs.* ft.*}}
set fuzz_good(own_consumer) $fuzz_good(consumer)
set fuzz_good(sequence) {0 1 2 3 100 1000000}
set fuzz_good(js_message) {}
set fuzz_good(js_messages) {}
# Of a consumer, so that they can be acknowledged.
set fuzz_good(delivered) {}
set fuzz_good(deliveries) {}
set fuzz_good(json_stream) {{{"name":"FUZZ_T","subjects":["ft.>"],"storage":"memory"}} {{"name":"FUZZ_U","subjects":["fu.>"],"storage":"memory"}}
    {{"name":"FUZZ_S"}} {{}} null {[1,2]} {{"name":}}}
set fuzz_good(json_consumer) {{{"durable_name":"made","ack_policy":"explicit"}} {{"durable_name":"made"}} {{"filter_subject":"fs.a"}} {{"stream_name":"FUZZ_S"}}
    {{}} null {[1,2]} {{"name":}}}
set fuzz_good(reason) {{} poison "two words"}
set fuzz_good(until) {2030-01-01T00:00:00Z 2020-01-01T00:00:00Z soon}
set fuzz_good(object) {}

# A word of a call: a value of this kind, now and then one that is too long; an option is itself, and so is what has a `=` before it.
proc fuzz_word {kind} {
    if {[string index $kind 0] eq "-"} { return $kind }
    if {[string index $kind 0] eq "="} { return [string range $kind 1 end] }
    if {$kind in {stream home consumer js_subject js_filter queue} && [often 0.005]} { return [good long] }
    return [good $kind]
}
# What an option of this name could take.
set fuzz_kinds {
    callback                                        callback
    {*callback state}                               callback
    {subject filter_subject subjects* filter* src dest *target next_by_subj deliver_subject} js_filter
    {stream name* mirror}                           stream
    {consumer durable*}                             consumer
    {msg_id expect_last_msg_id group queue deliver_group} queue
    {*seq* batch* max_* *count incr flow keep num_* threshold stop_after priority retries min_* history} sequence
    {*timeout *expires *wait ttl *ttl *age *heartbeat *threshold *delay for *window backoff} msec_short
    {*time until}                                   until
    {header*}                                       header
}
set fuzz_good(msec_short) {0 1 5 50 200 1000 never {1 5}}
set fuzz_good(word) {all new last explicit none memory file limits workqueue interest old instant original last_per_subject by_start_sequence
    s2 off atomic fast sub overflow pinned_client prioritized stop wait on_return true false 0 1 2 10 {} {a b} {a 1 b 2} {{}}}
proc fuzz_value {option} {
    foreach {patterns kind} $::fuzz_kinds {
        foreach pattern $patterns {
            if {[string match $pattern $option]} { return [fuzz_word $kind] }
        }
    }
    return [good word]
}

# Some of its options, mostly with values of their kind.
proc fuzz_options {object method args} {
    variable fuzz_known
    if {![info exists fuzz_known($method)]} {
        set fuzz_known($method) {}
        if {[catch {{*}$object $method {*}$args -nosuch 1} message info] && [regexp {\(options are ([^)]*)\)} [dict get $info -errorinfo] -> names]} {
            set fuzz_known($method) [lmap name $names {string trimleft $name -}]
        }
    }
    set options {}
    foreach name $fuzz_known($method) {
        if {[often [expr {min(0.3, 2.0 / [llength $fuzz_known($method)])}]]} { lappend options -$name [fuzz_value $name] }
    }
    if {[often 0.03]} { lappend options [pick $::fuzz_values] }
    return $options
}

# ---- calls: the object, the method, the kinds of its arguments

# Some twice: once with what they do nothing without, and once as they come.
set fuzz_js_methods {
    js publish {js_subject data}              js publish {js_subject data}          js publish {js_subject data}
    js publish_msg js_message                 js publish_all js_messages            js publish_complete {}
    js pending {}                             js publish_batch {}
    js ack delivered                          js ack_sync delivered                 js nak delivered
    js term delivered                         js term {delivered reason}            js in_progress delivered
    js ack_batch deliveries                   js ack js_message                     js nak js_message
    js fetch {home consumer}                  js fetch {home =pulled}               js consume {home consumer}
    js cancel_pull_request sequence           js cancel_pull_request sequence
    js add_stream {made_stream -subjects made_subjects -storage =memory}            js add_stream stream
    js update_stream {stream -storage =memory}   js update_stream stream
    js create_or_update_stream {made_stream -subjects made_subjects -storage =memory}   js create_or_update_stream stream
    js add_stream_from_json json_stream       js stream_info stream                 js stream_list {}
    js stream_names {}                        js stream_by_subject js_subject       js purge_stream stream
    js delete_stream stream                   js stream_stepdown stream
    js stream_peer_remove {stream queue}
    js stream_msg_get {stream -seq sequence}  js stream_msg_get {stream -last_by_subj js_subject}   js stream_msg_get stream
    js stream_direct_get {stream -seq sequence}  js stream_direct_get {stream -last_by_subj js_subject}   js stream_direct_get stream
    js stream_msg_delete {stream -seq sequence}  js stream_msg_delete stream
    js stream_get_batch {stream -batch sequence} js stream_get_batch stream         js stream_get_last {home js_filter}
    js add_consumer {home -durable_name =made}   js add_consumer stream             js update_consumer {home -durable_name =made}
    js create_or_update_consumer {home consumer} js create_or_update_consumer {home =made}
    js add_pull_consumer {home consumer}      js add_pull_consumer {home =made}     js add_push_consumer {home consumer js_subject}
    js add_push_consumer {home push_consumer =fuzz.pushed}
    js add_consumer_from_json {home consumer json_consumer}   js add_consumer_from_json {home =made json_consumer}
    js consumer_info {home consumer}          js consumer_list stream               js consumer_names stream
    js delete_consumer {home consumer}        js pause_consumer {home consumer -until until}   js pause_consumer {home consumer -for sequence}
    js resume_consumer {home consumer}
    js unpin_consumer {home consumer queue}   js reset_consumer {home consumer}     js consumer_stepdown {home consumer}
    js counter_add {counters counter sequence}  js counter_add {counters counter sequence}   js counter_get {counters js_filter}
    js counter_get {counters counter}
    js account_info {}                        js events {-callback callback}        js events {}
    js pull {home consumer}                   js pull {home =pulled -callback callback}
    js push {home push_consumer -callback callback}   js push {home consumer}
    js ordered_consumer {home -callback callback}  js ordered_consumer {home -callback callback -state callback}
    js ordered_consumer stream
    pull next {}                              pull next {}                          pull status {}
    pull pause {}                             pull resume {}                        pull drain {}
    pull stop {}
    push status {}                            push drain {}                         push stop {}
    batch add {js_subject data}               batch add {js_subject data}           batch add_msg js_message
    batch commit {js_subject data}            batch commit {}                       batch discard {}
    batch count {}
    ordered status {}                         ordered info {}                       ordered name {}
    nats::metadata {} delivered               nats::make_stream_source {} {-name stream}
    nats::make_subject_transform {} {-src js_filter -dest js_filter}
    nats::make_republish {} {-src js_filter -dest js_subject}                       nats::make_republish {} {}
}
# What such a call waits for at most, whatever its arguments say; the rest has the timeout of the object.
set fuzz_js_limits {publish 100 publish_msg 100 publish_complete 50 ack_sync 100 fetch 5 consume 5 next 3}

proc fuzz_js_call {} {
    set draw [expr {rand()}]
    if {$draw < 0.08} { return [fuzz_call] }
    if {$draw < 0.1} { return update }
    set at [expr {3 * int(rand() * [llength $::fuzz_js_methods] / 3)}]
    lassign [lrange $::fuzz_js_methods $at $at+2] kind method kinds
    # What the last calls have ended or removed is used for a while, and not until the next sweep.
    if {$kind eq "batch" && [info exists ::fuzz_js_over] && [often 0.7]} {
        unset ::fuzz_js_over
        fuzz_js_make batch
    }
    if {[info exists ::fuzz_js_gone] && [often 0.3]} {
        unset ::fuzz_js_gone
        fuzz_js_streams
    }
    if {$method in {commit discard}} { set ::fuzz_js_over 1 }
    if {$method in {delete_stream delete_consumer}} { set ::fuzz_js_gone 1 }
    set object [expr {[info exists ::fuzz_js_$kind] ? [set ::fuzz_js_$kind] : $kind}]
    if {$draw < 0.15 && [info object isa object $object]} {
        # Any method with any arguments.
        set method [pick [concat [info object methods $object -all] ::nosuch]]
        if {$method eq "destroy" && [often 0.8]} { set method status }
        return [fuzz_js_bounded [list $object $method {*}[some_values]]]
    }
    set arguments [lmap kind $kinds {fuzz_word $kind}]
    if {$method eq ""} { return [list $object {*}$arguments {*}[fuzz_options $object "" {*}$arguments]] }
    return [fuzz_js_bounded [list $object $method {*}$arguments {*}[fuzz_options $object $method {*}$arguments]]]
}
proc fuzz_js_bounded {call} {
    set method [lindex $call 1]
    if {![dict exists $::fuzz_js_limits $method] || [llength $call] % 2 != ($method in {next publish_complete publish fetch consume} ? 0 : 1)} {
        return $call
    }
    return [list {*}$call -timeout [dict get $::fuzz_js_limits $method]]
}
# What a call has made is what later ones use.
proc fuzz_js_note {call result} {
    if {[lindex $call 0] ne $::fuzz_js_js} { return [fuzz_note $call $result] }
    switch [lindex $call 1] {
        fetch - consume {
            if {[lsearch $call -callback] < 0 && [llength $result]} {
                fuzz_js_messages $result
                fuzz_js_delivered $result
            }
        }
        stream_msg_get - stream_direct_get { fuzz_js_messages [list $result] }
        publish_batch { set ::fuzz_js_batch $result }
        pull { set ::fuzz_js_pull $result }
        push { set ::fuzz_js_push $result }
        ordered_consumer {
            set ::fuzz_js_ordered $result
            # Others may do to its consumer what they want.
            set ::fuzz_good(consumer) [list {*}$::fuzz_good(own_consumer) [$result name]]
        }
    }
}
proc fuzz_js_messages {messages} {
    set ::fuzz_good(js_messages) [lrange [linsert $::fuzz_good(js_messages) 0 [lrange $messages 0 20]] 0 5]
    set ::fuzz_good(js_message) [lrange [concat [lrange $messages 0 5] $::fuzz_good(js_message)] 0 30]
}

proc fuzz_js_delivered {messages} {
    set ::fuzz_good(deliveries) [lrange [linsert $::fuzz_good(deliveries) 0 [lrange $messages 0 20]] 0 5]
    set ::fuzz_good(delivered) [lrange [concat [lrange $messages 0 5] $::fuzz_good(delivered)] 0 30]
}

# ---- objects

proc fuzz_js_there {kind} {
    upvar #0 fuzz_js_$kind object
    return [expr {[info exists object] && [info commands $object] ne ""}]
}
set fuzz_js_objects {
    batch   {list publish_batch -mode [pick {atomic fast}]}
    pull    {list pull FUZZ_S pulled {*}[pick {{} {} {-callback fuzz_error} {-callback list -batch true} {-callback list -ack on_return}}]}
    push    {list push FUZZ_S pushed -callback list}
    ordered {list ordered_consumer FUZZ_S -callback list}
}
proc fuzz_js_make {kind} { catch {set ::fuzz_js_$kind [$::fuzz_js_js {*}[eval [dict get $::fuzz_js_objects $kind]]]} }
proc fuzz_js_streams {} {
    foreach {name subject members} {
        FUZZ_S fs.> {"allow_direct":true,"allow_atomic":true,"allow_batched":true,"allow_msg_ttl":true}
        FUZZ_T ft.> {"allow_direct":true}
        FUZZ_C fc.> {"allow_direct":true,"allow_msg_counter":true}
    } {
        raw::api $::raw STREAM.CREATE.$name \
            [json_object name $name subjects "{\[\"$subject\"\]}" storage memory $members]
    }
    foreach stream {FUZZ_S FUZZ_T} {
        foreach {name members} {pulled {} made {} pushed {"deliver_subject":"fuzz.pushed"}} {
            raw::api $::raw CONSUMER.DURABLE.CREATE.$stream.$name "{\"stream_name\":\"$stream\",\"config\":[json_object \
                durable_name $name ack_policy explicit $members]}"
        }
    }
    foreach body {1 2 3} {
        raw::publish $::raw fs.a $body
        raw::publish $::raw ft.a $body
    }
    raw::flush $::raw
}
proc fuzz_js_setup {} {
    fuzz_setup
    if {![fuzz_js_there js] || [info commands $::fuzz_conn] eq ""} { set ::fuzz_js_js [$::fuzz_conn jet_stream -timeout 300] }
    fuzz_js_streams
    foreach kind {batch pull push ordered} {
        if {![fuzz_js_there $kind]} { fuzz_js_make $kind }
        if {![fuzz_js_there $kind]} { set ::fuzz_js_$kind $::fuzz_js_js }
    }
    if {$::fuzz_good(js_messages) eq ""} {
        fuzz_js_messages [list [dict create header {} data x subject fs.a reply {} sub_id 1] \
            [dict create header {} data x subject fs.a reply \$JS.ACK.FUZZ_S.pulled.1.1.1.1700000000000000000.0 sub_id 1] \
            [dict create header {Nats-Msg-Id {1}} data y subject fs.b reply \$JS.ACK.x sub_id 1]]
        fuzz_js_delivered [lrange [lindex $::fuzz_good(js_messages) end] 1 1]
    }
}
proc fuzz_js_sweep {} {
    foreach class {pull_consumer push_consumer ordered_consumer publish_batch} {
        if {[info commands nats::$class] eq ""} continue
        foreach object [info class instances nats::$class] {
            if {$object ni [list $::fuzz_js_pull $::fuzz_js_push $::fuzz_js_ordered $::fuzz_js_batch $::fuzz_consumer [$::w consumer]]} {
                catch {$object destroy}
            }
        }
    }
    # Streams that random names have made, and what they might catch.
    regexp {"streams":\[([^]]*)\]} [raw::api $::raw STREAM.NAMES] -> names
    foreach name [split [string map {\" {}} $names] ,] {
        if {$name ni {keeper FUZZ_S} && ![string match KV_* $name]} { raw::api $::raw STREAM.DELETE.$name }
    }
    fuzz_sweep
}
