# A process that takes the lock, keeps it for a while, computing or not, and gives it back, again and again, until it is
# killed. Arguments: url, bucket, key, ttl in ms, log file, seed. What it appends to the log: `A begin end pid token` for
# each look at a lease that was valid, as microseconds before and after it; `R now pid token` before it gives it back.
lassign $argv url bucket key ttl path seed
set argv {}
lappend auto_path [file dirname [file dirname [file dirname [file normalize [info script]]]]]
package require nats
expr {srand($seed)}

set log [open $path {WRONLY APPEND CREAT}]
# One line is one write.
fconfigure $log -buffering full -translation binary
proc note args {
    puts $::log $args
    flush $::log
}
set conn [nats::connection new chaos -log_level error]
$conn configure -servers $url -max_reconnect_attempts -1 -reconnect_time_wait 20
while {[catch {$conn connect}]} { after 50 }
set js [$conn jet_stream]
while {[catch {$js bind_kv_bucket $bucket} kv]} { after 50 }

while 1 {
    if {[catch {$kv lock $key -ttl $ttl -timeout 0 -value [pid]} lease]} {
        after 50
        continue
    }
    set token [$lease token]
    set until [expr {[clock milliseconds] + int($ttl * (0.2 + rand()))}]
    while 1 {
        set begin [clock microseconds]
        if {![$lease valid]} break
        note A $begin [clock microseconds] [pid] $token
        if {[clock milliseconds] > $until} {
            note R [clock microseconds] [pid] $token
            break
        }
        if {rand() < 0.5} {
            after 4
        } else {
            after 4 {set turn 1}
            vwait turn
        }
    }
    $lease destroy
}
