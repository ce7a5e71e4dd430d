# Random calls of everything that has to do with buckets, for kv_fuzz.test. On top of fuzz.tcl and fuzz_js.tcl.
#
#   fuzz_kv_setup         the objects that the calls use exist, whatever the last calls did
#   fuzz_kv_call          the next call, a list
#   fuzz_kv_note call result, fuzz_kv_sweep
# Elements of arrays that are bound to a bucket are set and unset in between.
#
# Handles are $fuzz_kv_bound, $fuzz_kv_own (-read_your_writes), $fuzz_kv_reader (-read_only) and $fuzz_kv_coded (with codecs, now
# these, now those): of buckets that allow a TTL and atomic batches, or do not. A new command is a line in the table.

set fuzz_good(kv_bucket) {FUZZ_K FUZZ_K FUZZ_L FUZZ_L FUZZ_M FUZZ_NONE}
set fuzz_good(kv_key) {a a a a b b b c.d c.d c.e of:others gone nobody {} {a b} a.* > _kv.x}
set fuzz_good(kv_revision) {0 1 2 5 100 {} 18446744073709551615}
lappend fuzz_good(word) async default {bucket FUZZ_K} {{bucket FUZZ_K keys {a c.>}}} {src > dest fk.>} {tags x} {A b} *
set fuzz_good(kv_array) {::fuzz_array ::fuzz_array ::fuzz_other ::fuzz_scalar ::no::such {}}
set fuzz_scalar 1
set fuzz_good(kv_keys) {a b c.d {} {a b} {a b c.> nobody} > * c.* {c.* a} {a..b b} gone of:others /a/b}
set fuzz_good(kv_values) {{a 1} {a 1 b 2} {c.d x c.e y a {}} {} {a 1 a 2} {a 1 of:others 2} {a 1 b} {gone 1 b "two words"}}
set fuzz_good(kv_expect) {{} {a 0} {a 1} {a 1 b 0} {a x} {nobody 0} a}
set fuzz_good(kv_number) {1 -1 0 41 9223372036854775807 -9223372036854775808 1.5 {}}
set fuzz_good(kv_attempts) {1 2 100 0}
set fuzz_good(kv_overflow) {wait latest {}}
set fuzz_good(kv_past) {0 1 1000 1800000 {}}
set fuzz_good(kv_codecs) {{-key_codec base64} {-key_codec path -value_codec zlib} {-key_codec percent -value_codec utf8} {-value_codec base64}
    {-key_codec {{string toupper} {string tolower}} -value_codec {list list}} {-value_codec {fuzz_error list}} {-key_codec {list fuzz_error}}}
set fuzz_good(kv_ttl) {1000 1500 60000 never never 999 0 {}}
set fuzz_good(kv_marker) {1000 60000 999}
set fuzz_kinds [concat {
    ttl                                             kv_ttl
    limit_marker_ttl                                kv_marker
    {consistent read_only read_your_writes atomic}  bool
    {purge entries include_history updates_only meta_only ignore_deletes}  bool
    expect                                          kv_expect
    attempts                                        kv_attempts
    overflow                                        kv_overflow
    older_than                                      kv_past
    values_array                                    kv_array
} $fuzz_kinds]

set fuzz_kv_methods {
    bound put {kv_key data}             own put {kv_key data}               bound put {kv_key data}
    bound create {kv_key data}          own create {kv_key data}            reader create {kv_key data}
    bound update {kv_key data kv_revision}   own update {kv_key data kv_revision}
    bound delete kv_key                 bound delete {kv_key kv_revision}   own delete kv_key
    bound purge kv_key                  own purge kv_key                    reader purge kv_key
    bound touch kv_key                  own touch kv_key                    bound touch kv_key
    bound revert {kv_key kv_revision}   bound get kv_key                    own get kv_key
    own get_value kv_key                reader get kv_key                   bound get_value kv_key
    bound history kv_keys               bound keys kv_keys                  bound status {}
    bound history {kv_keys -callback callback}   bound keys {kv_keys -callback callback}   coded keys {kv_keys -callback callback}
    bound mget kv_keys                  own mget kv_keys                    coded mget kv_keys
    bound mput kv_values                own mput kv_values                  coded mput kv_values
    bound mdelete kv_keys               own mdelete kv_keys                 coded mdelete kv_keys
    bound purge_deletes {}              reader mput kv_values               bound mget kv_keys
    bound modify {kv_key callback}      own modify {kv_key callback}        coded modify {kv_key callback}
    bound incr {kv_key kv_number}       bound incr kv_key                   coded incr {kv_key kv_number}
    bound append {kv_key data}          coded append {kv_key data}          bound getset {kv_key data}
    coded put {kv_key data}             coded get kv_key                    coded create {kv_key data}
    coded history kv_keys               coded keys kv_keys                  coded touch kv_key
    bound watch {kv_keys -callback callback}     own watch {kv_keys -values_array kv_array}
    coded watch {kv_keys -callback callback}     coded watch {kv_keys -callback callback -values_array kv_array}
    watcher status {}                   watcher destroy {}                  lister destroy {}
    coded bind kv_array                 coded getset {kv_key data}          coded lease {kv_key data}
    bound bind kv_array                 own bind kv_array                   reader bind kv_array
    binding flush {}                    binding status {}                   binding revision kv_key
    js create_kv_bucket kv_bucket       js update_kv_bucket kv_bucket       js create_or_update_kv_bucket kv_bucket
    js bind_kv_bucket kv_bucket         js kv_statuses {}                   js kv_buckets {}
    js delete_kv_bucket kv_bucket       js empty_kv_bucket kv_bucket
    bound lease {kv_key data}           bound lock kv_key                   bound elect kv_key
    lease valid {}                      lease token {}                      lease value {}
    lease value data                    lease release {}                    lease status {}
    election leader {}                  election is_leader {}               election token {}
    election resign {}                  election status {}
}

# What calls have made; the last one of each kind.
set fuzz_kv_made {lease election watcher lister}

proc fuzz_kv_call {} {
    set draw [expr {rand()}]
    if {$draw < 0.02} { return update }
    # What is bound is used.
    if {$draw > 0.85} {
        set element ::[pick {fuzz_array fuzz_array fuzz_other}]([good kv_key])
        if {[often 0.2]} { return [list unset -nocomplain $element] }
        if {[often 0.02]} { return [list unset -nocomplain ::fuzz_array] }
        return [list [pick {set append lappend}] $element [good data]]
    }
    set at [expr {3 * int(rand() * [llength $::fuzz_kv_methods] / 3)}]
    lassign [lrange $::fuzz_kv_methods $at $at+2] kind method kinds
    set object [set ::fuzz_kv_$kind]
    if {$kind in $::fuzz_kv_made && [info commands $object] eq ""} { set object $::fuzz_kv_bound }
    # The handle stays.
    if {$method eq "destroy" && $object eq $::fuzz_kv_bound} { set method status }
    if {$method in {delete_kv_bucket empty_kv_bucket} && [often 0.8]} { return [list $object kv_buckets] }
    if {$draw < 0.08} {
        # Any method with any arguments.
        set method [pick [concat [info object methods $object -all] ::nosuch]]
        if {$method in {destroy events} && [often 0.8]} { set method status }
        set call [list $object $method {*}[some_values]]
    } else {
        set arguments [lmap kind $kinds {fuzz_word $kind}]
        set call [list $object $method {*}$arguments]
        if {$method in {lease lock elect} && [often 0.8]} { lappend call -ttl [good kv_ttl] }
        if {$method eq "elect"} { lappend call -callback [good callback] }
        if {$method ni {delete revert} && $kind ni $::fuzz_kv_made} { lappend call {*}[fuzz_options $object $method {*}$arguments] }
        # The last one counts: 0 would be for ever.
        if {$method eq "lock"} { lappend call -timeout [pick {1 5 20}] }
    }
    return $call
}
proc fuzz_kv_note {call result} {
    # The last ones are used by the calls that follow.
    switch [lindex $call 1] {
        lease - lock { set ::fuzz_kv_lease $result }
        elect { set ::fuzz_kv_election $result }
        watch { set ::fuzz_kv_watcher $result }
        keys - history { if {"-callback" in $call} { set ::fuzz_kv_lister $result } }
    }
}
proc fuzz_kv_setup {} {
    fuzz_setup
    set there [expr {[info exists ::fuzz_kv_js] && [info commands $::fuzz_kv_js] ne ""}]
    if {!$there} { set ::fuzz_kv_js [$::fuzz_conn jet_stream -timeout 300] }
    set marker [concat [expr {[testConstraint serverVersion2.11] ? {-limit_marker_ttl 1000} : {}}] \
        [expr {[testConstraint serverVersion2.12] ? {-atomic true} : {}}]]
    foreach {bucket options} [list FUZZ_K $marker FUZZ_L {}] {
        # With another configuration by now, perhaps.
        catch {$::js create_kv_bucket $bucket -storage memory -history 3 {*}$options}
        raw::publish $::raw \$KV.$bucket.of:others x
    }
    foreach {handle bucket options} {bound FUZZ_K {} own FUZZ_L {-read_your_writes true} reader FUZZ_K {-read_only true}} {
        upvar #0 fuzz_kv_$handle object
        if {![info exists object] || [info commands $object] eq ""} {
            set object [$::fuzz_kv_js bind_kv_bucket $bucket {*}$options]
        }
    }
    # Others than before: what is there was written by any of them.
    if {[info exists ::fuzz_kv_coded]} { catch {$::fuzz_kv_coded destroy} }
    set ::fuzz_kv_coded [$::fuzz_kv_js bind_kv_bucket [pick {FUZZ_K FUZZ_L}] {*}[pick $::fuzz_good(kv_codecs)]]
    foreach kind $::fuzz_kv_made {
        # A call of it is an error then.
        if {![info exists ::fuzz_kv_$kind] || [info commands [set ::fuzz_kv_$kind]] eq ""} { set ::fuzz_kv_$kind $::fuzz_kv_bound }
    }
    if {![info exists ::fuzz_kv_binding] || [info commands $::fuzz_kv_binding] eq ""} {
        set ::fuzz_kv_binding [$::fuzz_kv_bound bind ::fuzz_array -on_error list]
    }
    raw::flush $::raw
}
proc fuzz_kv_sweep {} {
    set kept [list $::kv $::fuzz_kv $::fuzz_kv_bound $::fuzz_kv_own $::fuzz_kv_reader $::fuzz_kv_coded]
    foreach class {kv_binding kv_lease kv_election kv_watcher kv_lister key_value} {
        foreach object [info class instances nats::$class] {
            if {$object ni [list $::fuzz_kv_binding {*}$kept $::w $::fuzz_w]} { catch {$object destroy} }
        }
    }
    # What random options have made of them.
    foreach name [$::js kv_buckets] {
        if {$name ni [list FUZZ $::bucket]} { $::js delete_kv_bucket $name }
    }
}
