# What a request costs by an endpoint of a service, beside a subscription that publishes the answer by itself.
#
#   tclsh benches/services.tcl ?-n 100000? ?-window 500? ?-repeat 5?
#
# A process that answers, in both ways, and this one that asks: so many requests are under way at any time. Prints for each way
# the requests per second and the seconds of the processor that the answering process has had for a million; and the ratios, which
# are to be below 1.3: the median of the repetitions, which take turns.

set here [file dirname [file normalize [info script]]]
lappend auto_path [file dirname $here]

# ------------------------------------------------------------------------------- who answers
if {[lindex $argv 0] eq "answer"} {
    package require nats
    set conn [nats::connection new bench -log_level error]
    $conn configure -servers nats://127.0.0.1:[lindex $argv 1] -pending_out_bytes 0
    $conn connect
    proc plain {subject message reply} { $::conn publish $reply $message }
    proc served {request} { nats::service respond $request [nats::msg data $request] }
    $conn subscribe bench.plain -callback plain
    set service [nats::service new $conn -name bench -version 1.0.0]
    $service endpoint served -subject bench.service -callback served
    $conn ping
    puts ready
    flush stdout
    # Hundredths of a second that this process has had the processor.
    proc cpu {} {
        set f [open /proc/self/stat]
        set text [read $f]
        close $f
        set fields [string range $text [string last ")" $text]+2 end]
        return [expr {[lindex $fields 11] + [lindex $fields 12]}]
    }
    fileevent stdin readable {if {[gets stdin] < 0} { set done 1 } else { puts [cpu]; flush stdout }}
    vwait done
    exit
}

# ------------------------------------------------------------------------------- who asks
set options [dict merge {-n 100000 -window 500 -repeat 5} $argv]
set argv {}
source [file join $here .. tests support.tcl]
package require nats
set server [server::start -jetstream 0]
set port [server::port $server]
set conn [nats::connection new bench -log_level error]
$conn configure -servers nats://127.0.0.1:$port -pending_out_bytes 0
$conn connect
set pipe [open |[list [info nameofexecutable] [file join $here services.tcl] answer $port 2>@stderr] r+]
fconfigure $pipe -buffering line
if {[gets $pipe] ne "ready"} { error "the process that answers has ended" }
proc cpu {} { puts $::pipe cpu; return [gets $::pipe] }

set value [string repeat x 128]
set inbox [$conn inbox]
proc answered {messages} {
    for {set i [llength $messages]} {$i > 0 && $::asked < $::wanted} {incr i -1} {
        $::conn publish $::subject $::value $::inbox
        incr ::asked
    }
    if {[incr ::answers [llength $messages]] >= $::wanted} { set ::done 1 }
}
$conn subscribe $inbox -callback answered -batch true
proc row {subject n window} {
    set ::subject $subject
    set ::wanted $n
    set ::answers 0
    set ::asked $window
    set cpu [cpu]
    set start [clock microseconds]
    for {set i 0} {$i < $window} {incr i} { $::conn publish $subject $::value $::inbox }
    vwait ::done
    set seconds [expr {([clock microseconds] - $start) / 1e6}]
    return [list $seconds [expr {([cpu] - $cpu) / 100.0}]]
}
proc median {list} { return [lindex [lsort -real $list] [expr {[llength $list] / 2}]] }
set n [dict get $options -n]
set window [dict get $options -window]
foreach way {plain service} { row bench.$way [expr {$n / 10}] $window }
for {set i 0} {$i < [dict get $options -repeat]} {incr i} {
    foreach way {plain service} {
        lassign [row bench.$way $n $window] seconds cpu
        lappend time($way) $seconds
        lappend used($way) $cpu
    }
    lappend ratios [expr {[lindex $time(service) end] / [lindex $time(plain) end]}]
    lappend costs [expr {[lindex $used(service) end] / [lindex $used(plain) end]}]
}
foreach way {plain service} {
    puts [format "%-8s %8.0f requests/s, %6.2f s of the processor for a million" $way [expr {$n / [median $time($way)]}] \
        [expr {[median $used($way)] * 1e6 / $n}]]
}
puts [format "a request of a service takes %.2f of the time (%.2f to %.2f), and %.2f of the processor" [median $ratios] \
    [lindex [lsort -real $ratios] 0] [lindex [lsort -real $ratios] end] [median $costs]]
$conn destroy
close $pipe
server::stop_all
