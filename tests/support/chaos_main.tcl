# A process with a nats-server that it kills and restarts at random moments, whatever its parent is doing meanwhile.
# Arguments: seed, shortest and longest time between two kills in ms. Prints `port N`, waits for a line with the number
# of kills, prints `killed N` after each restart and `done` after the last one, and serves until stdin ends.
lassign $argv seed shortest longest
set argv {}
source [file join [file dirname [info script]] .. support.tcl]

expr {srand($seed)}
proc random {from to} { return [expr {$from + int(rand() * ($to - $from + 1))}] }

proc kill_next {kill} {
    global server count longest shortest
    server::kill $server
    # Sometimes clients meet nobody for a while, sometimes the next server is there at once.
    after [expr {rand() < 0.5 ? 0 : [random 1 150]}]
    server::restart $server
    puts "killed $kill"
    if {$kill == $count} {
        puts done
    } else {
        after [random $shortest $longest] [list kill_next [expr {$kill + 1}]]
    }
}

# Without it nobody would be killed any more, and the parent would wait.
proc end_loudly {message options} {
    puts stderr "chaos_main.tcl: $message"
    server::stop_all
    exit 1
}
interp bgerror {} end_loudly

fconfigure stdout -buffering line
set server [server::start -config {max_payload: 1MB}]
puts "port [server::port $server]"
gets stdin count
after [random $shortest $longest] {kill_next 1}
fconfigure stdin -blocking 0
fileevent stdin readable {
    read stdin
    if {[eof stdin]} { set forever ended }
}
vwait forever
server::stop_all
file delete -force $support::root
exit
