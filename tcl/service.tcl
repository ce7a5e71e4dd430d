# Services: class skeletons, and `nats::service discover`.

namespace eval ::nats::service {}

oo::class create ::nats::service {}

oo::class create ::nats::service_group {
    constructor args {
        return -code error -errorcode {NATS ErrInvalidArg} \
            "Use the method group of a nats::service"
    }
}

oo::objdefine ::nats::service {
    # Who is there: a list of dicts, of all that have answered until there was silence. Who answers twice is there once.
    method discover {connection args} {
        set more [lassign [::nats::service::Query {*}$args] kind subject]
        try {
            set replies [$connection request $subject "" -dictmsg true {*}$more]
        } trap {NATS ErrNoResponders} {} {
            return {}
        } trap {NATS ErrTimeout} {text options} {
            # Nobody has answered in time, or there was nobody to ask.
            if {[$connection cget -status] eq "closed"} {
                return -options $options $text
            }
            return {}
        }
        set utf8 [$connection cget -utf8_convert]
        set found {}
        foreach reply $replies {
            set answer [::nats::service::Answer $kind [dict get $reply data] $utf8]
            if {$answer ne ""} {
                dict set found [dict get $answer id] $answer
            }
        }
        return [dict values $found]
    }
}
