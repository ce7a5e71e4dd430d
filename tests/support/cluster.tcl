# Clusters of real nats-servers on 127.0.0.1, on top of server.tcl.
#
#   set c [cluster::start 3]              three nodes with routes to each other, whole when it returns; no JetStream.
#                                         With -jetstream 1 it takes streams with as many replicas as there are nodes.
#   cluster::node $c 0                    a node as server.tcl knows it: server::url, server::log, server::freeze …
#   cluster::nodes $c, cluster::urls $c   those that were not removed
#   cluster::at $c port                   the number of the node with this client port, as of `current_server`
#   cluster::kill $c i …                  SIGKILL, all of them together         cluster::lame_duck $c i
#   cluster::restart $c i …               the same ports again
#   cluster::add $c ?options?             one more node, which the others learn from it; its number
#   cluster::wait_whole $c ?ms?           until messages go from each running node to each other one
#   cluster::delete $c                    or leave that to server::stop_all
#
# Options of start and add: -jetstream bool, -config text (appended, see server.tcl), -login text (JSON members with
# which a client may log in, e.g. "user":"u","pass":"p"; needed by wait_whole).
# These commands wait without running the event loop, as those of server.tcl do.

namespace eval cluster {
    variable serial 0
    variable C
    array set C {}
}

proc cluster::start {count args} {
    variable C
    variable serial
    for {set try 1} 1 {incr try} {
        set c cluster[incr serial]
        set C($c,count) 0
        set C($c,routes) {}
        # All of them at first, so that each node can name the others.
        while {[llength $C($c,routes)] < $count} { NewRoute $c }
        if {![catch {
            for {set i 0} {$i < $count} {incr i} { Node $c $args }
            wait_whole $c
            if {[dict exists $args -jetstream] && [dict get $args -jetstream]} { WaitPlaced $c }
        } text options]} { return $c }
        delete $c
        # Somebody else may have been quicker with the port of a route, which a node notices when it is ready; and a
        # cluster of 2.10 may have no suitable peers for a stream, though it has a leader, for minutes.
        if {$try == 3} { return -options $options $text }
    }
}

proc cluster::NewRoute {c} {
    variable C
    while {[set port [server::free_port]] in $C($c,routes)} {}
    lappend C($c,routes) $port
}

# Start the next node, whose port for routes has been chosen.
proc cluster::Node {c options} {
    variable C
    set o [dict merge {-jetstream 0 -config "" -login ""} $options]
    foreach key [dict keys $o] {
        if {$key ni {-jetstream -config -login}} { error "cluster: unknown option $key" }
    }
    set i $C($c,count)
    set own [lindex $C($c,routes) $i]
    set urls {}
    foreach port $C($c,routes) {
        if {$port != $own} { lappend urls "\"nats://127.0.0.1:$port\"" }
    }
    # The name keeps out the nodes of other processes, which may get the port of a node that has died.
    set config "cluster { name: \"$c-[::pid]\", listen: \"127.0.0.1:$own\", routes: \[[join $urls {, }]\] }\n"
    append config [dict get $o -config]
    set C($c,login,$i) [dict get $o -login]
    set C($c,node,$i) [server::start -jetstream [dict get $o -jetstream] -name "$c-n$i-[::pid]" -config $config]
    incr C($c,count)
    return $i
}

proc cluster::add {c args} {
    NewRoute $c
    set i [Node $c $args]
    wait_whole $c
    return $i
}

proc cluster::node {c i} {
    variable C
    return $C($c,node,$i)
}
proc cluster::nodes {c} {
    variable C
    set result {}
    for {set i 0} {$i < $C($c,count)} {incr i} { lappend result $C($c,node,$i) }
    return $result
}
proc cluster::urls {c} {
    set result {}
    foreach node [nodes $c] { lappend result [server::url $node] }
    return $result
}
proc cluster::at {c port} {
    set i 0
    foreach node [nodes $c] {
        if {[server::port $node] == $port} { return $i }
        incr i
    }
    error "no node has port $port"
}

proc cluster::kill {c args} {
    # As nearly at once as can be; who is connected may still meet one that is about to die.
    foreach i $args { server::signal [node $c $i] KILL }
    foreach i $args { server::kill [node $c $i] }
}
proc cluster::restart {c args} {
    foreach i $args { server::restart [node $c $i] }
}
proc cluster::lame_duck {c i} { server::lame_duck [node $c $i] }

# INFO knows of a route before messages can take it, so messages are sent, from each node to each other one.
proc cluster::wait_whole {c {ms 20000}} {
    variable C
    set deadline [expr {[clock milliseconds] + $ms}]
    set clients {}
    set failed [catch {
        for {set i 0} {$i < $C($c,count)} {incr i} {
            if {![server::running $C($c,node,$i)]} continue
            set r [raw::connect [server::port $C($c,node,$i)] $C($c,login,$i)]
            dict set clients $r [raw::subscribe $r _PROBE.$c]
            raw::flush $r
        }
        while {[set missing [Missing $clients]] ne ""} {
            if {[clock milliseconds] > $deadline} {
                return -code error -errorcode {SUPPORT DEADLINE} "$c is not whole within $ms ms: $missing"
            }
            dict for {r sid} $clients { raw::publish $r _PROBE.$c $r }
            dict for {r sid} $clients { raw::flush $r }
        }
    } text options]
    dict for {r sid} $clients { raw::close $r }
    if {$failed} { return -options $options $text }
}
# JetStream chooses its leader when the servers are ready, and that one hears of them one after the other.
proc cluster::WaitPlaced {c {ms 20000}} {
    variable C
    set deadline [expr {[clock milliseconds] + $ms}]
    set r [raw::connect [server::port [node $c 0]] $C($c,login,0)]
    set failed [catch {
        set stream [string map [list %N% $C($c,count)] {{"name":"_PLACED","storage":"memory","num_replicas":%N%}}]
        Insist $r STREAM.CREATE._PLACED $stream {"config":} $deadline
        # The first request may have come through without its answer.
        Insist $r STREAM.DELETE._PLACED "" {"success":true|"err_code":10059} $deadline
    } text options]
    raw::close $r
    if {$failed} { return -options $options $text }
}
# Until such an answer comes. Without a leader there may be none.
proc cluster::Insist {r subject json answer deadline} {
    while {[catch {dict get [raw::request $r \$JS.API.$subject $json {} 1000] payload} said] || ![regexp -- $answer $said]} {
        if {[clock milliseconds] > $deadline} {
            return -code error -errorcode {SUPPORT DEADLINE} "no answer to $subject but: $said"
        }
        after 50
    }
}
# Pairs of clients of which the second has not heard the first.
proc cluster::Missing {clients} {
    set missing {}
    dict for {r sid} $clients {
        set heard {}
        foreach m [raw::messages $r $sid] { dict set heard [dict get $m payload] 1 }
        foreach from [dict keys $clients] {
            if {![dict exists $heard $from]} { lappend missing "$from>$r" }
        }
    }
    return $missing
}

proc cluster::delete {c} {
    variable C
    foreach node [nodes $c] { server::delete $node }
    array unset C $c,*
}
