# Fixtures of the Key-Value and connection tests. Source it after support.tcl; it loads the package.
#
# One server for the file in $srv, a foreign client $raw; `open_kv` makes conn, js, bucket (a fresh name) and kv as
# global variables, `close_kv` takes them down and fails if a background error was left.

package require nats

set srv [server::start]
set raw [raw::connect [server::port $srv]]
# When a server has deleted its last stream it removes the empty folder a moment later, even under one that is just made.
raw::api $raw STREAM.CREATE.keeper {{"name":"keeper","subjects":["keeper"]}}
set bucket_serial 0

proc fresh_bucket {} { return B[incr ::bucket_serial] }

proc open_conn {{url ""}} {
    set conn [nats::connection new test]
    $conn configure -servers [expr {$url eq "" ? [server::url $::srv] : $url}]
    $conn connect
    return $conn
}
# Options go to create_kv_bucket. In memory and with some history unless they say otherwise.
proc open_kv args {
    set ::bucket [fresh_bucket]
    set ::conn [open_conn]
    set ::js [$::conn jet_stream]
    set ::kv [$::js create_kv_bucket $::bucket {*}[dict merge {-storage memory -history 5} $args]]
}
proc close_kv {} {
    catch {$::js delete_kv_bucket $::bucket}
    end_conn
}
# The same after a test whose background errors are its business and may still be under way.
proc close_noisy {} {
    catch {$::js delete_kv_bucket $::bucket}
    end_noisy
}
# A bucket made by the foreign client: JSON members of the stream configuration beside name and subjects.
proc foreign_bucket {name {members {"max_msgs_per_subject":5,"storage":"memory"}}} {
    set reply [raw::api $::raw STREAM.CREATE.KV_$name \
        "{\"name\":\"KV_$name\",\"subjects\":\[\"\$KV.$name.>\"\],$members}"]
    if {[string match {*"error"*} $reply]} { error $reply }
}
# What a foreign client publishes to a key, bytes as they are; waits until it is stored.
proc foreign_put {bucket key value {headers ""}} {
    return [dict get [raw::request $::raw \$KV.$bucket.$key $value $headers] payload]
}

# An entry with its time checked and replaced: `now` if it was created within the last minute.
proc shown {entry} {
    if {$entry eq ""} { return "" }
    set age [expr {[clock milliseconds] - [dict get $entry created]}]
    if {abs($age) < 60000} { dict set entry created now }
    return $entry
}
# key=value for a PUT, key OPERATION for others, END for the empty one: enough for tests about order.
proc brief {entry} {
    if {$entry eq ""} { return END }
    if {[dict get $entry operation] eq "PUT"} { return [dict get $entry key]=[dict get $entry value] }
    return "[dict get $entry key] [dict get $entry operation]"
}
proc brief_all {entries} {
    set result {}
    foreach entry $entries { lappend result [brief $entry] }
    return $result
}
# Number of consumers of the bucket's stream that the server knows.
proc consumer_count {bucket} {
    regexp {"consumer_count":(\d+)} [raw::api $::raw STREAM.INFO.KV_$bucket] -> count
    return $count
}
