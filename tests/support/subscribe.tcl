# What the tests of subscriptions share. Source it after core.tcl.

proc bad_id {id} { return [list {NATS ErrBadSubscription} "Invalid subscription ID $id"] }
# Whether the server has anybody for a subject: it says 503 otherwise.
proc served {subject} {
    catch {raw::request $::raw $subject probe} m
    return [expr {![dict exists $m header] || ![string match 503* [dict get $m header {}]]}]
}
