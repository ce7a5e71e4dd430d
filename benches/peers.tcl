# `make bench-peers`: this package beside nats-py, a loop on bare async-nats and, where NATS_TCL names a folder with it,
# nats-tcl: the same work on the same server in the same run.
#
#   tclsh benches/peers.tcl ?-rows "put get …"? ?-repeat 3? ?-write README.md?
#
# Each client does a row in a process of its own, one after the other, and takes the time itself, without its start. The
# table has the medians, in operations a second, and how often as fast this package is. -write puts it between the lines
# <!-- peers --> and <!-- end of peers --> of that file. What a client cannot do is a dash.

set here [file dirname [file normalize [info script]]]
set options [dict merge {-rows all -repeat 3 -write ""} $argv]
set argv {}
source [file join $here .. tests support.tcl]
source -encoding utf-8 [file join $here bare.tcl]
source -encoding utf-8 [file join $here .. scripts doc between.tcl]
package require nats

# Name, operations, what is done, the row of the bare loop and what that works with.
set rows {
    put      10000  "put, one after the other"                        put          small
    get      10000  "get, one after the other"                        get          small
    many     100000 "1000 keys at once: `mget`, or gets in flight"    mget         small
    watch    100000 "watch of 100 000 keys, until all are there"      watch        large
    publish  200000 "publish, until the server has all"               core-publish -
    request  10000  "request, one after the other"                    core-request -
    pull     100000 "fetch 500 of a consumer, acknowledge each"       js-fetch     READ/%
}

set bare [bare_loop]
set server [server::start]
set port [server::port $server]
set conn [nats::connection new peers -log_level error]
$conn configure -servers nats://127.0.0.1:$port
$conn connect
set js [$conn jet_stream -timeout 60000]
foreach bucket {small large} { $js create_kv_bucket $bucket -storage memory }
exec $bare $port load small 1000 128
exec $bare $port load large 100000 128
$js add_stream READ -subjects READ.> -storage memory
exec $bare $port js-pipeline READ 100000 128
set responder [open "|[list $bare $port core-respond - 0 0]" r+]
gets $responder

set tclsh [info nameofexecutable]
set clients [list ours "this package" [list $tclsh [file join $here peers_program.tcl] [file dirname $here]]]
lappend clients bare "bare async-nats (Rust)" {}
set nats_py [exec [file join $here .. scripts peer] nats-py 2>@stderr]
set python [expr {[info exists env(PYTHON)] && $env(PYTHON) ne "" ? $env(PYTHON) : "python3"}]
lappend clients py "nats-py [regsub {.*-} $nats_py {}]" [list env PYTHONPATH=$nats_py $python [file join $here peers.py]]
if {[info exists env(NATS_TCL)] && $env(NATS_TCL) ne ""} {
    lappend clients tcl nats-tcl [list $tclsh [file join $here peers_program.tcl] $env(NATS_TCL)]
}

# Seconds; nothing if it cannot.
proc once {client command row n bare_row what} {
    set consumer ""
    if {$row eq "pull"} {
        set consumer C[incr ::consumers]
        $::js add_pull_consumer READ $consumer -max_ack_pending 10000
    }
    if {$client eq "bare"} {
        set command [list $::bare $::port $bare_row [string map [list % $consumer] $what] $n 128]
    } else {
        lappend command $::port $row $n $consumer
    }
    set code [catch {exec {*}$command} result]
    if {$consumer ne ""} { $::js delete_consumer READ $consumer }
    if {$code} {
        puts stderr "peers: $client cannot do $row: $result"
        return
    }
    return [lindex $result 0]
}
proc median {list} { return [lindex [lsort -real $list] [expr {[llength $list] / 2}]] }
# 12 345
proc grouped {number} {
    set text [format %.0f $number]
    while {[regsub {^(\d+)(\d{3})} $text "\\1\u00a0\\2" text]} {}
    return $text
}

set head "| operations a second |"
foreach {client name command} $clients { append head " $name |[expr {$client eq "ours" ? "" : " ours to it |"}]" }
set table [list $head "|---|[string repeat ---:| [expr {[llength $clients] / 3 * 2 - 1}]]"]
foreach {row n text bare_row what} $rows {
    if {[dict get $options -rows] ne "all" && $row ni [dict get $options -rows]} continue
    array unset times
    # All of them in turn, so that what disturbs disturbs all.
    for {set i 0} {$i < [dict get $options -repeat]} {incr i} {
        foreach {client name command} $clients {
            set seconds [once $client $command $row $n $bare_row $what]
            if {$seconds ne ""} { lappend times($client) $seconds }
        }
    }
    set line "| $text |"
    foreach {client name command} $clients {
        if {![info exists times($client)]} {
            append line " – |[expr {$client eq "ours" ? "" : " – |"}]"
            continue
        }
        append line " [grouped [expr {$n / [median $times($client)]}]] |"
        if {$client ne "ours"} { append line [format " %.2f |" [expr {[median $times($client)] / [median $times(ours)]}]] }
    }
    lappend table $line
    puts $line
    flush stdout
}
puts $responder ""
close $responder
$conn destroy

# What it was measured on.
proc processors {} {
    set file [open /proc/cpuinfo]
    set text [read $file]
    close $file
    return [list [regexp -all -line {^processor\s*:} $text] [expr {[regexp -line {^model name\s*: (.*)$} $text -> model] ? $model : "unknown"}]]
}
lassign [processors] count model
set load [lindex [split [exec cat /proc/loadavg]] 0]
lappend table "" "Median of [dict get $options -repeat] runs, [clock format [clock seconds] -format %Y-%m-%d -gmt 1], values of 128\
    bytes, one connection each, nats-server [server::version] on the same machine, $count processors ($model), load $load at the end; Tcl\
    [info patchlevel], [exec $python --version], commit [exec git -C $here describe --always --dirty]."
server::stop_all
set table [join $table \n]
if {[dict get $options -write] eq ""} { puts \n$table } else { between [dict get $options -write] peers $table }
exit
