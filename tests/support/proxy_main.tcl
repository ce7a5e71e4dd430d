# The process behind proxy.tcl. Arguments: the server's port, the port to listen on first.
source [file join [file dirname [info script]] child_main.tcl]
source [file join [file dirname [info script]] protocol.tcl]

lassign $argv target port
array set stats {accepted 0 dropped 0 altered 0 down 0 up 0 infos 0}
array set client {}         ;# server socket -> client socket
array set input {}          ;# server socket -> bytes not parsed yet
array set late {}           ;# server socket -> when the last delayed bytes go out
set rules {}                ;# what to swallow: list of {what count skip}
set changes {}              ;# what to replace: list of {glob from to count}
set filter ""
set delay 0
set stalled none
set listener ""
set tls ""                  ;# what becomes of new connections that speak TLS: stage and end
array set handshake {}      ;# server socket of such a connection -> stage, end, what has come from either side

proc listen {} {
    global listener port
    for {set try 1} {$listener eq ""} {incr try} {
        if {[catch {socket -server accept -myaddr 127.0.0.1 $port} listener options]} {
            set listener ""
            if {$try == 200} { return -options $options "port $port: [dict get $options -errorcode]" }
            after 5
        }
    }
}

proc accept {c args} {
    global target client input stats
    incr stats(accepted)
    if {[catch {socket 127.0.0.1 $target} s]} {
        close $c
        return
    }
    foreach channel [list $c $s] { fconfigure $channel -blocking 0 -translation binary -buffering none }
    set client($s) $c
    set input($s) ""
    if {$::tls ne ""} { set ::handshake($s) [list {*}$::tls "" ""] }
    watch $s
}
proc watch {s} {
    global client stalled
    set c $client($s)
    fileevent $c readable [expr {$stalled in {both up} ? "" : [list from_client $c $s]}]
    fileevent $s readable [expr {$stalled in {both down} ? "" : [list from_server $s]}]
}

proc from_client {c s} {
    global stats
    if {[catch {read $c} data] || [eof $c]} {
        drop_pair $s
        return
    }
    incr stats(up) [string length $data]
    if {[info exists ::handshake($s)]} {
        carry_tls $s up $data
        return
    }
    if {[catch {puts -nonewline $s $data}]} { drop_pair $s }
}

# A bounded share at a time, as a link has it: a filter that waits does not hold back all that a fast server sent.
proc from_server {s} {
    global input
    if {[catch {read $s 65536} data]} {
        drop_pair $s
        return
    }
    if {[info exists ::handshake($s)]} {
        carry_tls $s down $data
        if {[info exists input($s)] && [eof $s]} { drop_pair $s }
        return
    }
    append input($s) $data
    if {[catch {protocol::parse input($s)} operations]} {
        puts stderr "proxy: $operations"
        drop_pair $s
        return
    }
    set out ""
    foreach m $operations { append out [treat $m] }
    if {$out ne ""} { send $s $out }
    if {[info exists input($s)] && [eof $s]} {
        if {$input($s) ne ""} { send $s $input($s) }
        later $s [list drop_pair $s]
    }
}

# Bytes of a connection that becomes TLS after its INFO, until its stage is reached. The rest is not carried any more, or
# the connection ends.
proc carry_tls {s from data} {
    global handshake client
    lassign $handshake($s) stage end up down
    append $from $data
    set handshake($s) [list $stage $end $up $down]
    set before [expr {[string length [set $from]] - [string length $data]}]
    set pass [string length [set $from]]
    switch $stage-$from {
        greeting-up { set pass 0 }
        half-down   { set pass [expr {[string first \n $down] + 1 + 200}] }
        flight-up   { set pass [expr {[binary scan $up x3Su length] ? 5 + $length : 5}] }
    }
    set over [expr {$pass < [string length [set $from]]}]
    set part [string range $data 0 [expr {$pass - $before - 1}]]
    if {[catch {puts -nonewline [expr {$from eq "up" ? $s : $client($s)}] $part}] || ($over && $end eq "cut")} {
        drop_pair $s
    } elseif {$over} {
        fileevent $s readable ""
        fileevent $client($s) readable ""
    }
}

# The bytes that the client gets for one operation of the server.
proc treat {m} {
    global rules changes filter stats
    if {[dict get $m op] in {MSG HMSG}} { incr stats(down) }
    if {[dict get $m op] eq "INFO"} { incr stats(infos) }
    set index -1
    foreach rule $rules {
        incr index
        lassign $rule what count skip
        if {$count == 0 || ![applies $what $m]} continue
        if {$skip > 0} {
            lset rules $index 2 [incr skip -1]
            continue
        }
        if {$count > 0} { lset rules $index 1 [incr count -1] }
        incr stats(dropped)
        return ""
    }
    set index -1
    foreach change $changes {
        incr index
        lassign $change glob from to count
        if {$count == 0 || [dict get $m op] ni {MSG HMSG} || ![string match $glob [dict get $m subject]]} continue
        set before $m
        foreach part {header payload} { dict set m $part [string map [list $from $to] [dict get $m $part]] }
        if {$m eq $before} continue
        incr stats(altered)
        if {$count > 0} { lset changes $index 3 [incr count -1] }
    }
    if {$filter ne ""} {
        set m [apply [list m $filter] $m]
        if {$m eq ""} {
            incr stats(dropped)
            return ""
        }
    }
    set times [expr {[dict exists $m times] ? [dict get $m times] : 1}]
    return [string repeat [protocol::bytes $m] $times]
}
proc applies {what m} {
    set op [dict get $m op]
    switch $what {
        heartbeats  { return [expr {$op eq "HMSG" && [string match "NATS/1.0 100 Idle*" [dict get $m header]]}] }
        flowcontrol { return [expr {$op eq "HMSG" && [string match "NATS/1.0 100 Flow*" [dict get $m header]]}] }
        pings       { return [expr {$op eq "PING"}] }
        pongs       { return [expr {$op eq "PONG"}] }
        infos       { return [expr {$op eq "INFO"}] }
        default     { return [expr {$op in {MSG HMSG} && [string match $what [dict get $m subject]]}] }
    }
}

proc send {s data} {
    later $s [list write_client $s $data]
}
# Run the script after the current delay, never before what was put off earlier.
proc later {s script} {
    global delay late
    set now [clock milliseconds]
    set due [expr {$now + $delay}]
    if {[info exists late($s)] && $late($s) > $due} { set due $late($s) }
    if {$due <= $now && ![info exists late($s)]} {
        {*}$script
        return
    }
    set late($s) $due
    lappend ::waiting($s) [list $due $script]
    if {[llength $::waiting($s)] == 1} { after [expr {$due - $now}] [list release $s] }
}
proc release {s} {
    global waiting late
    while {[info exists waiting($s)] && [llength $waiting($s)] > 0} {
        lassign [lindex $waiting($s) 0] due script
        set wait [expr {$due - [clock milliseconds]}]
        if {$wait > 0} {
            after $wait [list release $s]
            return
        }
        set waiting($s) [lrange $waiting($s) 1 end]
        {*}$script
    }
    unset -nocomplain waiting($s) late($s)
}
proc write_client {s data} {
    global client
    if {[info exists client($s)] && [catch {puts -nonewline $client($s) $data}]} { drop_pair $s }
}

proc drop_pair {s} {
    global client input waiting late
    if {![info exists client($s)]} return
    catch {close $client($s)}
    catch {close $s}
    unset -nocomplain client($s) input($s) waiting($s) late($s) ::handshake($s)
}

# A reset is what the kernel sends when a socket is closed with unread input: have the client say something, take
# only its first byte, and close.
proc reset_pair {s} {
    global client resets
    set c $client($s)
    incr resets
    fileevent $s readable ""
    fconfigure $c -buffersize 1
    catch {puts -nonewline $c "PING\r\n"}
    fileevent $c readable [list first_byte $c $s]
    after 1000 [list finish_reset $s]
}
proc first_byte {c s} {
    # Whatever else has come by now is still in the kernel, as the channel takes one byte at a time.
    if {[catch {read $c 1} byte] || [eof $c]} {
        finish_reset $s
        return
    }
    if {$byte eq "P"} { finish_reset $s }
}
proc finish_reset {s} {
    global client resets
    if {![info exists client($s)]} return
    drop_pair $s
    if {[incr resets -1] == 0} { answer ok "" }
}

namespace eval commands {
    proc cut {{how fin}} {
        global client resets
        if {$how eq "rst" && [array size client] > 0} {
            set resets 0
            foreach s [array names client] { reset_pair $s }
            return "(later)"
        }
        foreach s [array names client] { drop_pair $s }
    }
    proc refuse {on} {
        global listener
        if {$on} {
            if {$listener ne ""} { close $listener }
            set listener ""
        } else {
            listen
        }
        return
    }
    proc stall {{which both}} {
        global stalled client
        set stalled $which
        foreach s [array names client] { watch $s }
    }
    proc delay {ms} {
        set ::delay $ms
        return
    }
    proc drop {what {count 1} {skip 0}} {
        lappend ::rules [list $what $count $skip]
        return
    }
    proc alter {glob from to {count -1}} {
        lappend ::changes [list $glob $from $to $count]
        return
    }
    proc filter {body} {
        set ::filter $body
        return
    }
    proc inject {data} {
        foreach s [array names ::client] { send $s $data }
    }
    proc reset {} {
        set ::rules [set ::changes {}]
        set ::filter ""
        set ::delay 0
        stall none
    }
    proc tls {stage {end stall}} {
        set ::tls [list $stage $end]
        return
    }
    proc target {new} {
        set ::target $new
        return
    }
    proc stats {} {
        return [dict create {*}[array get ::stats] open [array size ::client] stalled $::stalled]
    }
}

listen
serve $port
