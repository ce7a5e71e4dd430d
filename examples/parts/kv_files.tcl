# A whole bucket as a file, and back: one JSON object on each line. The first line is what the bucket is like, each of the others
# an entry: its key, its value as text, or in base64 if it is none, and its headers and TTL if it has some.
#
#   kv_files::export $kv file            kv_files::import $js bucket file           - is stdout, stdin
#
# The newest value of each key is what is exported. A file has its name only when it is whole; until then .part is behind it.

namespace eval kv_files {
    # What is taken over into a bucket that import makes.
    variable options {history ttl limit_marker_ttl max_value_size max_bucket_size storage}
    # How many entries are written by one command.
    variable batch 500
}

# ---- Out ----
proc kv_files::export {kv file} {
    variable out
    variable state
    set status [$kv status]
    set out [expr {$file eq "-" ? "stdout" : [open $file.part w]}]
    fconfigure $out -encoding utf-8 -translation lf
    puts $out [Describe $status]
    array set state [list written 0 all [dict get $status keys] bucket [dict get $status bucket] file $file end "" error ""]
    set watcher [$kv watch > -batch true -ignore_deletes true -callback kv_files::Write -state kv_files::State]
    if {$state(end) eq ""} { vwait kv_files::state(end) }
    $watcher destroy
    if {$state(error) ne ""} { error $state(error) }
    if {$file eq "-"} { return [flush stdout] }
    close $out
    file rename -force $file.part $file
    puts "[units::count $state(written)] keys in $file, [units::bytes [file size $file]]"
}
proc kv_files::Write {entries} {
    variable out
    variable state
    if {$state(end) ne ""} return
    # What goes wrong here, a full disk say, is the error of the export.
    if {[catch {
        foreach entry $entries {
            if {$entry eq ""} {
                terminal::end_progress
                set state(end) 1
                return
            }
            puts $out [Line $entry]
            incr state(written)
        }
    } text]} { set state(error) $text; set state(end) 1 }
    terminal::progress [Progress exporting]
}
proc kv_files::State {word progress} {
    variable state
    if {$word ni {lost stopped}} return
    set state(error) "the bucket $state(bucket) or the connection to it has gone, the export is not whole"
    set state(end) 1
}
proc kv_files::Progress {doing} {
    variable state
    set text "$doing $state(bucket): [units::count $state(written)]"
    if {$state(all) > 0} {
        append text " of [units::count $state(all)] keys, [expr {min(100, 100 * $state(written) / $state(all))}] %"
    }
    return $text
}
proc kv_files::Describe {status} {
    variable options
    set members [list "\"bucket\": [simple_json::quote [dict get $status bucket]]"]
    foreach name $options { lappend members "\"$name\": [simple_json::quote [dict get $status $name]]" }
    return "{[join $members {, }]}"
}
proc kv_files::Line {entry} {
    set value [dict get $entry value]
    set text [terminal::text $value]
    set members [list "\"key\": [simple_json::quote [dict get $entry key]]"]
    if {[encoding convertto utf-8 $text] eq $value} {
        lappend members "\"value\": [simple_json::quote $text]"
    } else {
        lappend members "\"base64\": \"[binary encode base64 $value]\""
    }
    if {[dict exists $entry header]} {
        # A Tcl list of names and lists of values.
        lappend members "\"header\": [simple_json::quote [dict get $entry header]]"
    }
    if {[dict exists $entry ttl]} { lappend members "\"ttl\": [dict get $entry ttl]" }
    return "{[join $members {, }]}"
}

# ---- In ----
proc kv_files::import {js bucket file} {
    variable state
    variable batch
    set in [expr {$file eq "-" ? "stdin" : [open $file]}]
    fconfigure $in -encoding utf-8 -translation lf
    set kv [Bucket $js $bucket [gets $in] $file]
    array set state [list written 0 all [Lines $file] bucket $bucket refused 0 number 1]
    set values {}
    while {[gets $in line] >= 0} {
        incr state(number)
        set entry [Entry $line $file]
        set key [dict get $entry key]
        set options [Options $entry]
        if {$options ne ""} {
            # In the order of the file.
            Many $kv $values
            set values {}
            One $kv $key [dict get $entry value] $options
        } else {
            dict set values $key [dict get $entry value]
        }
        if {[dict size $values] >= $batch} { Many $kv $values; set values {} }
        terminal::progress [Progress importing]
    }
    Many $kv $values
    terminal::end_progress
    puts "[units::count $state(written)] keys written into $bucket"
    if {$state(refused)} { error "[units::count $state(refused)] keys were refused" }
}
# How many entries a file has: its lines but the first. Nobody knows of stdin.
proc kv_files::Lines {file} {
    if {$file eq "-"} { return 0 }
    set in [open $file rb]
    set lines -1
    while {![eof $in]} { incr lines [expr {[llength [split [read $in 1000000] \n]] - 1}] }
    close $in
    return $lines
}
# The bucket; if it is not there it is made as the one that was exported.
proc kv_files::Bucket {js bucket line file} {
    variable options
    if {[catch {simple_json::decode $line} was] || ![dict exists $was bucket] || ![dict exists $was history]} {
        error "$file was not made by export"
    }
    try {
        return [$js bind_kv_bucket $bucket]
    } trap {NATS ErrBucketNotFound} {} {
        set given [dict filter $was script {name value} { expr {$name in $options && $value > 0 || $name eq "storage"} }]
        return [$js create_kv_bucket $bucket {*}$given]
    }
}
proc kv_files::Entry {line file} {
    variable state
    if {[catch {simple_json::decode $line} entry] || ![dict exists $entry key]
        || ![dict exists $entry value] && ![dict exists $entry base64]} {
        error "line $state(number) of $file is no entry; [units::count $state(written)] keys were written before"
    }
    if {[dict exists $entry value]} { return [dict replace $entry value [encoding convertto utf-8 [dict get $entry value]]] }
    return [dict replace $entry value [binary decode base64 [dict get $entry base64]]]
}
proc kv_files::Options {entry} {
    set options {}
    if {[dict exists $entry header]} { lappend options -header [dict get $entry header] }
    if {[dict exists $entry ttl]} {
        set ttl [dict get $entry ttl]
        lappend options -ttl [expr {$ttl < 0 ? "never" : max(1000, $ttl)}]
    }
    return $options
}
# A key that cannot be made here is told, and the others are written.
proc kv_files::One {kv key value options} {
    variable state
    try {
        $kv put $key $value {*}$options
        incr state(written)
    } trap {NATS ErrInvalidArg} text - trap {NATS ErrMaxPayload} text - trap {NATS ErrBadSubject} text {
        complain "$key: $text"
        incr state(refused)
    }
}
proc kv_files::Many {kv values} {
    variable state
    try {
        incr state(written) [dict size [$kv mput $values]]
    } trap {NATS ErrInvalidArg} {} - trap {NATS ErrMaxPayload} {} - trap {NATS ErrBadSubject} {} {
        # Nothing was written, and the error is about one of them.
        dict for {key value} $values { One $kv $key $value {} }
    }
}
