# Buckets on the command line: `kvtool.tcl --help` says what it can do, doc/tools.md shows it.
#
#   nats-server -js &
#   TCLLIBPATH=<this checkout> tclsh examples/kvtool.tcl add config --history 5
#   … examples/kvtool.tcl put config http.port 8080
#   … examples/kvtool.tcl watch config
#
# Results go to stdout, everything else to stderr. Exit codes: 0 done, 1 failed, 2 called in a wrong way, 3 not there,
# 4 somebody else was quicker.

package require nats
foreach part {terminal units simple_json kv_files} {
    source [file join [file dirname [file normalize [info script]]] parts $part.tcl]
}

set usage {
    {ls} {the buckets}
    {info BUCKET} {what a bucket is like, and what is in it}
    {add BUCKET ?--history 5 --ttl 60000 --storage memory …?} {make a bucket; options are those of create_kv_bucket}
    {rm BUCKET ?--force?} {delete a bucket; asks, if somebody is there to answer}
    {keys BUCKET ?PATTERN …?} {its keys; * is one token, > is all that follow}
    {get BUCKET KEY ?--revision N?} {the value, byte for byte}
    {put BUCKET KEY VALUE} {write it; prints the revision. VALUE - is what comes from stdin, here and below}
    {create BUCKET KEY VALUE} {only if there is no such key}
    {update BUCKET KEY VALUE REVISION} {only if this is still its revision}
    {del BUCKET KEY ?REVISION?} {delete a key, or all that match a pattern}
    {purge BUCKET KEY} {delete a key and its history}
    {history BUCKET KEY ?--style table|json|csv?} {all revisions that are kept}
    {watch BUCKET ?PATTERN …?} {show changes until Ctrl-C}
    {mget BUCKET ?PATTERN …?} {keys and values as a JSON object}
    {mput BUCKET ?FILE? ?--atomic true?} {write what a JSON object says, from a file or stdin}
    {export BUCKET FILE} {the whole bucket into a file; - is stdout}
    {import BUCKET FILE} {what was exported into a bucket, which is made if it is not there; - is stdin}
}

proc help {{name ""}} {
    puts "kvtool.tcl ?--server URL? ?--context NAME? ?--timeout MS? COMMAND …\n"
    foreach {call text} $::usage {
        if {$name in [list "" [lindex $call 0]]} { puts "  $call\n        $text" }
    }
    if {$name ne ""} return
    puts "\nWithout --server and --context it is the selected context of natscli, or nats://127.0.0.1:4222; NATS_URL,"
    puts "NATS_CONTEXT and their like count. Exit codes: 0 done, 1 failed, 2 wrong call, 3 not there, 4 somebody else was quicker."
}
proc misused {text} { throw USAGE $text }
proc complain {text} {
    terminal::end_progress
    catch {puts stderr "kvtool.tcl: [terminal::safe $text]"}
}

# Splits words into those before the first option, and a dict of options without their dashes.
proc split_options {words allowed} {
    set at [lsearch -glob $words --?*]
    if {$at < 0} { set at [llength $words] }
    set options {}
    foreach {name value} [lrange $words $at end] {
        set name [string trimleft $name -]
        if {$allowed ne "any" && $name ni $allowed} { misused "there is no option --$name here[among $allowed]" }
        dict set options $name $value
    }
    if {([llength $words] - $at) % 2} { misused "--$name wants a value" }
    return [list [lrange $words 0 [expr {$at - 1}]] $options]
}
proc among {allowed} {
    if {$allowed eq ""} return
    return ": there is [join [lmap name $allowed { string cat -- $name }] {, }]"
}

# ---- The connection ----
proc connect {settings} {
    set options [list -name kvtool.tcl -env true -event_callback connection_event -log_chan [open /dev/null w]]
    if {[dict exists $settings server]} { lappend options -servers [dict get $settings server] }
    set context [expr {[dict exists $settings context] ? [dict get $settings context] : ""}]
    set ::conn [nats::context connect $context {*}$options]
    set timeout [expr {[dict exists $settings timeout] ? [list -timeout [dict get $settings timeout]] : ""}]
    set ::js [$::conn jet_stream {*}$timeout]
}
proc connection_event {event} {
    # That there is none at all is an error of `connect`.
    if {![info exists ::js]} return
    switch -- [dict get $event event] {
        disconnected { complain "the connection is lost: [dict get $event errorMessage]" }
        reconnected { complain "connected again, to [dict get $event server]" }
        closed { if {[dict exists $event errorMessage]} { complain [dict get $event errorMessage]; leave 1 } }
    }
}
proc bucket {name} { $::js bind_kv_bucket $name }
# What was typed, as bytes; or what comes from stdin.
proc value_of {word} {
    if {$word ne "-"} { return [encoding convertto [encoding system] $word] }
    fconfigure stdin -translation binary
    return [read stdin]
}

# ---- The commands ----
namespace eval command {}

proc command::ls {} {
    set rows [lmap status [$::js kv_statuses] {
        dict with status {
            list $bucket [units::count $keys] [units::bytes $bytes] $history [expr {$ttl ? [units::ms $ttl] : "-"}] $storage $replicas
        }
    }]
    terminal::table {bucket {keys right} {size right} {history right} {ttl right} storage {replicas right}} $rows
}
proc command::info {bucket} {
    set status [[bucket $bucket] status]
    dict with status {}
    foreach {name value} [list bucket $bucket description [description $stream_config] keys [units::count $keys] \
        entries "[units::count $values], with old revisions and deletions" size [units::bytes $bytes] \
        "largest size" [limit $max_bucket_size] "largest value" [limit $max_value_size] history $history \
        ttl [expr {$ttl ? [units::ms $ttl] : "for ever"}] "markers for" [expr {$limit_marker_ttl ? [units::ms $limit_marker_ttl] : "none"}] \
        storage "$storage, $replicas replica[expr {$replicas == 1 ? "" : "s"}]" "last revision" [dict get $stream_state last_seq]] {
        if {$value ne ""} { puts [format "%-14s %s" $name [terminal::safe $value]] }
    }
}
proc description {config} { expr {[dict exists $config description] ? [dict get $config description] : ""} }
proc limit {bytes} { expr {$bytes < 0 ? "no limit" : [units::bytes $bytes]} }

proc command::add {bucket args} {
    lassign [split_options $args any] words options
    if {$words ne ""} { misused "add BUCKET ?options?" }
    $::js create_kv_bucket $bucket {*}[concat {*}[lmap {name value} $options { list -$name $value }]]
}
proc command::rm {bucket {force ""}} {
    if {$force ni {"" --force}} { misused "rm BUCKET ?--force?" }
    set keys [dict get [[bucket $bucket] status] keys]
    if {$force eq "" && ![confirmed "Delete the bucket $bucket with [units::count $keys] keys? \[y/N\] "]} {
        error "nothing was deleted"
    }
    $::js delete_kv_bucket $bucket
}
proc confirmed {question} {
    if {![terminal::is stdin] || ![terminal::is stderr]} { misused "rm wants --force where nobody can be asked" }
    puts -nonewline stderr $question
    # Ctrl-D is no answer, and leaves the cursor where it is.
    if {[gets stdin answer] < 0} { puts stderr "" }
    return [expr {[string tolower [string trim $answer]] in {y yes}}]
}
# Keys are printed as they come, however many they are.
proc command::keys {bucket args} {
    set lister [[bucket $bucket] keys [patterns $args] -callback print_keys]
    vwait ::done
}
proc patterns {list} { expr {[llength $list] ? [expr {[llength $list] == 1 ? [lindex $list 0] : $list}] : ">"} }
proc print_keys {keys {error ""}} {
    if {$error ne ""} { return [later $error] }
    foreach key $keys { puts [terminal::safe $key] }
    if {$keys eq ""} { set ::done 1 }
}
# An error that a callback was told ends the command.
proc later {error} {
    complain [dict get $error errorMessage]
    leave 1
}
proc command::get {bucket key args} {
    lassign [split_options $args revision] words options
    if {$words ne ""} { misused "get BUCKET KEY ?--revision N?" }
    set value [[bucket $bucket] get_value $key {*}$options]
    if {[terminal::is stdout]} { return [puts [terminal::text $value]] }
    fconfigure stdout -translation binary
    puts -nonewline $value
}
proc command::put {bucket key value} { puts [[bucket $bucket] put $key [value_of $value]] }
proc command::create {bucket key value} { puts [[bucket $bucket] create $key [value_of $value]] }
proc command::update {bucket key value revision} {
    # An empty one would be no condition.
    if {![string is wideinteger -strict $revision]} { misused "a revision is a number: $revision" }
    puts [[bucket $bucket] update $key [value_of $value] $revision]
}
proc command::del {bucket key {revision ""}} {
    if {![regexp {(^|\.)(\*|>)(\.|$)} $key]} { return [[bucket $bucket] delete $key {*}$revision] }
    if {$revision ne ""} { misused "a pattern has no revision" }
    puts "[units::count [[bucket $bucket] mdelete [list $key]]] keys deleted"
}
proc command::purge {bucket key} { [bucket $bucket] purge $key }
proc command::history {bucket key args} {
    lassign [split_options $args style] words options
    if {$words ne ""} { misused "history BUCKET KEY ?--style table|json|csv?" }
    set entries [lmap entry [[bucket $bucket] history $key] {
        dict replace $entry value [terminal::text [dict get $entry value]]
    }]
    puts [nats::kv::format $entries {*}$options]
}
proc command::watch {bucket args} {
    # For ever means also that a server may be away for long.
    $::conn configure -max_reconnect_attempts -1
    set watcher [[bucket $bucket] watch [patterns $args] -callback print_change -state watch_state]
    vwait ::done
}
proc print_change {entry} {
    if {$entry eq ""} { return [flush stdout] }
    dict with entry {}
    set time [clock format [expr {$created / 1000}] -format "%Y-%m-%d %H:%M:%S"]
    set line "$time  [format {%-5s %6d} $operation $revision]  [terminal::safe $key]"
    if {$operation eq "PUT"} { append line " = [terminal::safe [terminal::text $value]]" }
    if {[terminal::is stdout]} { set line [terminal::cut $line [lindex [terminal::size] 1]] }
    puts $line
    flush stdout
}
proc watch_state {state progress} {
    switch -- $state {
        recreated { complain "the bucket was made again" }
        lost { complain "the bucket was deleted"; leave 3 }
    }
}
proc command::mget {bucket args} {
    set texts [dict map {key value} [[bucket $bucket] mget [expr {[llength $args] ? $args : ">"}]] {
        set text [terminal::text $value]
        if {[encoding convertto utf-8 $text] ne $value} { error "the value of $key is no text: get or export can read it" }
        set text
    }]
    fconfigure stdout -encoding utf-8
    puts [simple_json::object $texts]
}
proc command::mput {bucket args} {
    lassign [split_options $args atomic] words options
    if {[llength $words] > 1} { misused "mput BUCKET ?FILE? ?--atomic true?" }
    set channel [expr {$words in {"" -} ? "stdin" : [open [lindex $words 0]]}]
    fconfigure $channel -encoding utf-8
    set values [dict map {key text} [simple_json::members [read $channel]] { encoding convertto utf-8 $text }]
    puts "[units::count [dict size [[bucket $bucket] mput $values {*}$options]]] keys written"
}
proc command::export {bucket file} { kv_files::export [bucket $bucket] $file }
proc command::import {bucket file} { kv_files::import $::js $bucket $file }

# ---- The call ----
proc leave {code} {
    catch {$::conn destroy}
    exit $code
}
proc run {words} {
    set settings {}
    while {[string match -* [lindex $words 0]]} {
        set words [lassign $words option]
        if {$option in {-h --help}} { return [help] }
        set name [string trimleft $option -]
        if {$name eq "s"} { set name server }
        if {$name ni {server context timeout}} { misused "there is no option $option: see --help" }
        if {$words eq ""} { misused "$option wants a value" }
        set words [lassign $words value]
        dict set settings $name $value
    }
    set words [lassign $words name]
    if {$name in {"" help}} { return [help {*}[lrange $words 0 0]] }
    if {[info procs command::$name] eq ""} { misused "there is no command $name: see --help" }
    if {[lindex $words 0] in {-h --help}} { return [help $name] }
    check_count $name $words
    connect $settings
    command::$name {*}$words
    flush stdout
}
proc check_count {name words} {
    set parameters [info args command::$name]
    set least [llength [lsearch -all -inline -not $parameters args]]
    foreach parameter $parameters { if {[info default command::$name $parameter ignored]} { incr least -1 } }
    set most [expr {"args" in $parameters ? 1000000 : [llength $parameters]}]
    if {[llength $words] >= $least && [llength $words] <= $most} return
    misused "usage: [lsearch -inline -index 0 [dict keys $::usage] $name]"
}

# Errors that nobody waits for: what a callback throws.
interp bgerror {} {apply {{text options} {
    if {[lrange [dict get $options -errorcode] 0 1] ne {POSIX EPIPE}} { complain $text }
    leave 1
}}}
try {
    run $argv
} trap {POSIX EPIPE} {} {
    # Whoever reads has seen enough, as `head` has.
} trap USAGE text {
    complain $text
    leave 2
} trap {NATS ErrKeyNotFound} text - trap {NATS ErrBucketNotFound} text - trap {NATS BucketNotFound} text {
    complain $text
    leave 3
} trap {NATS ErrWrongLastSequence} text {
    complain $text
    leave 4
} on error text {
    complain $text
    leave 1
}
leave 0
