# The process behind responder.tcl. Argument: the port of the server.
source [file join [file dirname [info script]] child_main.tcl]
source [file join [file dirname [info script]] protocol.tcl]
source [file join [file dirname [info script]] raw.tcl]

set client [raw::connect [lindex $argv 0]]
array set bodies {}         ;# subscription id -> what to do
array set taken {}          ;# subscription id -> how many messages were looked at
set seen {}                 ;# all messages, in order of arrival
set held {}

proc ready {} {
    global client bodies taken seen
    foreach id [lsort -integer [array names bodies]] {
        if {[catch {raw::messages $client $id} messages]} { set raw::R($client,open) 0 }
        if {!$raw::R($client,open)} {
            # The server is gone: nothing more will come.
            fileevent $raw::R($client,socket) readable ""
            return
        }
        foreach m [lrange $messages $taken($id) end] {
            incr taken($id)
            lappend seen $m
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
        set ::taken($id) 0
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
        set result {}
        foreach m $::seen {
            if {[string match $glob [dict get $m subject]]} { lappend result [dict get $m payload] }
        }
        return $result
    }
}
fileevent $raw::R($client,socket) readable ready
serve 0
