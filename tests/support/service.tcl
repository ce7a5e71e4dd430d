# Fixtures of the tests of services. Source it after core.tcl, whose server they use.
#
#   open_service ?option value …?    conn, peer (another connection) and service, whose name is $name; its subjects begin with $s
#   close_service                    takes them down, and fails if a background error was left; close_noisy_service does not
#   ask subject ?data? ?option …?    what peer gets: the data, or a list `error code description data`; ErrX of what request throws
#   later subject data               the same by a coroutine, into ::answers(data)
#   kept                             a callback that keeps requests in the list ::kept
#   one_of stats|info field          of the first endpoint of $service

proc open_service args {
    open_core
    set ::peer [connected [server::url $::srv]]
    set ::name svc[incr ::subject_serial]
    set ::kept {}
    array unset ::answers
    set ::service [nats::service new $::conn -name $::name -version 1.0.0 {*}$args]
    settle
}
proc close_service {} {
    catch {$::peer destroy}
    close_core
}
proc close_noisy_service {} {
    catch {$::peer destroy}
    close_noisy
}

proc told {reply} {
    if {[nats::header lookup $reply Nats-Service-Error-Code ""] eq ""} { return [nats::msg data $reply] }
    return [list error [nats::header get $reply Nats-Service-Error-Code] [nats::header get $reply Nats-Service-Error] [nats::msg data $reply]]
}
proc ask {subject {data ""} args} {
    # What the service has subscribed to is known to the server.
    catch {$::conn ping}
    if {[catch {$::peer request $subject $data -timeout 10000 -dictmsg true {*}$args} reply options]} {
        return [lindex [dict get $options -errorcode] 1]
    }
    return [told $reply]
}
proc later {subject data args} {
    coroutine later[incr ::subject_serial] apply {{subject data args} {
        set ::answers($data) [ask $subject $data {*}$args]
    }} $subject $data {*}$args
}
proc kept {request} { lappend ::kept $request }
proc wait_kept {count} { wait_until {[llength $::kept] >= $count} 10000 }
proc wait_answers {count} { wait_until {[array size ::answers] >= $count} 20000 }
proc upper {request} { nats::service respond $request [string toupper [nats::msg data $request]] }
proc one_of {what field} { return [dict get [lindex [dict get [$::service $what] endpoints] 0] $field] }
