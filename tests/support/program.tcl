# Programs of a few lines in a process of their own, to see how they end.
#
#   program::run script ?-limit ms? ?-descriptors n?
#                  -> dict: end (exit code, or the name of the signal), out, err, ms
#   program::has_display                               whether a program can open windows: Tk, and a screen
# The script finds the package loaded. What runs longer than -limit (10000 ms) is killed: end is then SIGKILL. -descriptors is
# the number of descriptors that it may have.

namespace eval program {
    variable serial 0
}

proc program::run {script args} {
    variable serial
    set o [dict merge {-limit 10000 -descriptors {}} $args]
    set dir [support::folder program]
    set path [file join $dir main.tcl]
    set f [open $path w]
    fconfigure $f -encoding utf-8
    puts $f [list set auto_path $::auto_path]
    puts $f "package require nats"
    puts $f $script
    close $f
    set start [clock milliseconds]
    set code [catch {
        exec timeout -s KILL [expr {[dict get $o -limit] / 1000.0}] sh -c {
            test -z "$0" || ulimit -n "$0" || exit
            exec "$@"
        } [dict get $o -descriptors] [info nameofexecutable] $path \
            </dev/null >$dir/out 2>$dir/err
    } text options]
    set ms [expr {[clock milliseconds] - $start}]
    set end 0
    if {$code} {
        lassign [dict get $options -errorcode] kind pid end
        if {$kind ni {CHILDSTATUS CHILDKILLED}} { error $text }
        # What `timeout` makes of a process that died by a signal, and of one that it had to kill.
        if {[string is integer $end] && $end > 128} { set end [Signal [expr {$end - 128}]] }
    }
    set result [dict create end $end ms $ms]
    foreach name {out err} {
        set f [open [file join $dir $name]]
        dict set result $name [string trimright [read $f] \n]
        close $f
    }
    file delete -force $dir
    return $result
}

proc program::Signal {number} {
    set names {4 SIGILL 6 SIGABRT 7 SIGBUS 8 SIGFPE 9 SIGKILL 11 SIGSEGV 15 SIGTERM}
    if {[dict exists $names $number]} { return [dict get $names $number] }
    return signal$number
}

proc program::has_display {} {
    if {![info exists ::env(DISPLAY)]} { return 0 }
    return [expr {![catch {exec [info nameofexecutable] << "package require Tk; exit"}]}]
}
