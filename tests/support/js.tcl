# Fixtures of the JetStream tests. Source it after support.tcl; it loads the package.
#
# One server for the file in $srv, a foreign client $raw; `open_js` makes conn, js, stream (a fresh name) with the subjects
# $stream.> in memory as global variables, `close_js` takes them down and fails if a background error was left.

source [file join $::support::here support kv.tcl]

# Further JSON members of the stream's configuration.
proc open_js {{members ""}} {
    set ::conn [open_conn]
    set ::js [$::conn jet_stream]
    set ::stream S[incr ::bucket_serial]
    made [raw::api $::raw STREAM.CREATE.$::stream \
        [json_object name $::stream subjects "{\[\"$::stream.>\"\]}" storage memory $members]]
}
# A consumer of $stream, made by the foreign client: its name, and further JSON members of its configuration.
proc consumer {name {members ""}} {
    set config [json_object durable_name $name ack_policy explicit $members]
    made [raw::api $::raw CONSUMER.DURABLE.CREATE.$::stream.$name \
        "{\"stream_name\":\"$::stream\",\"config\":$config}"]
}
# Of names and values; what is in braces is JSON already. A last word is further members as JSON.
proc json_object args {
    set members {}
    foreach {name value} $args {
        if {$name eq [lindex $args end] && [llength $args] % 2} { break }
        lappend members "\"$name\":[expr {[string match "{*}" $value] ? [string range $value 1 end-1] : "\"$value\""}]"
    }
    if {[llength $args] % 2 && [lindex $args end] ne ""} { lappend members [lindex $args end] }
    return "{[join $members ,]}"
}
proc made {reply} { if {[string match {*"error"*} $reply]} { error $reply } }
proc close_js {} {
    raw::api $::raw STREAM.DELETE.$::stream
    end_conn
}
# The same after a test whose background errors are its business and may still be under way.
proc close_noisy_js {} {
    raw::api $::raw STREAM.DELETE.$::stream
    end_noisy
}
# Stores messages with these bodies, by the foreign client; the subject is that of the stream and `a`.
proc store {args} {
    foreach body $args { raw::request $::raw $::stream.a $body }
}
# Messages that begin as a server's statuses do, with bodies and without.
proc store_statuses {} {
    foreach {body status} {a {100 Idle Heartbeat} b {100 FlowControl Request} c {503 No Responders}} {
        set header [list -raw "NATS/1.0 $status\r\nNats-Last-Consumer: 77\r\n\r\n"]
        raw::request $::raw $::stream.a $body $header
        raw::request $::raw $::stream.a {} $header
    }
}
# The bodies of a list of messages.
proc bodies {messages} {
    set result {}
    foreach message $messages { lappend result [nats::msg data $message] }
    return $result
}
# What the script asks the JetStream API, as a foreign client of the account sees it: subject behind $JS.API and body each.
proc asked {script} {
    set id [raw::subscribe $::raw {$JS.API.>}]
    raw::flush $::raw
    set code [catch {uplevel 1 $script} result options]
    $::conn flush
    raw::flush $::raw
    set messages [raw::messages $::raw $id]
    raw::unsubscribe $::raw $id
    if {$code == 1} { return -options $options $result }
    return [concat {*}[lmap message $messages {
        list [string range [dict get $message subject] 8 end] [dict get $message payload]
    }]]
}
# A message that a foreign client pulls from a consumer of $stream: dict of subject, header, payload, or of a status.
proc pulled {consumer {request {{"no_wait":true}}}} {
    set inbox _INBOX.pulled[clock microseconds]
    set id [raw::subscribe $::raw $inbox]
    raw::publish $::raw \$JS.API.CONSUMER.MSG.NEXT.$::stream.$consumer $request {} $inbox
    raw::wait $::raw $id 1
    set message [lindex [raw::messages $::raw $id] 0]
    raw::unsubscribe $::raw $id
    return $message
}
# A coroutine `tell` for `-state`: the words that it gets go to ::told, and with the first one it waits in a request, until
# `answer_teller`.
proc open_teller {} {
    unset -nocomplain ::teller_reply
    set ::told {}
    set ::teller [open_conn]
    $::teller subscribe teller.asks -callback {apply {{subject message reply} {set ::teller_reply $reply}}}
    coroutine tell apply {{} {
        while 1 {
            lappend ::told [lindex [yieldto string cat] 0]
            if {[llength $::told] == 1} { $::teller request teller.asks ? -timeout 20000 }
        }
    }}
}
proc answer_teller {} {
    wait_until {[info exists ::teller_reply]}
    $::teller publish $::teller_reply x
}
proc close_teller {} {
    rename tell {}
    $::teller destroy
}
# A connection $conn and its $js to a server that says that it has this version, and does nothing.
proc open_old {version} {
    set ::fake [fake::start [format {info {"version":"%s"}; expect CONNECT*; expect PING; pong; serve} $version]]
    set ::conn [open_conn [fake::url $::fake]]
    set ::js [$::conn jet_stream -timeout 3000]
}
proc close_old {} {
    end_conn
    fake::stop $::fake
}
