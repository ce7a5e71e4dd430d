# What the tests of requests share: an application that answers, and short forms of what came. Source it after core.tcl.

set closed {{NATS ErrConnectionClosed} {No connection to NATS server}}
set no_responders {{NATS ErrNoResponders} {No responders available for request}}
proc no_responders_to {subject} {
    return [list {NATS ErrNoResponders} "No responders available for request to $subject"]
}
proc timed_out {subject} { return [list {NATS ErrTimeout} "Request to $subject timed out"] }
proc bad_request {id} { return [list {NATS ErrInvalidArg} "Invalid request ID $id"] }

# The application that answers. The name of a subject says what it does; `nobody` is not served.
set app [responder::start [server::port $srv]]
responder::on $app svc.echo {reply [dict get $m payload]}
responder::on $app svc.many.* {
    for {set i 1} {$i <= [lindex [split [dict get $m subject] .] 2]} {incr i} { reply $i }
}
responder::on $app svc.late.* {later [lindex [split [dict get $m subject] .] 2] {reply [dict get $m payload]}}
responder::on $app svc.silent {}
responder::on $app svc.hold hold
responder::on $app svc.headers {reply [lrange [dict get $m header] 2 end]}
responder::on $app svc.full {reply data {k v k w} re.ply}
responder::on $app svc.none {reply "" [list -raw [protocol::header {} 503]]}
responder::on $app svc.none_in_words {reply "" {Status 503}}
responder::on $app svc.other_status {reply text [list -raw [protocol::header {} {404 Not Here}]]}
responder::on $app svc.empty {reply ""}

# How a script ends at the top level, or inside of a coroutine.
proc outcome {where script} {
    if {$where eq "top"} { return [error_of {uplevel #0 $script}] }
    unset -nocomplain ::outcome
    coroutine ::asking apply {script {set ::outcome [error_of {uplevel #0 $script}]}} $script
    wait_until {[info exists ::outcome]} 20000
    return $::outcome
}
# A reply with its inbox replaced: subjects of inboxes are of the client's making.
proc shown {reply} {
    if {![catch {dict get $reply subject} subject] && [string match _INBOX.* $subject]} { dict set reply subject INBOX }
    return $reply
}
# A short form of a message dict: its data, or the status.
proc brief {m} {
    if {![catch {dict get $m header Status} status]} { return [lindex $status 0] }
    return [dict get $m data]
}
proc brief_all {messages} {
    set result {}
    foreach m $messages { lappend result [brief $m] }
    return $result
}
# What an asynchronous callback was called with; dicts in their short form.
proc calls {name} {
    set result {}
    foreach call [collected $name] {
        lassign $call timed_out reply
        if {![catch {dict exists $reply sub_id} is] && $is} { set reply [brief $reply] }
        lappend result [list $timed_out $reply]
    }
    return $result
}
proc calls_when {name count} {
    wait_collected $name $count
    return [calls $name]
}
# Nothing more can come from requests that were made before with at most this timeout.
proc quiet {ms} {
    catch {$::conn request svc.silent x -timeout [expr {$ms + 20}]}
    settle
}
# The responder keeps a request, and has got it when this returns.
proc hold {args} {
    set before [responder::count $::app svc.hold]
    set id [$::conn {*}$args]
    responder::wait $::app svc.hold [expr {$before + 1}]
    return $id
}
# Forget what was kept.
proc drop_held {} { responder::release $::app {} }
