# What the tests of ordered consumers share. Source it after js.tcl.

# An ordered consumer in $c that collects into the list `got`, and its errors into ::errors.
proc follow args {
    set ::c [$::js ordered_consumer $::stream -callback [collect got] {*}$args]
    note_errors $::c
}
# Each write of last_error: its code, and in ::names the name that the consumer has at that moment.
proc note_errors {c} {
    set ::errors {}
    set ::names {}
    trace add variable ${c}::last_error write [list apply {{c name args} {
        upvar 1 $name value
        lappend ::errors [lindex [dict get $value code] 1]
        lappend ::names [$c name]
    }} $c]
}
proc got {} { return [bodies [collected got]] }
# The bodies once there are so many.
proc got_all {count {ms 20000}} { return [bodies [wait_collected got $count $ms]] }
# A part of the ack subject of a message.
proc meta {message index} { return [lindex [split [nats::msg reply $message] .] $index] }
proc sequences {messages} { return [lmap m $messages {meta $m 5}] }
# Names of the consumers of $stream that the server has.
proc consumers {{r ""}} {
    if {$r eq ""} { set r $::raw }
    if {![regexp {"consumers":\[([^\]]*)\]} [raw::api $r CONSUMER.NAMES.$::stream] -> list]} { return {} }
    return [split [string map {\" ""} $list] ,]
}
