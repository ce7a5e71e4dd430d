# Fixtures of the tests of connections. Source it after kv.tcl, whose server they use.

proc new_conn args { set ::conn [nats::connection new {*}$args] }
# Ready to connect to the common server.
proc aimed args {
    new_conn test
    $::conn configure -randomize false -servers [server::url $::srv] {*}$args
}
proc dead_url {} { return nats://127.0.0.1:[server::free_port] }

proc proxied_conn args {
    set ::p [proxy::start [server::port $::srv]]
    new_conn
    $::conn configure -servers [proxy::url $::p] {*}$args
    $::conn connect
}
proc end_proxied {} {
    end_conn
    proxy::stop $::p
}
