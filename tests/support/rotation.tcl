# Connections at work while the nodes of their cluster are killed in rotation, and the books about it.
#
#   set r [rotation::run kills seed]      -> dict of what was counted and found, see `Result`
#
# Three connections publish numbered messages, subscribe (plain, in a queue group, with limits) and send requests of all
# kinds to each other. The cluster is a process of its own (rotation_main.tcl), told what to kill over a pipe.
#
# A kill may take messages with it, those on their way and those published before the other nodes know who listens
# where. So the driver makes sure before each kill that everything goes everywhere: each message published between the
# two moments, from `recovered` to `mark`, is owed to everybody, and each request made and ended there has to succeed.

namespace eval rotation {
    variable names {a b c}
    variable limit 25
    variable timeout 3000
}

proc rotation::run {kills seed} {
    variable names
    variable R
    variable conn
    foreach array {R conn sent last seen arrivals period held quiet trail out pending outcome limited first got made plain} {
        variable $array
        array unset $array
        array set $array {}
    }
    array set R {killed 0 rounds 0 late 0 order {} twice {} wrong {} steady 0 enough 0 busy 0 request 0
        said ""}
    expr {srand($seed)}
    set main [file join $::support::here support rotation_main.tcl]
    set R(pipe) [open |[list [info nameofexecutable] $main $seed 3 2>@stderr] r+]
    fconfigure $R(pipe) -buffering line
    set ports [gets $R(pipe)]
    fconfigure $R(pipe) -blocking 0
    fileevent $R(pipe) readable ::rotation::Hear
    try {
        foreach name $names { Open $name $ports }
        coroutine ::rotation::driver ::rotation::Drive $kills
        wait_until {[info exists ::rotation::R(over)]} [expr {60000 + 20000 * $kills}]
        if {$R(over) ne ""} { error $R(over) }
        return [Result]
    } finally {
        set R(enough) 1
        foreach name [array names conn] { catch {$conn($name) destroy} }
        fconfigure $R(pipe) -blocking 1
        close $R(pipe)
    }
}

proc rotation::Hear {} {
    variable R
    while {[gets $R(pipe) line] >= 0} { set R(said) $line }
    if {[eof $R(pipe)]} { fileevent $R(pipe) readable {}; set R(over) "the cluster has ended" }
}

# ---- the connections

proc rotation::Open {name ports} {
    variable conn
    variable names
    foreach array {sent trail out held period} { variable $array }
    set c [nats::connection new $name -log_level error]
    set conn($name) $c
    $c configure -servers [lmap port $ports {string cat nats://127.0.0.1: $port}] -max_reconnect_attempts -1 \
        -reconnect_time_wait 20
    $c connect
    set sent($name) 0
    set out($name) 0
    set trail($name) {}
    set held($name) {}
    set period($name) 0
    set space [info object namespace $c]
    trace add variable ${space}::status write [list ::rotation::Status $name]
    trace add variable ${space}::last_error write [list ::rotation::Error $name]
    variable plain
    set plain($name) [$c subscribe rot.plain.* -callback [list ::rotation::Plain $name]]
    $c subscribe rot.queue.* -queue workers -callback [list ::rotation::Queued $name]
    # The first has two members.
    if {$name eq "a"} { $c subscribe rot.queue.* -queue workers -callback [list ::rotation::Queued $name] }
    foreach subject [list rot.one.$name rot.all] {
        $c subscribe $subject -callback [list ::rotation::Serve $name]
    }
    foreach publisher $names { Limited $name $publisher }
}

proc rotation::Status {name variable args} {
    variable conn
    variable trail
    variable period
    upvar 1 $variable value
    lappend trail($name) status=$value
    if {$value eq "reconnecting"} {
        incr period($name)
        for {set i 0} {$i < 10} {incr i} { Publish $name }
    }
}
proc rotation::Error {name variable args} {
    variable trail
    upvar 1 $variable value
    lappend trail($name) [expr {$value eq "" ? "-" : [lindex [dict get $value code] 1]}]
}

# ---- messages

# Number the next message of a connection; which of its connections it was made for tells whether it may be overtaken.
proc rotation::Publish {name} {
    foreach array {conn sent out period held R made} { variable $array }
    set n [incr sent($name)]
    set made($name,$n) $period($name)
    if {[$conn($name) cget -status] eq "reconnecting"} { lappend held($name) [list $R(rounds) $period($name) $n] }
    $conn($name) publish rot.plain.$name $n
    $conn($name) publish rot.queue.$name $n
    incr out($name) 2
}

proc rotation::Plain {me subject n args} {
    foreach array {R seen last arrivals made} { variable $array }
    set publisher [lindex [split $subject .] 2]
    incr arrivals($me)
    if {[incr seen($me,$publisher,$n)] > 1} { lappend R(twice) "$me had $publisher $n" }
    if {![info exists last($me,$publisher)]} { set last($me,$publisher) 0 }
    if {$n > $last($me,$publisher)} {
        set last($me,$publisher) $n
    } elseif {$me eq $publisher || $made($publisher,$n) == $made($publisher,$last($me,$publisher))} {
        lappend R(order) "$me had $publisher $n after $last($me,$publisher)"
    } else {
        # What a node had passed on before it died may come after what the next one passes on.
        incr R(late)
    }
}

proc rotation::Queued {me subject n args} {
    variable R
    variable seen
    set publisher [lindex [split $subject .] 2]
    if {[incr seen(queue,$publisher,$n)] > 1} { lappend R(twice) "the queue group had $publisher $n" }
}

# A subscription for so many messages of one publisher, and the next one when it is over.
proc rotation::Limited {name publisher} {
    variable conn
    variable limited
    set key [incr limited(serial)]
    set limited($key,count) 0
    set limited($key,seen) {}
    set limited($key,name) $name
    set limited($key,id) [$conn($name) subscribe rot.plain.$publisher -max_msgs $::rotation::limit \
        -callback [list ::rotation::Limit $key $name $publisher]]
}
proc rotation::Limit {key name publisher subject n args} {
    variable R
    variable conn
    variable limited
    variable limit
    if {[dict exists $limited($key,seen) $n]} { lappend R(twice) "$name with a limit had $publisher $n" }
    dict set limited($key,seen) $n 1
    if {[incr limited($key,count)] < $limit} return
    if {$limited($key,count) > $limit} { lappend R(wrong) "$limited($key,count) messages of $limit"; return }
    incr limited(complete)
    set code [code_of {$conn($name) unsubscribe $limited($key,id)}]
    if {$code ne {NATS ErrBadSubscription}} { lappend R(wrong) "unsubscribe after the last message: $code" }
    if {!$R(enough)} { Limited $name $publisher }
}

# ---- requests

proc rotation::Serve {me subject message reply} {
    variable conn
    variable out
    $conn($me) publish $reply "$me $message"
    incr out($me)
}

# Notes how a request ended. One that began while everything was well has to succeed; `Mark` waits for its end.
proc rotation::End {id code} {
    variable R
    variable pending
    variable outcome
    lassign $pending($id) kind steady
    unset pending($id)
    incr outcome($kind,$code)
    if {$code ni {ok ErrTimeout ErrNoResponders}} { lappend R(wrong) "$kind request: $code" }
    if {$code ne "ok" && $steady} { lappend R(wrong) "$kind request without need: $code" }
}
proc rotation::Begin {name kind} {
    variable R
    variable out
    variable pending
    set id [incr R(request)]
    set pending($id) [list $kind $R(steady)]
    incr out($name)
    return $id
}
proc rotation::Check {id replies from} {
    variable R
    set want [lsort [lmap name $from {string cat $name " " $id}]]
    if {[lsort $replies] ne $want} { lappend R(wrong) "request $id of $from: $replies" }
}

# One that waits, in a coroutine.
proc rotation::Sync {name target} {
    variable conn
    variable timeout
    set id [Begin $name sync]
    if {![catch {$conn($name) request rot.one.$target $id -timeout $timeout} reply options]} {
        Check $id [list $reply] $target
        End $id ok
        return 1
    }
    End $id [lindex [dict get $options -errorcode] 1]
    return 0
}
proc rotation::Work {name} {
    variable R
    incr R(busy)
    while {!$R(enough)} {
        foreach target $::rotation::names { Sync $name $target }
        Pause 10
    }
    incr R(busy) -1
}

proc rotation::Single {name target} {
    variable conn
    variable timeout
    set id [Begin $name async]
    $conn($name) request rot.one.$target $id -timeout $timeout -dictmsg true -callback [list ::rotation::Answer $id $target]
}
proc rotation::Answer {id target timedOut reply} {
    variable R
    variable pending
    if {![info exists pending($id)]} { lappend R(twice) "the callback of request $id"; return }
    if {!$timedOut} {
        Check $id [list [dict get $reply data]] $target
        End $id ok
    } else {
        End $id [expr {$reply eq "" ? "ErrTimeout" : "ErrNoResponders"}]
    }
}

# Everybody answers.
proc rotation::Multi {name} {
    variable conn
    variable timeout
    variable got
    set id [Begin $name multi]
    set got($id) {}
    $conn($name) request rot.all $id -timeout $timeout -max_msgs 3 -callback [list ::rotation::Answers $id]
    return $id
}
proc rotation::Answers {id timedOut reply} {
    variable R
    variable got
    variable names
    variable pending
    if {![info exists pending($id)]} { lappend R(twice) "the callback of request $id after its end"; return }
    if {$timedOut && $reply eq ""} {
        set kind [lindex $got($id) 0]
        End $id [expr {$kind eq "none" ? "ErrNoResponders" : "ErrTimeout"}]
    } elseif {$timedOut} {
        # The report of the server; the timeout ends it.
        if {$got($id) ne ""} { lappend R(wrong) "nobody there after $got($id)" }
        lappend got($id) none
    } else {
        if {[dict get $reply data] in $got($id)} { lappend R(twice) "a reply of request $id" }
        lappend got($id) [dict get $reply data]
        if {[llength $got($id)] == 3} {
            Check $id $got($id) $names
            End $id ok
        }
    }
}

# ---- the driver

proc rotation::Pause {ms} {
    after $ms [list [info coroutine]]
    yield
}
proc rotation::Await {expression what} {
    set deadline [expr {[clock milliseconds] + 30000}]
    while {![uplevel 1 [list expr $expression]]} {
        if {[clock milliseconds] > $deadline} { error "$what: not within 30 s" }
        Pause 5
    }
}

proc rotation::Tick {count} {
    variable R
    variable names
    if {$R(enough)} return
    set i 0
    foreach name $names {
        Publish $name
        if {$count % 3 == 0} { Single $name [lindex $names [expr {int(rand() * 3)}]] }
        if {$count % 6 == $i} { Multi $name }
        incr i
    }
    after 8 [list ::rotation::Tick [expr {$count + 1}]]
}

proc rotation::Drive {kills} {
    variable R
    if {[catch {
        Tick 0
        foreach name $::rotation::names {
            for {set i 1} {$i <= 4} {incr i} { coroutine ::rotation::worker$name$i ::rotation::Work $name }
        }
        while 1 {
            Recover
            if {$R(killed) >= $kills} break
            Pause [expr {30 + int(rand() * 120)}]
            Mark
            Kill
        }
        Finish
    } text options]} {
        set R(over) [dict get $options -errorinfo]
    } else {
        set R(over) ""
    }
}

# All connections are there, and everything goes from each to each.
proc rotation::Recover {} {
    foreach array {R conn sent out names first last} { variable $array }
    foreach name $names {
        # The status may still be that from before its loss, but then the ping comes back over the new connection.
        Await {[$conn($name) cget -status] eq "connected"} "$name is not connected"
        $conn($name) ping
        Await {[$conn($name) cget -status] eq "connected"} "$name is not connected"
    }
    foreach publisher $names {
        set from [expr {$sent($publisher) + 1}]
        foreach me $names {
            Await {[info exists last($me,$publisher)] && $last($me,$publisher) >= $from} "$me hears nothing of $publisher"
        }
    }
    foreach name $names {
        foreach target $names { Try {Sync $name $target} "$name has no answer of $target" }
        Try {Ask $name} "$name has not the answers of all"
    }
    set R(steady) 1
    foreach name $names { set first($name) [expr {$sent($name) + 1}] }
}

proc rotation::Try {request what} {
    for {set try 1} {![uplevel 1 $request]} {incr try} {
        if {$try == 10} { error $what }
    }
}
# Waits for the answers of everybody, and tells whether they came.
proc rotation::Ask {name} {
    variable pending
    variable got
    set id [Multi $name]
    Await {![info exists pending($id)]} "request $id has no end"
    return [expr {[llength $got($id)] == 3}]
}

# Nothing is on its way any more of what was owed.
proc rotation::Mark {} {
    foreach array {R sent names first last quiet seen pending} { variable $array }
    set R(steady) 0
    Await {[lsearch -index 1 [lmap {id request} [array get pending] {set request}] 1] < 0} "a request has no end"
    foreach publisher $names {
        set to $sent($publisher)
        lappend quiet($publisher) $first($publisher) $to
        foreach me $names { Await {$last($me,$publisher) >= $to} "$me does not get $publisher $to" }
        Await {[info exists seen(queue,$publisher,$to)]} "the queue group does not get $publisher $to"
    }
}

proc rotation::Kill {} {
    variable R
    variable conn
    variable names
    incr R(rounds)
    set c $conn([lindex $names [expr {int(rand() * 3)}]])
    set servers [lmap server [$c all_servers] {dict get $server port}]
    set draw [expr {rand()}]
    if {$draw < 0.65} {
        set victims [list [lindex $servers end]]
    } elseif {$draw < 0.8} {
        # The one in use, and the one that is to take over.
        set victims [list [lindex $servers end] [lindex $servers 0]]
    } elseif {$draw < 0.85} {
        set victims $servers
    } else {
        set victims [list [lindex $servers 0]]
    }
    incr R(killed) [llength $victims]
    set R(said) ""
    puts $R(pipe) $victims
    Await {$R(said) eq "whole"} "the cluster does not become whole"
}

# The end: everything that is still on its way arrives.
proc rotation::Finish {} {
    foreach array {R names sent conn pending} { variable $array }
    set R(enough) 1
    Mark
    Await {$R(busy) == 0 && [array size pending] == 0} "requests have no end"
    foreach name $names {
        $conn($name) ping
        Await {[dict get [$conn($name) statistics] pending] == 0} "$name has not delivered everything"
    }
}

# ---- what came of it

proc rotation::Result {} {
    foreach array {R conn names sent seen quiet held trail out outcome limited last arrivals plain} { variable $array }
    set missing 0
    set unexplained {}
    foreach publisher $names {
        for {set n 1} {$n <= $sent($publisher)} {incr n} {
            set owed 0
            foreach {from to} $quiet($publisher) {
                if {$n >= $from && $n <= $to} { set owed 1; break }
            }
            foreach me [concat $names queue] {
                if {[info exists seen($me,$publisher,$n)]} continue
                incr missing
                if {$owed} { lappend unexplained "$me did not get $publisher $n" }
            }
        }
    }
    set published 0
    set delivered [array size seen]
    set losses 0
    set trails {}
    set sums {}
    set waited 0
    foreach name $names {
        incr published [expr {2 * $sent($name)}]
        # What was published without a connection comes on the next one, unless that was lost at once, too.
        foreach entry $held($name) {
            lassign $entry round period n
            set final($round) $period
        }
        foreach entry $held($name) {
            lassign $entry round period n
            if {$period != $final($round)} continue
            incr waited
            if {![info exists seen($name,$name,$n)]} { lappend unexplained "$name lost $n while reconnecting" }
        }
        array unset final
        # One `reconnecting` and one `connected` for each loss, the error first; more errors only for attempts.
        if {![regexp {^(ErrBrokenSocket status=reconnecting (Err(ConnectionRefused|ConnectionTimeout|BrokenSocket) )*- status=connected ?)*$} \
                $trail($name)]} { lappend trails "$name: $trail($name)" }
        set lost [llength [lsearch -all -exact $trail($name) status=reconnecting]]
        incr losses $lost
        set statistics [$conn($name) statistics]
        set plainly [dict get $statistics subscriptions $plain($name)]
        foreach {what is should} [list \
            connects [dict get $statistics connects] [expr {$lost + 1}] \
            reconnects [dict get $statistics reconnects] $lost \
            out_msgs [dict get $statistics out_msgs] $out($name) \
            pending [dict get $statistics pending] 0 \
            dropped [dict get $statistics dropped] 0 \
            delivered [dict get $plainly delivered] $arrivals($name) \
        ] {
            if {$is != $should} { lappend sums "$name: $what is $is, not $should" }
        }
    }
    set answered 0
    set failures {}
    foreach key [lsort [array names outcome]] {
        lassign [split $key ,] kind code
        if {$code eq "ok"} { incr answered $outcome($key) } else { lappend failures "$outcome($key) $kind $code" }
    }
    return [dict create killed $R(killed) losses $losses published $published delivered $delivered missing $missing \
        late $R(late) waited $waited limited $limited(complete) answered $answered failures $failures \
        unexplained $unexplained order $R(order) twice $R(twice) wrong $R(wrong) trails $trails sums $sums \
        bgerrors [bgerrors]]
}
