# Entries as text, for people at a prompt: nats::kv::format.

namespace eval ::nats::kv {
    namespace export format
}

# Entries as a table, as JSON or as CSV. What has one entry only, as `get` returns it, is a list of that one.
proc ::nats::kv::format {entries args} {
    set style table
    if {[llength $args] % 2} {
        return -code error -errorcode {NATS ErrInvalidArg} "Missing value for option [lindex $args end]"
    }
    foreach {option value} $args {
        if {[string trimleft $option -] ne "style"} {
            return -code error -errorcode {NATS ErrInvalidArg} "Unknown option [string trimleft $option -]"
        }
        set style $value
    }
    if {[catch {llength $entries} count]} {
        return -code error -errorcode {NATS ErrInvalidArg} "Not a list of entries"
    }
    if {$count >= 14 && [lindex $entries 0] eq "bucket"} {
        set entries [list $entries]
    } elseif {$count > 1 && $count % 2 == 0 && ![IsEntry [lindex $entries 0]] && [IsEntry [lindex $entries 1]]} {
        # Of `mget`: the entries are behind their keys.
        set entries [lmap {key entry} $entries {set entry}]
    }
    # The end marker among the lists of a watch is none.
    set entries [lsearch -all -inline -not -exact $entries {}]
    foreach entry $entries {
        if {![IsEntry $entry]} {
            return -code error -errorcode {NATS ErrInvalidArg} "Not an entry: $entry"
        }
    }
    switch -- $style {
        table { return [FormatTable $entries] }
        json { return [FormatJson $entries] }
        csv { return [FormatCsv $entries] }
    }
    return -code error -errorcode {NATS ErrInvalidArg} \
        "Invalid value for the enum style : $style; allowed values: table json csv"
}

# Whether it has what an entry has, in the form in which it is shown.
proc ::nats::kv::IsEntry {entry} {
    if {[catch {dict size $entry}]} {
        return 0
    }
    foreach name {bucket key value operation} {
        if {![dict exists $entry $name]} {
            return 0
        }
    }
    foreach name {revision created delta} {
        if {![dict exists $entry $name] || ![IsNumber [dict get $entry $name]]} {
            return 0
        }
    }
    if {[dict exists $entry ttl] && ![IsNumber [dict get $entry ttl]]} {
        return 0
    }
    if {![dict exists $entry header]} {
        return 1
    }
    return [expr {![catch {dict for {name values} [dict get $entry header] { llength $values }}]}]
}

# Whether it is an integer as JSON has them.
proc ::nats::kv::IsNumber {text} {
    return [regexp {^(-?[1-9][0-9]{0,19}|0)$} $text]
}

# One line for each entry. Values are cut to what a line has room for; nothing in them moves the cursor.
proc ::nats::kv::FormatTable {entries} {
    set rows [list {key revision created operation value}]
    foreach entry $entries {
        set value [Visible [string range [dict get $entry value] 0 80]]
        if {[string length $value] > 60} {
            set value [string range $value 0 56]...
        }
        lappend rows [list [Visible [dict get $entry key]] [dict get $entry revision] \
            [::nats::msec_to_isotime [dict get $entry created]]Z [dict get $entry operation] $value]
    }
    foreach column {0 1 2 3} {
        set width 0
        foreach row $rows {
            set width [expr {max($width, [string length [lindex $row $column]])}]
        }
        lappend widths $width
    }
    lassign $widths key revision created operation
    set lines {}
    foreach row $rows {
        lappend lines [string trimright \
            [::format "%-${key}s  %${revision}s  %-${created}s  %-${operation}s  %s" {*}$row]]
    }
    return [join $lines \n]
}

# Control characters as Tcl and C write them.
proc ::nats::kv::Visible {text} {
    if {![regexp {[\x00-\x1f\x7f-\x9f]} $text]} {
        return $text
    }
    set visible ""
    foreach character [split $text ""] {
        switch -- $character {
            \n { append visible \\n }
            \r { append visible \\r }
            \t { append visible \\t }
            default {
                scan $character %c code
                if {$code < 32 || ($code >= 127 && $code < 160)} {
                    set character [::format \\x%02x $code]
                }
                append visible $character
            }
        }
    }
    return $visible
}

# An array of objects with the members of the entry; headers are arrays of texts.
proc ::nats::kv::FormatJson {entries} {
    set objects {}
    foreach entry $entries {
        set members {}
        dict for {name value} $entry {
            switch -- $name {
                revision - created - delta - ttl { set shown $value }
                header {
                    set headers {}
                    dict for {header values} $value {
                        set texts [lmap text $values { JsonText $text }]
                        lappend headers "[JsonText $header]: \[[join $texts {, }]\]"
                    }
                    set shown "{[join $headers {, }]}"
                }
                default { set shown [JsonText $value] }
            }
            lappend members "[JsonText $name]: $shown"
        }
        lappend objects "  {[join $members {, }]}"
    }
    if {![llength $objects]} {
        return {[]}
    }
    return "\[\n[join $objects ,\n]\n\]"
}

proc ::nats::kv::JsonText {text} {
    set text [string map [list \\ \\\\ \" \\\" \n \\n \r \\r \t \\t] $text]
    if {[regexp {[\x00-\x1f\x7f]} $text]} {
        set escaped ""
        foreach character [split $text ""] {
            scan $character %c code
            append escaped [expr {$code < 32 || $code == 127 ? [::format \\u%04x $code] : $character}]
        }
        set text $escaped
    }
    return "\"$text\""
}

# RFC 4180, but for the ends of lines, which are those of Tcl. The first line has the names.
proc ::nats::kv::FormatCsv {entries} {
    set columns {bucket key revision created operation value}
    set lines [list [join $columns ,]]
    foreach entry $entries {
        set cells {}
        foreach column $columns {
            set cell [dict get $entry $column]
            if {$column eq "created"} {
                set cell [::nats::msec_to_isotime $cell]Z
            }
            if {[regexp {[",\r\n]} $cell] || [string trim $cell] ne $cell} {
                set cell "\"[string map {\" \"\"} $cell]\""
            }
            lappend cells $cell
        }
        lappend lines [join $cells ,]
    }
    return [join $lines \n]
}
