# What the tests of watching share. Source it after kv.tcl.

# a bucket with the history a=1 a=2 b=1 b-DEL c=1 c-PURGE
proc open_table {} {
    open_kv
    $::kv put a 1; $::kv put a 2; $::kv put b 1; $::kv delete b; $::kv put c 1; $::kv purge c
}
# Watch into the list `got`; wait for the end of the initial data.
proc watch_all {args} {
    set ::w [$::kv watch > -callback [collect got] {*}$args]
    wait_until {{} in [collected got]}
}
proc got {} { return [brief_all [collected got]] }
