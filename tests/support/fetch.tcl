# Fixtures of the tests that fetch. Source it after js.tcl.

# open_js with a consumer `c`, and the log of the connection at level debug in a file: `log_lines`.
proc open_fetch {{consumer ""} {stream ""}} {
    open_js $stream
    consumer c $consumer
    $::conn destroy
    set ::log [file tempfile]
    fconfigure $::log -buffering line
    open_conn_as test -log_chan $::log -log_level debug
    clear_log
}
# A connection with options of its constructor, and $js.
proc open_conn_as {args} {
    set ::conn [nats::connection new {*}$args]
    $::conn configure -servers [server::url $::srv] -reconnect_time_wait 20
    $::conn connect
    set ::js [$::conn jet_stream]
}
proc close_fetch {} {
    close_js
    close $::log
}
proc close_noisy_fetch {} {
    close_noisy_js
    close $::log
}
proc clear_log {} { chan truncate $::log 0; seek $::log 0 }
# The texts of the log, without time, name and level.
proc log_lines {} {
    seek $::log 0
    set lines [lmap line [split [string trim [read $::log]] \n] {regsub {^\[[^\]]*\] } $line ""}]
    seek $::log 0 end
    return $lines
}

# A member of the consumer's info, as the server has it.
proc consumer_state {member {name c}} {
    regexp "\"$member\":(\\d+)" [raw::api $::raw CONSUMER.INFO.$::stream.$name] -> value
    return $value
}
proc wait_pulls {count {name c}} { wait_until "\[consumer_state num_waiting $name\] == $count" }

# What a server with an HTTP port says.
proc monitor {port path} {
    set s [socket 127.0.0.1 $port]
    fconfigure $s -translation binary
    puts -nonewline $s "GET $path HTTP/1.0\r\n\r\n"
    flush $s
    set text [read $s]
    close $s
    return $text
}
# Calls of callbacks in short: timed out, and the body, or status and description.
proc brief_calls {calls} {
    set result {}
    foreach call $calls {
        lassign $call timed_out message
        if {$timed_out && $message ne ""} {
            set text [list [nats::header get $message Status] [nats::header lookup $message Description ""]]
        } elseif {$message ne ""} {
            set text [nats::msg data $message]
        } else {
            set text ""
        }
        lappend result [list $timed_out $text]
    }
    return $result
}
