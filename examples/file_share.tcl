# Shares files through an object store: one process puts them, another one gets what comes, each with a progress line.
#
#   tclsh file_share.tcl send ?URL? FILE …         puts files; those of the same name are replaced
#   tclsh file_share.tcl receive ?URL? FOLDER ?N?  gets what is there and what comes; with N ends after so many
#   tclsh file_share.tcl both ?URL?                both in two processes, with a file that it makes
#
# A URL is what has :// in it; without one it is nats://localhost:4222.
package require nats

proc bucket {url} {
    set ::conn [nats::connection new share]
    $::conn configure -servers $url
    $::conn connect
    return [[$::conn jet_stream] create_object_store example_share -description "files to share"]
}
# One line that is written over and over on a terminal; on anything else only its end is of interest.
proc progress {what done total} {
    if {$total eq ""} { set total $done }
    set percent [expr {$total ? 100 * $done / $total : 100}]
    if {$::terminal} {
        puts -nonewline "\r$what [string repeat # [expr {$percent / 5}]][string repeat . [expr {20 - $percent / 5}]] $percent %"
        if {$done == $total} { puts "" }
    } elseif {$done == $total} {
        puts "$what: $total bytes"
    }
    flush stdout
}
proc send {url files} {
    set obj [bucket $url]
    foreach file $files {
        $obj put [file tail $file] -file $file -metadata [list modified [file mtime $file]] \
            -progress [list progress "sent [file tail $file]"]
    }
    $::conn destroy
}
# The name of an object comes from others: only its last part becomes a name here.
proc receive {url folder count} {
    file mkdir $folder
    set obj [bucket $url]
    set watcher [$obj watch -callback changed -ignore_deletes true]
    set ::waiting {}
    for {set got 0} {$count eq "" || $got < $count} {incr got} {
        while {![llength $::waiting]} { vwait waiting }
        set ::waiting [lassign $::waiting name]
        set file [file join $folder [file tail $name]]
        if {[catch {$obj get $name -file $file -progress [list progress "got $name"]} text options]} {
            puts "$name: $text"
        }
    }
    $watcher destroy
    $::conn destroy
}
proc changed {info} {
    if {$info ne "" && ![dict exists $info options link]} { lappend ::waiting [dict get $info name] }
}
proc both {url} {
    close [file tempfile name file_share]
    set folder $name.d
    set file [open $name wb]
    for {set i 0} {$i < 50000} {incr i} { puts $file "line $i of what is shared" }
    close $file
    # The receiver is a process of its own, which says what it gets.
    set script "set argv0 file_share.tcl; set auto_path [list $::auto_path]; \
        set argv [list [list receive $url $folder 1]]; source -encoding utf-8 [list [file normalize [info script]]]"
    set receiver [open |[list [info nameofexecutable] << $script 2>@stderr] r]
    send $url [list $name]
    fileevent $receiver readable {set ::heard 1}
    vwait ::heard
    puts [string map [list [file tail $name] file] [string trim [read $receiver]]]
    close $receiver
    set got [file join $folder [file tail $name]]
    puts [expr {[file size $got] == [file size $name] ? "both are the same" : "they differ"}]
    file delete -force $name $folder
}

set terminal [expr {![catch {exec test -t 1 >@stdout}]}]
set arguments [lassign $argv command]
set url nats://localhost:4222
if {[string match *://* [lindex $arguments 0]]} { set arguments [lassign $arguments url] }
switch -- $command {
    send    { send $url $arguments }
    receive { receive $url [lindex $arguments 0] [lindex $arguments 1] }
    both    { both $url }
    default { puts "usage: file_share.tcl send|receive|both ?URL? ?arg ...?" }
}
