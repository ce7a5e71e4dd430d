# Messages are plain dicts. The ensembles that make, read and change them: nats::msg, nats::header.
#
# A program may call them for every message, so each subcommand is one short compiled procedure. Their names shadow
# `set` in these two namespaces: it is written with its colons here.

namespace eval ::nats {
    namespace export msg header
}
namespace eval ::nats::msg {
    namespace export {[a-z]*}
    namespace ensemble create
}
namespace eval ::nats::header {
    namespace export {[a-z]*}
    namespace ensemble create
}

proc ::nats::msg::create {subject args} {
    ::set data ""
    ::set reply ""
    if {[llength $args] % 2} {
        return -code error -errorcode {NATS ErrInvalidArg} "Missing value for option [lindex $args end]"
    }
    foreach {option value} $args {
        switch -- [string trimleft $option -] {
            data { ::set data $value }
            reply { ::set reply $value }
            default {
                return -code error -errorcode {NATS ErrInvalidArg} "Unknown option [string trimleft $option -]"
            }
        }
    }
    return [dict create header {} data $data subject $subject reply $reply sub_id {}]
}

proc ::nats::msg::set {varName option value} {
    upvar 1 $varName message
    switch -- $option {
        -data { dict set message data $value }
        -subject { dict set message subject $value }
        -reply { dict set message reply $value }
        default { return -code error -errorcode {NATS ErrInvalidArg} "Invalid field $option" }
    }
    return
}

proc ::nats::msg::data {message} {
    dict get $message data
}
proc ::nats::msg::subject {message} {
    dict get $message subject
}
proc ::nats::msg::reply {message} {
    dict get $message reply
}
proc ::nats::msg::seq {message} {
    if {![dict exists $message seq]} {
        return -code error -errorcode {NATS ErrInvalidArg} "Invalid field 'seq'"
    }
    dict get $message seq
}
proc ::nats::msg::timestamp {message} {
    if {![dict exists $message time]} {
        return -code error -errorcode {NATS ErrInvalidArg} "Invalid field 'timestamp'"
    }
    dict get $message time
}

proc ::nats::msg::no_responders {message} {
    expr {[dict exists $message header Status] && [lindex [dict get $message header Status] 0] == 503}
}
proc ::nats::msg::idle_heartbeat {message} {
    Control $message Idle*
}
proc ::nats::msg::flow_control {message} {
    Control $message Flow*
}
# `string length` and not `eq ""`: the latter makes a string of the bytes, which for a large payload is slow.
proc ::nats::msg::Control {message description} {
    expr {[string length [dict get $message data]] == 0 && [dict exists $message header Status]
        && [lindex [dict get $message header Status] 0] == 100 && [dict exists $message header Description]
        && [string match $description [lindex [dict get $message header Description] 0]]}
}

proc ::nats::header::add {varName key value} {
    upvar 1 $varName message
    ::set values {}
    if {[info exists message] && [dict exists $message header $key]} {
        ::set values [dict get $message header $key]
    }
    dict set message header $key [list {*}$values $value]
    return
}

proc ::nats::header::set {varName key value args} {
    upvar 1 $varName message
    dict set message header $key [list $value]
    if {[llength $args] % 2} {
        return -code error -errorcode {NATS ErrInvalidArg} "Missing a value for a key"
    }
    foreach {key value} $args {
        dict set message header $key [list $value]
    }
    return
}

proc ::nats::header::delete {varName key} {
    upvar 1 $varName message
    dict unset message header $key
    return
}

proc ::nats::header::get {message key} {
    lindex [dict get $message header $key] 0
}
proc ::nats::header::values {message key} {
    dict get $message header $key
}
proc ::nats::header::keys {message {pattern *}} {
    if {$pattern eq ""} {
        return [dict keys [dict get $message header]]
    }
    dict keys [dict get $message header] $pattern
}
proc ::nats::header::lookup {message key default} {
    if {[dict exists $message header $key]} {
        return [lindex [dict get $message header $key] 0]
    }
    return $default
}
