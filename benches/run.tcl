# `make bench`: this package beside a loop on bare async-nats, same server, same run.
#
#   tclsh benches/run.tcl ?-rows "put get …"? ?-repeat 3? ?-keys 100000?
#
# Where there is no bare row (mget-or-gets, mput-atomic) it is another way of the package that is compared with: single gets,
# mput without -atomic. Prints for each row the operations per second of both and the ratio: the median of the
# repetitions, and their spread. Absolute figures mean little on shared machines; ratios hold.

set here [file dirname [file normalize [info script]]]
set options [dict merge {-rows all -repeat 3 -keys 100000 -size 128} $argv]
set argv {}
source [file join $here .. tests support.tcl]
source -encoding utf-8 [file join $here bare.tcl]
package require nats

set bare [bare_loop]

set keys [dict get $options -keys]
set size [dict get $options -size]
set value [string repeat x $size]
set server [server::start]
set port [server::port $server]

proc connect {} {
    set conn [nats::connection new bench -log_level error]
    # A row publishes 300 MiB in one turn of the event loop, as the bare loop does.
    $conn configure -servers nats://127.0.0.1:$::port -pending_out_bytes 0
    $conn connect
    return $conn
}
set conn [connect]
set js [$conn jet_stream -timeout 60000]
set small [$js create_kv_bucket small -storage memory]
set large [$js create_kv_bucket large -storage memory]
set batches [expr {[package vsatisfies [server::version] 2.12-]
    ? [$js create_kv_bucket batches -storage memory -atomic true] : ""}]
# Each update has its own key there: revisions that are superseded at once would not all be delivered.
set live [$js create_kv_bucket live -storage memory]
for {set i 0} {$i < 1000} {incr i} { $small put key$i $value }

proc bare {row bucket n} { return [exec $::bare $::port $row $bucket $n $::size] }
bare load large $keys

proc seconds {script} {
    set start [clock microseconds]
    uplevel #0 $script
    return [expr {([clock microseconds] - $start) / 1e6}]
}

# ------------------------------------------------------------------------------- our side
proc ours_put {n} { seconds [list apply {n { for {set i 0} {$i < $n} {incr i} { $::small put key[expr {$i % 1000}] $::value } }} $n] }
proc ours_get {n} { seconds [list apply {n { for {set i 0} {$i < $n} {incr i} { $::small get_value key[expr {$i % 1000}] } }} $n] }
proc in_coroutine {script} {
    set ::finished ""
    coroutine bench_coroutine apply {{script} { set ::finished [eval $script] }} $script
    vwait ::finished
    return $::finished
}
proc ours_put_co {n} { in_coroutine [list ours_put $n] }
proc ours_get_co {n} { in_coroutine [list ours_get $n] }
proc ours_pipeline {n} {
    seconds [list apply {n {
        set ::left $n
        for {set done 0} {$done < $n} {incr done 1000} {
            for {set i 0} {$i < 1000} {incr i} {
                coroutine put$i apply {i { $::small put key$i $::value; incr ::left -1 }} $i
            }
            while {$::left > $n - $done - 1000} { vwait ::left }
        }
    }} $n]
}
# A thousand keys in each call.
proc thousand {{value ""}} {
    set result {}
    for {set i 0} {$i < 1000} {incr i} { lappend result key$i {*}$value }
    return $result
}
proc ours_mget {n} {
    set keys [thousand]
    seconds [list apply {{n keys kv} {
        for {set done 0} {$done < $n} {incr done 1000} {
            if {[dict size [$kv mget $keys]] != 1000} { error "keys are missing" }
        }
    }} $n $keys $::small]
}
proc ours_mput {n {kv ""} args} {
    if {$kv eq ""} { set kv $::small }
    seconds [list apply {{n values kv args} {
        for {set done 0} {$done < $n} {incr done 1000} { $kv mput $values {*}$args }
    }} $n [thousand [list $::value]] $kv {*}$args]
}
proc ours_mput_atomic {n} { ours_mput $n $::batches -atomic true }
# Ten processes that add 1 to one key: until the last one is done.
proc incr_storm {n command} {
    $::small put counter 0
    set pipes {}
    for {set i 0} {$i < 10} {incr i} {
        set pipe [open |[concat $command 2>@stderr] r+]
        if {[gets $pipe] ne "ready"} { error "it has ended" }
        lappend pipes $pipe
    }
    set seconds [seconds [list apply {pipes {
        foreach pipe $pipes { puts $pipe go; flush $pipe }
        foreach pipe $pipes { gets $pipe }
    }} $pipes]]
    foreach pipe $pipes { close $pipe }
    if {[$::small get_value counter] != $n} { error "the sum is not exact" }
    return $seconds
}
proc ours_incr {n} {
    incr_storm $n [list [info nameofexecutable] [file join $::here incr.tcl] $::port small [expr {$n / 10}]]
}
proc bare_incr {n} { incr_storm $n [list $::bare $::port incr small [expr {$n / 10}] 0] }
proc initial {n args} {
    set ::count 0
    set ::ready 0
    array unset ::mirror
    array set ::mirror {}
    return [seconds [list apply {{args} {
        set watcher [$::large watch > {*}$args]
        vwait ::ready
        $watcher destroy
    }} {*}$args]]
}
proc entry {entry} { if {$entry eq ""} { set ::ready 1 } else { incr ::count } }
proc end_of_array {name key op} { if {[array size ::mirror] == $::keys} { set ::ready 1 } }
proc ours_watch_callback {n} { initial $n -callback entry }
proc ours_watch_array {n} {
    # The last key tells the end: no trace on each element, which would be the trace's speed.
    trace add variable ::mirror(key[expr {$n - 1}]) write {set ::ready 1 ;#}
    set seconds [initial_array $n]
    return $seconds
}
proc initial_array {n} {
    array unset ::mirror
    array set ::mirror {}
    trace add variable ::mirror(key[expr {$n - 1}]) write {set ::ready 1 ;#}
    set ::ready 0
    return [seconds {
        set watcher [$large watch > -values_array ::mirror]
        vwait ready
        $watcher destroy
    }]
}
proc list_of_entries {entries} {
    incr ::count [llength $entries]
    if {"" in [lrange $entries end end]} { set ::ready 1 }
}
proc ours_watch_batch {n} {
    set seconds [initial $n -callback list_of_entries -batch true]
    # And the marker of the end.
    if {$::count != $n + 1} { error "entries are missing" }
    return $seconds
}
proc ours_watch_both {n} { initial $n -callback entry -values_array ::mirror }
proc ours_keys {n} { seconds {if {[llength [$large keys]] != $keys} { error "keys are missing" }} }
proc ours_history {n} { seconds {if {[llength [$large history >]] != $keys} { error "entries are missing" }} }

# Bound arrays: a set until it is acknowledged, one after the other; sets in one turn, 50 of each key; what another
# connection writes until its element has it: each a round trip and a turn of the event loop, beside round trips alone.
proc bound {script} {
    array unset ::bound
    set ::ready 0
    set binding [$::small bind ::bound -on_ready {set ::ready 1}]
    if {!$::ready} { vwait ::ready }
    set seconds [seconds [list apply $script $binding]]
    $binding destroy
    return $seconds
}
proc ours_bind_set {n} {
    bound [list {binding} "for {set i 0} {\$i < $n} {incr i} { set ::bound(key\[expr {\$i % 1000}\]) \$::value; \$binding flush }"]
}
proc ours_bind_sets {n} {
    bound [list {binding} "for {set i 0} {\$i < $n} {incr i} { set ::bound(key\[expr {\$i % 1000}\]) \$i }; \$binding flush"]
}
proc ours_bind_remote {n} {
    set other [connect]
    set ::remote [[$other jet_stream] bind_kv_bucket small]
    set seconds [bound [list {binding} "for {set i 0} {\$i < $n} {incr i} {
        \$::remote put key0 \$i
        while {\$::bound(key0) ne \$i} { vwait ::bound(key0) }
    }"]]
    $other destroy
    return $seconds
}

# Live updates: a publisher in another process, timed from the first entry to the last.
proc publisher {n} { return [open "|[list $::bare $::port publish live $n $::size]" r+] }
proc ours_live {n} {
    set ::count 0
    set ::goal $n
    set ::ready 0
    set watcher [$::live watch > -updates_only true -callback live_entry]
    $::conn ping
    set pipe [publisher $n]
    puts $pipe go
    flush $pipe
    vwait ::ready
    set seconds [expr {([clock microseconds] - $::first) / 1e6}]
    $watcher destroy
    gets $pipe
    close $pipe
    return $seconds
}
proc live_entry {entry} {
    if {$entry eq ""} return
    if {[incr ::count] == 1} { set ::first [clock microseconds] }
    if {$::count == $::goal} { set ::ready 1 }
}
proc bare_live {n} {
    set watch [open "|[list $::bare $::port live live $n $::size]" r+]
    gets $watch
    set pipe [publisher $n]
    puts $pipe go
    flush $pipe
    gets $watch seconds
    gets $pipe
    close $watch
    close $pipe
    return $seconds
}

# Core NATS, without JetStream. The responder is the same process for both sides.
proc responder {} {
    set ::responder [open "|[list $::bare $::port core-respond - 0 0]" r+]
    gets $::responder
}
proc ours_publish {n} {
    # Local variables: looking up a qualified name takes Tcl as long as half a publish.
    seconds [list apply {{n conn value} {
        for {set i 0} {$i < $n} {incr i} { $conn publish bench.nobody $value }
        $conn ping
    }} $n $::conn $::value]
}
proc self {n body args} {
    set ::count 0
    set ::goal $n
    set ::ready 0
    set id [$::conn subscribe bench.self {*}$args]
    set body "$body; if {!\$::ready} { vwait ::ready }"
    set seconds [seconds [list apply [list {n conn value large} $body] $n $::conn $::value $::large_value]]
    $::conn unsubscribe $id
    return $seconds
}
proc on_message {subject message reply} { if {[incr ::count] == $::goal} { set ::ready 1 } }
proc on_batch {messages} { if {[incr ::count [llength $messages]] == $::goal} { set ::ready 1 } }
set publish_all {for {set i 0} {$i < $n} {incr i} { $conn publish bench.self $value }}
proc ours_self {n} { self $n $::publish_all -callback on_message }
proc ours_self_dict {n} { self $n $::publish_all -callback on_message -dictmsg true }
proc ours_self_batch {n} { self $n $::publish_all -callback on_batch -batch true }
proc ours_headers {n} {
    self $n {
        set header {First {{the value of a header}} Second {{the value of a header}} Third {{the value of a header}}}
        for {set i 0} {$i < $n} {incr i} { $conn publish bench.self $value -header $header }
    } -callback on_message -dictmsg true
}
set large_value [string repeat x 1048576]
proc ours_self_large {n} {
    self $n {for {set i 0} {$i < $n} {incr i} { $conn publish bench.self $large }} -callback on_message \
        -pending_bytes 0
}
proc ours_request {n} {
    seconds [list apply {n { for {set i 0} {$i < $n} {incr i} { $::conn request bench.service $::value } }} $n]
}
proc ours_requests {n} {
    seconds [list apply {n {
        set ::left $n
        for {set done 0} {$done < $n} {incr done 1000} {
            for {set i 0} {$i < 1000} {incr i} { $::conn request bench.service $::value -callback answered }
            while {$::left > $n - $done - 1000} { vwait ::left }
        }
    }} $n]
}
proc answered {timed_out message} { incr ::left -1 }

# ----------------------------------------------------------------------------------- rows
# name, operations, our procedure, the bare row, its bucket, the target
set rows [subst {
    put            10000 ours_put            put      small 0.75
    get            10000 ours_get            get      small 0.75
    put-coroutine  10000 ours_put_co         put      small 0.75
    get-coroutine  10000 ours_get_co         get      small 0.75
    put-1000       50000 ours_pipeline       pipeline small 0.5
    mget-1000      100000 ours_mget          mget     small 0.8
    mget-or-gets   20000 ours_mget           -        small 15
    mput-1000      50000 ours_mput           pipeline small 0.8
    mput-atomic    50000 ours_mput_atomic    -        small 1.0
    incr-10        5000  ours_incr           incr     small 0.5
    watch-callback $keys ours_watch_callback watch    large 0.8
    watch-batch    $keys ours_watch_batch    watch    large 1.0
    watch-array    $keys ours_watch_array    watch    large 0.8
    watch-both     $keys ours_watch_both     watch    large 0.6
    keys           $keys ours_keys           keys     large 0.8
    history        $keys ours_history        keys     large 0.8
    bind-set       10000 ours_bind_set       put      small 0.25
    bind-sets      50000 ours_bind_sets      pipeline small 1.0
    bind-remote    10000 ours_bind_remote    put      small 0.15
    live           200000 ours_live          live     live  0.6
    publish        500000 ours_publish       core-publish  - 0.5
    self           200000 ours_self          core-self     - 0.5
    self-dict      200000 ours_self_dict     core-self     - 0.5
    self-batch     200000 ours_self_batch    core-self     - 0.7
    self-headers   100000 ours_headers       core-headers  - 0.5
    self-1MiB      300    ours_self_large    core-self     - 0.8
    request        10000  ours_request       core-request  - 0.75
    requests-1000  50000  ours_requests      core-requests - 0.5
}]

proc median {list} { lindex [lsort -real $list] [expr {[llength $list] / 2}] }

responder
puts "Tcl [info patchlevel], nats-server [server::version], $keys keys, values of $size bytes"
puts [format "%-16s %8s %12s %12s %7s  %-13s %s" row n ours/s bare/s ratio spread target]
foreach {name n ours row bucket target} $rows {
    # What such a server cannot do.
    if {$batches eq "" && $name eq "mput-atomic"} continue
    if {[dict get $options -rows] ne "all" && $name ni [dict get $options -rows]} continue
    set ratios {}
    set mine {}
    set theirs {}
    for {set i 0} {$i < [dict get $options -repeat]} {incr i} {
        switch -glob $name {
            live { set b [bare_live $n] }
            incr-10 { set b [bare_incr $n] }
            mget-or-gets { set b [ours_get $n] }
            mput-atomic { set b [ours_mput $n $batches] }
            *-1MiB { set b [exec $bare $port $row $bucket $n 1048576] }
            default { set b [bare $row $bucket $n] }
        }
        set a [$ours $n]
        lappend mine [expr {$n / $a}]
        lappend theirs [expr {$n / $b}]
        lappend ratios [expr {double($b) / $a}]
    }
    set sorted [lsort -real $ratios]
    puts [format "%-16s %8d %12.0f %12.0f %7.2f  %.2f … %.2f  ≥ %s%s" $name $n [median $mine] \
        [median $theirs] [median $ratios] [lindex $sorted 0] [lindex $sorted end] $target \
        [expr {[median $ratios] < $target ? "  SHORT" : ""}]]
    flush stdout
}

# ------------------------------------------------------------------------- beyond speed
proc rss {} {
    set file [open /proc/self/status]
    regexp {VmRSS:\s+(\d+)} [read $file] -> kb
    close $file
    return $kb
}
# A lease while Tcl computes: each third of its ttl there is a renewal, and none is missed.
if {[dict get $options -rows] eq "all" || "lease" in [dict get $options -rows]} {
    set leases [$js create_kv_bucket leases -storage memory -limit_marker_ttl 1000]
    set lease [$leases lease held v -ttl 1000]
    set end [expr {[clock milliseconds] + 30000}]
    set invalid 0
    for {set looks 0} {[clock milliseconds] < $end} {incr looks} { if {![$lease valid]} { incr invalid } }
    set status [$lease status]
    puts [format "lease of 1000 ms while Tcl computes for 30 s: %d renewals of %d, not valid in %d of %d looks (target: none missed)" \
        [dict get $status renewals] [expr {30000 * 3 / 1000}] $invalid $looks]
    $lease destroy
}
if {[dict get $options -rows] eq "all"} {
    set late {}
    proc tick {expected} {
        set now [clock milliseconds]
        lappend ::late [expr {$now - $expected}]
        after 10 [list tick [expr {$now + 10}]]
    }
    tick [clock milliseconds]
    ours_watch_callback $keys
    foreach id [after info] { after cancel $id }
    puts [format "timer lateness during the delivery of %d keys: worst %d ms of %d ticks (target 20 ms)" \
        $keys [tcl::mathfunc::max {*}$late] [llength $late]]
    puts "memory after all this: [rss] kB"
    set script {
        proc rss {} { set f [open /proc/self/status]; regexp {VmRSS:\s+(\d+)} [read $f] -> kb; close $f; return $kb }
        catch {package require no-such-package}
        set before [rss]
        set time [lindex [time {package require nats}] 0]
        puts "package require: [format %.2f [expr {$time / 1000.0}]] ms, memory [rss] kB, threads [llength [glob /proc/self/task/*]]"
    }
    set pipe [open "|[list [info nameofexecutable]]" r+]
    puts $pipe [list set auto_path $auto_path]
    puts $pipe $script
    puts $pipe exit
    flush $pipe
    puts [read $pipe]
    close $pipe
}
$conn destroy
puts $responder ""
close $responder
server::stop_all
exit
