# Real nats-servers on 127.0.0.1: start, kill, restart, and never leave one behind.
#
#   set s [server::start]                 with JetStream, on a free port, its store in a folder of its own
#   nats … [server::url $s]   server::port / pid / store / log / running $s
#   server::kill $s                       SIGKILL, as a power failure       server::stop $s    as an administrator
#   server::restart $s ?config?           same port, same store
#
# Options of start: -jetstream bool, -port n, -store dir, -name text, -config text (appended to the
# configuration file; %DIR% in it is the server's own folder), -binary path (of another version; see `upgrade`).
# These commands wait without running the event loop: callbacks of the code under test run only where a test waits.

namespace eval server {
    variable serial 0
    variable S
    array set S {}
    variable supervisor [file join $::support::here support supervise.sh]
}

# The nats-server to test with: $NATS_SERVER, set by the runner, or what the script finds.
proc server::binary {} {
    variable binary
    if {![info exists binary]} {
        set binary [exec [file join $::support::here .. scripts nats-server] 2>@stderr]
    }
    return $binary
}
proc server::version {} {
    variable version
    if {![info exists version]} {
        set text [exec [binary] --version]
        if {![regexp {v?(\d+\.\d+(\.\d+)?)} $text -> version]} { error "unknown version: $text" }
    }
    return $version
}

# A port that nobody listens on. Below the range from which the kernel takes ports for outgoing connections, else a
# client that keeps trying a dead port could end up connected to itself.
proc server::free_port {} {
    while 1 {
        set port [expr {15000 + int(rand() * 15000)}]
        if {![catch {socket -server list -myaddr 127.0.0.1 $port} probe]} {
            close $probe
            return $port
        }
    }
}

proc server::start args {
    variable S
    variable serial
    set o [dict merge {-jetstream 1 -port 0 -store "" -name "" -config "" -binary ""} $args]
    foreach key [dict keys $o] {
        if {$key ni {-jetstream -port -store -name -config -binary}} { error "server::start: unknown option $key" }
    }
    set h server[incr serial]
    set dir [support::folder $h]
    set S($h,dir) $dir
    set S($h,log) [file join $dir log]
    close [open $S($h,log) w]
    set S($h,store) [expr {[dict get $o -store] eq "" ? [file join $dir store] : [dict get $o -store]}]
    set S($h,name) [expr {[dict get $o -name] eq "" ? "$h-[::pid]" : [dict get $o -name]}]
    set S($h,jetstream) [dict get $o -jetstream]
    set S($h,binary) [expr {[dict get $o -binary] eq "" ? [binary] : [dict get $o -binary]}]
    set S($h,config) [string map [list %DIR% $dir] [dict get $o -config]]
    set S($h,port) [dict get $o -port]
    for {set try 1} 1 {incr try} {
        if {[dict get $o -port] == 0} { set S($h,port) [free_port] }
        if {![catch {Launch $h} text options]} { return $h }
        # Somebody else was quicker with the port.
        if {[dict get $options -errorcode] ne "SUPPORT PORT_TAKEN" || [dict get $o -port] != 0 || $try == 10} {
            return -options $options $text
        }
    }
}

proc server::WriteConfig {h} {
    variable S
    set path [file join $S($h,dir) server.conf]
    set f [open $path w]
    fconfigure $f -encoding utf-8
    puts $f "listen: \"127.0.0.1:$S($h,port)\"\nserver_name: \"$S($h,name)\""
    if {$S($h,jetstream)} { puts $f "jetstream { store_dir: \"$S($h,store)\" }" }
    puts $f $S($h,config)
    close $f
    return $path
}

proc server::Launch {h} {
    variable S
    variable supervisor
    set conf [WriteConfig $h]
    if {[info exists S($h,pipe)]} { Release $h KEEP }
    set from [expr {[file exists $S($h,log)] ? [file size $S($h,log)] : 0}]
    set S($h,pipe) [open |[list sh $supervisor $S($h,log) $S($h,dir) $S($h,binary) -c $conf 2>@stderr] r+]
    fconfigure $S($h,pipe) -buffering line
    set S($h,pid) [lindex [gets $S($h,pipe)] 1]
    set S($h,running) 1
    fconfigure $S($h,pipe) -blocking 0
    set deadline [expr {[clock milliseconds] + 10000}]
    while 1 {
        set text [log $h $from]
        if {[string match "*Server is ready*" $text]} return
        if {[gets $S($h,pipe) line] > 0 && [string match gone* $line]} {
            set S($h,running) 0
            set text [log $h $from]
            if {[string match "*address already in use*" $text]} {
                return -code error -errorcode {SUPPORT PORT_TAKEN} "port $S($h,port) is taken"
            }
            return -code error -errorcode {SUPPORT SERVER} "nats-server ended: $text"
        }
        if {[clock milliseconds] > $deadline} {
            kill $h
            return -code error -errorcode {SUPPORT SERVER} "nats-server was not ready within 10 s: [log $h $from]"
        }
        after 2
    }
}

# Let go of the supervisor of a server that has ended. `KEEP` leaves the folder for the next one; otherwise it is removed.
proc server::Release {h {word ""}} {
    variable S
    fconfigure $S($h,pipe) -blocking 1
    if {$word ne ""} { catch {puts $S($h,pipe) $word} }
    catch {close $S($h,pipe) write}
    catch {read $S($h,pipe)}
    catch {close $S($h,pipe)}
    unset S($h,pipe)
}

# Send a signal by name (KILL, TERM, USR2, STOP, CONT …).
proc server::signal {h name} {
    variable S
    puts $S($h,pipe) $name
}

proc server::End {h name} {
    variable S
    if {!$S($h,running)} return
    signal $h $name
    if {$name ne "KILL"} { signal $h CONT }
    set deadline [expr {[clock milliseconds] + 10000}]
    while {[gets $S($h,pipe) line] <= 0 || ![string match gone* $line]} {
        if {[eof $S($h,pipe)]} break
        if {[clock milliseconds] > $deadline} { error "nats-server $S($h,pid) did not end after $name" }
        after 1
    }
    set S($h,running) 0
}
proc server::kill {h} { End $h KILL }
proc server::stop {h} { End $h TERM }

# Start it again on the same port and store, killing it first if it runs; with another -config text, if there is one.
proc server::restart {h args} {
    variable S
    kill $h
    if {[llength $args]} { set S($h,config) [string map [list %DIR% $S($h,dir)] [lindex $args 0]] }
    for {set try 1} 1 {incr try} {
        if {![catch {Launch $h} text options]} return
        if {[dict get $options -errorcode] ne "SUPPORT PORT_TAKEN" || $try == 100} { return -options $options $text }
        after 20
    }
}

# Stop it as an administrator does, and serve the same store by another version on the same port.
proc server::upgrade {h path} {
    variable S
    stop $h
    set S($h,binary) $path
    restart $h
}

# Freeze it, so that its connections stay open and nothing answers; and let it go on.
proc server::freeze {h} { Signalled $h STOP {T t} }
proc server::thaw {h} { Signalled $h CONT {R S D I} }
# Send a signal and wait until every thread of the process shows that it has come.
proc server::Signalled {h name states} {
    variable S
    signal $h $name
    set deadline [expr {[clock milliseconds] + 5000}]
    while {[set other [Threads $S($h,pid) $states]] ne ""} {
        if {[clock milliseconds] > $deadline} { error "nats-server $S($h,pid) after $name: threads are $other" }
        after 1
    }
}
# The states of those threads that are in another one; none where the system does not show it.
proc server::Threads {pid states} {
    set others {}
    foreach path [glob -nocomplain /proc/$pid/task/*/stat] {
        if {[catch {open $path} f]} continue
        set line [read $f]
        close $f
        set state [string index $line [string last ) $line]+2]
        if {$state ni $states} { lappend others $state }
    }
    return $others
}
# Lame duck mode: it tells its clients and closes their connections over a while.
proc server::lame_duck {h} { signal $h USR2 }
# Give it another -config text and wait until it has read it.
proc server::configure {h text} {
    variable S
    set S($h,config) [string map [list %DIR% $S($h,dir)] $text]
    WriteConfig $h
    set from [string length [log $h]]
    signal $h HUP
    set deadline [expr {[clock milliseconds] + 5000}]
    while {![string match "*Reloaded server configuration*" [log $h $from]]} {
        if {[clock milliseconds] > $deadline} { error "no reload: [log $h $from]" }
        after 2
    }
}

foreach what {port pid store name running dir} {
    proc server::$what h "variable S; return \$S(\$h,$what)"
}
proc server::url {h} { return nats://127.0.0.1:[port $h] }

# What it has logged, from a position in bytes on.
proc server::log {h {from 0}} {
    variable S
    set f [open $S($h,log)]
    fconfigure $f -encoding iso8859-1
    seek $f $from
    set text [read $f]
    close $f
    return $text
}

# Stop and forget one server, with its folder; or all that were started.
proc server::delete {h} {
    variable S
    kill $h
    Release $h
    array unset S $h,*
}
proc server::stop_all {} {
    variable S
    foreach key [array names S *,pid] { delete [lindex [split $key ,] 0] }
}
