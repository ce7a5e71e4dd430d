# A row of peers.tcl by a package for Tcl: `tclsh peers_program.tcl FOLDER PORT ROW N CONSUMER` prints its seconds. The
# package that is found in the folder is loaded; what is written here is the same for nats-tcl and for this package.

lassign $argv folder port row n consumer
set auto_path [linsert $auto_path 0 $folder]
package require nats
set conn [nats::connection new peer -log_level error]
$conn configure -servers nats://127.0.0.1:$port
$conn connect
set js [$conn jet_stream -timeout 60000]
set value [string repeat x 128]
if {$row in {put get many}} { set kv [$js bind_kv_bucket small] }
if {$row eq "watch"} { set kv [$js bind_kv_bucket large] }

proc put {kv n value} { for {set i 0} {$i < $n} {incr i} { $kv put key[expr {$i % 1000}] $value } }
proc get {kv n value} { for {set i 0} {$i < $n} {incr i} { $kv get_value key[expr {$i % 1000}] } }
proc many {kv n value} {
    for {set i 0} {$i < 1000} {incr i} { lappend keys key$i }
    for {set done 0} {$done < $n} {incr done 1000} {
        if {[dict size [$kv mget $keys]] != 1000} { error "keys are missing" }
    }
}
proc watch {kv n value} {
    set ::count 0
    $kv watch > -callback entry
    vwait ::ready
    if {$::count != $n} { error "$::count of $n" }
}
proc entry {entry} { if {$entry eq ""} { set ::ready 1 } else { incr ::count } }
proc publish {conn n value} {
    for {set i 0} {$i < $n} {incr i} { $conn publish bench.nobody $value }
    $conn ping
}
proc request {conn n value} { for {set i 0} {$i < $n} {incr i} { $conn request bench.service $value } }
proc pull {js n consumer} {
    set done 0
    while {$done < $n} {
        foreach message [$js fetch READ $consumer -batch_size 500 -timeout 5000] {
            $js ack $message
            incr done
        }
    }
    $::conn ping
}

set start [clock microseconds]
switch $row {
    publish - request { $row $conn $n $value }
    pull { pull $js $n $consumer }
    default { $row $kv $n $value }
}
puts [expr {([clock microseconds] - $start) / 1e6}]
exit
