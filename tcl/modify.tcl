# $kv modify: the program's command runs here, between a native read and a native write. So it may do what commands
# do: wait, yield in a coroutine, throw.

oo::define ::nats::key_value {
    method modify {key commandPrefix args} {
        if {[llength $commandPrefix] == 0} {
            # The value would be the command.
            return -code error -errorcode {NATS ErrInvalidArg} "Invalid command prefix: it is empty"
        }
        lassign [my ModifyOptions $key {*}$args] hasDefault default attempts ttl
        set more [expr {$ttl eq "" ? {} : [list -ttl $ttl]}]
        set met ""
        for {set conflicts 0} {1} {incr conflicts} {
            # A command of a codec may have destroyed the object.
            if {[namespace which my] eq ""} {
                return -code error -errorcode {NATS ErrConnectionClosed} "The bucket's object was destroyed: $key was left as it is"
            }
            lassign [my ModifyRead $key $hasDefault $met $conflicts] present revision value
            if {!$present} {
                set value $default
            }
            set code [catch {uplevel 1 [list {*}$commandPrefix $value]} value options]
            if {$code == 3} {
                return $revision
            }
            if {$code != 0} {
                # As if the command had been called in the place of this method: not for this loop.
                dict incr options -level
                return -options $options $value
            }
            if {[namespace which my] eq ""} {
                return -code error -errorcode {NATS ErrConnectionClosed} \
                    "The command has destroyed the bucket's object: $key was left as it is"
            }
            set isLast [expr {$conflicts + 1 >= $attempts}]
            lassign [my ModifyPut $key $value $revision $isLast {*}$more] written revision
            if {$written} {
                return $revision
            }
            set met $revision
        }
    }
}
