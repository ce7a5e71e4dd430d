# What the tests of interoperability share: support.tcl of the suite, and the other clients, which `make test-interop` has
# fetched and built.
#
#   set peer [peer::start nats-py $url]        or async-nats; the program ends with `peer::stop_all`
#   $peer kv_put bucket key value              what peer.py and peer/ know, by the same names: a list of words, bytes
#
# An error of theirs has the code {PEER kind}: not-found, wrong-revision, or what the client calls it.
# Callbacks of the package run while a peer works.

source [file join [file dirname [file dirname [file normalize [info script]]]] support.tcl]
source [file join $::support::here support obj.tcl]

namespace eval peer {
    variable here [file dirname [file normalize [info script]]]
    variable serial 0
    variable P
    array set P {}
}

# Those there are: names of clients, with the variable that has the program's path or its package's.
proc peer::names {} {
    set names {}
    foreach {name variable} {nats-py INTEROP_NATS_PY async-nats INTEROP_ASYNC_NATS} {
        if {[info exists ::env($variable)] && $::env($variable) ne ""} { lappend names $name }
    }
    if {$names eq ""} { error "no other client: run this by scripts/test-interop" }
    return $names
}

proc peer::start {name url} {
    variable here
    variable serial
    variable P
    if {$name eq "nats-py"} {
        set python [expr {[info exists ::env(PYTHON)] && $::env(PYTHON) ne "" ? $::env(PYTHON) : "python3"}]
        set command [list env PYTHONPATH=$::env(INTEROP_NATS_PY) PYTHONDONTWRITEBYTECODE=1 $python [file join $here peer.py] $url]
    } else {
        set command [list $::env(INTEROP_ASYNC_NATS) $url]
    }
    set h ::peer::peer[incr serial]
    set P($h) [open |[concat $command 2>@stderr] r+]
    fconfigure $P($h) -translation lf -encoding iso8859-1 -blocking 0 -buffersize 1000000
    interp alias {} $h {} ::peer::Call $h
    return $h
}

proc peer::Call {h op args} {
    variable P
    variable answer
    set words {}
    foreach word [list $op {*}$args] {
        # Text of the test files; what is bytes already stays as it is.
        if {[regexp {[^\x00-\xff]} $word]} { set word [encoding convertto utf-8 $word] }
        lappend words [binary encode hex $word]
    }
    # Back to words with single blanks: an empty one has no digits.
    puts $P($h) [join $words " "]
    flush $P($h)
    set answer ""
    fileevent $P($h) readable [list ::peer::Readable $P($h)]
    set timer [after 30000 {set ::peer::answer "error [binary encode hex silent] [binary encode hex {no answer within 30 s}]"}]
    vwait ::peer::answer
    after cancel $timer
    fileevent $P($h) readable {}
    set words [lmap word [lassign [split $answer " "] outcome] { binary decode hex $word }]
    if {$outcome eq "ok"} { return $words }
    return -code error -errorcode [list PEER [lindex $words 0]] "$op: [lindex $words 1]"
}
proc peer::Readable {channel} {
    variable answer
    if {[gets $channel line] >= 0} {
        set answer $line
    } elseif {[eof $channel]} {
        set answer "error [binary encode hex ended] [binary encode hex {the program has ended}]"
    }
}
proc peer::stop {h} {
    variable P
    fconfigure $P($h) -blocking 1
    catch {close $P($h)}
    unset P($h)
    interp alias {} $h {}
}
proc peer::stop_all {} {
    variable P
    foreach h [array names P] { stop $h }
}

# One of each for the file, on its server.
array set peers {}
foreach name [peer::names] { set peers($name) [peer::start $name [server::url $srv]] }
# tcltest takes what has a dash for an expression.
foreach name {nats-py async-nats} { testConstraint has_[string map {- _} $name] [info exists peers($name)] }

# The end of a file.
proc interop_done {} {
    peer::stop_all
    uplevel 1 support::done
}
