# Helper commands: times, callbacks into objects, and `dict lookup`.

namespace eval ::nats {
    namespace export isotime_to_msec msec_to_isotime
}

# ISO 8601 to milliseconds since the epoch. No regular expression and, where it can be helped, no `clock scan`: each of
# them takes longer than all the rest.
proc ::nats::isotime_to_msec {time} {
    set usual [string match {[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9]*} $time]
    if {$usual} {
        set date [string range $time 0 18]
        set zone [string range $time 19 end]
    } elseif {![regexp {^(.*)(\.[0-9].*)$} $time -> date zone]} {
        return -code error -errorcode {NATS ErrInvalidArg} "Invalid time $time"
    }
    set fraction ""
    if {[scan $zone {.%9[0-9]%n} fraction length] == 2} {
        set zone [string range $zone $length end]
    }
    switch -glob -- $zone {
        "" - Z {
            set offset 0
        }
        {[-+][0-9][0-9]:[0-9][0-9]} - {[-+][0-9][0-9][0-9][0-9]} {
            scan [string map {: ""} $zone] %1s%2d%2d sign hours minutes
            set offset [expr {$sign eq "-" ? -60 * $hours - $minutes : 60 * $hours + $minutes}]
        }
        default {
            return -code error -errorcode {NATS ErrInvalidArg} "Invalid time $time"
        }
    }
    scan [string range ${fraction}000000000 0 8] %d nanoseconds
    return [expr {([DateSeconds $date $usual] - 60 * $offset) * 1000 + ($nanoseconds + 500000) / 1000000}]
}

# `clock scan` gets what does not look usual, and what is not certainly a date: the 31st of February, or one in the
# calendars of old.
proc ::nats::DateSeconds {date usual} {
    if {$usual} {
        scan $date %d-%d-%dT%d:%d:%d year month day hour minute second
        if {$year > 1900 && $month >= 1 && $month <= 12 && $hour < 24 && $minute < 60 && $second < 60
            && $day >= 1 && $day <= [lindex {31 28 31 30 31 30 31 31 30 31 30 31} [expr {$month - 1}]]} {
            # Years are counted from March, so that a leap day is the last of its year.
            if {$month < 3} {
                incr year -1
                incr month 12
            }
            set days [expr {365 * $year + $year / 4 - $year / 100 + $year / 400 + (153 * $month - 457) / 5 + $day - 719469}]
            return [expr {(($days * 24 + $hour) * 60 + $minute) * 60 + $second}]
        }
    }
    clock scan $date -format %Y-%m-%dT%H:%M:%S -timezone :UTC
}

proc ::nats::msec_to_isotime {msec {timezone :UTC}} {
    # From the year 1 on, since years before have no sign here, up to where the `clock` of 8.6 wraps without a word:
    # it has 32 bits for the days since 4713 BC.
    if {![string is entier -strict $msec] || $msec < -62135769600000 || $msec >= (2 ** 31 - 2440588) * 86400 * 1000} {
        return -code error -errorcode {NATS ErrInvalidArg} "Invalid time $msec"
    }
    # Depending on its version, `clock` takes such a zone for one of its options.
    if {[string match {-[a-z]*} $timezone]} {
        return -code error -errorcode [list CLOCK badTimeZone $timezone] "time zone \"$timezone\" not found"
    }
    # Division and remainder round down, so that times before 1970 are right as well.
    set date [clock format [expr {$msec / 1000}] -format %Y-%m-%dT%H:%M:%S -timezone $timezone]
    return $date[format .%03d [expr {$msec % 1000}]]
}

# A command prefix for callbacks into the object whose method calls this.
proc ::nats::mymethod {method args} {
    return [list nats::SafeCallback [uplevel 1 [list ::oo::Helpers::self namespace]]::my $method {*}$args]
}

# An object may be destroyed while a callback to it is still scheduled: then nothing is to be done.
proc ::nats::SafeCallback {my args} {
    if {[namespace which -command $my] ne ""} {
        tailcall $my {*}$args
    }
}

proc ::nats::tls_callback {args} {}

proc ::nats::DictLookup {dictValue key {default ""}} {
    if {[dict exists $dictValue $key]} {
        return [dict get $dictValue $key]
    }
    return $default
}

# Adds `dict lookup` to what `dict` has now. One that Tcl or the program brings stays, and so does a `dict` that is no
# longer an ensemble with a map: somebody has replaced it.
apply {{} {
    if {![namespace ensemble exists ::dict]} return
    set map [namespace ensemble configure ::dict -map]
    if {$map eq "" || [dict exists $map lookup]} return
    dict set map lookup ::nats::DictLookup
    set subcommands [namespace ensemble configure ::dict -subcommands]
    if {$subcommands ne ""} {
        lappend subcommands lookup
    }
    namespace ensemble configure ::dict -map $map -subcommands $subcommands
}}
