# A form that edits a bucket: start it twice, and see that both windows show the same.
#
#   nats-server -js &
#   TCLLIBPATH=<this checkout> wish examples/two_windows.tcl ?nats://127.0.0.1:4222? ?name? ?script?
#
# The fields are bound to elements of an array, and the array to the bucket `form`: nothing else is to be done for that.
# Stop the server, edit in both windows and start it again: what was edited in one of them follows. A field that was
# edited in both shows what came first, and the other window says what it was not given.
#
# The script is evaluated when the bucket's content is there; that is how the tests use this program.

package require Tk
package require nats

lassign $argv url name script
if {$url eq ""} { set url nats://127.0.0.1:4222 }
if {$name eq ""} { set name [pid] }

set conn [nats::connection new $name]
$conn configure -servers $url -utf8_convert true -max_reconnect_attempts -1 -reconnect_time_wait 250
$conn connect
set kv [[$conn jet_stream] create_kv_bucket form -history 5]

wm title . "form: $name"
set fields {name Name street Street city City}
ttk::frame .f -padding 12
pack .f -fill both -expand 1
foreach {key text} $fields {
    ttk::label .f.l$key -text $text
    ttk::entry .f.$key -textvariable form($key) -width 32
    grid .f.l$key .f.$key -sticky ew -padx 4 -pady 3
}
ttk::checkbutton .f.active -text Active -variable form(active)
ttk::label .f.state -textvariable state -foreground gray40
ttk::label .f.conflict -textvariable conflict -foreground red3 -wraplength 320
grid x .f.active -sticky w -padx 4 -pady 3
grid .f.state - -sticky w -padx 4 -pady 3
grid .f.conflict - -sticky ew -padx 4 -pady 3
grid columnconfigure .f 1 -weight 1

# Somebody else was quicker: the field shows what he has written, this what was in it.
proc lost {loss} {
    dict with loss {
        set ::conflict "$key: not written: \"$mine\" ($message)"
        if {$key ne "" && [winfo exists .f.$key] && $key ne "active"} { flash .f.$key 6 }
    }
}
proc flash {entry count} {
    $entry configure -foreground [expr {$count % 2 ? "black" : "red3"}]
    if {$count > 0} { after 250 [list flash $entry [expr {$count - 1}]] }
}
# What waits to be written, twice a second.
proc show_state {} {
    set status [$::binding status]
    set ::state "[dict get $status state], [dict get $status pending] to be written"
    after 500 show_state
}
proc ready {} { set ::loaded 1 }

# Each key that is pressed changes the variable: what is typed within 150 ms is one write.
set binding [$kv bind form -on_error lost -on_ready ready -delay 150]
if {![info exists loaded]} { vwait loaded }
show_state
if {$script ne ""} {
    eval $script
    $conn destroy
    exit
}
wm protocol . WM_DELETE_WINDOW {
    # What was typed last is written before.
    catch {$binding destroy}
    $conn destroy
    exit
}
