# The rows of `make bench` about streams: this package beside a loop on bare async-nats, same server, same run.
#
#   tclsh benches/jetstream.tcl ?-rows "publish fetch …"? ?-repeat 3? ?-scale 1.0? ?-gigabyte 1.0?
#
# Prints for each row the operations per second of both and the ratio, the median of the repetitions and their spread,
# and the seconds of the processor per million operations of both processes. Where there is a bare row for the engine's
# typed layer and one for raw requests, the faster one counts. -scale multiplies the numbers of operations,
# -gigabyte is the size of the stream of the last row, 0 leaves it out.

set here [file dirname [file normalize [info script]]]
set options [dict merge {-rows all -repeat 3 -scale 1.0 -size 128 -gigabyte 1.0} $argv]
set argv {}
source [file join $here .. tests support.tcl]
source -encoding utf-8 [file join $here bare.tcl]
package require nats

set bare [bare_loop]
set value [string repeat x [dict get $options -size]]
set server [server::start]
set port [server::port $server]
set raw [raw::connect $port]

proc connect {} {
    set conn [nats::connection new bench -log_level error]
    $conn configure -servers nats://127.0.0.1:$::port
    $conn connect
    return $conn
}
set conn [connect]
set js [$conn jet_stream -timeout 60000]

# ------------------------------------------------------------------- what the rows work with
proc api {subject {json ""}} {
    set reply [raw::request $::raw \$JS.API.$subject $json {} 60000]
    set reply [dict get $reply payload]
    if {[string match {*"error"*} $reply]} { error $reply }
    return $reply
}
proc stream {name {members {"storage":"memory"}}} {
    api STREAM.CREATE.$name "{\"name\":\"$name\",\"subjects\":\[\"$name.>\"\],$members}"
}
# A consumer that nobody has used yet.
proc consumer {stream} {
    set name c[incr ::consumers]
    api CONSUMER.DURABLE.CREATE.$stream.$name "{\"stream_name\":\"$stream\",\"config\":{\"durable_name\":\"$name\",\
        \"ack_policy\":\"explicit\",\"max_ack_pending\":-1,\"mem_storage\":true}}"
    return $name
}
proc scaled {n} { return [expr {max(1000, int($n * [dict get $::options -scale]) / 1000 * 1000)}] }
# Seconds of the clock and of the processor.
proc bare {row stream n} { return [exec $::bare $::port js-$row $stream $n [dict get $::options -size]] }

proc cpu {} {
    set file [open /proc/self/stat]
    set fields [lindex [split [read $file] )] end]
    close $file
    return [expr {([lindex $fields 11] + [lindex $fields 12]) / 100.0}]
}
proc metered {script} {
    set cpu [cpu]
    set start [clock microseconds]
    uplevel 1 $script
    # What was published last, acknowledgements, is with the server.
    $::conn ping
    return [list [expr {([clock microseconds] - $start) / 1e6}] [expr {[cpu] - $cpu}]]
}

# ------------------------------------------------------------------------------- our side
# Local variables: looking up a qualified name takes Tcl as long as half a publish.
proc ours_publish {n js value} {
    metered { for {set i 0} {$i < $n} {incr i} { $js publish WRITE.a $value } }
}
proc ours_publish_async {n js value} {
    set ::left $n
    metered {
        for {set i 0} {$i < $n} {incr i} { $js publish WRITE.a $value -callback acknowledged }
        while {$::left} { vwait ::left }
    }
}
proc acknowledged {timed_out ack error} {
    if {$timed_out || $error ne ""} { error "not acknowledged: $error" }
    incr ::left -1
}
proc ours_publish_all {n js value} {
    set message [nats::msg create WRITE.a -data $value]
    set messages [lrepeat 10000 $message]
    metered { for {set i 0} {$i < $n} {incr i 10000} { $js publish_all $messages } }
}
proc ours_ingest {n js value} {
    set batch [$js publish_batch -mode fast]
    try {
        metered {
            for {set i 1} {$i < $n} {incr i} { $batch add WRITE.a $value }
            $batch commit WRITE.a $value
        }
    } finally { $batch destroy }
}
proc ours_fetch {n js value} {
    set consumer [consumer READ]
    metered {
        set done 0
        while {$done < $n} {
            foreach message [$js fetch READ $consumer -batch_size [expr {min(500, $n - $done)}] -timeout 5000] {
                $js ack $message
                incr done
            }
        }
    }
}
proc ours_pull_callback {n js value} { pull $n $js -callback pulled }
proc ours_pull_batch {n js value} { pull $n $js -batch true -callback pulled_batch }
proc pull {n js args} {
    set ::left $n
    set ::ready 0
    set consumer [consumer READ]
    set meter [metered {
        set pull [$js pull READ $consumer {*}$args]
        vwait ::ready
    }]
    $pull destroy
    return $meter
}
proc pulled {message} {
    $::js ack $message
    if {[incr ::left -1] == 0} { set ::ready 1 }
}
proc pulled_batch {messages} {
    foreach message $messages { $::js ack $message }
    if {[incr ::left -[llength $messages]] <= 0} { set ::ready 1 }
}
proc ours_ordered_callback {n js value} { ordered $n $js -callback received }
proc ours_ordered_batch {n js value} { ordered $n $js -batch true -callback received_batch }
proc ordered {n js args} {
    set ::left $n
    set ::ready 0
    set meter [metered {
        set consumer [$js ordered_consumer READ {*}$args]
        vwait ::ready
    }]
    $consumer destroy
    return $meter
}
proc received {message} { if {[incr ::left -1] == 0} { set ::ready 1 } }
proc received_batch {messages} { if {[incr ::left -[llength $messages]] == 0} { set ::ready 1 } }
proc ours_last {n js value} {
    metered {
        for {set done 0} {$done < $n} {incr done 1000} {
            if {[llength [$js stream_get_last LAST LAST.*]] != 1000} { error "messages are missing" }
        }
    }
}

# ----------------------------------------------------------------------------------- rows
# name, operations, our procedure, its bare rows, the stream, the target
set rows {
    publish          10000   ours_publish          {publish publish-raw}    WRITE 0.8
    publish-async    200000  ours_publish_async    pipeline                 WRITE 0.5
    publish_all      200000  ours_publish_all      pipeline                 WRITE 0.8
    ingest           1000000 ours_ingest           pipeline                 WRITE 1.0
    fetch            200000  ours_fetch            {fetch fetch-raw}        READ  0.7
    pull-callback    200000  ours_pull_callback    pull                     READ  0.6
    pull-batch       200000  ours_pull_batch       pull                     READ  0.8
    ordered-callback 200000  ours_ordered_callback ordered                  READ  0.8
    ordered-batch    200000  ours_ordered_batch    ordered                  READ  0.95
    last-1000        100000  ours_last             last                     LAST  0.9
}
proc wanted {row} { return [expr {[dict get $::options -rows] eq "all" || $row in [dict get $::options -rows]}] }
proc median {list} { return [lindex [lsort -real $list] [expr {[llength $list] / 2}]] }

stream WRITE {"storage":"memory","allow_batched":true}
stream READ
stream LAST {"storage":"memory","allow_direct":true,"max_msgs_per_subject":1}
bare pipeline READ [scaled 200000]
for {set i 0} {$i < 1000} {incr i} { raw::request $raw LAST.$i $value }

puts "Tcl [info patchlevel], nats-server [server::version], messages of [dict get $options -size] bytes"
puts [format "%-16s %8s %12s %12s %7s  %-13s %-7s %8s %8s" row n ours/s bare/s ratio spread target ours bare]
puts [format "%88s %17s" "" "CPU s / million"]
# The median run of a row, or an error.
proc measure {name n ours bare_rows stream target} {
    foreach list {ratios mine theirs my_cpu their_cpu} { set $list {} }
    for {set i 0} {$i < [dict get $::options -repeat]} {incr i} {
        set best ""
        foreach row $bare_rows {
            if {$stream eq "WRITE"} { api STREAM.PURGE.WRITE }
            lassign [bare $row $stream[expr {$stream eq "READ" ? "/[consumer READ]" : ""}] $n] seconds cpu
            if {$best eq "" || $seconds < [lindex $best 0]} { set best [list $seconds $cpu] }
        }
        lassign $best b their
        if {$stream eq "WRITE"} { api STREAM.PURGE.WRITE }
        lassign [$ours $n $::js $::value] a my
        lappend mine [expr {$n / $a}]
        lappend theirs [expr {$n / $b}]
        lappend ratios [expr {$b / $a}]
        lappend my_cpu [expr {1e6 * $my / $n}]
        lappend their_cpu [expr {1e6 * $their / $n}]
    }
    set sorted [lsort -real $ratios]
    return [format "%8d %12.0f %12.0f %7.2f  %.2f … %.2f  ≥ %-5s %8.2f %8.2f%s" $n [median $mine] \
        [median $theirs] [median $ratios] [lindex $sorted 0] [lindex $sorted end] $target \
        [median $my_cpu] [median $their_cpu] [expr {[median $ratios] < $target ? "  SHORT" : ""}]]
}
foreach {name n ours bare_rows stream target} $rows {
    if {![wanted $name]} continue
    if {[catch {measure $name [scaled $n] $ours $bare_rows $stream $target} line]} { set line "failed: $line" }
    puts [format "%-16s %s" $name $line]
    flush stdout
}

# ----------------------------------------------------------------------------------- memory
# A process that pulls from a large stream, and is slow: what it keeps is what may be outstanding, however much there is.
set slow {
    proc resident {} {
        set file [open /proc/self/statm]
        set pages [lindex [read $file] 1]
        close $file
        return [expr {$pages * 4}]
    }
    set conn [nats::connection new memory -log_level error]
    $conn configure -servers nats://127.0.0.1:$port
    $conn connect
    set js [$conn jet_stream]
    set base [resident]
    set highest 0
    set count 0
    $js pull LARGE $consumer -callback slow {*}$arguments
    proc slow {message} {
        after 1
        $::js ack $message
        incr ::count
        set ::highest [expr {max($::highest, [resident])}]
    }
    after 10000 {set over 1}
    vwait over
    puts [list $count $base $highest]
    exit
}
set size [dict get $options -gigabyte]
if {$size > 0 && [wanted memory]} {
    stream LARGE {"storage":"file"}
    set n [expr {int($size * 1e9 / 1024) / 1000 * 1000}]
    exec $bare $port js-pipeline LARGE $n 1024
    foreach arguments {{} {-max_messages 10000} {-max_bytes 262144}} {
        set pipe [open "|[list [info nameofexecutable]] 2>@1" r+]
        puts $pipe [list set auto_path $auto_path]
        puts $pipe "package require nats"
        foreach {name value} [list port $port consumer [consumer LARGE] arguments $arguments] { puts $pipe [list set $name $value] }
        puts $pipe $slow
        flush $pipe
        gets $pipe line
        catch {close $pipe}
        if {[catch {lassign $line count base highest; expr {$highest - $base}} more]} { set more "failed: $line" }
        puts "memory, $n messages of 1 KB, slow callback, [expr {$arguments eq "" ? "-max_messages 500" : $arguments}]:\
            $more kB above $base kB after $count messages"
    }
}
$conn destroy
server::stop_all
exit
