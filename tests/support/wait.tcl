# Waiting for an observed state with a deadline, collecting callbacks, and looking at errors.

namespace eval support {
    namespace export wait_until busy_until wait_var when run_events collect collected wait_collected
    namespace export bgerrors code_of error_of elapsed in_time
    variable collected
    array set collected {}
    variable bgerrors {}
}

# Run the event loop until the expression is true, in the scope of the caller. Throws after $ms.
proc support::wait_until {expression {ms 20000}} {
    set deadline [expr {[clock milliseconds] + $ms}]
    while {![uplevel 1 [list expr $expression]]} {
        if {[clock milliseconds] >= $deadline} {
            return -code error -errorcode {SUPPORT DEADLINE} "not true within $ms ms: $expression"
        }
        after 5 {set ::support::tick 1}
        vwait ::support::tick
    }
}

# The same without the event loop, as in a program that is busy: nothing is delivered meanwhile.
proc support::busy_until {expression {ms 10000}} {
    set deadline [expr {[clock milliseconds] + $ms}]
    while {![uplevel 1 [list expr $expression]]} {
        if {[clock milliseconds] >= $deadline} {
            return -code error -errorcode {SUPPORT DEADLINE} "not true within $ms ms: $expression"
        }
        after 1
    }
}

# Run a script as soon as the expression is true, looked at from the event loop; both at global level. So something can
# happen in the middle of a call that waits.
proc support::when {expression script} {
    if {[uplevel #0 [list expr $expression]]} {
        uplevel #0 $script
    } else {
        after 5 [list ::support::when $expression $script]
    }
}

# Run the event loop for a while. It shows only that nothing happens: for what does, there is `wait_until`.
proc support::run_events {ms} {
    after $ms {set ::support::over 1}
    vwait ::support::over
}

# Run the event loop until the variable is written; its new value. Throws after $ms.
proc support::wait_var {name {ms 20000}} {
    variable written
    set name [uplevel 1 [list namespace which -variable $name]]
    if {$name eq ""} { error "wait_var: no such variable" }
    set written($name) 0
    set mark [list ::support::note_write $name]
    trace add variable $name write $mark
    set code [catch {wait_until {$::support::written($name)} $ms} text options]
    trace remove variable $name write $mark
    if {$code} {
        return -code error -errorcode {SUPPORT DEADLINE} "$name was not written within $ms ms"
    }
    return [set $name]
}
proc support::note_write {name args} {
    variable written
    set written($name) 1
}

# A command prefix that stores what it is called with, as one list element for each call. Starts a new list.
proc support::collect {name} {
    variable collected
    set collected($name) {}
    return [list ::support::collect_add $name]
}
proc support::collect_add {name args} {
    variable collected
    # One argument, the usual case, is stored as it is and not as a list of one.
    lappend collected($name) [expr {[llength $args] == 1 ? [lindex $args 0] : $args}]
}
proc support::collected {name} {
    variable collected
    return $collected($name)
}
proc support::wait_collected {name count {ms 20000}} {
    variable collected
    if {[catch {wait_until {[llength $::support::collected($name)] >= $count} $ms}]} {
        return -code error -errorcode {SUPPORT DEADLINE} \
            "$name: [llength $collected($name)] of $count calls within $ms ms: $collected($name)"
    }
    return $collected($name)
}

# Background errors since the last call: a list of pairs, error code and message.
proc support::bgerrors {} {
    variable bgerrors
    # Tcl calls the handler when it is idle.
    update idletasks
    set result $bgerrors
    set bgerrors {}
    return $result
}
proc support::on_bgerror {message options} {
    variable bgerrors
    # A callback that ends by break or continue has no error code.
    set code [expr {[dict exists $options -errorcode] ? [dict get $options -errorcode] : [dict get $options -code]}]
    lappend bgerrors [list $code $message]
}
interp bgerror {} ::support::on_bgerror

# The -errorcode with which the script fails, or `ok`.
proc support::code_of {script} {
    if {[catch {uplevel 1 $script} result options] == 1} { return [dict get $options -errorcode] }
    return ok
}
# The same with the message: {code message}, or {ok result}.
proc support::error_of {script} {
    if {[catch {uplevel 1 $script} result options] == 1} { return [list [dict get $options -errorcode] $result] }
    return [list ok $result]
}

# Milliseconds that the script takes.
proc support::elapsed {script} {
    set start [clock milliseconds]
    uplevel 1 $script
    return [expr {[clock milliseconds] - $start}]
}

# `in time` if so many milliseconds are what something had to take at least, and less than what else could have ended it;
# otherwise the number itself. `elapsed` looks at a clock of whole milliseconds, so one may be missing.
proc support::in_time {ms least {most Inf}} {
    return [expr {$ms >= $least - 1 && $ms < $most ? "in time" : $ms}]
}

namespace eval :: {namespace import -force ::support::*}
