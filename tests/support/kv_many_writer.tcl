# A process that writes; see kv_many.tcl. It ends with its input.
lappend auto_path [file dirname [file dirname [file dirname [file normalize [info script]]]]]
package require nats

lassign $argv what url bucket
set conn [nats::connection new writer -log_level error]
$conn configure -servers $url -max_reconnect_attempts -1 -reconnect_time_wait 20
$conn connect
set kv [[$conn jet_stream -timeout 2000] bind_kv_bucket $bucket]
set done 0
set enough 0

fconfigure stdin -blocking 0 -buffering line
fileevent stdin readable {
    if {[gets stdin line] >= 0} {
        if {$line eq "enough"} { set enough 1 } else { puts $done; flush stdout }
    } elseif {[eof stdin]} { exit }
}

proc writer {count} {
    while 1 {
        set values {}
        for {set n 1} {$n <= $count} {incr n} { dict set values k.$n [incr ::done] }
        $::kv mput $values
    }
}
proc pairs {} {
    while 1 {
        incr ::done
        $::kv mput [dict create x $::done y $::done] -atomic true
    }
}
proc incr_key {key count} {
    for {set n 0} {$n < $count} {incr n} { $::kv incr $key }
    puts $count
    flush stdout
    vwait forever
}

# The same while the server is killed, until it is enough. Says how many were acknowledged, and of how many more nobody
# knows; after any other error nothing was written.
proc incr_through {key} {
    lassign {0 0} sure unsure
    while {!$::enough} {
        if {![catch {$::kv incr $key} text options]} {
            incr sure
        } elseif {[dict get $options -errorcode] eq {NATS ErrTimeout}} {
            incr unsure
        }
    }
    puts [list $sure $unsure]
    flush stdout
    vwait forever
}

puts ready
flush stdout
switch $what {
    writer { writer [lindex $argv 3] }
    pairs { pairs }
    incr_through { incr_through {*}[lrange $argv 3 end] }
    incr { incr_key {*}[lrange $argv 3 end] }
}
