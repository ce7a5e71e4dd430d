# The main job of the package on real data: `make demo` runs it.
#
# A nats-server of its own gets the package list of this machine (dpkg), or its time zones, as a
# bucket. One connection writes; a second one mirrors the bucket into a Tcl array. Then entries are
# updated, deleted, reverted and left to expire, the server is killed and started again under the
# load, and in the end array and bucket are compared key by key.

set here [file dirname [file normalize [info script]]]
source [file join $here .. tests support.tcl]
package require nats
namespace import support::wait_until

# A line of the report: what was done, how often, how long it took. The rate only where the time was that of the work.
proc step {text script {rate ""}} {
    set start [clock microseconds]
    set count [uplevel 1 $script]
    set seconds [expr {([clock microseconds] - $start) / 1e6}]
    if {$rate eq "rate"} { set rate [format "%8.0f/s" [expr {$count / max($seconds, 1e-6)}]] }
    puts [string trimright [format "  %-56s %6d  %6.2f s  %s" $text $count $seconds $rate]]
    flush stdout
}

# Key → value of a real data set. Keys may only have letters, digits and - / _ = . in them.
proc data_set {} {
    set data {}
    if {![catch {exec dpkg-query -W -f {${Package}\t${Version}\t${binary:Summary}\n}} text]} {
        foreach line [split $text \n] {
            lassign [split $line \t] package version summary
            set key [string map {+ _plus_ : /} $package]
            if {[regexp {^[-/_=a-zA-Z0-9][-/_=.a-zA-Z0-9]*$} $key]} {
                dict set data pkg.$key "$version\n$summary"
            }
        }
    }
    foreach folder {/usr/share/zoneinfo /usr/share/doc} {
        # Should it find fault with something, the words of its complaint are no keys.
        catch {exec find $folder -type f -size -64k 2>/dev/null} files
        foreach file [split $files \n] {
            if {[dict size $data] >= 4000} break
            set key file.[string range $file 1 end]
            if {![regexp {^[-/_=.a-zA-Z0-9]+$} $key] || [string match *..* $key] || [string match *. $key]} continue
            if {[catch {open $file rb} channel]} continue
            dict set data $key [read $channel]
            close $channel
        }
    }
    # A machine that has little of that: numbers do as well.
    for {set i 1} {[dict size $data] < 2000} {incr i} { dict set data number.$i $i }
    return $data
}

# Puts in flight at the same time: each coroutine waits for its own acknowledgement.
proc put_all {kv data workers} {
    set ::todo $data
    set ::active $workers
    for {set i 0} {$i < $workers} {incr i} {
        coroutine worker$i apply {{kv} {
            while {[dict size $::todo]} {
                set key [lindex $::todo 0]
                set value [dict get $::todo $key]
                dict unset ::todo $key
                put_surely $kv $key $value
            }
            incr ::active -1
        }} $kv
    }
    wait_until {$::active == 0} 60000
}

# A put that goes on over the loss of a server: what was not acknowledged is written again.
proc put_surely {kv key value} {
    while 1 {
        try {
            return [$kv put $key $value]
        } trap {NATS ErrTimeout} {} - trap {NATS ErrBucketNotFound} {} {
            incr ::repeated
        }
    }
}

proc differences {kv array} {
    upvar #0 $array mirror
    set wrong 0
    set keys [$kv keys]
    foreach key $keys {
        if {![info exists mirror($key)] || $mirror($key) ne [$kv get_value $key]} { incr wrong }
    }
    return [list [llength $keys] [expr {$wrong + abs([array size mirror] - [llength $keys])}]]
}

puts "nats [package require nats] in Tcl [info patchlevel], nats-server [server::version]"
set server [server::start]
set started [clock milliseconds]
set repeated 0

foreach name {writer reader} {
    set $name [nats::connection new $name -log_level error]
    [set $name] configure -servers [server::url $server] -reconnect_time_wait 100 -max_reconnect_attempts -1
    [set $name] connect
}
set js [$writer jet_stream -timeout 2000]
set kv [$js create_kv_bucket demo -history 4]
set mirrored [[$reader jet_stream] bind_kv_bucket demo]

set data [data_set]
array set mirror {}
set entries 0
proc seen {entry} { incr ::entries }
set watcher [$mirrored watch > -values_array mirror -callback seen]

step "entries of this machine stored" {
    put_all $kv $data 200
    dict size $data
} rate
step "in the array of the other connection, this much later" {
    wait_until {[array size mirror] == [dict size $data]} 30000
    array size mirror
}
step "initial values of a new watch, into another array" {
    array set copy {}
    set ready 0
    set second [$mirrored watch > -values_array copy -callback {apply {entry { if {$entry eq ""} { set ::ready 1 } }}}]
    wait_until {$ready} 30000
    $second destroy
    array size copy
} rate
set keys [dict keys $data]
step "values read one after the other" {
    foreach key [lrange $keys 0 1999] { $kv get_value $key }
    llength [lrange $keys 0 1999]
} rate
step "values updated one after the other" {
    foreach key [lrange $keys 0 999] { $kv put $key "changed $key" }
    expr 1000
} rate
step "keys deleted, every second of them reverted" {
    foreach {a b} [lrange $keys 0 399] {
        set revision [dict get [$kv get $b] revision]
        $kv delete $a
        $kv delete $b
        $kv revert $b $revision
    }
    llength [lrange $keys 0 399]
}
step "entries of a bucket that lets them expire, after 1 s" {
    set short [$js create_kv_bucket demo_ttl -ttl 1000 -storage memory]
    for {set i 0} {$i < 100} {incr i} { $short put k$i $i }
    wait_until {[dict get [$short status] values] == 0} 10000
    expr 100
}
step "values written while the server was killed 3 times" {
    set written {}
    foreach key [lrange $keys 1000 3999] { dict set written $key "again $key" }
    set kills 0
    set total 0
    foreach delay {100 700 1300} { after $delay {server::restart $::server; incr ::kills} }
    while {$kills < 3} {
        put_all $kv $written 50
        incr total [dict size $written]
    }
    set total
}
# The last entry tells that the mirror has seen all before it.
$kv put demo.end done
step "entries in all that came to the mirror, this much later" {
    wait_until {[info exists mirror(demo.end)]} 30000
    set entries
}
step "keys compared, bucket against array" {
    lassign [differences $kv mirror] compared wrong
    set compared
} rate

$writer destroy
$reader destroy
server::stop_all
file delete -force $support::root
set seconds [expr {([clock milliseconds] - $started) / 1000.0}]
set verdict [expr {$wrong == 0 ? "equal" : "DIFFERENT in $wrong keys"}]
puts "demo: $compared keys, 3 kills, $repeated puts repeated, array and bucket $verdict, [format %.1f $seconds] s"
exit [expr {$wrong != 0}]
