# A monitor of services: who is there, requests in a second, times and errors of each endpoint.
#
#   nats-server &
#   TCLLIBPATH=<this checkout> wish examples/service_monitor.tcl ?nats://127.0.0.1:4222? ?seconds?
#
# tclsh, or wish without a display, prints the table once in a second. After so many seconds it ends; 0, the default, is never.

package require nats
set window [expr {![catch {package require Tk}]}]

set url [expr {$argc ? [lindex $argv 0] : "nats://127.0.0.1:4222"}]
set seconds [expr {$argc > 1 ? [lindex $argv 1] : 0}]
set conn [nats::connection new "service monitor"]
$conn configure -servers $url
$conn connect

# Each row has an id: that of an instance, or of an instance and the place of an endpoint in it.
set columns {version rate requests errors average last_error}
set titles {Version Requests/s Requests Errors {Average ms} {Last error}}
# What was counted by an endpoint, and when that was.
array set counted {}

proc rate {id requests} {
    set now [clock milliseconds]
    set rate ""
    if {[info exists ::counted($id)]} {
        lassign $::counted($id) before then
        # After a reset it counts from the beginning.
        set new [expr {$requests >= $before ? $requests - $before : $requests}]
        if {$now > $then} { set rate [format %.1f [expr {1000.0 * $new / ($now - $then)}]] }
    }
    set ::counted($id) [list $requests $now]
    return $rate
}

# The answers as rows: parent, id, title, values.
proc rows {instances} {
    set rows {}
    foreach instance [lsort -command {apply {{a b} {string compare "[dict get $a name] [dict get $a id]" "[dict get $b name] [dict get $b id]"}}} $instances] {
        set id [dict get $instance id]
        lappend rows [list {} $id "[dict get $instance name]  [string range $id end-5 end]" [list [dict get $instance version]]]
        set n 0
        foreach endpoint [dict get $instance endpoints] {
            set place [list $id [incr n]]
            set requests [dict lookup $endpoint num_requests 0]
            lappend rows [list $id $place [dict lookup $endpoint subject] [list "" [rate $place $requests] $requests \
                [dict lookup $endpoint num_errors 0] [format %.3f [expr {[dict lookup $endpoint average_processing_time 0] / 1e6}]] \
                [dict lookup $endpoint last_error]]]
        }
    }
    return $rows
}

proc show {rows} {
    if {!$::window} {
        foreach row $rows {
            lassign $row parent id title values
            puts "[expr {$parent eq "" ? "" : "    "}]$title  [join $values { }]"
        }
        return
    }
    set there {}
    foreach row $rows {
        lassign $row parent id title values
        lappend there $id
        if {![.tree exists $id]} { .tree insert $parent end -id $id -open true }
        # Errors are red.
        set tags [expr {[lindex $values 3] ni {{} 0} ? "errors" : ""}]
        .tree item $id -text $title -values $values -tags $tags
    }
    # What did not answer has gone.
    foreach instance [.tree children {}] {
        foreach id [concat [.tree children $instance] [list $instance]] {
            if {$id ni $there} { .tree delete [list $id]; unset -nocomplain ::counted($id) }
        }
    }
}

proc say {text} {
    if {$::window} { .said configure -text $text } else { puts $text }
}

# Asks once in a second; in a coroutine, so that the window goes on meanwhile.
proc watch {} {
    while 1 {
        after 1000 [list catch [info coroutine]]
        try {
            set instances [nats::service discover $::conn -kind stats -stall 200 -timeout 900]
            say "[llength $instances] instances at [clock format [clock seconds] -format %H:%M:%S]"
            show [rows $instances]
        } trap NATS text {
            say $text
        }
        yield
    }
}

if {$window} {
    wm title . "Services of $url"
    wm geometry . 900x420
    ttk::treeview .tree -columns $columns -yscrollcommand {.bar set}
    .tree heading #0 -text Service -anchor w
    .tree column #0 -width 240
    foreach column $columns title $titles {
        set left [expr {$column in {version last_error}}]
        .tree heading $column -text $title -anchor [expr {$left ? "w" : "e"}]
        .tree column $column -width [expr {$column eq "last_error" ? 160 : 95}] -anchor [expr {$left ? "w" : "e"}]
    }
    .tree tag configure errors -foreground #b00020
    ttk::scrollbar .bar -command {.tree yview}
    ttk::label .said -anchor w -padding 3
    grid .tree .bar -sticky nsew
    grid .said -sticky ew -columnspan 2
    grid rowconfigure . 0 -weight 1
    grid columnconfigure . 0 -weight 1
    bind . <Destroy> {if {"%W" eq "."} { set ended 1 }}
}
coroutine watcher watch
if {$seconds} { after [expr {int($seconds * 1000)}] {set ended 1} }
vwait ended
$conn destroy
exit
