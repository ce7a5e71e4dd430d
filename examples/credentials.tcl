# TLS and ways to log in. Each line of options is one way; use the one that your server wants.
#
#   TCLLIBPATH=<this checkout> tclsh examples/credentials.tcl URL ?-option value …?
#
#   tls://localhost:4222 -tls_opts {-cafile ca.pem}
#   tls://localhost:4222 -tls_opts {-cafile ca.pem -certfile me.pem -keyfile me.key}
#   nats://user:secret@localhost:4222
#   nats://localhost:4222 -user user -password secret
#   nats://localhost:4222 -token secret
#   nats://localhost:4222 -credentials user.creds
#   nats://localhost:4222 -nkey_seed_file user.nk

package require nats

if {$argc == 0} {
    puts "usage: credentials.tcl URL ?-option value …?"
    exit 2
}
set conn [nats::connection new example]
$conn configure -servers [lindex $argv 0] {*}[lrange $argv 1 end]
try {
    $conn connect
} trap {NATS ErrAuthorization} text {
    puts "not allowed: $text"
    exit 1
} trap {NATS ErrTLS} text {
    puts "no secure connection: $text"
    exit 1
} trap NATS text {
    puts "no connection: $text"
    exit 1
}
set info [$conn server_info]
puts "connected to [join [$conn current_server] :], server [dict get $info version]"
$conn destroy
