# Streams and consumers from JSON, as they are kept beside a program and printed by `nats stream info --json`.
#
#   nats-server -js &
#   TCLLIBPATH=<this checkout> tclsh examples/stream-json.tcl ?nats://127.0.0.1:4222? ?folder?
#
# A file <stream>.json of the folder is a stream, <stream>.<consumer>.json a consumer of it. Without a folder two files
# that stand below are taken. Run it again, after a change or not: what is there already is brought up to date.

package require nats

set url [expr {$argc > 0 ? [lindex $argv 0] : "nats://127.0.0.1:4222"}]

# Times in this JSON are nanoseconds.
set files [dict create EXAMPLE_ORDERS.json {
    {
        "name": "EXAMPLE_ORDERS",
        "subjects": ["example_orders.>"],
        "storage": "memory",
        "max_age": 3600000000000,
        "max_msgs_per_subject": 100
    }
} EXAMPLE_ORDERS.worker.json {
    {
        "durable_name": "worker",
        "ack_policy": "explicit",
        "ack_wait": 10000000000,
        "filter_subject": "example_orders.new.>"
    }
}]
if {$argc > 1} {
    set files {}
    foreach path [glob -directory [lindex $argv 1] *.json] {
        set f [open $path]
        fconfigure $f -encoding utf-8
        dict set files [file tail $path] [read $f]
        close $f
    }
}

set conn [nats::connection new stream-json]
$conn configure -servers $url
$conn connect
set js [$conn jet_stream]

# A stream that is there already and differs is updated: the API takes the same JSON for that.
proc bring_up {stream json} {
    global conn js
    try {
        $js add_stream_from_json $json
        return "as described"
    } trap {NATS ErrJSResponse 400 10058} {} {
        set reply [$conn request [$js api_prefix].STREAM.UPDATE.$stream $json -timeout [$js timeout]]
        if {[regexp {"error":\{.*"description":"([^"]*)"} $reply -> why]} {
            return "refused: $why"
        }
        return "updated"
    }
}

# Streams first: a consumer needs its stream.
foreach path [lsort -command {apply {{a b} {expr {[llength [split $a .]] - [llength [split $b .]]}}}} [dict keys $files]] {
    set json [dict get $files $path]
    lassign [split $path .] stream consumer
    if {$consumer eq "json"} {
        puts "stream $stream: [bring_up $stream $json]"
    } else {
        try {
            $js add_consumer_from_json $stream $consumer $json
            puts "consumer $stream $consumer: as described"
        } trap NATS text {
            puts "consumer $stream $consumer: refused: $text"
        }
    }
}

# What has become of it; times are milliseconds here.
foreach stream [lsort -unique [lmap path [dict keys $files] {lindex [split $path .] 0}]] {
    set config [dict get [$js stream_info $stream] config]
    puts "$stream keeps [dict get $config subjects] for [expr {[dict get $config max_age] / 1000}] s,\
        consumers: [$js consumer_names $stream]"
}
$conn destroy
