# Helper programs in processes of their own, told what to do over a pipe: one Tcl list for each line, one answer each.

namespace eval child {
    variable serial 0
    variable pipes
    array set pipes {}
}

# Start support/$script in a tclsh like this one. The first answer is the port that it listens on.
proc child::start {script args} {
    variable pipes
    variable serial
    set pipe [open |[list [info nameofexecutable] [file join $::support::here support $script] {*}$args 2>@stderr] r+]
    fconfigure $pipe -buffering line -encoding utf-8
    set h child[incr serial]
    set pipes($h) $pipe
    return [list $h [Answer $h]]
}

# Send one command and return its answer. An error there is an error here.
proc child::ask {h command} {
    variable pipes
    # One line for each command, whatever is in it.
    puts $pipes($h) [binary encode base64 [encoding convertto utf-8 $command]]
    return [Answer $h]
}
proc child::Answer {h} {
    variable pipes
    if {[gets $pipes($h) line] < 0} { error "helper process $h has ended" }
    lassign [encoding convertfrom utf-8 [binary decode base64 $line]] status result
    if {$status ne "ok"} { error $result }
    return $result
}

proc child::stop {h} {
    variable pipes
    if {![info exists pipes($h)]} return
    catch {close $pipes($h)}
    unset pipes($h)
}
