# What the tests of put and get have in common. Source it behind obj.tcl.

# Bytes that do not repeat soon: the same for the same number and seed.
proc some_bytes {count {seed 1}} {
    set state $seed
    set block {}
    for {set i 0} {$i < 1009} {incr i} {
        set state [expr {($state * 1103515245 + 12345) & 0x7fffffff}]
        lappend block [expr {$state >> 16}]
    }
    set block [binary format c* $block]
    set bytes [string repeat $block [expr {$count / 1009 + 1}]]
    return [string range $bytes 0 [expr {$count - 1}]]
}
# A file in the folder of the test file, with these bytes.
proc file_of {name bytes} {
    set path [path_of $name]
    set f [open $path wb]
    puts -nonewline $f $bytes
    close $f
    return $path
}
proc path_of {name} {
    if {![info exists ::obj_files]} { set ::obj_files [support::folder files] }
    return [file join $::obj_files $name]
}
proc content_of {path} {
    set f [open $path rb]
    set bytes [read $f]
    close $f
    return $bytes
}
# What lies beside a file and begins with its name, hidden or not.
proc beside {path} {
    set name [file tail $path]
    return [lsort [glob -nocomplain -tails -directory [file dirname $path] .$name* $name?*]]
}
# Chunks in the bucket that belong to no object.
proc chunks {} { return [messages_under C.>] }
# The members of an info that the data decide on.
proc measures {info} { return [list [dict get $info size] [dict get $info chunks] [dict get $info digest]] }
# The digest as sha256sum has it, of the bytes of a file.
proc digest_of {path} {
    set hex [lindex [exec sha256sum $path] 0]
    return SHA-256=[string map {+ - / _} [binary encode base64 [binary decode hex $hex]]]
}
# The subject of one chunk's messages.
proc chunk_subject {info} { return \$O.$::bucket.C.[dict get $info nuid] }
# Sequence numbers of the chunks of an object, in order.
proc chunk_sequences {info} {
    set sequences {}
    set next 1
    while 1 {
        set reply [raw::api $::raw STREAM.MSG.GET.OBJ_$::bucket \
            "{\"next_by_subj\":\"[chunk_subject $info]\",\"seq\":$next}"]
        if {![regexp {"seq":(\d+)} $reply -> seq]} { return $sequences }
        lappend sequences $seq
        set next [expr {$seq + 1}]
    }
}
