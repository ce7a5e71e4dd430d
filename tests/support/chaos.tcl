# A server that is killed and restarted at random moments, in a process of its own (chaos_main.tcl). Source it behind support.tcl.
#
#   start_chaos seed shortest longest ?script?
#                                        the server, on $port; the two are between which so many ms lie between kills. The script runs,
#                                        as a global one, whenever it has been killed and is back
#   kill_server count                    begins; $killed is how often it has been killed and is back, $over whether that was all, or
#                                        it has ended: then $killed is less than it was to be
#   stop_chaos

proc start_chaos {seed shortest longest {script ""}} {
    set main [file join $::support::here support chaos_main.tcl]
    set ::chaos [open |[list [info nameofexecutable] $main $seed $shortest $longest 2>@stderr] r+]
    fconfigure $::chaos -buffering line
    set ::port [lindex [gets $::chaos] 1]
    set ::killed 0
    set ::over 0
    fconfigure $::chaos -blocking 0
    fileevent $::chaos readable [list hear_of_chaos $script]
}
proc hear_of_chaos {script} {
    while {[gets $::chaos line] >= 0} {
        if {[lindex $line 0] eq "killed"} {
            set ::killed [lindex $line 1]
            uplevel #0 $script
        } else {
            set ::over 1
        }
    }
    if {[eof $::chaos]} { set ::over 1; fileevent $::chaos readable {} }
}
proc kill_server {count} { puts $::chaos $count }
proc stop_chaos {} {
    fconfigure $::chaos -blocking 1
    close $::chaos
}
