# How put, keys, keys with a filter and watch grow with the number of keys, and what a watch keeps in memory.
#
#   tclsh benches/growth.tcl ?largest 1000000?
#
# Part of `make bench`. Memory is measured in fresh processes, each doing one thing.

set here [file dirname [file normalize [info script]]]
set largest [expr {$argc ? [lindex $argv 0] : 1000000}]
set argv {}
source [file join $here .. tests support.tcl]
source -encoding utf-8 [file join $here bare.tcl]
package require nats
set bare [bare_loop]

set server [server::start]
set port [server::port $server]
set conn [nats::connection new growth -log_level error]
$conn configure -servers nats://127.0.0.1:$port
$conn connect
set js [$conn jet_stream -timeout 60000]

# As the bare loop loads them: one of a hundred is in each group.
proc key {i} { return group[expr {$i % 100}].key$i }
proc seconds {script} {
    set start [clock microseconds]
    uplevel #0 $script
    return [expr {([clock microseconds] - $start) / 1e6}]
}

proc median {script} { lindex [lsort -real [list [uplevel 1 $script] [uplevel 1 $script] [uplevel 1 $script]]] 1 }

puts [format "%10s  %12s %12s %12s %12s   operations/s" keys put keys {1 % of them} watch]
for {set n 1000} {$n <= $largest} {incr n [expr {9 * $n}]} {
    set kv [$js create_kv_bucket grow$n -storage memory]
    exec $bare $port load-groups grow$n $n 128
    set value [string repeat x 128]
    set put [seconds { for {set i 0} {$i < 2000} {incr i} { $kv put [key [expr {$i * 499 % $n}]] $value } }]
    set keys [seconds { if {[llength [$kv keys]] != $n} { error "keys are missing" } }]
    set few [expr {$n / 100}]
    set filtered [median {seconds { if {[llength [$kv keys group7.>]] != $few} { error "keys are missing" } }}]
    set watch [seconds {
        set watcher [$kv watch > -callback {apply {entry { if {$entry eq ""} { set ::ready 1 } }}}]
        vwait ready
        $watcher destroy
    }]
    puts [format "%10d  %12.0f %12.0f %12.0f %12.0f" $n [expr {2000 / $put}] [expr {$n / $keys}] [expr {$few / $filtered}] \
        [expr {$n / $watch}]]
    flush stdout
    set all($n) $keys
}
set n $largest
# What matches should count, not what the bucket has: beside the bare loop, all keys, and as many keys in a small bucket.
if {[info exists all($few)]} {
    set bare_filtered [median {exec $bare $port filtered grow$n $few 0}]
    puts [format "keys group7.>: %d of %d keys in %.0f ms; bare %.0f ms (ratio %.2f, target 0.8); all keys %.0f ms; all keys of a\
        bucket of %d %.0f ms" $few $n [expr {$filtered * 1e3}] [expr {$bare_filtered * 1e3}] [expr {$bare_filtered / $filtered}] \
        [expr {$all($n) * 1e3}] $few [expr {$all($few) * 1e3}]]
}

# Peak memory of a process that watches the largest bucket, or fills the same array itself.
proc peak {script} {
    set preamble [subst {
        set auto_path [list $::auto_path]
        package require nats
        set conn \[nats::connection new memory -log_level error\]
        \$conn configure -servers nats://127.0.0.1:$::port
        \$conn connect
        set js \[\$conn jet_stream -timeout 60000\]
        set kv \[\$js bind_kv_bucket grow$::largest\]
        set n $::largest
        [list proc key i [info body key]]
    }]
    set report {
        set f [open /proc/self/status]
        regexp {VmHWM:\s+(\d+)} [read $f] -> kb
        puts $kb
        exit
    }
    set pipe [open "|[list [info nameofexecutable]]" r+]
    puts $pipe $preamble$script$report
    flush $pipe
    gets $pipe kb
    close $pipe
    return $kb
}
set base [peak ""]
set callback [peak {
    $kv watch > -callback {apply {entry { if {$entry eq ""} { set ::ready 1 } }}}
    vwait ready
}]
set array [peak {
    array set mirror {}
    trace add variable mirror([key [expr {$n - 1}]]) write {set ::ready 1 ;#}
    $kv watch > -values_array ::mirror
    vwait ready
}]
set plain [peak {
    for {set i 0} {$i < $n} {incr i} { set mirror([key $i]) [string repeat x 128] }
}]
puts "peak memory, $largest keys of 128 bytes: connected $base kB; watched by callback $callback kB;\
    by array $array kB; the same array filled by set $plain kB (array/set [format %.2f [expr {double($array) / $plain}]], target 1.3)"
$conn destroy
server::stop_all
exit
