# Reads of a bucket that others write to, and what is wrong with them.
#
#   snapshot::open url ?-writers n -history n -replicas n -keys n -write_to url?
#                                                 fills a bucket; writers begin in a process of their own
#   snapshot::keys, snapshot::watch, snapshot::history    reads once; a list of what is wrong
#   snapshot::close                                       stops the writers; the number of their writes
#
# The bucket has keys that are overwritten all the time (stay.*), keys that are deleted and come again (come.*), keys that
# nobody touches, with as many revisions as the bucket keeps (rest.*), and one that is deleted before each read (gone.*).

namespace eval snapshot {
    variable here [file dirname [file normalize [info script]]]
    variable serial 0
}

proc snapshot::open {url args} {
    variable S
    array unset S
    array set S [dict merge [list -writers 10 -history 1 -replicas 1 -keys 1000 -write_to $url] $args]
    set S(bucket) W[incr ::snapshot::serial]
    set S(conn) [nats::connection new reader]
    $S(conn) configure -servers $url
    $S(conn) connect
    set S(js) [$S(conn) jet_stream -timeout 20000]
    # A cluster that has just begun has no leader for this.
    set S(early) [$S(conn) jet_stream -timeout 500]
    wait_until {![catch {$::snapshot::S(early) account_info}]} 20000
    # Nor are all servers known to the leader at once: no suitable peers.
    wait_until {![catch {
        set ::snapshot::S(kv) [$::snapshot::S(js) create_kv_bucket $::snapshot::S(bucket) -storage memory \
            -history $::snapshot::S(-history) -num_replicas $::snapshot::S(-replicas)]
    } ::snapshot::S(refused) ::snapshot::S(why)] || [dict get $::snapshot::S(why) -errorcode] ne {NATS ErrJSResponse 400 10005}} 20000
    if {![info exists S(kv)]} { error $S(refused) }
    for {set n 0} {$n < $S(-history)} {incr n} {
        for {set i 0} {$i < 100} {incr i} { $S(kv) put rest.$i $n }
    }
    set S(left) $S(-keys)
    for {set c 0} {$c < 50} {incr c} {
        coroutine snapshot_fill$c apply {c {
            upvar #0 snapshot::S S
            for {set i $c} {$i < $S(-keys)} {incr i 50} { $S(kv) put stay.$i 0; incr S(left) -1 }
        }} $c
    }
    while {$S(left) > 0} { vwait ::snapshot::S(left) }
    set S(gone) 0
    set S(pipe) [::open "|[list [info nameofexecutable] $::snapshot::here/snapshot_writer.tcl $S(-write_to) $S(bucket) $S(-keys) $S(-writers)]" r+]
    gets $S(pipe)
}

proc snapshot::close {} {
    variable S
    # Without writers if `open` has failed.
    set written 0
    if {[info exists S(pipe)]} {
        chan close $S(pipe) write
        gets $S(pipe) written
        ::close $S(pipe)
        $S(js) delete_kv_bucket $S(bucket)
    }
    if {[info exists S(conn)]} { $S(conn) destroy }
    return $written
}

# A key that is deleted when this returns.
proc snapshot::Gone {} {
    variable S
    set key gone.[incr S(gone)]
    $S(kv) put $key x
    $S(kv) delete $key
    return $key
}

proc snapshot::Missing {keys} {
    variable S
    foreach key $keys { set there($key) 1 }
    set missing 0
    for {set i 0} {$i < $S(-keys)} {incr i} { if {![info exists there(stay.$i)]} { incr missing } }
    for {set i 0} {$i < 100} {incr i} { if {![info exists there(rest.$i)]} { incr missing } }
    if {$missing} { return [list "$missing keys are missing"] }
}

proc snapshot::keys {} {
    variable S
    set gone [Gone]
    set keys [$S(kv) keys]
    set faults [Missing $keys]
    set twice [expr {[llength $keys] - [llength [lsort -unique $keys]]}]
    if {$twice} { lappend faults "$twice keys twice" }
    if {$gone in $keys} { lappend faults "a deleted key" }
    return $faults
}

# What is wrong with the deltas: the last one, and no other, is 0.
proc snapshot::Deltas {deltas} {
    if {[lindex $deltas end] != 0} { return [list "ends with delta [lindex $deltas end]"] }
    set zeros [llength [lsearch -all -exact $deltas 0]]
    if {$zeros != 1} { return [list "delta 0 $zeros times"] }
}

proc snapshot::watch {args} {
    variable S
    set gone [Gone]
    unset -nocomplain S(at) ::snapshot::array
    set S(deltas) {}
    set watcher [$S(kv) watch > -values_array ::snapshot::array -callback ::snapshot::Entry {*}$args]
    set timer [after 30000 {set ::snapshot::S(at) timeout}]
    if {![info exists S(at)]} { vwait ::snapshot::S(at) }
    after cancel $timer
    $watcher destroy
    if {$S(at) eq "timeout"} { return [list "no end marker"] }
    set faults [concat [Missing $S(at)] [Deltas $S(deltas)]]
    if {$gone in $S(at)} { lappend faults "a deleted key" }
    return $faults
}
proc snapshot::Entry {entry} {
    variable S
    if {[info exists S(at)]} return
    if {$entry eq ""} { set S(at) [array names ::snapshot::array] } else { lappend S(deltas) [dict get $entry delta] }
}

proc snapshot::history {} {
    variable S
    set gone [Gone]
    set entries [$S(kv) history >]
    set last 0
    set faults {}
    foreach entry $entries {
        set key [dict get $entry key]
        lappend values($key) [dict get $entry value]
        if {[dict get $entry revision] <= $last} { lappend faults disorder }
        set last [dict get $entry revision]
    }
    lappend faults {*}[Missing [array names values]] {*}[Deltas [lmap entry $entries {dict get $entry delta}]]
    set all {}
    for {set n 0} {$n < $S(-history)} {incr n} { lappend all $n }
    for {set i 0} {$i < 100} {incr i} {
        if {![info exists values(rest.$i)] || $values(rest.$i) ne $all} { lappend faults "rest.$i lacks revisions" }
    }
    return [lsort -unique $faults]
}
