# Random calls of everything in the package, for safety.test: of any method with arguments of any kind, and of each
# command with arguments that are plausible, so that a good part of the calls succeeds.
#
#   fuzz_run n setup call note sweep objects    makes n calls: {bad fast internal enough}, see there
#   fuzz_setup            the objects that the calls use exist and are connected, whatever the last calls did
#   fuzz_call             the next call, a list; it ends by itself within some milliseconds, unless there is a bug
#   fuzz_sweep            destroy and end what the calls have made
# The file that sources it has the server $srv and objects that are not touched: conn js kv w.

# ---- values

set fuzz_values [list {} a b.c > * a.* .a a. a..b "k ey" "\0" "a\0b" "\U1F600" "x\U1F600.y" "\uD800" "\uFFFD" "\u00ff" \
    [binary format H* ff00fe] [binary format c* {-1 0 1}] [string repeat huge 50000] [string repeat "deep.{ " 1000] "\{unbalanced" \
    "a \{b" "\"" "\}" "\\" "\[exit\]" "\$x" ";" "\n" "a\r\nPUB x 0\r\n" 0 1 -1 2 7 99999999999999999999 -99999999999999999999 \
    9223372036854775807 -9223372036854775808 0x10 0b1 1e3 1.5 NaN Inf true no off { 1 } {1 2 3} {a 1 b 2} {a 1 b} {{} {}} \
    list {lappend ::fuzz_log} nosuch_command fuzz_error {apply {{x} {error fuzz {} {FUZZ CODE}}}} ::fuzz_array ::fuzz_scalar \
    ::nosuch::variable fuzz_array(1) existing gone memory file tape s2 none [list -a b] - -- --- -callback -values_array \
    -include_history -meta_only -ignore_deletes -updates_only -idle_heartbeat -timeout -domain -api_prefix -trace -revision \
    -storage -history -ttl -name -echo -secure -utf8_convert -dictmsg -ping_interval -tls_opts -user -token -password \
    -connect_timeout -custom_reconnect_delay -randomize -metadata -description -compression -mirror_name -num_replicas \
    -max_value_size -max_bucket_size -header {Content-Type text/plain} {Nats-TTL 1s} -from_revision -batch -overflow latest wait \
    -atomic -expect -purge -older_than -separator -default -attempts -time -consistent {existing 1} {existing gone a.*} \
    -state -entries -key_codec -value_codec base64 path percent zlib utf8 {list list} {{string toupper} {fuzz_error}} {a.> b} -bogus]
proc pick {list} { return [lindex $list [expr {int(rand() * [llength $list])}]] }
proc often {probability} { return [expr {rand() < $probability}] }
# One of these values, or now and then any value.
proc likely {list} { return [pick [expr {rand() < 0.93 ? $list : $::fuzz_values}]] }
proc some_values {} {
    set args {}
    for {set i [expr {int(rand() * rand() * 8)}]} {$i > 0} {incr i -1} { lappend args [pick $::fuzz_values] }
    return $args
}

set fuzz_good(subject) {fuzz.a fuzz.b fuzz.echo fuzz.nobody fuzz.caf\u00e9 x}
set fuzz_good(filter) {fuzz.a fuzz.b fuzz.* fuzz.> > fuzz.none}
set fuzz_good(data) [list {} hello 0 [binary format c* {0 1 -1}] "caf\u00e9" "\u20ac" {a 1 b 2} [string repeat x 2000]]
set fuzz_good(reply) {{} fuzz.a fuzz.none fuzz.*}
set fuzz_good(header) [list {} {a b} {a {1 2} b {3}} {Status 503} {Status {100} Description {{Idle Heartbeat}}} {a {}} {{} x} \
    {a {{}}} {a b c} "a \{" [list "a\r\nb" x] [list a "x\r\ny: z"] [list "na me" x] [list "caf\u00e9" "\u20ac"] [list a: b] \
    {Nats-Msg-Id {1}} [list x [string repeat y 300]]]
set fuzz_good(message) [list {header {} data hello subject fuzz.a reply {} sub_id {}} {header {a {1 2}} data x subject fuzz.b reply fuzz.a} \
    {subject fuzz.echo data ping header {} reply {}} {header {Status 503} data {} subject fuzz.a reply {} sub_id 3} \
    {header {Status 100 Description {{FlowControl Request}}} data {} subject fuzz.a reply fuzz.b sub_id 1} {data x} {subject fuzz.a} \
    {header {a} data x subject fuzz.a reply {}} {header {} data x subject {} reply {}} {seq 5 time 2026-01-02T03:04:05Z} \
    {header {} data x subject fuzz.a reply {} sub_id {} seq 7 time {}} {header x data y subject z} {} {a b c}]
set fuzz_good(callback) {list {lappend ::fuzz_log} fuzz_error ::fuzz_reply ::fuzz_again {apply {args {return -code break}}} nosuch_command}
set fuzz_good(bool) {true false 1 0 on no}
set fuzz_good(count) {0 1 2 3 100}
set fuzz_good(timeout) {1 2 5}
set fuzz_good(queue) {q workers}
set fuzz_good(overflow) {drop_new drop_old latest_per_subject error pause_reading}
set fuzz_good(key) {a b c Status existing {}}
set fuzz_good(variable) {::fuzz_message ::fuzz_scalar ::fuzz_new}
set fuzz_good(time) {2026-01-02T03:04:05.678Z 2026-01-02T03:04:05 1969-12-31T23:59:59.9999+02:00 2026-01-02T03:04:05.123456789-0130 \
    2026-13-45T99:99:99Z 2026-01-02 2026-01-02T03:04:05.Z 0000-01-01T00:00:00Z 2026-02-30T00:00:00.5+99:99}
set fuzz_good(msec) {0 -1 1 1700000000123 -62135596800000 253402300799999 1.5 1e3 0x10 08}
set fuzz_good(zone) {:UTC :localtime :Europe/Paris +0100 nosuch}
proc good {kind} { return [likely $::fuzz_good($kind)] }
# Some of the options, mostly with values of their type.
proc options {table} {
    set args {}
    foreach {option type} $table {
        if {[often 0.25]} { lappend args -$option [good $type] }
    }
    if {[often 0.04]} { lappend args [pick $::fuzz_values] }
    return $args
}

# ---- calls

set fuzz_methods {
    publish     {list [good subject] [good data] {*}[options {reply reply header header check_subj bool}]}
    publish     {list [good subject] [good data] [good reply]}
    publish     {list [good subject] [good data]}
    publish_msg {list [good message]}
    subscribe   {list [good filter] -callback [good callback] {*}[options {queue queue dictmsg bool max_msgs count post bool
                     batch bool pending_msgs count pending_bytes count overflow overflow}]}
    unsubscribe {list [likely $::fuzz_subs] {*}[options {max_msgs count}]}
    request     {list [good subject] [good data] {*}[options {timeout timeout dictmsg bool header header max_msgs count check_subj bool}]}
    request     {list [good subject] [good data] -callback [good callback] {*}[options {timeout timeout dictmsg bool header header
                     max_msgs count check_subj bool}]}
    request     {list fuzz.echo [good data]}
    request     {list fuzz.echo [good data] -callback [good callback] -timeout 20 {*}[options {stall timeout sentinel bool
                     max_msgs count}]}
    request_msg {list [good message] {*}[options {timeout timeout callback callback dictmsg bool}]}
    cancel_request {list [likely $::fuzz_requests]}
    statistics  {list}
    inbox       {list}
    cget        {list [likely {-name status -dictmsg echo -tls_opts -jwt last_error}]}
    configure   {pick {{-dictmsg true} {-dictmsg false} {-utf8_convert true} {-utf8_convert false} {-check_subjects false}
                     {-check_subjects true} {-event_callback {lappend ::fuzz_log}} {-event_callback fuzz_error} {-event_callback {}}
                     {-log_level debug} {-log_level error} {-request_timeout 5} {-name x} {} {-echo true -dictmsg} {-inbox_prefix my.own}}}
    reset       {list [likely {dictmsg -utf8_convert -event_callback check_subjects -name user}]}
    server_info {list}
    all_servers {list}
    current_server {list}
    ping        {list {*}[options {timeout timeout}]}
    flush       {list {*}[options {timeout timeout}]}
    rtt         {list {*}[options {timeout timeout}]}
    drain       {list [likely $::fuzz_subs] {*}[options {timeout timeout}]}
}
set fuzz_commands {
    {nats::msg create}         {list [good subject] {*}[options {data data reply reply}]}
    {nats::msg set}            {list [good variable] [likely {-data -subject -reply}] [good data]}
    {nats::msg subject}        {list [good message]}
    {nats::msg data}           {list [good message]}
    {nats::msg reply}          {list [good message]}
    {nats::msg seq}            {list [good message]}
    {nats::msg timestamp}      {list [good message]}
    {nats::msg no_responders}  {list [good message]}
    {nats::msg idle_heartbeat} {list [good message]}
    {nats::msg flow}           {list [good message]}
    {nats::msg}                {some_values}
    {nats::header add}         {list [good variable] [good key] [good data]}
    {nats::header set}         {list [good variable] [good key] [good data] [good key] [good data]}
    {nats::header delete}      {list [good variable] [good key]}
    {nats::header get}         {list [good message] [good key]}
    {nats::header values}      {list [good message] [good key]}
    {nats::header keys}        {list [good message] [likely {* a* {} x}]}
    {nats::header lookup}      {list [good message] [good key] [good data]}
    {nats::header}             {some_values}
    nats::isotime_to_msec      {list [good time]}
    nats::msec_to_isotime      {concat [list [good msec]] [if {[often 0.4]} { list [good zone] }]}
    nats::timestamp            {list}
    nats::mymethod             {some_values}
    nats::SafeCallback         {concat [list [likely {::fuzz_object ::nosuch::my {}}]] [some_values]}
    nats::tls_callback         {some_values}
    {::fuzz_object callback}   {concat [list [likely {Hidden callback nosuch}]] [some_values]}
    {dict lookup}              {list [likely {{a 1 b 2} {} {a b c}}] [good key] [good data]}
    {dict lookup}              {some_values}
}

# What callbacks do: throw, answer, call the object that calls them.
proc fuzz_error {args} { error fuzz {} {FUZZ CODE} }
proc fuzz_reply {args} {
    lassign $args subject message reply
    # Not those that the Key-Value store sends: a subscription may be for everything.
    if {$reply ne "" && [string match fuzz.* $subject]} { $::fuzz_conn publish $reply $message }
}
proc fuzz_again {args} {
    if {[llength $::fuzz_subs] > 3} { catch {$::fuzz_conn unsubscribe [pick $::fuzz_subs]} }
    catch {$::fuzz_conn publish fuzz.none again}
}
catch {oo::class create FuzzClass {
    method callback {name args} { {*}[nats::mymethod $name {*}$args] }
    method Hidden args { llength $args }
}}

proc fuzz_core {} {
    set at [expr {2 * int(rand() * [llength $::fuzz_methods] / 2)}]
    lassign [lrange $::fuzz_methods $at $at+1] method arguments
    return [bounded [list $::fuzz_conn $method {*}[eval $arguments]]]
}
# A call that waits does not wait for long, whatever its arguments say.
proc bounded {call} {
    set least [dict create request 4 request_msg 3 ping 2 flush 2 rtt 2 drain 2]
    set method [lindex $call 1]
    if {![dict exists $least $method] || [llength $call] < [dict get $least $method]} { return $call }
    set at [lsearch $call -callback]
    if {$at > 0 && [lindex $call $at+1] ne ""} { return $call }
    return [list {*}$call -timeout [expr {$method in {request request_msg} ? 3 : 500}]]
}
proc fuzz_call {} {
    set kind [pick {core core core core core core core core core core core core command command command command
        conn conn js kv kv kv w consumer make new create idle idle}]
    switch $kind {
        core    { return [fuzz_core] }
        command {
            set at [expr {2 * int(rand() * [llength $::fuzz_commands] / 2)}]
            return [concat [lindex $::fuzz_commands $at] [eval [lindex $::fuzz_commands $at+1]]]
        }
        make    { return [list nats::make_kv_origin {*}[some_values]] }
        new     { return [list nats::connection new {*}[some_values]] }
        create  { return [list nats::[pick {connection jet_stream key_value kv_watcher ordered_consumer}] [pick {new create}] {*}[some_values]] }
        idle    { return update }
    }
    # `connect` only with arguments that it refuses, since the pool may hold the name of a foreign host.
    set args [some_values]
    set object [set ::fuzz_$kind]
    set method [pick [concat [info object methods $object -all] ::nosuch]]
    if {$method eq "connect" && $args in {{} -async}} { set args nonsense }
    if {$method in {destroy disconnect force_reconnect} && [often 0.9]} { set method cget }
    # All of them, that is.
    if {$method eq "drain" && [llength $args] != 1 && [often 0.9]} { set args [list [pick $::fuzz_subs]] }
    set call [list $object $method {*}$args]
    return [expr {$kind eq "conn" ? [bounded $call] : $call}]
}
# What a call has made, to be used by later ones.
proc fuzz_note {call result} {
    if {[lindex $call 0] ne $::fuzz_conn} return
    switch [lindex $call 1] {
        subscribe { set ::fuzz_subs [lrange [linsert $::fuzz_subs 0 $result] 0 5] }
        request - request_msg {
            if {[string is integer -strict $result]} { set ::fuzz_requests [lrange [linsert $::fuzz_requests 0 $result] 0 5] }
        }
    }
}

# ---- objects

proc fuzz_setup {} {
    foreach name {conn js kv w consumer} { append ::fuzz_$name {} }
    if {![info exists ::fuzz_conn] || [info commands $::fuzz_conn] eq ""} {
        set ::fuzz_conn [nats::connection new fuzz -log_chan none]
    }
    if {[$::fuzz_conn cget status] ne "connected" || [$::fuzz_conn cget -servers] ne [server::url $::srv]} {
        catch {$::fuzz_conn disconnect}
        $::fuzz_conn reset {*}[dict keys [$::fuzz_conn configure]]
        $::fuzz_conn configure -servers [server::url $::srv]
        $::fuzz_conn connect
    }
    $::fuzz_conn configure -request_timeout 20
    if {![info exists ::fuzz_js] || [info commands $::fuzz_js] eq ""} {
        set ::fuzz_js [$::fuzz_conn jet_stream -timeout 1000]
    }
    if {![info exists ::fuzz_kv] || [info commands $::fuzz_kv] eq ""} {
        if {[catch {$::fuzz_js bind_kv_bucket FUZZ} ::fuzz_kv]} {
            set ::fuzz_kv [$::fuzz_js create_kv_bucket FUZZ -history 2 -storage memory]
        }
        $::fuzz_kv put existing 1
    }
    if {![info exists ::fuzz_w] || [info commands $::fuzz_w] eq "" || [$::fuzz_w consumer] eq ""} {
        catch {$::fuzz_w destroy}
        set ::fuzz_w [$::fuzz_kv watch existing -callback list]
    }
    if {![info exists ::fuzz_consumer] || [info commands $::fuzz_consumer] eq ""} { set ::fuzz_consumer [$::fuzz_w consumer] }
    unset -nocomplain ::fuzz_array ::fuzz_scalar ::fuzz_new
    array set ::fuzz_array {}
    set ::fuzz_scalar 1
    set ::fuzz_message [lindex $::fuzz_good(message) 1]
    set ::fuzz_log {}
    if {[info commands ::fuzz_object] eq ""} { FuzzClass create ::fuzz_object }
    # Another connection answers, since this one may be anything.
    if {![info exists ::fuzz_echo]} {
        set ::fuzz_echo [$::conn subscribe fuzz.echo -callback {apply {{subject message reply} {
            if {$reply ne ""} { catch {$::conn publish $reply $message} }
        }}}]
    }
}
# What random calls have made.
proc fuzz_sweep {} {
    foreach class {kv_watcher key_value jet_stream connection} {
        foreach object [info class instances nats::$class] {
            if {$object ni [list $::fuzz_w $::fuzz_kv $::fuzz_js $::fuzz_conn $::w $::kv $::js $::conn]} { catch {$object destroy} }
        }
    }
    catch {
        foreach id [dict keys [dict get [$::fuzz_conn statistics] subscriptions]] { $::fuzz_conn unsubscribe $id }
    }
    set ::fuzz_subs 0
    set ::fuzz_requests 0
}

# ---- the run

# So many calls that the third command gives, with what belongs to them. The objects are the names of the variables
# `fuzz_…` that have to name one before each call. Result: calls whose error has no code of ours, whether none took
# 6 seconds, whether an error was `ErrInternal`, and whether enough were successful: a third, of a server before 2.10, which refuses more, a quarter.
proc fuzz_run {count setup next note sweep objects} {
    set seed [setting FUZZ_SEED [expr {[clock milliseconds] % 1000000}]]
    expr {srand($seed)}
    # Said at once: a call that hangs could not be found again.
    puts "fuzz: begins with seed $seed"
    set bad {}
    set slowest 0
    set slow_call ""
    set ok 0
    set begun [clock milliseconds]
    set globals [info globals]
    array set codes {}
    set ::fuzz_subs [set ::fuzz_requests 0]
    for {set i 0} {$i < $count} {incr i} {
        if {$i % 50 == 0} { $setup }
        foreach name $objects {
            if {[info commands [set ::fuzz_$name]] eq ""} { $setup; break }
        }
        set call [$next]
        set start [clock milliseconds]
        if {[catch {uplevel #0 $call} result options]} {
            set code [dict get $options -errorcode]
            incr codes([lrange $code 0 1])
            # Of the system, where files and channels are used.
            set system [expr {[regexp -- {(^| )-?(file|channel)( |$)} $call] ? "POSIX" : "NATS"}]
            if {[lindex $code 0] ni [list NATS TCL CLOCK ARITH FUZZ $system]} { lappend bad [list [string range $call 0 200] $code $result] }
        } else {
            incr ok
            $note $call $result
        }
        set ms [expr {[clock milliseconds] - $start}]
        if {$ms > $slowest} {
            set slowest $ms
            set slow_call [string range $call 0 100]
        }
        foreach error [bgerrors] {
            # 3 is what a callback that ends by `break` has instead of one.
            if {[lindex $error 0 0] ni {NATS TCL FUZZ NONE 3}} { lappend bad [list background $error] }
            # NONE is what Tcl gives to an `error` without a code.
            if {[lindex $error 0 0] eq "NONE" && [string match -nocase *internal* [lindex $error 1]]} { lappend bad $error }
        }
        if {$i % 200 == 199} { $sweep }
    }
    $sweep
    # The last call may have been a disconnect or a force_reconnect.
    $setup
    # Arrays whose names are words of the calls.
    foreach name [info globals] {
        if {$name ni $globals && ![string match fuzz_* $name]} { unset -nocomplain ::$name }
    }
    puts "fuzz: seed $seed, $count calls in [expr {[clock milliseconds] - $begun}] ms, $ok without error,\
        [array size codes] codes, the slowest $slowest ms: $slow_call"
    if {[info exists ::env(FUZZ_CODES)]} { parray codes }
    return [list $bad [expr {$slowest < 6000}] [info exists "codes(NATS ErrInternal)"] [expr {$ok > $count / ([package vsatisfies [server::version] 2.10-] ? 3 : 4)}]]
}
