# A server that says exactly what a test wants, in a process of its own: one script for each connection, the last one
# for all that follow.
#
#   set f [fake::start {
#       info {"auth_required":true}    # INFO, with these members added (JSON without braces)
#       expect CONNECT*                # wait for a line that matches
#       expect PING
#       send "PONG\r\n"                # raw bytes; also: pong, err text
#       serve                          # answer PINGs and swallow the rest until the client goes
#   }]
# Other steps: pause (until `fake::go`), wait ms, close, handshake (= info, expect CONNECT*, expect PING, pong).
# fake::port, fake::url, fake::lines (all that clients sent), fake::connections, fake::open_now (those that are still
# connected), fake::send $f bytes (to whoever is connected now), fake::close_all $f, fake::wait_line $f glob ?ms?.

namespace eval fake {
    variable ports
    array set ports {}
}
proc fake::start args {
    variable ports
    lassign [child::start fake_main.tcl [server::free_port]] h port
    set ports($h) $port
    child::ask $h [list scripts $args]
    return $h
}
proc fake::port {h} {
    variable ports
    return $ports($h)
}
proc fake::url {h} { return nats://127.0.0.1:[port $h] }
foreach name {lines connections open_now send go close_all scripts} {
    proc fake::$name {h args} "child::ask \$h \[list $name {*}\$args\]"
}
# Run the event loop until a client has sent a line like this; the line.
proc fake::wait_line {h glob {ms 5000}} {
    support::wait_until {[lsearch -glob [lines $h] $glob] >= 0} $ms
    return [lsearch -glob -inline [lines $h] $glob]
}
proc fake::stop {h} {
    variable ports
    child::stop $h
    unset -nocomplain ports($h)
}
proc fake::stop_all {} {
    variable ports
    foreach h [array names ports] { stop $h }
}
