# What natsh.tcl can do. A command is its line in the table and the procedure of its name: `stream ls` is command::stream_ls.
# They run in a coroutine: what waits for the server lets messages be shown meanwhile.

set usage {
    {pub SUBJECT ?TEXT?} {publish a message; the text is the rest of the line}
    {repeat COUNT SUBJECT ?TEXT?} {publish many; {n} in the text is the number of each}
    {req SUBJECT ?TEXT?} {ask, and show the answer}
    {reply SUBJECT ?TEXT?} {answer each request; {} in the text is what was asked}
    {sub SUBJECT ?QUEUE?} {show messages as they come; * is one token, > is all that follow}
    {subs} {what is subscribed to and watched}
    {unsub ?NUMBER?} {end one of these, or all}
    {kv ls} {buckets}
    {kv keys BUCKET ?PATTERN?} {keys of a bucket}
    {kv get BUCKET KEY} {a value}
    {kv put BUCKET KEY TEXT} {write it}
    {kv del BUCKET KEY} {delete it}
    {kv watch BUCKET ?PATTERN?} {show what is there, and changes}
    {stream ls ?PATTERN?} {streams}
    {stream info STREAM} {what a stream is like, and what is in it}
    {stream add STREAM SUBJECTS} {make one for these subjects, with commas between them}
    {stream put SUBJECT ?TEXT?} {publish, and wait until it is stored}
    {stream get STREAM SEQUENCE} {a stored message}
    {stream read STREAM ?SEQUENCE?} {show all messages, or those from there on, and those to come}
    {stream purge STREAM ?SUBJECT?} {remove its messages}
    {stream rm STREAM} {delete it}
    {consumer ls STREAM} {consumers of a stream}
    {consumer info STREAM CONSUMER} {what one is like, and how far it is}
    {consumer add STREAM CONSUMER ?SUBJECT?} {make one, for all or for this subject}
    {consumer next STREAM CONSUMER ?COUNT?} {take messages, and acknowledge them}
    {consumer rm STREAM CONSUMER} {delete it}
    {status} {server and connection}
    {sleep SECONDS} {wait, in a file of commands}
    {stay} {go on as long as something is subscribed to or watched}
    {help ?TEXT?} {this, or about one command}
    {quit} {end; so does Ctrl-D}
}
set raw 0
# What goes on: number -> what it is, and the command that ends it.
set going {}
set last_number 0

namespace eval command {}

# ---- What they share ----
proc bytes {text} { encoding convertto [encoding system] $text }
proc shown {bytes} { terminal::safe [terminal::text $bytes] }
proc number {text what} {
    if {![string is wideinteger -strict $text] || $text < 0} { throw USAGE "$what is a number: $text" }
    return $text
}
proc go_on {what end} {
    dict set ::going [incr ::last_number] [list $what $end]
    return $::last_number
}
proc stop {number} {
    {*}[lindex [dict get $::going $number] 1]
    dict unset ::going $number
}
proc stop_all {} {
    set count [dict size $::going]
    foreach number [dict keys $::going] { stop $number }
    return $count
}
proc show_message {label message} {
    if {$::raw} {
        fconfigure stdout -translation binary
        puts [nats::msg data $message]
        return [flush stdout]
    }
    set time [clock format [clock seconds] -format %H:%M:%S]
    say "[terminal::colour grey "$time $label"] [terminal::colour green [terminal::safe [nats::msg subject $message]]] [shown [nats::msg data $message]]"
    foreach name [nats::header keys $message] {
        foreach value [nats::header values $message $name] { say "    [terminal::safe "$name: $value"]" }
    }
}
proc facts {pairs} {
    foreach {name value} $pairs { say [format "%-14s %s" $name [terminal::safe $value]] }
}
proc age_of {time} {
    if {[string match 0001-* $time]} { return - }
    return [units::age [expr {max(0, [clock seconds] - [nats::isotime_to_msec $time] / 1000)}]]
}
proc help_text {{name ""}} {
    set lines {}
    foreach {call text} $::usage {
        if {[string match $name* [join $call]]} { lappend lines "  [format %-44s [join $call]] $text" }
    }
    return [join $lines \n]
}

# ---- Messages ----
proc command::pub {subject {text ""}} { $::conn publish $subject [bytes $text] }
proc command::repeat {count subject {text {}}} {
    number $count COUNT
    for {set n 1} {$n <= $count} {incr n} {
        $::conn publish $subject [bytes [string map [list {{n}} $n] $text]]
        # Now and then the server has to have got it all, and others have their turn.
        if {$n % 1000 == 0} { $::conn flush; terminal::progress "published [units::count $n] of [units::count $count]" }
    }
    $::conn flush
    say "[units::count $count] messages published"
}
proc command::req {subject {text ""}} {
    set start [clock microseconds]
    set answer [$::conn request $subject [bytes $text] -dictmsg true -timeout 5000]
    show_message "[expr {([clock microseconds] - $start) / 1000}] ms" [dict replace $answer subject $subject]
}
proc command::reply {subject {text {}}} {
    set id [$::conn subscribe $subject -queue natsh -dictmsg true -callback [list answer $text]]
    say "answering $subject, number [go_on "reply $subject" [list $::conn unsubscribe $id]]"
}
proc answer {text subject message reply} {
    show_message request $message
    if {$reply ne ""} { $::conn publish $reply [string map [list {{}} [nats::msg data $message]] [bytes $text]] }
}
proc command::sub {subject {queue ""}} {
    set number [expr {$::last_number + 1}]
    set options [expr {$queue eq "" ? "" : [list -queue $queue]}]
    set id [$::conn subscribe $subject -dictmsg true -callback [list arrived #$number] {*}$options]
    go_on "sub $subject $queue" [list $::conn unsubscribe $id]
    # The server knows of it before the next command.
    $::conn flush
    if {!$::raw} { say [terminal::colour grey "subscribed to $subject, number $number"] }
}
proc arrived {label subject message reply} { show_message $label $message }
proc command::subs {} {
    terminal::table {{number right} what} [lmap {number entry} $::going { list $number [lindex $entry 0] }]
}
proc command::unsub {{number all}} {
    if {$number eq "all"} { return [stop_all] }
    if {![dict exists $::going $number]} { throw USAGE "there is no number $number: subs lists them" }
    stop $number
}

# ---- Buckets ----
proc bucket {name} { $::js bind_kv_bucket $name }
proc command::kv_ls {} {
    terminal::table {bucket {keys right} {size right} {history right} storage} [lmap status [$::js kv_statuses] {
        dict with status { list $bucket [units::count $keys] [units::bytes $bytes] $history $storage }
    }]
}
proc command::kv_keys {bucket {pattern >}} { terminal::table {key} [[bucket $bucket] keys $pattern] }
proc command::kv_get {bucket key} { say [shown [[bucket $bucket] get_value $key]] }
proc command::kv_put {bucket key text} { say "revision [[bucket $bucket] put $key [bytes $text]]" }
proc command::kv_del {bucket key} { [bucket $bucket] delete $key }
proc command::kv_watch {bucket {pattern >}} {
    set number [expr {$::last_number + 1}]
    set watcher [[bucket $bucket] watch $pattern -callback [list show_entry #$number]]
    go_on "kv watch $bucket $pattern" [list $watcher destroy]
}
proc show_entry {label entry} {
    if {$entry eq ""} return
    dict with entry {}
    set time [clock format [expr {$created / 1000}] -format %H:%M:%S]
    set what [expr {$operation eq "PUT" ? "= [shown $value]" : [terminal::colour red $operation]}]
    say "[terminal::colour grey "$time $label"] [terminal::colour green [terminal::safe $key]] $what [terminal::colour grey "($revision)"]"
}

# ---- Streams ----
proc command::stream_ls {{pattern *}} {
    set rows {}
    foreach stream [dict get [$::js stream_list] streams] {
        set name [dict get $stream config name]
        if {![string match $pattern $name]} continue
        set state [dict get $stream state]
        lappend rows [list $name [join [dict lookup [dict get $stream config] subjects] ,] [units::count [dict get $state messages]] \
            [units::bytes [dict get $state bytes]] [dict get $state consumer_count] [age_of [dict get $state last_ts]]]
    }
    terminal::table {stream subjects {messages right} {size right} {consumers right} {"last" right}} [lsort -index 0 $rows]
}
proc command::stream_info {stream} {
    set info [$::js stream_info $stream]
    set config [dict get $info config]
    set state [dict get $info state]
    facts [list stream $stream subjects [join [dict lookup $config subjects] ", "] retention [dict get $config retention] \
        storage "[dict get $config storage], replicas [dict get $config num_replicas]" \
        messages [units::count [dict get $state messages]] size [units::bytes [dict get $state bytes]] \
        sequences "[dict get $state first_seq] to [dict get $state last_seq]" "last message" "[age_of [dict get $state last_ts]] ago" \
        consumers [dict get $state consumer_count]]
}
proc command::stream_add {stream subjects} {
    $::js add_stream $stream -subjects [split $subjects ,]
    say "stream $stream for [string map {, {, }} $subjects]"
}
proc command::stream_put {subject {text ""}} {
    set ack [$::js publish $subject [bytes $text]]
    say "stored in [dict get $ack stream] as [dict get $ack seq]"
}
proc command::stream_get {stream sequence} {
    show_message "\[$sequence\]" [$::js stream_msg_get $stream -seq [number $sequence SEQUENCE]]
}
proc command::stream_read {stream {sequence 1}} {
    set consumer [$::js ordered_consumer $stream -callback show_stored -opt_start_seq [number $sequence SEQUENCE]]
    go_on "stream read $stream" [list $consumer destroy]
}
proc show_stored {message} {
    show_message "\[[dict get [nats::metadata $message] stream_seq]\]" $message
}
proc command::stream_purge {stream {subject ""}} {
    set filter [expr {$subject eq "" ? "" : [list -filter $subject]}]
    say "[units::count [$::js purge_stream $stream {*}$filter]] messages removed"
}
proc command::stream_rm {stream} { $::js delete_stream $stream }

# ---- Consumers ----
proc command::consumer_ls {stream} {
    set rows [lmap info [dict get [$::js consumer_list $stream] consumers] {
        set config [dict get $info config]
        list [dict get $info name] [expr {[dict exists $config deliver_subject] ? "push" : "pull"}] \
            [join [concat [dict lookup $config filter_subject] [dict lookup $config filter_subjects]] ,] \
            {*}[lmap field {num_pending num_ack_pending num_redelivered} { units::count [dict get $info $field] }]
    }]
    terminal::table {consumer kind filter {pending right} {unacked right} {again right}} [lsort -index 0 $rows]
}
proc command::consumer_info {stream consumer} {
    set info [$::js consumer_info $stream $consumer]
    set config [dict get $info config]
    facts [list consumer "$consumer of $stream" acknowledged [dict get $config ack_policy] \
        "delivered to" "sequence [dict get $info delivered stream_seq]" "done to" "sequence [dict get $info ack_floor stream_seq]" \
        pending [units::count [dict get $info num_pending]] unacknowledged [units::count [dict get $info num_ack_pending]] \
        "again" [units::count [dict get $info num_redelivered]]]
}
proc command::consumer_add {stream consumer {subject ""}} {
    set filter [expr {$subject eq "" ? "" : [list -filter_subject $subject]}]
    $::js add_pull_consumer $stream $consumer {*}$filter
    say "consumer $consumer of $stream"
}
proc command::consumer_next {stream consumer {count 1}} {
    set messages [$::js fetch $stream $consumer -batch_size [number $count COUNT] -timeout 1000]
    foreach message $messages { show_stored $message; $::js ack_sync $message }
    if {$messages eq ""} { say [terminal::colour grey "nothing to take"] }
}
proc command::consumer_rm {stream consumer} { $::js delete_consumer $stream $consumer }

# ---- Others ----
proc command::status {} {
    set info [$::conn server_info]
    set statistics [$::conn statistics]
    facts [list server "[dict get $info server_name], nats-server [dict get $info version]" address [join [$::conn current_server] :] \
        "round trip" [format "%.2f ms" [$::conn rtt]] JetStream [expr {[dict lookup $info jetstream false] ? "yes" : "no"}] \
        received "[units::count [dict get $statistics in_msgs]] messages, [units::bytes [dict get $statistics in_bytes]]" \
        sent "[units::count [dict get $statistics out_msgs]] messages, [units::bytes [dict get $statistics out_bytes]]" \
        reconnects [dict get $statistics reconnects]]
}
proc command::sleep {seconds} {
    if {![string is double -strict $seconds]} { throw USAGE "SECONDS is a number: $seconds" }
    after [expr {int($seconds * 1000)}] [list catch [info coroutine]]
    yield
}
proc command::stay {} {
    if {$::going ne ""} yield
}
proc command::help {{text ""}} {
    set lines [help_text $text]
    if {$lines eq ""} { throw USAGE "there is no command $text" }
    foreach line [split $lines \n] {
        # On a narrow terminal what it does stands below.
        if {[terminal::is stdout] && [string length $line] > [lindex [terminal::size] 1]} {
            set line "[string trimright [string range $line 0 45]]\n        [string range $line 47 end]"
        }
        say $line
    }
}
proc command::quit {} { leave $::failed }
