# A tool for the command line that connects by the contexts of natscli: where the servers are and how to log in stands
# in ~/.config/nats.
#
#   TCLLIBPATH=<this checkout> tclsh examples/context.tcl                         the contexts
#   … examples/context.tcl show ?name?                                            what one says
#   … examples/context.tcl ?-context name? pub subject message                    publish
#   … examples/context.tcl ?-context name? req subject message                    all answers, until there is silence
#   … examples/context.tcl ?-context name? streams                                names of streams
#
# Without -context it is that of NATS_CONTEXT, or the selected one; NATS_URL and its like count.

package require nats

proc contexts {} {
    foreach name [nats::context list] {
        puts "[expr {$name eq [nats::context selected] ? "*" : " "}] $name"
    }
}

proc show {{name ""}} {
    dict for {field value} [nats::context show $name] {
        puts "$field: $value"
    }
}

proc pub {conn subject message} {
    $conn publish $subject $message
    $conn flush
    puts "published to $subject by [join [$conn current_server] :]"
}

proc req {conn subject message} {
    foreach reply [$conn request $subject $message -stall 300 -timeout 5000] {
        puts [nats::msg data $reply]
    }
}

proc streams {conn} {
    foreach name [[$conn jet_stream] stream_names] {
        puts $name
    }
}

proc main {args} {
    if {$args eq ""} { return [contexts] }
    set name ""
    if {[lindex $args 0] eq "-context"} { set args [lassign $args - name] }
    set args [lassign $args command]
    switch -- $command {
        show { show {*}$args }
        pub - req - streams {
            set conn [nats::context connect $name -env true -name context.tcl]
            try { $command $conn {*}$args } finally { $conn destroy }
        }
        default { puts "commands are show, pub, req, streams" }
    }
}

try {
    main {*}$argv
} trap NATS text {
    puts "context.tcl: $text"
    exit 1
} trap {TCL WRONGARGS} text {
    puts "context.tcl: $text"
    exit 2
}
