# Certificates for one test run, made with openssl in a folder: NAME.pem and NAME.key.
#
#   certificates::folder        -> a folder with: ca, ca2 (authorities that do not know each other), good (127.0.0.1 and
#                                  localhost, by ca), other (other.example.org, by ca), strange (127.0.0.1, by ca2),
#                                  old (127.0.0.1, by ca, expired), own (127.0.0.1, self-signed), chain (127.0.0.1, by an
#                                  authority between it and ca, which is in the file), client (by ca), first (by ca, X.509
#                                  version 1)
# Only with the constraint `openssl`.

namespace eval certificates {
    variable key {-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes}
}

proc certificates::folder {} {
    set dir [support::folder certificates]
    foreach name {ca ca2} { Authority $dir $name }
    Signed $dir good ca subjectAltName=IP:127.0.0.1,DNS:localhost
    Signed $dir other ca subjectAltName=DNS:other.example.org
    Signed $dir client ca subjectAltName=DNS:client
    Signed $dir strange ca2 subjectAltName=IP:127.0.0.1
    Signed $dir old ca subjectAltName=IP:127.0.0.1 -days -1
    Signed $dir between ca basicConstraints=critical,CA:true
    Signed $dir chain between subjectAltName=IP:127.0.0.1
    write $dir/chain.pem "[read_all $dir/chain.pem][read_all $dir/between.pem]"
    Signed $dir first ca ""
    Authority $dir own -addext subjectAltName=IP:127.0.0.1
    return $dir
}
# What `openssl req -x509` makes without further ado: an authority, or the usual self-signed certificate.
proc certificates::Authority {dir name args} {
    variable key
    exec openssl req -x509 {*}$key -keyout $dir/$name.key -out $dir/$name.pem -days 30 -subj /CN=$name {*}$args 2>@1
}
proc certificates::Signed {dir name by extension args} {
    variable key
    exec openssl req {*}$key -keyout $dir/$name.key -out $dir/$name.csr -subj /CN=$name 2>@1
    if {![llength $args]} { set args {-days 30} }
    if {$extension ne ""} { lappend args -extfile [write $dir/$name.ext $extension\n] }
    exec openssl x509 -req -in $dir/$name.csr -CA $dir/$by.pem -CAkey $dir/$by.key -CAcreateserial \
        -out $dir/$name.pem {*}$args 2>@1
}
proc certificates::read_all {path} {
    set f [open $path rb]
    set data [read $f]
    close $f
    return $data
}
proc certificates::write {path data} {
    set f [open $path wb]
    puts -nonewline $f $data
    close $f
    return $path
}
