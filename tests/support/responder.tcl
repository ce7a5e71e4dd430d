# An application that answers requests, in a process of its own: a raw client whose reactions are written by the test.
#
#   set a [responder::start [server::port $s]]       responder::stop $a
#   responder::on $a subject body     subscribe; the body runs for each message, with the dict `m` (subject reply header
#                                     payload) and these commands: reply data ?headers? ?reply?, later ms body (the
#                                     same, some time later), hold (keep the message)
#   responder::release $a body ?count?    run the body for the messages that were kept, oldest first
#   responder::seen $a glob           payloads of all messages with subjects like that
#   responder::count $a glob          their number
# A subject is served when `on` returns.

namespace eval responder {
    variable all {}
}
proc responder::start {port} {
    variable all
    lassign [child::start responder_main.tcl $port] h
    lappend all $h
    return $h
}
foreach name {on release seen count} {
    proc responder::$name {h args} "child::ask \$h \[list $name {*}\$args\]"
}
# Run the event loop until so many have come.
proc responder::wait {h glob count {ms 5000}} {
    support::wait_until {[count $h $glob] >= $count} $ms
    return [seen $h $glob]
}
proc responder::stop {h} {
    variable all
    child::stop $h
    set all [lsearch -all -inline -not -exact $all $h]
}
proc responder::stop_all {} {
    variable all
    foreach h $all { stop $h }
}
