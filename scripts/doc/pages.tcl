# Which pages there are, in which order, and what their man pages are called.
#
#   pages::all          paths below the top folder, those that exist, in the order of the navigation
#   pages::groups       a list of titles and paths
#   pages::man path     name of the man page and what it is about, or nothing: a man page is made of the reference only
#   pages::blocks path  what md::blocks makes of it, kept

namespace eval pages {
    variable top [file dirname [file dirname [file dirname [file normalize [info script]]]]]
    variable parsed {}

    # A page that is listed in none is put into the reference.
    variable listed {
        Start {README install tutorial from-nats-tcl}
        Guides {tools event-loop tk security performance logging troubleshooting}
        Reference {connection core messages contexts jetstream consuming kv object-store services}
        Comparison {parity features}
        Project {CHANGELOG CONTRIBUTING architecture internals}
    }
    # Names in the navigation that are not the title up to a colon.
    variable named {README Overview messages Messages features "Features of clients"}
    variable manual {
        connection {nats_connection "connections to NATS servers"}
        core {nats_core "publish, subscribe, request, drain, statistics, events"}
        messages {nats_msg "messages, headers, times and callbacks of NATS"}
        contexts {nats_context "connecting by the contexts of natscli"}
        jetstream {nats_jetstream "streams, consumers and publishing of JetStream"}
        consuming {nats_consuming "reading the streams of JetStream through consumers"}
        kv {nats_kv "the Key-Value store of NATS"}
        object-store {nats_object_store "the object store of NATS"}
        services {nats_service "services of NATS"}
    }
}

proc pages::groups {} {
    variable top
    variable listed
    set known {}
    dict for {title names} $listed {
        foreach name $names {
            set path [expr {[string is upper $name] ? "$name.md" : "doc/$name.md"}]
            if {[file exists $top/$path]} { lappend group($title) $path }
            lappend known $path
        }
    }
    foreach path [lsort [glob -nocomplain -directory $top -tails doc/*.md]] {
        if {$path ni $known} { lappend group(Reference) $path }
    }
    return [lmap title [dict keys $listed] {
        if {![info exists group($title)]} continue
        list $title $group($title)
    }]
}

proc pages::all {} {
    return [concat {*}[lmap group [groups] { lindex $group 1 }]]
}

proc pages::reference {} {
    foreach group [groups] {
        if {[lindex $group 0] eq "Reference"} { return [lindex $group 1] }
    }
}

proc pages::man {path} {
    variable manual
    set name [file rootname [file tail $path]]
    if {[dict exists $manual $name]} { return [dict get $manual $name] }
    if {$path in [reference]} { return [list nats_[string map {- _} $name] [title $path]] }
}

proc pages::blocks {path} {
    variable top
    variable parsed
    if {![dict exists $parsed $path]} { dict set parsed $path [md::blocks [md::read $top/$path]] }
    return [dict get $parsed $path]
}

proc pages::title {path} {
    foreach block [blocks $path] {
        if {[lindex $block 0] eq "heading"} { return [md::plain [lindex $block 2]] }
    }
}

proc pages::short {path} {
    variable named
    set name [file rootname [file tail $path]]
    return [expr {[dict exists $named $name] ? [dict get $named $name] : [regsub {: .*} [title $path] ""]}]
}

proc pages::version {} {
    variable top
    regexp -line {^version = "(.*)"} [md::read $top/Cargo.toml] -> version
    return $version
}
