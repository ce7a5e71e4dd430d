# A minimal NATS client in plain Tcl: the foreign application of a test. It waits without the event loop, so that
# nothing of the code under test runs meanwhile.
#
#   set r [raw::connect port ?connect options as JSON members?]      raw::close $r
#   raw::publish $r subject payload ?headers? ?reply?     headers: names and values, or -raw and the bytes of the block
#   raw::store $r subject payload           publishes to a stream, no faster than the server can store
#   raw::request $r subject payload ?headers? ?ms?  -> dict: subject reply header (names and values) payload
#   raw::api $r subject ?json?                      -> reply as JSON text, from $JS.API.<subject>
#   raw::subscribe $r subject ?queue?               -> id
#   raw::messages $r id, raw::count $r id, raw::wait $r id n ?ms?
#   raw::flush $r ?ms?                              everything sent so far has been taken by the server
#   raw::errors $r                                  the -ERR texts so far
# Payloads are bytes; use `encoding convertto utf-8` for text.

namespace eval raw {
    variable serial 0
    variable R
    array set R {}
}

proc raw::connect {port {members ""}} {
    variable R
    variable serial
    set r raw[incr serial]
    set socket [socket 127.0.0.1 $port]
    fconfigure $socket -blocking 0 -translation binary -buffering none
    array set R [list $r,socket $socket $r,input "" $r,sid 0 $r,pongs 0 $r,errors {} $r,info "" $r,open 1]
    Until $r {$R($r,info) ne ""} 20000 "no INFO"
    set more [expr {$members eq "" ? "" : ",$members"}]
    Send $r "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,\"lang\":\"raw\",\"version\":\"1\",\"protocol\":1$more}\r\n"
    flush $r
    set R($r,inbox) _INBOX.raw[pid]x[clock microseconds]
    set R($r,mux) [subscribe $r $R($r,inbox).*]
    return $r
}

proc raw::close {r} {
    variable R
    if {![info exists R($r,socket)]} return
    catch {::close $R($r,socket)}
    array unset R $r,*
}
proc raw::close_all {} {
    variable R
    foreach key [array names R *,socket] { close [lindex [split $key ,] 0] }
}

proc raw::Send {r bytes} {
    variable R
    # A blocking write: a test may send more than the socket takes at once.
    fconfigure $R($r,socket) -blocking 1
    puts -nonewline $R($r,socket) $bytes
    fconfigure $R($r,socket) -blocking 0
}

# Take what has come and sort it.
proc raw::Pump {r} {
    variable R
    append R($r,input) [read $R($r,socket)]
    if {[eof $R($r,socket)]} { set R($r,open) 0 }
    foreach m [protocol::parse R($r,input)] {
        switch [dict get $m op] {
            MSG - HMSG {
                set sid [dict get $m sid]
                dict set m header [expr {[dict get $m op] eq "HMSG" ? [protocol::header_pairs [dict get $m header]] : ""}]
                lappend R($r,messages,$sid) [dict remove $m op line sid]
            }
            PING { Send $r "PONG\r\n" }
            PONG { incr R($r,pongs) }
            INFO { set R($r,info) [string range [dict get $m line] 5 end] }
            -ERR { lappend R($r,errors) [string trim [string range [dict get $m line] 5 end] "' "] }
        }
    }
}
proc raw::Until {r condition ms text} {
    variable R
    set deadline [expr {[clock milliseconds] + $ms}]
    while 1 {
        Pump $r
        if $condition return
        if {!$R($r,open)} { error "$text: connection closed $R($r,errors)" }
        if {[clock milliseconds] > $deadline} {
            return -code error -errorcode {SUPPORT DEADLINE} "$text within $ms ms"
        }
        after 1
    }
}

proc raw::publish {r subject payload {headers ""} {reply ""}} {
    set line $subject
    if {$reply ne ""} { append line " $reply" }
    if {$headers eq ""} {
        Send $r "PUB $line [string length $payload]\r\n$payload\r\n"
        return
    }
    if {[lindex $headers 0] eq "-raw"} {
        set block [lindex $headers 1]
    } else {
        set block [protocol::header $headers]
    }
    Send $r "HPUB $line [string length $block] [expr {[string length $block] + [string length $payload]}]\r\n$block$payload\r\n"
}

# A server drops what waits to be stored beyond 10 000 messages or 128 MB. So what has been sent is waited for from time to
# time: after a thousand messages or 8 MB.
proc raw::store {r subject payload} {
    variable R
    if {[incr R($r,unstored) [expr {8000 + [string length $payload]}]] < 8000000} {
        publish $r $subject $payload
        return
    }
    set R($r,unstored) 0
    set answer [dict get [request $r $subject $payload] payload]
    if {![string match {*"seq":*} $answer] || [string match {*"error"*} $answer]} { error "not stored: $answer" }
}

proc raw::request {r subject payload {headers ""} {ms 20000}} {
    variable R
    set reply $R($r,inbox).[clock microseconds]
    publish $r $subject $payload $headers $reply
    set R($r,awaited) $reply
    Until $r {[set R($r,answer) [Answer $r]] ne ""} $ms "no reply to $subject"
    return $R($r,answer)
}
# The awaited reply, if it has come. Replies to earlier requests that timed out are of no interest.
proc raw::Answer {r} {
    variable R
    set key $r,messages,$R($r,mux)
    set messages $R($key)
    set R($key) {}
    foreach m $messages {
        if {[dict get $m subject] eq $R($r,awaited)} { return $m }
    }
}

proc raw::api {r subject {json ""}} {
    set m [request $r \$JS.API.$subject [encoding convertto utf-8 $json]]
    return [encoding convertfrom utf-8 [dict get $m payload]]
}

proc raw::subscribe {r subject {queue ""}} {
    variable R
    set sid [incr R($r,sid)]
    set R($r,messages,$sid) {}
    Send $r "SUB $subject[expr {$queue eq "" ? "" : " $queue"}] $sid\r\n"
    return $sid
}
proc raw::unsubscribe {r sid} { Send $r "UNSUB $sid\r\n" }
proc raw::messages {r sid} {
    variable R
    Pump $r
    return $R($r,messages,$sid)
}
proc raw::count {r sid} { return [llength [messages $r $sid]] }
proc raw::wait {r sid count {ms 20000}} {
    variable R
    Until $r "\[llength \$R($r,messages,$sid)\] >= $count" $ms "fewer than $count messages"
    return $R($r,messages,$sid)
}

proc raw::flush {r {ms 20000}} {
    variable R
    set wanted [expr {$R($r,pongs) + 1}]
    Send $r "PING\r\n"
    Until $r "\$R($r,pongs) >= $wanted" $ms "no PONG"
}
proc raw::errors {r} {
    variable R
    Pump $r
    return $R($r,errors)
}
