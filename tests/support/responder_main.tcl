# The process behind responder.tcl. Argument: the port of the server.
source [file join [file dirname [info script]] child_main.tcl]
source [file join [file dirname [info script]] protocol.tcl]
source [file join [file dirname [info script]] raw.tcl]

set client [raw::connect [lindex $argv 0]]
array set bodies {}         ;# subscription id -> what to do
array set seen {}           ;# subject -> number in the order of arrival and payload of each message
set arrived 0
set held {}

proc ready {} {
    global client bodies seen arrived
    if {[catch {raw::Pump $client}] || !$raw::R($client,open)} {
        # The server is gone: nothing more will come.
        fileevent $raw::R($client,socket) readable ""
    }
    # One read may bring messages of all subscriptions.
    foreach id [lsort -integer [array names bodies]] {
        set messages $raw::R($client,messages,$id)
        set raw::R($client,messages,$id) {}
        foreach m $messages {
            lappend seen([dict get $m subject]) [incr arrived] [dict get $m payload]
            react $m $bodies($id)
        }
    }
}
proc react {m body} {
    if {[catch {apply [list m $body ::reactions] $m} text options]} {
        puts stderr "responder: [dict get $options -errorinfo]"
    }
}

namespace eval reactions {
    proc reply {data {headers ""} {reply ""}} {
        upvar 1 m m
        # A body that answers a message which is no request is a mistake of the test.
        if {[dict get $m reply] eq ""} { error "no reply subject in $m" }
        raw::publish $::client [dict get $m reply] $data $headers $reply
    }
    proc later {ms body} {
        upvar 1 m m
        after $ms [list ::react $m $body]
    }
    proc hold {} {
        upvar 1 m m
        lappend ::held $m
    }
}
namespace eval commands {
    proc on {subject body} {
        set id [raw::subscribe $::client $subject]
        set ::bodies($id) $body
        raw::flush $::client
        return
    }
    proc release {body {count end}} {
        global held
        set last [expr {$count eq "end" ? "end" : $count - 1}]
        set now [lrange $held 0 $last]
        set held [lreplace $held 0 $last]
        foreach m $now { ::react $m $body }
        return [llength $now]
    }
    proc seen {glob} {
        ::ready
        set found {}
        foreach {subject list} [array get ::seen $glob] { lappend found {*}$list }
        set result {}
        foreach {number payload} [lsort -integer -stride 2 $found] { lappend result $payload }
        return $result
    }
    proc count {glob} {
        ::ready
        set count 0
        foreach {subject list} [array get ::seen $glob] { incr count [expr {[llength $list] / 2}] }
        return $count
    }
}
fileevent $raw::R($client,socket) readable ready
serve 0
