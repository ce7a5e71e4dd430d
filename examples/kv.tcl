# A first look at the Key-Value store.
#
#   nats-server -js &
#   TCLLIBPATH=<this checkout> tclsh examples/kv.tcl ?nats://127.0.0.1:4222?

package require nats

set url [expr {$argc ? [lindex $argv 0] : "nats://127.0.0.1:4222"}]

set conn [nats::connection new example]
$conn configure -servers $url
$conn connect
set js [$conn jet_stream]

# A bucket that remembers the last five values of each key.
set kv [$js create_kv_bucket example_config -history 5 -storage memory]

# Every write returns the new revision.
set first [$kv put db.host localhost]
$kv put db.port 5432
puts "db.host = [$kv get_value db.host] (revision $first)"

# Only if nobody has written in between.
set revision [$kv update db.host db.example.org $first]
try {
    $kv update db.host other.example.org $first
} trap {NATS ErrWrongLastSequence} message {
    puts "refused: $message"
}

# An array that follows the bucket. Tk widgets can show its elements by -textvariable.
array set config {}
set watcher [$kv watch > -values_array config -callback changed]

proc changed {entry} {
    if {$entry eq ""} {
        puts "config holds all of the bucket: [lsort [array names ::config]]"
        set ::ready 1
    } else {
        puts "[dict get $entry operation] [dict get $entry key] = [dict get $entry value]"
        set ::last [dict get $entry key]
    }
}
if {![info exists ready]} { vwait ready }

$kv put db.user alice
# The callback may have come during the put.
while {![info exists last] || $last ne "db.user"} { vwait last }
puts "config(db.user) = $config(db.user)"

# All values that a key has had.
foreach entry [$kv history db.host] {
    puts "revision [dict get $entry revision]: [dict get $entry value]"
}

$kv revert db.host $first
$kv delete db.port
puts "keys: [$kv keys]"

$watcher destroy
$js delete_kv_bucket example_config
$conn destroy
