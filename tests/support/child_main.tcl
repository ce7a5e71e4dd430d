# The other end of child.tcl: reads commands from stdin, runs them in namespace ::commands, answers on stdout. Ends with
# stdin.

proc answer {status result} {
    puts [binary encode base64 [encoding convertto utf-8 [list $status $result]]]
    flush stdout
}
proc command_ready {} {
    while {[gets stdin line] >= 0} {
        set command [encoding convertfrom utf-8 [binary decode base64 $line]]
        if {[catch {namespace eval ::commands $command} result]} {
            answer error "$result\n$::errorInfo"
        } elseif {$result ne "(later)"} {
            # A command that answers by itself when it is done says so.
            answer ok $result
        }
    }
    if {[eof stdin]} exit
}
proc serve {port} {
    fconfigure stdin -blocking 0 -encoding utf-8
    answer ok $port
    fileevent stdin readable command_ready
    vwait forever
}
interp bgerror {} {apply {{message options} {
    puts stderr "helper process: [dict get $options -errorinfo]"
}}}
