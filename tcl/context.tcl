# Contexts as natscli stores them, in ~/.config/nats: what they say, as options of a connection.

namespace eval ::nats::context {
    namespace ensemble create -map {list Names selected Selected show Show connect Connect}

    # Each variable of the environment and the field for which it stands.
    variable environment {
        NATS_URL url NATS_USER user NATS_PASSWORD password NATS_CREDS creds NATS_NKEY nkey
        NATS_CA ca NATS_CERT cert NATS_KEY key
    }
    # By these somebody logs in: as fields of a context, and as options of a connection.
    variable logins {user password token creds nkey user_jwt user_seed}
    variable login_options {user token credentials jwt nkey_seed nkey_seed_file auth_callback}
}

proc ::nats::context::Throw {code text} {
    return -level 2 -code error -errorcode [list NATS $code] $text
}

proc ::nats::context::Environment {name} {
    return [expr {[info exists ::env($name)] ? $::env($name) : ""}]
}

proc ::nats::context::Home {} {
    set home [Environment HOME]
    if {$home eq ""} {
        Throw ErrContextNotFound "The home folder is not known: HOME is not set"
    }
    return $home
}

# Nothing if it is not known: then there are no contexts.
proc ::nats::context::Folder {} {
    set config [Environment XDG_CONFIG_HOME]
    if {$config eq ""} {
        if {[Environment HOME] eq ""} {
            return ""
        }
        set config [Home]/.config
    }
    return [file normalize $config/nats]
}

# Whether names begin with a tilde or not: `file join` of Tcl 8.6 would see somebody's home in them.
proc ::nats::context::Path {name} {
    if {[string match /*.json $name]} {
        return [file normalize $name]
    }
    if {$name eq "" || [regexp {[/\\\0]|\.\.} $name]} {
        Throw ErrInvalidArg "Invalid name of a context: $name"
    }
    if {[set folder [Folder]] eq ""} {
        Throw ErrContextNotFound "Unknown context $name: neither XDG_CONFIG_HOME nor HOME is set"
    }
    return $folder/context/$name.json
}

proc ::nats::context::ReadFile {path what} {
    try {
        set channel [open $path]
        try {
            fconfigure $channel -encoding utf-8
            return [read $channel]
        } finally {
            close $channel
        }
    } trap POSIX {text options} {
        Throw ErrBadContext "Cannot read $what: [lindex [dict get $options -errorcode] end]"
    }
}

proc ::nats::context::Names {} {
    if {[set folder [Folder]] eq ""} {
        return {}
    }
    append folder /context
    set start [expr {[string length $folder] + 1}]
    return [lsort [lmap path [glob -nocomplain -types f -directory $folder *.json] {
        string range $path $start end-5
    }]]
}

proc ::nats::context::Selected {} {
    set folder [Folder]
    set path $folder/context.txt
    if {$folder eq "" || ![file exists $path]} {
        return ""
    }
    return [string trim [ReadFile $path "the name of the selected context"]]
}

# Two dicts: the fields, and what may be shown of them.
proc ::nats::context::Load {name} {
    set path [Path $name]
    if {![file exists $path]} {
        Throw ErrContextNotFound "Unknown context $name"
    }
    set text [ReadFile $path "the context $name"]
    try {
        return [Parse $text]
    } trap {NATS ErrBadContext} why {
        Throw ErrBadContext "Cannot read the context $name: $why"
    }
}

proc ::nats::context::Show {{name ""}} {
    Discreetly Shown $name
}

proc ::nats::context::Shown {name} {
    if {$name eq "" && [set name [Selected]] eq ""} {
        Throw ErrContextNotFound "No context is selected"
    }
    return [lindex [Load $name] 1]
}

# ?name? ?-env bool? ?options of the connection?
proc ::nats::context::Connect args {
    Discreetly Connected {*}$args
}

# An error begins here anew: `-errorstack` and `-during` would have the arguments of what failed inside, with secrets.
proc ::nats::context::Discreetly args {
    if {[catch {{*}$args} result failure]} {
        return -code error -errorcode [dict get $failure -errorcode] -errorinfo [dict get $failure -errorinfo] $result
    }
    return $result
}

proc ::nats::context::Connected args {
    set name ""
    if {![string match -* [lindex $args 0]]} {
        set args [lassign $args name]
    }
    if {[llength $args] % 2} {
        Throw ErrInvalidArg "Missing value for option [lindex $args end]"
    }
    set given {}
    foreach {option value} $args {
        dict set given [string trimleft $option -] $value
    }
    set env false
    if {[dict exists $given env]} {
        set env [dict get $given env]
        if {![string is boolean -strict $env]} {
            Throw ErrInvalidArg "Invalid value for the bool option env : $env"
        }
    }
    set options [dict merge [Options [Fields $name $env] $given] [dict remove $given env logger log_chan]]
    set words {}
    dict for {option value} [dict filter $given script {option value} { expr {$option in {logger log_chan}} }] {
        lappend words -$option $value
    }
    # The first word is always the name.
    set words [expr {$words eq "" ? {} : [list "" {*}$words]}]
    set conn [::nats::connection new {*}$words]
    # Nothing is left after an error, nor when the coroutine is deleted in which this waits.
    set abandoned [list ::nats::context::Abandoned $conn]
    trace add variable conn unset $abandoned
    $conn configure {*}$options
    $conn connect
    trace remove variable conn unset $abandoned
    return $conn
}

proc ::nats::context::Abandoned {conn args} {
    catch {$conn destroy}
}

# What a context says, and the environment if it is asked. Without a context there are the defaults.
proc ::nats::context::Fields {name env} {
    if {$name eq "" && $env} {
        set name [Environment NATS_CONTEXT]
    }
    if {$name eq ""} {
        set name [Selected]
    }
    set fields {}
    if {$name ne ""} {
        set fields [lindex [Load $name] 0]
        Refuse $name $fields
    }
    if {$env} {
        set fields [Overlay $fields [FromEnvironment]]
    }
    return $fields
}

proc ::nats::context::FromEnvironment {} {
    variable environment
    set fields {}
    foreach {name field} $environment {
        if {[Environment $name] ne ""} {
            dict set fields $field [Environment $name]
        }
    }
    # natscli takes a user without a password for a token.
    if {[dict exists $fields user] && ![dict exists $fields password]} {
        set fields [dict merge [dict remove $fields user] [dict create token [dict get $fields user]]]
    }
    return $fields
}

# Who says how to log in says all of it; a password alone belongs to the user that is there.
proc ::nats::context::Overlay {fields others} {
    variable logins
    foreach login $logins {
        if {$login ne "password" && [dict exists $others $login]} {
            set fields [dict remove $fields {*}$logins]
        }
    }
    return [dict merge $fields $others]
}

# What cannot be done is not left out silently: it would be another connection.
proc ::nats::context::Refuse {name fields} {
    dict for {field value} $fields {
        if {$value ne "" && ($field in {socks_proxy nsc} || [string match windows_* $field])} {
            Throw ErrNotSupported "The context $name has $field, which is not supported"
        }
    }
    if {[Field $fields jetstream_domain] ne "" && [Field $fields jetstream_api_prefix] ne ""} {
        Throw ErrBadContext "The context $name has jetstream_domain and jetstream_api_prefix, which exclude each other"
    }
}

proc ::nats::context::Field {fields name} {
    return [expr {[dict exists $fields $name] ? [dict get $fields $name] : ""}]
}

# The options of a connection for fields, except for logging in if other options say how.
proc ::nats::context::Options {fields given} {
    variable login_options
    set url [Field $fields url]
    # One element: it may be several URLs with commas between them.
    set options [dict create servers [list [expr {$url eq "" ? "nats://127.0.0.1:4222" : $url}]]]
    foreach field {inbox_prefix jetstream_domain jetstream_api_prefix} {
        if {[Field $fields $field] ne ""} {
            dict set options $field [Field $fields $field]
        }
    }
    if {[dict exists $given jetstream_domain] || [dict exists $given jetstream_api_prefix]} {
        set options [dict remove $options jetstream_domain jetstream_api_prefix]
    }
    if {[Field $fields tls_first] eq "true"} {
        dict set options tls_first true
    }
    set tls {}
    foreach {field option} {ca -cafile cert -certfile key -keyfile} {
        if {[Field $fields $field] ne ""} {
            lappend tls $option [Expand [Field $fields $field]]
        }
    }
    if {$tls ne ""} {
        dict set options tls_opts $tls
        dict set options secure true
    }
    foreach option $login_options {
        if {[dict exists $given $option]} {
            return $options
        }
    }
    return [dict merge $options [Login $fields]]
}

# The first way that is there, in the order of natscli.
proc ::nats::context::Login {fields} {
    foreach field {user password token creds nkey user_jwt user_seed} {
        set $field [Field $fields $field]
    }
    if {$user ne ""} {
        return [dict create user $user password $password]
    }
    if {$creds ne ""} {
        return [dict create credentials [Expand $creds]]
    }
    set seed {}
    if {$user_seed ne ""} {
        set seed [dict create nkey_seed $user_seed]
    } elseif {$nkey ne ""} {
        set seed [dict create nkey_seed_file [Expand $nkey]]
    }
    if {$user_jwt ne ""} {
        return [dict merge $seed [dict create jwt $user_jwt]]
    }
    if {$seed ne ""} {
        return $seed
    }
    return [expr {$token eq "" ? {} : [dict create token $token]}]
}

# Tcl 9 leaves a tilde as it is.
proc ::nats::context::Expand {path} {
    if {$path eq "~" || [string match ~/* $path]} {
        return [Home][string range $path 1 end]
    }
    return $path
}
