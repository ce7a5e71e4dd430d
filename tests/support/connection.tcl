# Fixtures of the tests of connections. Source it after kv.tcl, whose server they use.

proc new_conn args { set ::conn [nats::connection new {*}$args] }
# The same after a test whose background errors are its business and may still be under way.
proc end_noisy {} {
    catch {$::conn destroy}
    update
    bgerrors
}
# Ready to connect to the common server.
proc aimed args {
    new_conn test
    $::conn configure -randomize false -servers [server::url $::srv] {*}$args
}
proc end_conn {} {
    set leftover [bgerrors]
    catch {$::conn destroy}
    if {[llength $leftover] || [llength [set leftover [bgerrors]]]} { error "background errors: $leftover" }
}
# Record the writes of status and last_error, in order, as `status=word` and `ErrCode` (or `-` for no error).
proc record {} {
    set ::trail {}
    set ns [info object namespace $::conn]
    trace add variable ${ns}::status write {apply {{name index op} {
        upvar 1 $name value
        lappend ::trail status=$value
    }}}
    trace add variable ${ns}::last_error write {apply {{name index op} {
        upvar 1 $name value
        lappend ::trail [expr {$value eq "" ? "-" : [lindex [dict get $value code] 1]}]
    }}}
}
proc var {name} { return [set [info object namespace $::conn]::$name] }
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
