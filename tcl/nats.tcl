# The Tcl half of the package: class skeletons, which the native half fills with methods, and
# what is naturally Tcl. The shared object holds this text and evaluates it when it is loaded.

namespace eval ::nats {
    variable status_closed closed
    variable status_connecting connecting
    variable status_connected connected
    variable status_reconnecting reconnecting
    namespace export connection timestamp make_kv_origin make_stream_source make_subject_transform make_republish metadata
}

oo::class create ::nats::connection {
    # Real variables, so that programs can read, trace and wait for them.
    variable status last_error serverInfo

    method DeclareVariables {} {
        set status closed
        set last_error ""
        array set serverInfo {}
    }

    # Writes happen here because traces see the plain name and `uplevel 1 self` of a method.
    method PutVariable {name value} {
        set $name $value
        return
    }

    # The array itself stays, and with it the traces on it. A later INFO only adds to it.
    method PutInfo {fields later} {
        foreach name [array names serverInfo] {
            if {!$later && ![dict exists $fields $name]} {
                unset serverInfo($name)
            }
        }
        # A trace that throws must not keep the rest away.
        set failure ""
        dict for {name value} $fields {
            if {[catch {set serverInfo($name) $value} message options] && $failure eq ""} {
                set failure [dict merge $options [list -message $message]]
            }
        }
        if {$failure ne ""} {
            return -options [dict remove $failure -message] [dict get $failure -message]
        }
        return
    }
}

oo::class create ::nats::jet_stream {
    constructor args {
        return -code error -errorcode {NATS ErrInvalidArg} \
            "Use the method jet_stream of a nats::connection"
    }
}

oo::class create ::nats::publish_batch {
    constructor args {
        return -code error -errorcode {NATS ErrInvalidArg} \
            "Use the method publish_batch of a nats::jet_stream"
    }
}

oo::class create ::nats::key_value {
    constructor args {
        return -code error -errorcode {NATS ErrInvalidArg} \
            "Use bind_kv_bucket or create_kv_bucket of a nats::jet_stream"
    }
}

oo::class create ::nats::ordered_consumer {
    variable last_error

    constructor args {
        return -code error -errorcode {NATS ErrInvalidArg} \
            "Use the method ordered_consumer of a nats::jet_stream"
    }

    method PutLastError {value} {
        set last_error $value
        return
    }
}

oo::class create ::nats::pull_consumer {
    constructor args {
        return -code error -errorcode {NATS ErrInvalidArg} \
            "Use the method pull of a nats::jet_stream"
    }
}

oo::class create ::nats::push_consumer {
    constructor args {
        return -code error -errorcode {NATS ErrInvalidArg} \
            "Use the method push of a nats::jet_stream"
    }
}

oo::class create ::nats::kv_watcher {
    constructor args {
        return -code error -errorcode {NATS ErrInvalidArg} \
            "Use the method watch of a nats::key_value"
    }
}

oo::class create ::nats::kv_lister {
    constructor args {
        return -code error -errorcode {NATS ErrInvalidArg} \
            "Use the methods keys and history of a nats::key_value with -callback"
    }
}

oo::class create ::nats::kv_lease {
    constructor args {
        return -code error -errorcode {NATS ErrInvalidArg} \
            "Use the methods lease and lock of a nats::key_value"
    }
}

oo::class create ::nats::kv_election {
    constructor args {
        return -code error -errorcode {NATS ErrInvalidArg} \
            "Use the method elect of a nats::key_value"
    }
}

oo::class create ::nats::kv_binding {
    constructor args {
        return -code error -errorcode {NATS ErrInvalidArg} \
            "Use the method bind of a nats::key_value"
    }
}

oo::class create ::nats::object_store {
    constructor args {
        return -code error -errorcode {NATS ErrInvalidArg} \
            "Use bind_object_store or create_object_store of a nats::jet_stream"
    }
}

oo::class create ::nats::object_watcher {
    constructor args {
        return -code error -errorcode {NATS ErrInvalidArg} \
            "Use the method watch of a nats::object_store"
    }
}
