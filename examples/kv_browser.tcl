# A browser of a Key-Value bucket: its keys with a filter, a value and its history, editing that loses nobody else's change.
#
#   nats-server -js &
#   TCLLIBPATH=<this checkout> tclsh examples/kv_changes.tcl &       (a bucket that somebody changes all the time)
#   TCLLIBPATH=<this checkout> wish examples/kv_browser.tcl ?nats://127.0.0.1:4222? ?demo?
#
# It stays alive with 100 000 keys and 5 000 changes in a second:
#  * entries come in lists (-batch), and of a key that changes faster than they are taken only the newest (-overflow latest);
#  * the list has only the keys; 20 times a second those rows get values and colours that can be seen.

package require Tk
package require nats

lassign [concat $argv [lrange {nats://127.0.0.1:4222 demo} [llength $argv] end]] url bucket

# ---- The keys ----
# Key -> revision, the beginning of the value, when it came, what happened: new, changed, gone, or nothing lately.
array set rows {}
# What came since the list was shown last. Keys that were deleted, and when: they stay for two seconds, so that it can be seen.
set come [set gone {}]
# Those that match the filter, in order; none before all have come.
set shown {}
set loaded 0
set filter [set filtered ""]
proc arrived {entries} {
    global rows come gone loaded
    set now [clock milliseconds]
    foreach entry $entries {
        if {$entry eq ""} { set loaded 1; apply_filter; continue }
        foreach name {key value revision operation} { set $name [dict get $entry $name] }
        set there [info exists rows($key)]
        set is_new [expr {!$there || [lindex $rows($key) 3] eq "gone"}]
        if {$operation eq "PUT"} {
            set kind [expr {!$loaded ? "" : $is_new ? "new" : "changed"}]
            set rows($key) [list $revision [string range $value 0 200] $now $kind]
            if {!$there} { lappend come $key }
        } elseif {!$is_new} {
            set rows($key) [list $revision {} $now gone]
            lappend gone $key $now
        }
    }
}
proc pattern {} { expr {[string match {*[*?]*} $::filter] ? $::filter : "*$::filter*"} }
proc apply_filter {} {
    set ::filtered $::filter
    set ::come {}
    set ::shown [lsort [lsearch -all -inline -nocase -glob [array names ::rows] [pattern]]]
    .keys.list delete [.keys.list children {}]
    foreach key $::shown { .keys.list insert {} end -id $key }
}
# Keys that have come are put into the list.
proc insert {} {
    global come shown
    # Of very many, making it anew is quicker.
    if {[llength $come] > 1000} apply_filter
    foreach key [lsearch -all -inline -nocase -glob $come [pattern]] {
        set at [expr {[lsearch -sorted -bisect $shown $key] + 1}]
        set shown [linsert $shown $at $key]
        .keys.list insert {} $at -id $key
    }
    set come {}
}
# Those that were deleted two seconds ago are taken out.
proc bury {} {
    global rows gone shown
    set before [expr {[clock milliseconds] - 2000}]
    set n 0
    foreach {key when} $gone {
        if {$when > $before} break
        incr n 2
        # It may have been put again, and even deleted again.
        if {![info exists rows($key)] || [lrange $rows($key) 2 3] ne [list $when gone]} continue
        unset rows($key)
        if {$n > 1000 || ![.keys.list exists $key]} continue
        set at [lsearch -sorted $shown $key]
        set shown [lreplace $shown $at $at]
        .keys.list delete [list $key]
    }
    set gone [lrange $gone $n end]
    if {$n > 1000} apply_filter
}
# Bytes as a line for people.
proc excerpt {bytes} {
    if {[catch {encoding convertfrom utf-8 $bytes} text]} { set text $bytes }
    return [regsub -all {[[:cntrl:]]} $text " "]
}
# The rows that can be seen, which are higher than 16 pixels. Their colours fade in ten steps.
proc draw {} {
    global rows shown
    set now [clock milliseconds]
    set first [expr {round([lindex [.keys.list yview] 0] * [llength $shown])}]
    foreach key [lrange $shown $first [expr {$first + [winfo height .keys.list] / 16}]] {
        lassign $rows($key) revision value when kind
        set step [expr {max(0, $now - $when) / 200}]
        set tag [expr {$kind ne "" && $step < 10 ? "$kind$step" : ""}]
        # Only what has changed is told to Tk: the rest costs nothing.
        if {[lindex [.keys.list item $key -values] 1] eq $revision && [.keys.list item $key -tags] eq $tag} continue
        .keys.list item $key -values [list $key $revision [excerpt $value]] -tags $tag
    }
}
proc frame_of_list {} {
    if {$::loaded && $::filter ne $::filtered} apply_filter
    if {$::loaded} { insert; bury; draw }
    show_history
    after 50 frame_of_list
}

# ---- One key: its value and history ----
# What waits for the server does so in a coroutine, and meanwhile the window goes on.
proc task {args} {
    coroutine task[incr ::tasks] apply {command { try $command trap NATS text { say $text } }} $args
}
proc say {text} { set ::said $text }
set selected [set follower ""]
set choice [set saving 0]
# The text in the editor was made from `base`, and follows the `latest` entry as long as nobody has edited it.
set base [set latest [set nothing {value {} revision 0 operation {}}]]
proc select {key} {
    if {$key in [list "" $::selected]} return
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
        .one.history insert {} end -values [list [dict get $entry revision] $time [dict get $entry operation] \
            [excerpt [string range [dict get $entry value] 0 200]]]
    }
}
proc fill {} {
    set ::base $::latest
    show_value [dict get $::base value]
    compare
}
# Text that would not come back as the same bytes is shown, and cannot be edited.
proc show_value {bytes} {
    set binary [expr {[string length $bytes] > 100000 || [catch {encoding convertfrom utf-8 $bytes} text]
        || [encoding convertto utf-8 $text] ne $bytes}]
    .one.value configure -state normal
    .one.value replace 1.0 end [expr {$binary ? [excerpt [string range $bytes 0 10000]] : $text}]
    .one.value edit modified 0
    .one.value edit reset
    if {$binary} { .one.value configure -state disabled; say "[string length $bytes] bytes, not to be edited here" }
}
proc compare {} {
    if {$::saving} return
    if {[dict get $::base revision] == [dict get $::latest revision]} { return [grid remove .one.conflict] }
    if {![.one.value edit modified]} { return [fill] }
    set what [dict get $::latest operation]
    if {$what eq "PUT"} { set what [excerpt [string range [dict get $::latest value] 0 60]] }
    .one.conflict.text configure -text "Revision [dict get $::latest revision], by somebody else: $what"
    grid .one.conflict
}
# An old value goes into the editor; Save writes it.
proc take_old {item} {
    if {$item eq "" || [.one.value cget -state] ne "normal"} return
    show_value [dict get [lindex $::history end-[.one.history index $item]] value]
    .one.value edit modified 1
    compare
}
proc save {} {
    if {$::key ne $::selected} { return [say "Press Return behind the key first"] }
    task change update [encoding convertto utf-8 [.one.value get 1.0 end-1c]]
}
proc remove {} {
    # A revision of 0 would be no condition.
    if {[dict get $::base revision]} { task change delete } else { say "Nothing to delete" }
}
# Writes under the revision that the text was made from, so a change of somebody else is never overwritten unseen.
proc change {method args} {
    if {$::saving} return
    lassign [list $::choice [.one.value edit modified]] choice was
    set ::saving 1
    .one.value edit modified 0
    try {
        set revision [$::kv $method $::selected {*}$args [dict get $::base revision]]
        if {$choice == $::choice && $revision ne ""} {
            # Its own entry may have come already, or even a later one.
            set own [expr {[dict get $::latest revision] == [dict get $::base revision]}]
            set ::base [dict create value [lindex $args 0] revision $revision operation PUT]
            if {$own} { set ::latest $::base }
        }
        say "Written"
    } on error {text how} {
        if {$choice == $::choice && $was} { .one.value edit modified 1 }
        if {[lindex [dict get $how -errorcode] 1] eq "ErrWrongLastSequence"} { set text "Not written: somebody else has changed it" }
        say $text
    } finally {
        set ::saving 0
        compare
    }
}

# ---- The window ----
proc columns {list widths} {
    foreach {column width} $widths {
        $list heading $column -text $column -anchor w
        $list column $column -width $width -stretch [expr {$column eq "value"}]
    }
}
ttk::style theme use clam
wm title . "$bucket: Key-Value browser"
wm geometry . 1120x620
wm protocol . WM_DELETE_WINDOW {set finished 1}
ttk::frame .top -padding 4
pack [ttk::label .top.label -text Filter] [ttk::entry .top.filter -textvariable filter -width 30] -side left -padx 4
pack [ttk::label .top.state -textvariable state -foreground white -padding {8 2}] -side right -padx 4
pack [ttk::label .top.numbers -textvariable numbers] -side right -padx 4
ttk::panedwindow .panes -orient horizontal
pack .top -fill x
pack .panes -fill both -expand 1

.panes add [ttk::frame .keys] -weight 3
pack [ttk::scrollbar .keys.scroll -command {.keys.list yview}] -side right -fill y
ttk::treeview .keys.list -columns {key revision value} -show headings -selectmode browse -yscrollcommand {.keys.scroll set}
pack .keys.list -fill both -expand 1
columns .keys.list {key 230 revision 80 value 270}
bind .keys.list <<TreeviewSelect>> {select [lindex [.keys.list selection] 0]}
ttk::style configure Treeview -rowheight [expr {[font metrics TkDefaultFont -linespace] + 4}]
foreach {kind rgb} {new {150 225 150} changed {255 205 110} gone {245 150 140}} {
    for {set i 0} {$i < 10} {incr i} {
        set faded [lmap part $rgb {expr {$part + (255 - $part) * $i / 10}}]
        .keys.list tag configure $kind$i -background [format #%02x%02x%02x {*}$faded]
    }
}

.panes add [ttk::frame .one -padding {6 0 4 4}] -weight 2
ttk::entry .one.key -textvariable key -font TkFixedFont
bind .one.key <Return> {select $key}
text .one.value -font TkFixedFont -height 8 -width 40 -wrap char -undo 1 -borderwidth 1
bind .one.value <Control-s> {save; break}
ttk::frame .one.buttons
foreach {name text command} {save "Save" save undo "Undo" fill delete "Delete" remove} {
    pack [ttk::button .one.buttons.$name -text $text -command $command] -side left -padx {0 4}
}
ttk::label .one.said -textvariable said
frame .one.conflict -background #f5c6c0
pack [label .one.conflict.text -background #f5c6c0 -anchor w] -fill x -padx 4 -pady 2
foreach {name text command} {theirs "Take theirs" fill mine "Keep mine" {set base $latest; compare}} {
    pack [ttk::button .one.conflict.$name -text $text -command $command] -side left -padx 4 -pady 4
}
ttk::treeview .one.history -columns {revision time operation value} -show headings -height 8
columns .one.history {revision 80 time 120 operation 90 value 180}
bind .one.history <Double-1> {take_old [.one.history identify item %x %y]}
foreach part {key value buttons said conflict history} { grid .one.$part -sticky news -pady 2 }
grid rowconfigure .one {1 5} -weight 1
grid columnconfigure .one 0 -weight 1
grid remove .one.conflict

# ---- The bucket ----
set conn [nats::connection new browser]
$conn configure -servers $url
$conn connect
set js [$conn jet_stream]
set kv [$js bind_kv_bucket $bucket]
set kept [dict get [$kv status] history]

proc state {name progress} {
    set ::state $name
    .top.state configure -background [dict get [dict merge [list $name #c62828] {live #2e7d32 initial #1565c0 resumed #1565c0}] $name]
}
set watcher [$kv watch > -batch true -overflow latest -callback arrived -state state]

proc count_up {before} {
    set progress [$::watcher status]
    # What was skipped has happened, too.
    set changes [expr {[dict get $progress delivered] + [dict get $progress skipped]}]
    set ::numbers "[array size ::rows] keys, [llength $::shown] match   [expr {$changes - $before}] changes/s"
    after 1000 [list count_up $changes]
}
frame_of_list
count_up 0
vwait finished
$conn destroy
exit
