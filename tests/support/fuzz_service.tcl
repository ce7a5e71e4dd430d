# Random calls of everything that has to do with services, for service_fuzz.test. On top of fuzz.tcl.
#
#   fuzz_service_setup        the objects that the calls use exist, whatever the last calls did
#   fuzz_service_call         the next call, a list
#   fuzz_service_note call result, fuzz_service_sweep
#
# Services are $fuzz_service_one and $fuzz_service_other, of a connection that other calls close and drain; the requests to them come from
# another one. The callbacks answer, throw, keep requests, stop and destroy. A new command is a line in the table.

set fuzz_good(service_name) {one one other nobody a.b {} -}
set fuzz_good(service_version) {1.0.0 1.0.0-rc.1+5 1.0 v1 {}}
set fuzz_good(service_subject) {fuzz.svc.a fuzz.svc.b fuzz.svc.* fuzz.svc.> fuzz.>.x {}}
set fuzz_good(service_prefix) {fuzz.svc fuzz.svc.v1 a.* {}}
set fuzz_good(service_queue) {q work {} a.b}
set fuzz_good(service_metadata) {{} {a 1} {a {1 2}} {a}}
set fuzz_good(service_code) {400 500 1 0 -1 x}
set fuzz_good(service_text) [list "not here" x {} "a\nb" "caf\u00e9" [string repeat y 3000]]
set fuzz_good(service_kind) {ping info stats other}
set fuzz_good(service_id) {x none {}}
set fuzz_good(service_short) {1 2 5}
set fuzz_good(service_callback) {{nats::service respond} {nats::service respond} ::fuzz_service_answer ::fuzz_service_answer ::fuzz_service_answer fuzz_error
    ::fuzz_service_keep ::fuzz_service_later ::fuzz_service_twice ::fuzz_service_end nosuch_command {apply {r {return -code break}}}}
set fuzz_good(service_stats) {list ::fuzz_service_json fuzz_error {}}

set fuzz_service_methods {
    {$::fuzz_service_one endpoint}      {list [good service_name] -callback [good service_callback] {*}[options {subject service_subject
                                            queue_group service_queue metadata service_metadata}]}
    {$::fuzz_service_other endpoint}    {list [good service_name] -callback [good service_callback] -subject [good service_subject]}
    {$::fuzz_service_group endpoint}    {list [good service_name] -callback [good service_callback] {*}[options {queue_group service_queue}]}
    {$::fuzz_service_one group}         {list [good service_prefix] {*}[options {queue_group service_queue}]}
    {$::fuzz_service_group group}       {list [good service_prefix] {*}[options {queue_group service_queue}]}
    {$::fuzz_service_one info}          {list}
    {$::fuzz_service_one stats}         {list}
    {$::fuzz_service_other stats}       {list}
    {$::fuzz_service_one reset}         {list}
    {$::fuzz_service_other stop}        {list -timeout [good service_short]}
    {nats::service new}                 {list $::fuzz_conn -name [good service_name] -version [good service_version] {*}[options {description data
                                            metadata service_metadata queue_group service_queue stats_handler service_stats error_handler callback}]}
    {nats::service new}                 {some_values}
    {nats::service discover}            {list $::conn {*}[options {kind service_kind name service_name id service_id}] -stall [good service_short] -timeout 20}
    {nats::service discover}            {list $::fuzz_conn -timeout [good service_short]}
    {nats::service respond}             {list [likely $::fuzz_service_kept] [good data] {*}[options {header header}]}
    {nats::service respond}             {list [likely $::fuzz_service_kept]}
    {nats::service respond_error}       {list [likely $::fuzz_service_kept] [good service_code] [good service_text] [good data] {*}[options {header header}]}
    {nats::service respond}             {some_values}
    {nats::service respond_error}       {some_values}
    {nats::service_group new}           {some_values}
    {$::conn publish}                   {list [pick {fuzz.svc.a fuzz.svc.b fuzz.svc.one $SRV.STATS $SRV.PING.one}] [good data] -reply [pick {fuzz.none {}}]}
    {$::conn publish}                   {list [pick {fuzz.svc.a fuzz.svc.v1.one one}] [good data] -reply fuzz.none}
    {$::conn request}                   {list [pick {fuzz.svc.a fuzz.svc.b one other $SRV.INFO.one}] [good data] -timeout 3}
    {$::conn request}                   {list [pick {fuzz.svc.a fuzz.svc.b one}] [good data] -timeout 20 -callback list}
}

# What callbacks do.
proc fuzz_service_answer {request} { nats::service respond $request [nats::msg data $request] }
proc fuzz_service_keep {request} { set ::fuzz_service_kept [lrange [linsert $::fuzz_service_kept 0 $request] 0 5] }
proc fuzz_service_later {request} { after 1 [list catch [list nats::service respond $request later]] }
proc fuzz_service_twice {request} {
    nats::service respond $request one
    nats::service respond_error $request 500 two
}
proc fuzz_service_end {request} {
    switch [pick {answer answer stop destroy reset}] {
        answer  { catch {nats::service respond $request x} }
        stop    { catch {$::fuzz_service_other stop -timeout 1} }
        destroy { catch {$::fuzz_service_other destroy} }
        reset   { catch {$::fuzz_service_other reset} }
    }
}
proc fuzz_service_json {endpoint} { return [pick {{{"a": 1}} 1 nonsense {}}] }

proc fuzz_service_call {} {
    set draw [expr {rand()}]
    if {$draw < 0.1} { return update }
    if {$draw < 0.14} {
        # Any method with any arguments.
        set object [pick [list $::fuzz_service_one $::fuzz_service_other $::fuzz_service_group ::nats::service]]
        set method [pick [concat [info object methods $object -all] ::nosuch]]
        if {$method in {destroy create new} && ($object eq "::nats::service" || [often 0.7])} { set method info }
        # A wait is short.
        if {$method eq "stop"} { return [list $object stop -timeout 2] }
        if {$method eq "discover"} { return [list $object discover {*}[some_values] -timeout 2] }
        return [list $object $method {*}[some_values]]
    }
    if {$draw < 0.15} { return [pick [list [list $::fuzz_conn disconnect] [list $::fuzz_conn drain -timeout 100] [list $::fuzz_conn force_reconnect] \
        [list $::fuzz_service_other destroy] [list $::fuzz_conn ping -timeout 500]]] }
    set at [expr {2 * int(rand() * [llength $::fuzz_service_methods] / 2)}]
    lassign [lrange $::fuzz_service_methods $at $at+1] command arguments
    set call [concat [subst -nobackslashes $command] [eval $arguments]]
    # A value that is as good as any other would be a wait of years.
    if {[lindex $call 1] in {stop discover}} { lappend call -timeout 20 }
    return $call
}
proc fuzz_service_note {call result} {
    if {[lindex $call 1] eq "group"} { set ::fuzz_service_group $result }
}
proc fuzz_service_setup {} {
    fuzz_setup
    set bare [list $::fuzz_conn -name one -version 1.0.0]
    foreach which {one other} {
        upvar #0 fuzz_service_$which service
        if {![info exists service] || [info commands $service] eq "" || [catch {$service group probe} group]} {
            if {[info exists service]} { catch {$service destroy} }
            set service [nats::service new $::fuzz_conn -name $which -version 1.0.0 {*}[pick {{} {-error_handler list} {-stats_handler ::fuzz_service_json} {-queue_group {}}}]]
            catch {$service endpoint a -subject fuzz.svc.a -callback [good service_callback]}
        } else {
            $group destroy
        }
    }
    if {![info exists ::fuzz_service_group] || [info commands $::fuzz_service_group] eq ""} { set ::fuzz_service_group [$::fuzz_service_one group fuzz.svc] }
    if {![info exists ::fuzz_service_kept]} { set ::fuzz_service_kept {{data x}} }
}
proc fuzz_service_sweep {} {
    foreach class {service_group service} {
        foreach object [info class instances nats::$class] {
            if {$object ni [list $::fuzz_service_one $::fuzz_service_other $::fuzz_service_group]} { catch {$object destroy} }
        }
    }
    # Endpoints stay with their service.
    if {[often 0.5]} { catch {$::fuzz_service_one destroy} }
}
