# How put, keys and watch grow with the number of keys, and what a watch keeps in memory.
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

proc seconds {script} {
    set start [clock microseconds]
    uplevel #0 $script
    return [expr {([clock microseconds] - $start) / 1e6}]
}

puts [format "%10s  %12s %12s %12s   operations/s" keys put keys watch]
for {set n 1000} {$n <= $largest} {incr n [expr {9 * $n}]} {
    set kv [$js create_kv_bucket grow$n -storage memory]
    exec $bare $port load grow$n $n 128
    set value [string repeat x 128]
    set put [seconds { for {set i 0} {$i < 2000} {incr i} { $kv put key[expr {$i * 499 % $n}] $value } }]
    set keys [seconds { if {[llength [$kv keys]] != $n} { error "keys are missing" } }]
    set watch [seconds {
        set watcher [$kv watch > -callback {apply {entry { if {$entry eq ""} { set ::ready 1 } }}}]
        vwait ready
        $watcher destroy
    }]
    puts [format "%10d  %12.0f %12.0f %12.0f" $n [expr {2000 / $put}] [expr {$n / $keys}] [expr {$n / $watch}]]
    flush stdout
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
    trace add variable mirror(key[expr {$n - 1}]) write {set ::ready 1 ;#}
    $kv watch > -values_array ::mirror
    vwait ready
}]
set plain [peak {
    for {set i 0} {$i < $n} {incr i} { set mirror(key$i) [string repeat x 128] }
}]
puts "peak memory, $largest keys of 128 bytes: connected $base kB; watched by callback $callback kB;\
    by array $array kB; the same array filled by set $plain kB (array/set [format %.2f [expr {double($array) / $plain}]], target 1.3)"
$conn destroy
server::stop_all
exit
