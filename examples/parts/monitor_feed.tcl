# Where the monitor gets its figures from: the monitoring port of a server, or requests to $SYS.REQ over NATS. Everything runs in
# coroutines, which yield while they wait.
#
#   feed::totals        dict of what is known of: name version uptime cpu mem connections subscriptions slow in_msgs in_bytes
#                       out_msgs out_bytes
#   feed::connections, feed::closed, feed::subscriptions         lists of dicts, as the server tells them
#   feed::source        where that comes from, for people
# What goes wrong is thrown.

package require http

namespace eval feed {
    # `http`, `server` or `account`; nothing until somebody has answered.
    variable way ""
    # What is asked: the page of the monitoring port with its query, and the JSON of the request.
    variable questions {
        totals        {varz  {}                               {}}
        statistics    {statz {}                               {}}
        connections   {connz limit=256&auth=true              {{"limit": 256, "auth": true}}}
        closed        {connz state=closed&limit=256&auth=true {{"limit": 256, "auth": true, "state": 1}}}
        details       {connz limit=256&subs=detail            {{"limit": 256, "subscriptions_detail": true}}}
    }
    set ::simple_json::pause {feed::breathe}
}

# Lets the event loop have its turn.
proc feed::breathe {} {
    sleep 0
}
proc feed::sleep {ms} {
    after $ms [list catch [info coroutine]]
    yield
}

proc feed::source {} {
    variable way
    switch -- $way {
        http { return $::option(-monitor) }
        server { return "\$SYS of the server" }
        account { return "\$SYS of the account" }
    }
    return "no figures of the server"
}
proc feed::ask {question} {
    variable way
    variable questions
    lassign [dict get $questions $question] page query json
    if {$way eq "http"} { return [Get $page?$query] }
    set place [expr {$way eq "server" ? "SERVER.[dict get [$::system server_info] server_id]" : "ACCOUNT.PING"}]
    set reply [$::system request \$SYS.REQ.$place.[string toupper $page] $json -timeout 2000]
    set answer [simple_json::decode [encoding convertfrom utf-8 $reply]]
    if {![dict exists $answer data]} { error "the server refuses: $answer" }
    return [dict get $answer data]
}
proc feed::Get {page} {
    set token [http::geturl [string trimright $::option(-monitor) /]/$page -binary 1 -timeout 3000 -command [list feed::Got [info coroutine]]]
    yield
    set status [http::status $token]
    set code [http::ncode $token]
    set body [http::data $token]
    set text [http::error $token]
    http::cleanup $token
    if {$status ne "ok" || $code != 200} {
        error "$::option(-monitor) does not answer: [expr {$status eq "ok" ? "status $code" : [list $status {*}[lindex $text 0]]}]"
    }
    return [simple_json::decode [encoding convertfrom utf-8 $body]]
}
# From the event loop, also if the answer is there at once.
proc feed::Got {waiting token} {
    after 0 [list catch $waiting]
}

proc feed::totals {} {
    variable way
    if {$::option(-monitor) ne ""} { set way http }
    if {$way eq ""} { Find }
    if {$way eq "account"} { return [Account] }
    return [Server [ask totals]]
}
# The server tells a user of the system account more than others.
proc feed::Find {} {
    variable way
    set way server
    if {![catch {ask totals}]} return
    set way account
    if {[catch {ask connections} text]} { set way ""; error $text }
}
proc feed::Server {varz} {
    set totals {}
    foreach {name field} {
        name server_name version version uptime uptime cpu cpu mem mem connections connections subscriptions subscriptions
        slow slow_consumers in_msgs in_msgs in_bytes in_bytes out_msgs out_msgs out_bytes out_bytes
    } {
        if {[dict exists $varz $field]} { dict set totals $name [dict get $varz $field] }
    }
    return $totals
}
proc feed::Account {} {
    set account [lindex [dict get [ask statistics] account_statz] 0]
    set totals [dict create name [dict get [$::system server_info] server_name] version [dict get [$::system server_info] version]]
    foreach {name path} {
        connections conns subscriptions num_subscriptions slow slow_consumers in_msgs {received msgs} in_bytes {received bytes}
        out_msgs {sent msgs} out_bytes {sent bytes}
    } {
        if {[dict exists $account {*}$path]} { dict set totals $name [dict get $account {*}$path] }
    }
    return $totals
}
proc feed::connections {} { dict get [ask connections] connections }
proc feed::closed {} { dict get [ask closed] connections }
proc feed::subscriptions {} {
    return [concat {*}[lmap connection [dict get [ask details] connections] { dict lookup $connection subscriptions_list_detail }]]
}
