# Two programs with bound arrays in processes of their own (kv_bind_program.tcl), for tests that make their servers fail.
# They are bound to the bucket CHAOS; the seed is in the global variable seed.
#
#   start_program n urls conflict    n is 1 or 2; it is ready when this returns
#   ask n command ?ms?               the next thing that it says after this
#   truth port                       the bucket as a foreign client reads it
#   problems ever                    changes of which nobody has heard, and whatever else went wrong

proc start_program {n urls conflict} {
    set main [file join $::support::here support kv_bind_program.tcl]
    set pipe [open |[list [info nameofexecutable] $main $urls CHAOS $conflict [expr {$::seed + $n}] 2>@stderr] r+]
    fconfigure $pipe -buffering line -blocking 0
    set ::said($n) {}
    fileevent $pipe readable [list hear $n $pipe]
    set ::programs($n) $pipe
    wait_until "\"ready\" in \$::said($n)" 20000
}
proc hear {n pipe} {
    while {[gets $pipe line] >= 0} { lappend ::said($n) $line }
    if {[eof $pipe]} { lappend ::said($n) ENDED; fileevent $pipe readable {} }
}
# The next answer to a command.
proc ask {n command {ms 120000}} {
    set count [llength $::said($n)]
    puts $::programs($n) $command
    wait_until "\[llength \$::said($n)\] > $count" $ms
    return [lindex $::said($n) end]
}
proc stop_programs {} {
    foreach n [array names ::programs] {
        catch {close $::programs($n)}
        unset ::programs($n)
    }
}
# Every value that a key has ever had, and the last one of each, read by a foreign client: the history is longer.
proc truth {port} {
    set r [raw::connect $port]
    # The cluster may still choose who makes consumers; one whose making was not answered may be there all the same.
    set attempt 0
    wait_until {
        [set id [raw::subscribe $r truth.[incr attempt]]] ne "" && ![catch {
            raw::api $r CONSUMER.CREATE.KV_CHAOS [string map [list INBOX truth.$attempt] {{"stream_name":"KV_CHAOS","config":{
                "deliver_subject":"INBOX","deliver_policy":"all","ack_policy":"none","mem_storage":true}}}]
        } reply] && [regexp {"num_pending":(\d+)} $reply -> pending]
    } 60000
    set last {}
    set ever {}
    set twice {}
    foreach m [raw::wait $r $id $pending 60000] {
        set key [lindex [split [dict get $m subject] .] end]
        if {[dict exists [dict get $m header] KV-Operation]} {
            dict unset last $key
        } else {
            set value [dict get $m payload]
            if {[dict exists $ever $value]} { lappend twice $value }
            dict set ever $value 1
            dict set last $key $value
        }
    }
    raw::close $r
    return [list [lsort -stride 2 $last] $ever $twice]
}

# What both programs have to say that should not be.
proc problems {ever} {
    set problems {}
    foreach n {1 2} {
        lassign [ask $n books] latest reported errors status
        foreach {key value} $latest {
            if {![dict exists $ever $value] && $value ni $reported} { lappend problems "$n: $value of $key is lost" }
        }
        if {[llength $errors]} { lappend problems $errors }
        if {[dict get $status pending] || [dict get $status failed]} { lappend problems $status }
    }
    return $problems
}
