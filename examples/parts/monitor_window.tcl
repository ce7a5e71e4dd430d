# The window of the monitor. Two coroutines ask for figures, one every second those of the server, one those of JetStream, and
# put them into widgets that are there all the time. Nothing here waits without letting the window go on.

# ---- The window ----
wm title . "NATS monitor"
wm protocol . WM_DELETE_WINDOW {set finished 1}
if {"clam" in [ttk::style theme names]} { ttk::style theme use clam }
ttk::style configure Treeview -rowheight [expr {[font metrics TkDefaultFont -linespace] + 5}]
ttk::style configure TNotebook.Tab -padding {10 4}
font create Big {*}[font actual TkDefaultFont]
font configure Big -size 14 -weight bold

ttk::frame .top -padding {12 8 12 4}
label .top.state -textvariable state -foreground white -background #777777 -padx 10 -pady 3
ttk::label .top.server -textvariable server -font TkHeadingFont
ttk::label .top.trouble -textvariable trouble -foreground #b00020
ttk::label .top.source -textvariable source -foreground #666666
pack .top.state .top.server -side left -padx {0 10}
pack .top.source -side right
pack .top.trouble -side left

ttk::frame .tiles -padding {12 4}
set tiles {connections "connections" subscriptions "subscriptions" slow "slow consumers" cpu "CPU" mem "memory" streams "streams"
    consumers "consumers" messages "messages" stored "size of streams"}
foreach {name text} $tiles {
    ttk::frame .tiles.$name -padding {7 3} -relief groove
    # A label of Tk: its colour is changed.
    label .tiles.$name.value -textvariable tile($name) -font Big -anchor w -background [ttk::style lookup TFrame -background]
    ttk::label .tiles.$name.text -text $text -foreground #666666 -font TkSmallCaptionFont
    pack .tiles.$name.value .tiles.$name.text -anchor w -fill x
    grid .tiles.$name -row 0 -column [llength [grid slaves .tiles]] -sticky news -padx {0 6}
    grid columnconfigure .tiles .tiles.$name -weight 1 -uniform tile
    set tile($name) \u2013
}

ttk::frame .plots -padding {12 4}
plot::make .plots.messages "Messages per second" units::short 10 {in #1565c0} {out #2e7d32}
plot::make .plots.bytes "Bytes per second" units::bytes 2 {in #1565c0} {out #2e7d32}
pack .plots.messages .plots.bytes -side left -fill both -expand 1 -padx {0 6}

ttk::notebook .tabs
proc tab {name title columns} {
    .tabs add [table::make .tabs.$name $columns] -text $title
    bind .tabs.$name <<Sorted>> [list fill_again $name]
}
tab streams "Streams and consumers" {
    name {"stream, consumer" 230 left} subjects {"subjects" 170 left} messages {messages 100 right} size {size 90 right} rate {"msgs/s" 75 right}
    pending {pending 90 right} unacked {unacked 85 right} again {redelivered 105 right} last {"last message" 115 right}
}
tab connections "Connections" {
    name {client 180 left} id {id 60 right} address {address 150 left} library {library 110 left} subscriptions {subs 60 right}
    waiting {waiting 90 right} in {"in/s" 75 right} out {"out/s" 75 right} bytes {"bytes out/s" 105 right} rtt {"round trip" 95 right} uptime {uptime 95 right}
}
tab subscriptions "Subscriptions" {
    subject {subject 320 left} queue {queue 150 left} client {client 200 left} messages {messages 110 right} account {account 120 left}
}
tab slow "Slow consumers" {
    name {client 200 left} id {id 60 right} address {address 160 left} waiting {"waiting" 110 right} what {"what has happened" 320 left} when {"when" 150 left}
}
.tabs add [ttk::frame .tabs.events] -text Events
text .tabs.events.log -height 10 -width 80 -state disabled -font TkFixedFont -borderwidth 0 -yscrollcommand {.tabs.events.scroll set}
ttk::scrollbar .tabs.events.scroll -command {.tabs.events.log yview}
pack .tabs.events.scroll -side right -fill y
pack .tabs.events.log -fill both -expand 1
pack .top .tiles -fill x
pack .plots -fill both
pack .tabs -fill both -expand 1 -padx 12 -pady {4 12}
wm geometry . 1180x760

# ---- The connection ----
set state connecting
set server ""
set trouble ""
set source ""
proc show_state {args} {
    set ::state [$::conn cget -status]
    .top.state configure -background [dict get {connected #2e7d32 connecting #1565c0 reconnecting #c62828 closed #c62828} $::state]
    if {$::state eq "connected"} {
        set info [$::conn server_info]
        set ::server "[dict get $info server_name]   nats-server [dict get $info version]   [join [$::conn current_server] :]"
    }
}
proc note {text} {
    set bottom [expr {[lindex [.tabs.events.log yview] 1] == 1}]
    .tabs.events.log configure -state normal
    .tabs.events.log insert end "[clock format [clock seconds] -format %H:%M:%S]  $text\n"
    # Of very many the oldest go.
    if {[.tabs.events.log count -lines 1.0 end] > 2000} { .tabs.events.log delete 1.0 500.0 }
    .tabs.events.log configure -state disabled
    if {$bottom} { .tabs.events.log see end }
}
proc connection_event {event} {
    show_state
    set text [dict get $event event]
    foreach name {server errorMessage} { if {[dict exists $event $name]} { append text " [dict get $event $name]" } }
    note "connection: $text"
}
proc advisory {event} {
    set names [list [dict get $event stream]]
    if {[dict exists $event consumer]} { lappend names [dict get $event consumer] }
    set text "[join $names /]: [dict get $event kind]"
    foreach key {action stream_seq reason ack_time} {
        if {[dict exists $event $key]} { append text " $key [dict get $event $key]" }
    }
    note $text
}

# ---- Figures of the server ----
# What was counted when, to make rates of it.
array set counted {}
proc rate {what count} {
    set now [clock microseconds]
    set rate 0
    if {[info exists ::counted($what)]} {
        lassign $::counted($what) before then
        # A server that was started again counts from 0.
        if {$count >= $before} { set rate [expr {($count - $before) * 1e6 / max(1, $now - $then)}] }
    }
    set ::counted($what) [list $count $now]
    return $rate
}
proc set_tile {name text} {
    # Tk draws a label again even if it is given the text that it has.
    if {$::tile($name) ne $text} { set ::tile($name) $text }
}
proc show_totals {totals} {
    dict for {name make} {connections units::count subscriptions units::count slow units::count mem units::bytes cpu percent} {
        set_tile $name [expr {[dict exists $totals $name] ? [$make [dict get $totals $name]] : "\u2013"}]
    }
    .tiles.slow.value configure -foreground [expr {[dict exists $totals slow] && [dict get $totals slow] > 0 ? "#b00020" : "black"}]
    plot::add .plots.messages {*}[lmap name {in_msgs out_msgs} { rate $name [dict lookup $totals $name 0] }]
    plot::add .plots.bytes {*}[lmap name {in_bytes out_bytes} { rate $name [dict lookup $totals $name 0] }]
    set ::source [feed::source][expr {[dict exists $totals uptime] ? "   up [short_age [dict get $totals uptime]]" : ""}]
}
proc percent {cpu} { format "%.0f %%" $cpu }
# Of the server's 3d4h5m6s the first two.
proc short_age {text} { join [lrange [regexp -all -inline {\d+[a-z]+} $text] 0 1] " " }
proc name_of {connection} {
    if {[dict lookup $connection name] ne ""} { return [dict get $connection name] }
    return "(client [dict get $connection cid])"
}
proc address_of {connection} { return [dict lookup $connection ip]:[dict lookup $connection port] }
proc connection_rows {connections} {
    return [lmap connection $connections {
        set id [dict get $connection cid]
        set ::client($id) [name_of $connection]
        set waiting [dict lookup $connection pending_bytes 0]
        set in [rate in$id [dict get $connection in_msgs]]
        set out [rate out$id [dict get $connection out_msgs]]
        set bytes [rate bytes$id [dict get $connection out_bytes]]
        set rtt [dict lookup $connection rtt]
        list $id [list name $::client($id) id $id address [address_of $connection] \
            library "[dict lookup $connection lang] [dict lookup $connection version]" subscriptions [units::count [dict get $connection subscriptions]] \
            waiting [units::bytes $waiting] in [units::short $in] out [units::short $out] bytes [units::bytes $bytes] \
            rtt [regsub {^(\d+(\.\d)?)\d*} $rtt {\1 }] uptime [short_age [dict lookup $connection uptime]]] \
            [list subscriptions [dict get $connection subscriptions] waiting $waiting in $in out $out bytes $bytes rtt [milliseconds $rtt] uptime -$id] \
            [expr {$waiting > 1000000 ? "bad" : ""}]
    }]
}
# A round trip as the server tells it: 552.1 and the sign of microseconds, 1.2ms, 3s.
proc milliseconds {text} {
    if {![regexp {^([\d.]+)(.?)} $text -> number unit]} { return 0 }
    return [expr {$number * ($unit eq "m" ? 1 : $unit eq "s" ? 1000 : 0.001)}]
}
proc slow_rows {connections closed} {
    set rows {}
    foreach connection $connections {
        if {[dict lookup $connection pending_bytes 0] > 100000} { lappend rows [slow_row $connection "does not take what waits for it" now] }
    }
    foreach connection $closed {
        if {![string match Slow* [dict lookup $connection reason]]} continue
        lappend rows [slow_row $connection "closed: [dict get $connection reason]" \
            [clock format [expr {[nats::isotime_to_msec [dict get $connection stop]] / 1000}] -format "%m-%d %H:%M:%S"]]
    }
    return $rows
}
proc slow_row {connection what when} {
    set id [dict get $connection cid]
    set waiting [dict lookup $connection pending_bytes 0]
    list $id [list name [name_of $connection] id $id address [address_of $connection] waiting [units::bytes $waiting] what $what when $when] \
        [list waiting $waiting] [expr {$when eq "now" ? "bad" : ""}]
}
# So many that it would take long to read them all are not asked for.
proc show_subscriptions {connections} {
    set count [::tcl::mathop::+ {*}[lmap connection $connections { dict get $connection subscriptions }]]
    if {$count > 5000} {
        set ::trouble "[units::count $count] subscriptions are too many to be listed"
    } else {
        fill subscriptions [subscription_rows [feed::subscriptions]]
    }
}
proc subscription_rows {subscriptions} {
    return [lmap one $subscriptions {
        set id [dict get $one cid]
        # What is no client is the server itself, which has subscriptions for its streams.
        if {![info exists ::client($id)]} continue
        list $id/[dict get $one sid]/[dict get $one subject] [list subject [dict get $one subject] queue [dict lookup $one qgroup] \
            client $::client($id) messages [units::count [dict lookup $one msgs 0]] \
            account [dict lookup $one account]] [list messages [dict lookup $one msgs 0]]
    }]
}
array set rows {streams {} connections {} subscriptions {} slow {}}
proc fill {name rows} {
    set ::rows($name) $rows
    table::fill .tabs.$name $rows
}
proc fill_again {name} {
    table::fill .tabs.$name $::rows($name)
    dict for {parent rows} $::opened { table::fill .tabs.streams $rows $parent }
}
proc watch_server {} {
    while 1 {
        try {
            if {$::state eq "connected" || $::option(-monitor) ne ""} {
                show_totals [feed::totals]
                set connections [feed::connections]
                fill connections [connection_rows $connections]
                fill slow [slow_rows $connections [feed::closed]]
                set ::trouble ""
                if {[.tabs select] eq ".tabs.subscriptions"} { show_subscriptions $connections }
            }
        } on error text {
            set ::trouble [string range $text 0 90]
        }
        feed::sleep 1000
    }
}

# ---- Figures of JetStream ----
# Streams whose consumers are shown -> their rows.
set opened {}
proc stream_row {info} {
    set name [dict get $info config name]
    set state [dict get $info state]
    dict with state {}
    set count [dict get $state consumer_count]
    set rate [rate stream/$name $last_seq]
    list $name [list name "$name[expr {$count ? "   ($count)" : ""}]" subjects [join [dict lookup [dict get $info config] subjects] ", "] \
        messages [units::count $messages] size [units::bytes $bytes] rate [units::short $rate] pending "" unacked "" again "" last [ago $last_ts]] \
        [list name $name messages $messages size $bytes rate $rate last $last_seq]
}
proc ago {time} {
    if {[string match 0001-* $time]} { return \u2013 }
    return [units::age [expr {max(0, [clock seconds] - [nats::isotime_to_msec $time] / 1000)}]]
}
proc consumer_row {stream info} {
    set name [dict get $info name]
    set config [dict get $info config]
    set filter [concat [dict lookup $config filter_subject] [dict lookup $config filter_subjects]]
    set rate [rate consumer/$stream/$name [dict get $info delivered consumer_seq]]
    lassign [lmap field {num_pending num_ack_pending num_redelivered} { dict get $info $field }] pending unacked again
    list $stream/$name [list name $name subjects [join $filter ", "] messages "" size "" rate [units::short $rate] \
        pending [units::count $pending] unacked [units::count $unacked] again [units::count $again] \
        last [expr {[dict exists $info delivered last_active] ? [ago [dict get $info delivered last_active]] : "\u2013"}]] \
        [list pending $pending unacked $unacked again $again rate $rate] [expr {$again > 0 ? "bad" : "part"}]
}
proc show_streams {infos} {
    set totals {streams 0 consumers 0 messages 0 stored 0}
    set rows [lmap info $infos {
        dict incr totals streams
        foreach {name field} {consumers consumer_count messages messages stored bytes} { dict incr totals $name [dict get $info state $field] }
        feed::breathe
        stream_row $info
    }]
    set first [expr {$::rows(streams) eq "" && [llength $rows] <= 12}]
    fill streams $rows
    # A stream that has consumers can be opened, which an empty row below it tells; few are open at the beginning.
    foreach info $infos {
        set name [dict get $info config name]
        if {[dict get $info state consumer_count] == 0} continue
        if {[.tabs.streams.list children $name] eq ""} { .tabs.streams.list insert $name end -id $name/ -text \u2026 }
        if {$first} { .tabs.streams.list item $name -open 1 }
    }
    foreach name {streams consumers messages} { set_tile $name [units::count [dict get $totals $name]] }
    set_tile stored [units::bytes [dict get $totals stored]]
}
# Consumers of streams that are open and can be seen, of twenty at most.
proc show_consumers {} {
    set list .tabs.streams.list
    set names [lrange [lmap name [$list children {}] {
        if {![$list item $name -open] || [$list children $name] eq "" || [$list bbox $name] eq "" && [$list bbox [lindex [$list children $name] 0]] eq ""} continue
        set name
    }] 0 19]
    set ::opened {}
    foreach name $names {
        try {
            set rows [lmap info [dict get [$::js consumer_list $name] consumers] { consumer_row $name $info }]
            dict set ::opened $name $rows
            if {[$list exists $name]} { table::fill .tabs.streams $rows $name }
        } trap {NATS ErrStreamNotFound} {} {
            # The next list of streams is without it.
        }
    }
}
proc watch_streams {} {
    while 1 {
        set start [clock milliseconds]
        try {
            if {$::state eq "connected"} {
                show_streams [dict get [$::js stream_list] streams]
                if {[.tabs select] eq ".tabs.streams"} show_consumers
            }
        } trap {NATS ErrJetStreamNotEnabled} {} - trap {NATS ErrJetStreamNotEnabledForAccount} {} {
            set_tile streams none
        } on error {text options} {
            note "JetStream: $text"
        }
        # Of a list that takes long there is not one all the time.
        feed::sleep [expr {max(1000, 5 * ([clock milliseconds] - $start))}]
    }
}

$conn configure -event_callback connection_event
show_state
$js events -callback advisory -kinds {
    stream_action stream_leader_elected stream_quorum_lost
    consumer_action consumer_pause consumer_leader_elected consumer_quorum_lost
    max_deliver nak terminated ack_metric
}
coroutine server_watcher watch_server
coroutine stream_watcher watch_streams
