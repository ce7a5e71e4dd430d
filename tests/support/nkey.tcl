# Keys and tokens of NATS, made with openssl for one test run: an operator, its accounts, their users.
#
#   nkey::new user              -> dict: type, public (U…), seed (SU…), file (the key for openssl); also operator, account
#   nkey::sign $key $bytes      -> the signature, 64 bytes
#   nkey::base64url $bytes
#   nkey::user_jwt $account $user ?seconds? ?members?   -> the user's token: how long it is good (else for ever), and
#                                  a list of further members of its `nats` object as JSON
#   nkey::creds $jwt $seed      -> the text of a credentials file
#   nkey::config $operator $account ?members?      -> the configuration of a server with this account and its users
# Only with the constraint `openssl`.

namespace eval nkey {
    # The first byte of the public form.
    variable prefix {operator 112 account 0 user 160}
    variable letters ABCDEFGHIJKLMNOPQRSTUVWXYZ234567
}

proc nkey::Read {path} {
    set f [open $path rb]
    set bytes [read $f]
    close $f
    return $bytes
}
proc nkey::Write {path bytes} {
    set f [open $path wb]
    puts -nonewline $f $bytes
    close $f
}

# CRC-16 with polynomial 0x1021.
proc nkey::Crc {bytes} {
    set crc 0
    binary scan $bytes cu* values
    foreach value $values {
        set crc [expr {$crc ^ ($value << 8)}]
        for {set i 0} {$i < 8} {incr i} {
            set crc [expr {(($crc << 1) ^ ($crc & 0x8000 ? 0x1021 : 0)) & 0xffff}]
        }
    }
    return $crc
}
# With the check sum, in base32 without padding.
proc nkey::Encode {bytes} {
    variable letters
    append bytes [binary format s [Crc $bytes]]
    binary scan $bytes B* bits
    append bits [string repeat 0 [expr {-[string length $bits] % 5}]]
    set text ""
    for {set i 0} {$i < [string length $bits]} {incr i 5} {
        append text [string index $letters [expr "0b[string range $bits $i $i+4]"]]
    }
    return $text
}

proc nkey::new {type} {
    variable prefix
    set dir [support::folder nkey]
    set file $dir/key.der
    exec openssl genpkey -algorithm ed25519 -outform DER -out $file
    exec openssl pkey -inform DER -in $file -pubout -outform DER -out $dir/public.der
    set byte [dict get $prefix $type]
    set first [binary format cc [expr {144 | ($byte >> 5)}] [expr {($byte & 31) << 3}]]
    set key [dict create type $type file $file \
        public [Encode [binary format c $byte][string range [Read $dir/public.der] end-31 end]] \
        seed [Encode $first[string range [Read $file] end-31 end]]]
    # A server that reads its configuration again wants to see the same operator.
    if {$type eq "operator"} { dict set key token [Token $key $key] }
    return $key
}
proc nkey::sign {key bytes} {
    set file [dict get $key file]
    Write $file.in $bytes
    exec openssl pkeyutl -sign -keyform DER -inkey $file -rawin -in $file.in -out $file.out
    return [Read $file.out]
}
proc nkey::base64url {bytes} {
    return [string map {+ - / _ = ""} [binary encode base64 $bytes]]
}

# The token of a key, signed by another.
proc nkey::Token {issuer key {members ""} {seconds ""}} {
    set now [clock seconds]
    set claims "\"jti\":\"[clock microseconds]\",\"iat\":[expr {$now - 5}],\"iss\":\"[dict get $issuer public]\""
    append claims ",\"name\":\"test\",\"sub\":\"[dict get $key public]\""
    if {$seconds ne ""} { append claims ",\"exp\":[expr {$now + $seconds}]" }
    if {$members ne ""} { append members , }
    append claims ",\"nats\":{$members\"type\":\"[dict get $key type]\",\"version\":2}"
    set text [base64url {{"typ":"JWT","alg":"ed25519-nkey"}}].[base64url "{$claims}"]
    return $text.[base64url [sign $issuer $text]]
}
proc nkey::AccountToken {operator account {members ""}} {
    set limits {"limits":{"subs":-1,"data":-1,"payload":-1,"imports":-1,"exports":-1,"wildcards":true,"conn":-1,"leaf":-1}}
    return [Token $operator $account [join [concat [list $limits] $members] ,]]
}
proc nkey::user_jwt {account user {seconds ""} {members {}}} {
    return [Token $account $user [join [concat [list {"pub":{},"sub":{},"subs":-1,"data":-1,"payload":-1}] $members] ,] $seconds]
}
proc nkey::creds {jwt seed} {
    return "-----BEGIN NATS USER JWT-----\n$jwt\n------END NATS USER JWT------\n
-----BEGIN USER NKEY SEED-----\n$seed\n------END USER NKEY SEED------\n"
}
proc nkey::config {operator account {members {}}} {
    return "operator: [dict get $operator token]
        resolver: MEMORY
        resolver_preload: { [dict get $account public]: [AccountToken $operator $account $members] }"
}
