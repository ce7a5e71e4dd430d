# A process with a cluster whose nodes it kills and restarts when it is told to, while its parent goes on working.
# Arguments: seed, number of nodes, options of cluster::start. Prints the ports; for each line of ports on stdin it kills
# these nodes at once, prints `killed`, restarts them, sometimes after a while, and prints `whole` when messages go
# everywhere again. Serves until stdin ends.
set options [lassign $argv seed count]
set argv {}
source [file join [file dirname [info script]] .. support.tcl]
expr {srand($seed)}

proc rotate {ports} {
    set victims {}
    foreach port $ports { lappend victims [cluster::at $::cluster $port] }
    cluster::kill $::cluster {*}$victims
    puts killed
    # Sometimes clients meet nobody there for a while, sometimes the next one is there at once.
    after [expr {rand() < 0.5 ? 0 : int(rand() * 200)}]
    cluster::restart $::cluster {*}$victims
    cluster::wait_whole $::cluster
    puts whole
}

fconfigure stdout -buffering line
set cluster [cluster::start $count {*}$options]
puts [lmap node [cluster::nodes $cluster] {server::port $node}]
while {[gets stdin ports] >= 0} { rotate $ports }
server::stop_all
file delete -force $support::root
exit
