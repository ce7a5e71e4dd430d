# A browser of a Key-Value bucket: its keys with a filter, a value and its history, editing that loses nobody else's change.
#
#   nats-server -js &
#   TCLLIBPATH=<this checkout> wish examples/kv_browser.tcl ?nats://127.0.0.1:4222? ?bucket? ?-option value …?
#
# Without a bucket it makes one of its own, and goes on changing it: -keys 2000, -rate 100 (changes in a second). With
# -seconds 10 it ends after that time, and says how late timers were.
#
# It stays alive with 100 000 keys and 5 000 changes in a second:
#  * entries come in lists (-batch), and of a key that changes faster than they are taken only the newest (-overflow latest);
#  * they go into an array and a list of keys, and 20 times a second the rows that can be seen are drawn, and no others.

package require Tk
package require nats

set places [lsearch -all -inline -not -glob [lrange $argv 0 1] -*]
array set options {-keys 2000 -rate 100 -seconds 0}
array set options [lrange $argv [llength $places] end]
lassign $places url bucket
if {$url eq ""} { set url nats://127.0.0.1:4222 }
set demo [expr {$bucket eq ""}]
if {$demo} { set bucket browser_demo }

# ---- The list of keys ----

# Keys in order, in pieces of some hundreds: one comes and goes in microseconds, however many there are.
oo::class create key_list {
    # Three lists of the same length: the least key of each piece, its keys, those of them that match the filter.
    variable least pieces shown filter
    constructor {} {
        set least [set pieces [set shown [list {}]]]
        set filter *
    }
    method Piece {key} { lsearch -sorted -bisect $least $key }
    method Insert {keys key} { linsert $keys [expr {[lsearch -sorted -bisect $keys $key] + 1}] $key }
    method Matching {keys} { lsearch -all -inline -nocase -glob $keys $filter }
    # A key that is not there yet.
    method add {key} {
        set i [my Piece $key]
        lset pieces $i [set keys [my Insert [lindex $pieces $i] $key]]
        if {[string match -nocase $filter $key]} { lset shown $i [my Insert [lindex $shown $i] $key] }
        if {[llength $keys] < 1000} return
        lassign [list [lrange $keys 0 499] [lrange $keys 500 end]] lower upper
        set least [linsert $least $i+1 [lindex $upper 0]]
        set pieces [lreplace $pieces $i $i $lower $upper]
        set shown [lreplace $shown $i $i [my Matching $lower] [my Matching $upper]]
    }
    method remove {key} {
        set i [my Piece $key]
        foreach list {pieces shown} {
            set keys [lindex [set $list] $i]
            set at [lsearch -sorted -exact $keys $key]
            lset $list $i [lreplace $keys $at $at]
        }
        if {$i == 0 || [llength [lindex $pieces $i]]} return
        foreach list {least pieces shown} { set $list [lreplace [set $list] $i $i] }
    }
    method filter {pattern} {
        set filter $pattern
        set shown [lmap keys $pieces {my Matching $keys}]
    }
    # Of those that are shown: their number, how many come before a key, some of them.
    method count {} { tcl::mathop::+ {*}[lmap keys $shown {llength $keys}] }
    method rank {key} {
        set i [my Piece $key]
        set keys [lindex $shown $i]
        set at [lsearch -sorted -bisect $keys $key]
        tcl::mathop::+ {*}[lmap before [lrange $shown 0 $i-1] {llength $before}] $at [expr {[lindex $keys $at] ne $key}]
    }
    method range {first count} {
        set found {}
        foreach keys $shown {
            lappend found {*}[lrange $keys $first [expr {$first + $count - 1}]]
            if {[llength $found] >= $count} break
            set first [expr {max(0, $first - [llength $keys])}]
        }
        lrange $found 0 $count-1
    }
}
key_list create keys

# Key -> revision, created, the beginning of the value, when it came, what happened: new, changed, gone, or nothing lately.
array set rows {}
# Keys that were deleted and when: they stay for a moment, so that it can be seen.
set gone {}
set arrived 0
proc arrived {entries} {
    global rows gone keys
    incr ::arrived [llength $entries]
    set now [clock milliseconds]
    foreach entry $entries {
        if {$entry eq ""} { set ::loaded 1; continue }
        foreach name {key value revision created operation} { set $name [dict get $entry $name] }
        set there [info exists rows($key)]
        set is_new [expr {!$there || [lindex $rows($key) 4] eq "gone"}]
        if {$operation eq "PUT"} {
            if {!$there} { keys add $key }
            set kind [expr {!$::loaded ? "" : $is_new ? "new" : "changed"}]
            set rows($key) [list $revision $created [string range $value 0 200] $now $kind]
        } elseif {!$is_new} {
            set rows($key) [list $revision $created {} $now gone]
            lappend gone $key $now
        }
    }
}
proc bury {} {
    global rows gone
    set before [expr {[clock milliseconds] - 2000}]
    set n 0
    foreach {key when} $gone {
        if {$when > $before} break
        incr n 2
        # It may have been put again, and even deleted again.
        if {[lindex $rows($key) 4] ne "gone" || [lindex $rows($key) 3] != $when} continue
        unset rows($key)
        keys remove $key
    }
    set gone [lrange $gone $n end]
}

# ---- The rows that can be seen ----

# Colours fade in ten steps of 200 ms.
foreach {kind rgb} {new {150 225 150} changed {255 205 110} gone {245 150 140}} {
    for {set i 0} {$i < 10} {incr i} {
        set shade($kind,$i) [format #%02x%02x%02x {*}[lmap part $rgb {expr {$part + (255 - $part) * $i / 10}}]]
    }
}
proc colour {now when kind} {
    set step [expr {($now - $when) / 200}]
    return [expr {$kind eq "" || $step > 9 ? "white" : $::shade($kind,[expr {max(0, $step)}])}]
}
# Bytes as a line for people.
proc excerpt {bytes} {
    if {[catch {encoding convertfrom utf-8 $bytes} text]} { set text $bytes }
    return [regsub -all {[[:cntrl:]]} $text " "]
}

set columns "%-28.28s %9s  %s"
set top ""
set drawn {}
set frames 0
proc draw {} {
    global rows drawn top line shade
    incr ::frames
    set visible [expr {[winfo height .keys.rows] / $line}]
    set count [keys count]
    set first [expr {max(0, min([keys rank $top], $count - $visible))}]
    .keys.scroll set [expr {double($first) / max(1, $count)}] [expr {double($first + $visible) / max(1, $visible, $count)}]
    set now [clock milliseconds]
    set i -1
    foreach key [keys range $first [expr {$visible + 1}]] {
        lassign $rows($key) revision created value when kind
        row [incr i] [format $::columns $key $revision $value] [colour $now $when $kind] [expr {$key eq $::selected}]
    }
    while {[incr i] < [llength $drawn]} { row $i "" white 0 }
}
# Only what has changed is told to Tk: the rest costs nothing.
proc row {i bytes colour selected} {
    global drawn line
    while {[llength $drawn] <= $i} {
        set y [expr {[llength $drawn] * $line}]
        .keys.rows create rectangle 0 $y 4000 [expr {$y + $line}] -width 0 -tags back[llength $drawn]
        .keys.rows create text 6 [expr {$y + 2}] -anchor nw -font TkFixedFont -tags text[llength $drawn]
        lappend drawn {}
    }
    set row [list $bytes $colour $selected]
    if {$row eq [lindex $drawn $i]} return
    lset drawn $i $row
    .keys.rows itemconfigure back$i -fill [expr {$selected && $colour eq "white" ? "#d5e4f7" : $colour}]
    .keys.rows itemconfigure text$i -text [excerpt $bytes] -fill [expr {$selected ? "#0b3d91" : "black"}]
}
proc scroll {how amount {unit units}} {
    global top
    set visible [expr {[winfo height .keys.rows] / $::line}]
    if {$how eq "moveto"} {
        set first [expr {round($amount * [keys count])}]
    } else {
        set first [expr {[keys rank $top] + $amount * ($unit eq "pages" ? $visible : 1)}]
    }
    set top [lindex [keys range [expr {max(0, min($first, [keys count] - $visible))}] 1] 0]
}
# The row above or below the selected one.
proc move {step} {
    set at [expr {max(0, min([keys rank $::selected] + $step, [keys count] - 1))}]
    set key [lindex [keys range $at 1] 0]
    if {$key eq ""} return
    select $key
    set visible [expr {[winfo height .keys.rows] / $::line}]
    set above [expr {$at - [keys rank $::top]}]
    if {$above < 0} { scroll scroll $above } elseif {$above >= $visible} { scroll scroll [expr {$above - $visible + 1}] }
}
set filter [set filtered ""]
proc frame_of_list {} {
    if {$::filter ne $::filtered} {
        set ::filtered $::filter
        keys filter [expr {[string match {*[*?]*} $::filter] ? $::filter : "*$::filter*"}]
    }
    bury
    draw
    show_history
    after 50 frame_of_list
}

# ---- One key: its value and history ----

# What waits for the server does so in a coroutine, and meanwhile the window goes on.
proc task {args} {
    coroutine task[incr ::tasks] apply {command {
        try $command trap NATS text { say $text }
    }} $args
}
set said ""
proc say {text} { set ::said $text }

set selected ""
set follower ""
set choice 0
set nothing {key {} value {} revision 0 created 0 operation {}}
proc select {key} {
    if {$key eq "" || $key eq $::selected} return
    # These would be patterns for `watch`.
    if {[regexp {[\s*>]} $key]} { say "No key: $key"; return }
    set ::selected [set ::key $key]
    set ::history {}
    set ::latest $::nothing
    say ""
    fill
    task follow $key [incr ::choice]
}
# All revisions of it that there are, and those to come.
proc follow {key choice} {
    if {$::follower ne ""} { $::follower destroy; set ::follower "" }
    set watcher [$::kv watch $key -include_history true -batch true -callback [list revisions $choice]]
    # Another key may have been chosen while this waited.
    if {$choice == $::choice} { set ::follower $watcher } else { $watcher destroy }
}
proc revisions {choice entries} {
    if {$choice != $::choice} return
    foreach entry [lsearch -all -inline -not -exact [lrange $entries end-63 end] {}] {
        if {[dict get $entry operation] eq "PURGE"} { set ::history {} }
        lappend ::history $entry
        set ::latest $entry
    }
    set ::history [lrange $::history end-[expr {$::kept - 1}] end]
    compare
}
set history [set history_shown {}]
proc show_history {} {
    if {$::history eq $::history_shown} return
    set ::history_shown $::history
    .one.history delete [.one.history children {}]
    foreach entry [lreverse $::history] {
        set time [clock format [expr {[dict get $entry created] / 1000}] -format "%m-%d %H:%M:%S"]
        .one.history insert {} end -values \
            [list [dict get $entry revision] $time [dict get $entry operation] [excerpt [string range [dict get $entry value] 0 200]]]
    }
}

# The text in the editor was made from `base`. It follows the bucket as long as nobody has edited it.
set base [set latest $nothing]
set saving 0
proc fill {} {
    set ::base $::latest
    show_value [dict get $::base value]
    compare
}
# Text that would not come back as the same bytes is shown, and cannot be edited.
proc show_value {bytes} {
    set binary [expr {[catch {encoding convertfrom utf-8 $bytes} text] || [encoding convertto utf-8 $text] ne $bytes}]
    if {[string length $bytes] > 100000} { set binary 1 }
    .one.value configure -state normal
    .one.value replace 1.0 end [expr {$binary ? [excerpt [string range $bytes 0 10000]] : $text}]
    .one.value edit modified 0
    .one.value edit reset
    if {$binary} { .one.value configure -state disabled; say "[string length $bytes] bytes, not to be edited here" }
}
proc edited {} { .one.value edit modified }
proc compare {} {
    if {$::saving} return
    set same [expr {[dict get $::base revision] == [dict get $::latest revision]}]
    if {!$same && ![edited]} { fill; return }
    if {$same} { grid remove .one.conflict; return }
    set what [dict get $::latest operation]
    .one.conflict.text configure -text [format "Revision %s, by somebody else: %s" [dict get $::latest revision] \
        [expr {$what eq "PUT" ? [excerpt [string range [dict get $::latest value] 0 60]] : $what}]]
    grid .one.conflict
}
proc keep_mine {} {
    set ::base $::latest
    compare
}
# Writes under the revision that the text was made from, so a change of somebody else is never overwritten unseen.
proc save {} {
    if {$::key ne $::selected} { say "Press Return behind the key first"; return }
    set value [encoding convertto utf-8 [.one.value get 1.0 end-1c]]
    task change $::choice $value [list $::kv update $::selected $value [dict get $::base revision]]
}
proc remove {} {
    # A revision of 0 would be no condition.
    if {[dict get $::base revision] == 0} { say "Nothing to delete"; return }
    task change $::choice "" [list $::kv delete $::selected [dict get $::base revision]]
}
proc change {choice value command} {
    if {$::saving} return
    set was [edited]
    set ::saving 1
    .one.value edit modified 0
    try {
        set revision [{*}$command]
        if {$choice == $::choice && $revision ne ""} {
            # Its own entry may have come already, or even a later one.
            set own [expr {[dict get $::latest revision] == [dict get $::base revision]}]
            set ::base [dict replace $::base value $value revision $revision operation PUT]
            if {$own} { set ::latest $::base }
        }
        say "Written"
    } on error {text how} {
        if {$choice == $::choice && $was} { .one.value edit modified 1 }
        say [expr {[lindex [dict get $how -errorcode] 1] eq "ErrWrongLastSequence" ? "Not written: somebody else has changed it" : $text}]
    } finally {
        set ::saving 0
        compare
    }
}

# ---- The window ----

ttk::style theme use clam
wm title . "$bucket: Key-Value browser"
wm geometry . 1120x620
ttk::panedwindow .panes -orient horizontal
ttk::frame .top -padding 4
ttk::label .top.label -text Filter
ttk::entry .top.filter -textvariable filter -width 30
ttk::label .top.state -textvariable state -foreground white -background #777777 -padding {8 2}
ttk::label .top.numbers -textvariable numbers
pack .top.label .top.filter -side left -padx 4
pack .top.state -side right -padx 4
pack .top.numbers -side right -padx 8
pack .top -fill x
pack .panes -fill both -expand 1

ttk::frame .keys
set line [expr {[font metrics TkFixedFont -linespace] + 4}]
canvas .keys.rows -background white -highlightthickness 0 -width 560 -height 400 -takefocus 1
ttk::scrollbar .keys.scroll -command scroll
pack [ttk::label .keys.head -font TkFixedFont -text [format " $columns" key revision value]] -fill x
pack .keys.scroll -side right -fill y
pack .keys.rows -fill both -expand 1
.panes add .keys -weight 3
foreach {event step} {<Button-4> -3 <Button-5> 3} { bind .keys.rows $event [list scroll scroll $step] }
bind .keys.rows <MouseWheel> {scroll scroll [expr {%D > 0 ? -3 : 3}]}
foreach {event step} {Up -1 Down 1} { bind .keys.rows <$event> [list move $step] }
foreach {event pages} {Prior -1 Next 1} { bind .keys.rows <$event> [list scroll scroll $pages pages] }
bind .keys.rows <Home> {scroll moveto 0}
bind .keys.rows <End> {scroll moveto 1}
bind .keys.rows <Button-1> {
    focus %W
    select [lindex [keys range [expr {max(0, [keys rank $top]) + %y / $line}] 1] 0]
}

ttk::frame .one -padding {6 0 4 4}
ttk::entry .one.key -textvariable key -font TkFixedFont
bind .one.key <Return> {select $key}
text .one.value -font TkFixedFont -height 8 -width 40 -wrap char -undo 1 -borderwidth 1
ttk::frame .one.buttons
foreach {name text command} {save "Save" save undo "Undo" fill delete "Delete" remove} {
    pack [ttk::button .one.buttons.$name -text $text -command $command] -side left -padx {0 4}
}
ttk::label .one.said -textvariable said
bind .one.value <Control-s> {save; break}
frame .one.conflict -background #f5c6c0
label .one.conflict.text -background #f5c6c0 -anchor w
ttk::button .one.conflict.theirs -text "Take theirs" -command fill
ttk::button .one.conflict.mine -text "Keep mine" -command keep_mine
pack .one.conflict.text -side top -fill x -padx 4 -pady 2
pack .one.conflict.theirs .one.conflict.mine -side left -padx 4 -pady 4
ttk::treeview .one.history -columns {revision time operation value} -show headings -height 8
foreach {column width} {revision 80 time 120 operation 90 value 180} {
    .one.history heading $column -text $column -anchor w
    .one.history column $column -width $width -stretch [expr {$column eq "value"}]
}
# An old value goes into the editor; Save writes it.
bind .one.history <Double-1> {
    set item [.one.history identify item %x %y]
    if {$item ne "" && [.one.value cget -state] eq "normal"} {
        show_value [dict get [lindex $history end-[.one.history index $item]] value]
        .one.value edit modified 1
        compare
    }
}
set at -1
foreach part {key value buttons said conflict history} {
    grid .one.$part -row [incr at] -sticky news -pady 2
}
grid rowconfigure .one {1 5} -weight 1
grid columnconfigure .one 0 -weight 1
grid remove .one.conflict
.panes add .one -weight 2
wm protocol . WM_DELETE_WINDOW {set finished 1}

# ---- The bucket ----

set conn [nats::connection new browser]
$conn configure -servers $url
$conn connect
set js [$conn jet_stream]
if {$demo} { $js create_kv_bucket $bucket -history 8 -storage memory }
set kv [$js bind_kv_bucket $bucket]
set kept [dict get [$kv status] history]

proc state {name progress} {
    set colours {live #2e7d32 initial #1565c0 resumed #1565c0}
    set ::state $name
    .top.state configure -background [expr {[dict exists $colours $name] ? [dict get $colours $name] : "#c62828"}]
}
set loaded 0
set watcher [$kv watch > -batch true -overflow latest -callback arrived -state state]

proc count_up {before} {
    set progress [$::watcher status]
    # What was skipped has happened, too.
    set changes [expr {[dict get $progress delivered] + [dict get $progress skipped]}]
    set shown [expr {$::filtered eq "" ? "" : ", [keys count] match"}]
    set ::numbers "[array size ::rows] keys$shown   [expr {$changes - $before}] changes/s   timers [expr {$::worst}] ms late"
    set ::worst 0
    after 1000 [list count_up $changes]
}
# How late a timer is tells how long the window was busy with something else.
set lateness {}
proc tick {due} {
    set now [clock milliseconds]
    set ::worst [expr {max($::worst, $now - $due)}]
    if {$::options(-seconds) > 0} { lappend ::lateness [expr {$now - $due}] }
    after 10 [list tick [expr {$now + 10}]]
}
set worst 0
tick [clock milliseconds]
frame_of_list
count_up 0

# ---- A bucket of its own ----

proc demo_key {i} {
    return [lindex {device.berlin device.oslo order session user.settings} [expr {$i % 5}]].[format %06d $i]
}
proc demo_change {i} {
    set value [format {{"state": "%s", "load": %.2f, "by": "%s"}} [lindex {idle busy waiting} [expr {int(rand() * 3)}]] [expr {rand()}] \
        [lindex [list anna bj\u00f6rn carla dmitri] [expr {int(rand() * 4)}]]]
    $::writer publish \$KV.$::bucket.[demo_key $i] [encoding convertto utf-8 $value]
}
# Keys first, in slices, then changes and now and then a deletion, so many as were due until now.
proc demo {written started} {
    set keys $::options(-keys)
    if {$written < $keys} {
        for {set i 0} {$i < 500 && $written < $keys} {incr i} { demo_change $written; incr written }
        after 2 [list demo $written [clock milliseconds]]
        return
    }
    set due [expr {$keys + ([clock milliseconds] - $started) * $::options(-rate) / 1000}]
    for {} {$written < $due} {incr written} {
        set i [expr {int(rand() * $keys)}]
        if {rand() < 0.03} {
            $::writer publish \$KV.$::bucket.[demo_key $i] "" -header {KV-Operation DEL}
        } else {
            demo_change $i
        }
    }
    after 20 [list demo $written $started]
}
if {$demo} {
    set writer [nats::connection new]
    $writer configure -servers $url
    $writer connect
    demo 0 0
}

if {$options(-seconds) > 0} { after [expr {int($options(-seconds) * 1000)}] {set finished 1} }
vwait finished
if {$options(-seconds) > 0} {
    set lateness [lsort -integer $lateness]
    set n [llength $lateness]
    puts "[array size rows] keys, [dict get [$watcher status] delivered] entries, [dict get [$watcher status] skipped] skipped, $frames frames,\
        $n ticks of 10 ms: [lindex $lateness [expr {$n / 2}]] ms late at the median, [lindex $lateness [expr {$n * 99 / 100}]] at 99 %,\
        [lindex $lateness end] at worst"
}
if {$demo} { $js delete_kv_bucket $bucket }
$conn destroy
exit
