# A faulty network: a TCP proxy in front of a server, in a process of its own, that knows the NATS protocol.
#
#   set p [proxy::start [server::port $s]]        proxy::port $p, proxy::url $p
#   proxy::cut $p ?fin|rst?       end every connection now, politely or with a reset
#   proxy::refuse $p bool         stop listening, or listen again on the same port
#   proxy::stall $p ?both|up|down|none?   keep the connections but carry nothing (up = from the client)
#   proxy::delay $p ms            what the server sends arrives that much later, in order
#   proxy::drop $p what ?count? ?skip?    swallow what the server sends: a glob for the subject of messages, or one of
#                                 heartbeats flowcontrol pings pongs infos; count -1 = all
#   proxy::alter $p glob from to ?count?  replace bytes in messages with a subject like that; sizes are corrected
#   proxy::filter $p body         Tcl code that sees each operation of the server as dict `m` (op subject sid reply
#                                 header payload line) and returns it, changed or not, or "" to swallow it
#   proxy::inject $p bytes        send these bytes to every client, between two operations
#   proxy::tls $p stage ?stall|cut?   new connections speak TLS after their INFO: carried as they are until a stage of the
#                                 handshake, `greeting` (the client's has come), `half` (200 bytes of the server's
#                                 answer were carried), `flight` (all of it, and the client's reply has come), then
#                                 stalled or ended; `whole` = carried to the end
#   proxy::reset $p               forget drops, alterations, filter, delay and stall
#   proxy::stats $p               dict: accepted, open, dropped, altered, infos and down (messages) from the server,
#                                 up (bytes), stalled (none, up, down or both)

namespace eval proxy {
    variable ports
    array set ports {}
}
proc proxy::start {target} {
    variable ports
    lassign [child::start proxy_main.tcl $target [server::free_port]] h port
    set ports($h) $port
    return $h
}
proc proxy::port {h} {
    variable ports
    return $ports($h)
}
proc proxy::url {h} { return nats://127.0.0.1:[port $h] }
foreach name {refuse stall delay drop alter filter inject reset stats cut target tls} {
    proc proxy::$name {h args} "child::ask \$h \[list $name {*}\$args\]"
}
proc proxy::stop {h} {
    variable ports
    child::stop $h
    unset -nocomplain ports($h)
}
proc proxy::stop_all {} {
    variable ports
    foreach h [array names ports] { stop $h }
}
