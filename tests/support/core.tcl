# Fixtures of the tests of core messages. Source it after support.tcl; it loads the package.
#
# One server for the file in $srv, without JetStream; a foreign client $raw. `open_core` makes conn, connected, and s, a
# subject that nobody used before; `close_core` takes it down and fails if a background error was left. `open_proxied`
# and `close_proxied` do the same with the proxy $p in between, `open_fake` and `close_fake` with the fake server $f.
# All take options for `configure`.

package require nats

set srv [server::start -jetstream 0]
set raw [raw::connect [server::port $srv]]
set subject_serial 0

proc fresh_subject {} { return test.s[incr ::subject_serial] }

# A connection that is ready to connect, and one that is connected.
proc aimed {url args} {
    set conn [nats::connection new test -log_level error]
    $conn configure -servers $url -reconnect_time_wait 20 {*}$args
    return $conn
}
proc connected {url args} {
    set conn [aimed $url {*}$args]
    $conn connect
    return $conn
}
proc open_core args {
    set ::s [fresh_subject]
    set ::conn [connected [server::url $::srv] {*}$args]
}
proc close_core {} { end_conn }
proc close_noisy {} { end_noisy }
proc open_proxied args {
    set ::s [fresh_subject]
    set ::p [proxy::start [server::port $::srv]]
    set ::conn [connected [proxy::url $::p] {*}$args]
}
proc close_proxied {} {
    proxy::stop $::p
    close_core
}
# `script` is what the fake server does for each connection; its INFO may be changed by the members of `handshake`.
proc open_fake {{script {handshake; serve}} args} {
    set ::s [fresh_subject]
    set ::f [fake::start $script]
    set ::conn [connected [fake::url $::f] {*}$args]
}
proc close_fake {} {
    fake::stop $::f
    close_core
}
# Break the connection through the proxy and let nobody in, until `let_in`.
proc shut_out {} {
    proxy::refuse $::p 1
    proxy::cut $::p
    wait_until {[status] eq "reconnecting"}
}
proc let_in {} {
    proxy::refuse $::p 0
    wait_until {[status] eq "connected"}
}
# The codes of all errors that are written to last_error from now on, in ::errors.
proc record_errors {} {
    set ::errors {}
    trace add variable [info object namespace $::conn]::last_error write {apply {{name args} {
        upvar 1 $name value
        if {$value ne ""} { lappend ::errors [lindex [dict get $value code] 1] }
    }}}
}
# Run a script each time the status becomes this word, in the trace.
proc on_status {word script} {
    trace add variable [info object namespace $::conn]::status write [list apply {{conn word script args} {
        if {[$conn cget -status] eq $word} { uplevel #0 $script }
    }} $::conn $word $script]
}

# The foreign client listens from now on: its subscription.
proc hear {subject {queue ""}} {
    set sid [raw::subscribe $::raw $subject $queue]
    raw::flush $::raw
    return $sid
}
# All that it has got of what was sent before; `ping` is the barrier on our side, `flush` on the other.
proc heard {sid} {
    $::conn ping
    raw::flush $::raw
    return [raw::messages $::raw $sid]
}
proc payloads {messages} {
    set result {}
    foreach m $messages { lappend result [dict get $m payload] }
    return $result
}
# The headers in a stable order and without the status line: the library below does not keep the order of names.
proc pairs {message} {
    set result {}
    foreach {name value} [dict get $message header] {
        if {$name ne ""} { lappend result [list $name $value] }
    }
    return [concat {*}[lsort -index 0 $result]]
}
# The foreign client publishes, and the server has taken it when this returns.
proc foreign {subject payload {headers ""} {reply ""}} {
    raw::publish $::raw $subject $payload $headers $reply
    raw::flush $::raw
}
# Whatever the server had for the connection has been delivered.
proc settle {} {
    raw::flush $::raw
    $::conn ping
    update
}

# ---- the table of subjects, used by publish, request, reply and subscribe

# Good for everything.
set good_subjects {
    foo FOO/.ba_r foo#1.bAr2.ba-z $JS.API.STREAM.NAMES foo@.bAr=.ba(z) a 0 9.8.7 _ -.-.- a.b.c.d.e.f.g.h
}
foreach c [split {-!#$%&'()+,/:;<=?@^_`|~} ""] { lappend good_subjects "x.$c" "x.a${c}b" }
lappend good_subjects "x.\u00e9t\u00e9" "x.\u0436\u00df" "x.\u4e2d\u6587"
# Good for a subscription only.
set wildcards {* > foo.* foo.> *.foo.* *.* *.> foo.*.bar.*}
# Bad for everything.
set bad_subjects [list "" . .. foo..bar .foo foo. "foo. .bar" " " " foo" "foo " "foo bar" foo\tbar foo\nbar foo\rbar \
    foo\x00bar foo\x01bar foo\x7fbar foo\"bar foo\\bar foo\[bar foo\]bar foo\{bar foo\}bar \
    foo* foo> foo.*bar *foo.* >foo foo.>> foo.** **.foo foo.*> "x.\u20ac" "x.\u00a0" "x.\u2028"]
# A subject as a test's title shows it.
proc visible {text} {
    set result ""
    foreach c [split $text ""] {
        append result [expr {[string is graph $c] && $c ni {\{ \} \\} ? $c : [format <%02x> [scan $c %c]]}]
    }
    return $result
}
