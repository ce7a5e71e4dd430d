# Programs written for nats-tcl may use these packages of Tcllib without requiring them, since it loaded them. Here they
# are loaded by the first call of one of their commands.
#
# Tcl's index of commands to load does it. Commands of our own in their place would not do: Tcllib's json cannot be
# loaded where they exist already.

namespace eval ::nats {
    variable tcllib {
        json {
            ::json::json2dict ::json::many-json2dict ::json::validate ::json::dict2json ::json::list2json
            ::json::string2json
        }
        json::write {
            ::json::write ::json::write::string ::json::write::array ::json::write::array-strings
            ::json::write::object ::json::write::object-strings ::json::write::indented ::json::write::aligned
        }
        uri {
            ::uri::split ::uri::join ::uri::resolve ::uri::isrelative ::uri::geturl ::uri::canonicalize ::uri::register
        }
        struct::list {
            ::struct::list
        }
    }
}

proc ::nats::LoadTcllib {package} {
    variable tcllib
    if {[catch { uplevel #0 [list package require $package] } message options]} {
        return -code error -errorcode [dict get $options -errorcode] \
            "The package $package of Tcllib is needed for this: $message"
    }
    # `auto_reset` removes the commands that the index names.
    foreach command [dict get $tcllib $package] {
        unset -nocomplain ::auto_index($command)
    }
}

apply {{} {
    foreach {package commands} $::nats::tcllib {
        foreach command $commands {
            if {[namespace which -command $command] eq "" && ![info exists ::auto_index($command)]} {
                set ::auto_index($command) [list ::nats::LoadTcllib $package]
            }
        }
    }
}}
