# A bucket that somebody changes all the time, to be looked at with kv_browser.tcl.
#
#   nats-server -js &
#   TCLLIBPATH=<this checkout> tclsh examples/kv_changes.tcl ?nats://127.0.0.1:4222? ?demo? ?-keys 2000? ?-rate 100?
#
# Makes the bucket, in memory, and so many keys in it; then it goes on changing them, so many in a second, until it is ended.

package require nats

set places [lsearch -all -inline -not -glob [lrange $argv 0 1] -*]
array set options {-keys 2000 -rate 100}
array set options [lrange $argv [llength $places] end]
lassign [concat $places [lrange {nats://127.0.0.1:4222 demo} [llength $places] end]] url bucket

proc key {i} {
    return [lindex {device.berlin device.oslo order session user.settings} [expr {$i % 5}]].[format %06d $i]
}
proc pick {list} { lindex $list [expr {int(rand() * [llength $list])}] }
proc value {} {
    return [format {{"state": "%s", "load": %.2f, "by": "%s"}} [pick {idle busy waiting}] [expr {rand()}] \
        [pick [list anna bj\u00f6rn carla dmitri]]]
}

set conn [nats::connection new changes]
# Values are text.
$conn configure -servers $url -utf8_convert true
$conn connect
set kv [[$conn jet_stream] create_kv_bucket $bucket -history 8 -storage memory]
for {set i 0} {$i < $options(-keys)} {} {
    set values {}
    for {} {$i < $options(-keys) && [dict size $values] < 1000} {incr i} { dict set values [key $i] [value] }
    $kv mput $values
}

# As many as were due until now, together; now and then a deletion.
set started [clock milliseconds]
for {set done 0} {1} {after 20 {set next 1}; vwait next} {
    set due [expr {([clock milliseconds] - $started) * $options(-rate) / 1000}]
    set values {}
    for {} {$done < $due} {incr done} {
        set key [key [expr {int(rand() * $options(-keys))}]]
        if {rand() < 0.03} { $kv delete $key } else { dict set values $key [value] }
    }
    $kv mput $values
}
