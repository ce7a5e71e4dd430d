# What the reference is about: commands, methods, options, error codes, events, and where each of them is described.
#
# A page of the reference begins with a block "```tcl synopsis". In it a comment that names a class begins the methods
# of that class. tests/doc.test compares what stands there with the methods that the package has.
#
#   index::synopsis path       list of {kind class name line}: kind is command or method, class that of a method
#   index::place path class name    the anchor at which a page describes it
#   index::row_anchor section cell  the anchor of a row of a table, or nothing
#   index::entries             dict: kind (command method option error event) → name → list of {path anchor label}
#   index::codes, index::events     what the sources have

namespace eval index {
    variable places {}
}

# The lines of a synopsis, continued ones as one.
proc index::lines {code} {
    return [split [regsub -all {\s*\\\n\s*} $code " "] \n]
}

proc index::synopsis {path} {
    set result {}
    foreach block [pages::blocks $path] {
        if {[lindex $block 0] ne "code" || [lindex $block 1] ne "tcl synopsis"} continue
        set class ""
        foreach line [lines [lindex $block 2]] {
            if {[regexp {^#} $line] && [regexp {nats::\w+} $line class]} continue
            lassign [Named $line] kind name
            if {$kind ne ""} { lappend result [list $kind [expr {$kind eq "method" ? $class : ""}] $name $line] }
        }
    }
    return $result
}

# `$object method …` is a method; of an ensemble the subcommand belongs to the name, and so does `new` of a class.
proc index::Named {line} {
    if {[regexp {^\$\w+ (\w+)} $line -> name]} { return [list method $name] }
    if {[regexp {^(?:dict lookup|nats::(?:msg|header|context|connection|service)(?: \w+)?|nats::[\w:-]+)} $line name]} {
        return [list command $name]
    }
    return {"" ""}
}

proc index::row_anchor {section cell} {
    set first [lindex $cell 0]
    if {[lindex $first 0] ne "code"} return
    set words [regexp -all -inline {[^ ?$|]+} [lindex $first 1]]
    set seen {}
    return $section.[md::anchor [join [lrange $words 0 1] -] seen]
}

# Calls visit with {heading anchor title} of the section, and what there is: heading, cell (first of a row), code.
proc index::walk {path visit} {
    set section {"" ""}
    foreach block [pages::blocks $path] {
        switch [lindex $block 0] {
            heading {
                set section [list [lindex $block 3] [Short [md::plain [lindex $block 2]]]]
                {*}$visit $section heading [lindex $block 2] ""
            }
            table {
                foreach row [lindex $block 2] {
                    {*}$visit $section row [lindex $row 0] [md::plain [lindex [lindex $block 1] 0]]
                    {*}$visit $section cell [concat {*}[lrange $row 1 end]] ""
                }
            }
            paragraph - list {
                foreach span [md::find code [list $block]] { {*}$visit $section code [list $span] "" }
            }
        }
    }
}
# Of the heading of a method its name.
proc index::Short {title} {
    if {[regexp {[?*$]|<} $title] && [regexp {^(?:\$\w+ )?[\w:]+} $title name]} { return [regsub {^\$\w+ } $name ""] }
    return $title
}

# A heading comes before a row, and a row before what is said in passing; the name of the object before none.
proc index::place {path class name} {
    variable places
    if {![dict exists $places $path]} {
        dict set places $path {}
        walk $path [list index::Seen $path]
    }
    set object ""
    set made 0
    foreach entry [synopsis $path] {
        lassign $entry kind of what line
        if {$of eq $class && $what eq $name} { regexp {^\$(\w+) } $line -> object }
        if {$what eq [regsub { create$} $name " new"]} { set made 1 }
    }
    set main [expr {$class in {"" nats::connection nats::jet_stream nats::key_value nats::object_store nats::service}}]
    foreach key [list heading.$object.$name heading..$name row.$object.$name row..$name call.$object.$name call..$name code.$object.$name code..$name] {
        if {!$main && [string match *..* $key]} continue
        if {[dict exists $places $path $key]} { return [dict get $places $path $key] }
    }
    if {[regexp {^(nats::\w+) create$} $name -> of] && $made} { return [place $path "" "$of new"] }
    return synopsis
}
proc index::Seen {path section kind spans about} {
    variable places
    lassign $section anchor title
    # Tables of errors and of permissions say something about methods that are described elsewhere.
    if {$kind eq "cell" || $kind eq "row" && [regexp {^(Errors|Permissions)} $title]} return
    if {$kind eq "row"} { set anchor [row_anchor $anchor $spans] }
    set texts {}
    if {$kind eq "heading"} { lappend texts [md::plain $spans] }
    foreach span $spans { if {[lindex $span 0] eq "code"} { lappend texts [lindex $span 1] } }
    foreach text $texts {
        if {[regexp {^\$(\w+) (\w+)} $text -> object name]} {} else {
            set object ""
            set name [lindex [Named $text] 1]
            if {$name eq "" && ![regexp {^(\w+)} $text -> name]} continue
            # In the chapter of an ensemble there are its subcommands.
            if {$kind eq "row" && [string match nats::* $title]} { set name "$title $name" }
        }
        if {$kind in {code call}} { set kind [expr {[string match "* *" $text] ? "call" : "code"}] }
        if {$anchor ne "" && ![dict exists $places $path $kind.$object.$name]} {
            dict set places $path $kind.$object.$name $anchor
        }
    }
}

# Error codes: of the native half, and those that the Tcl half throws.
proc index::codes {} {
    set text [md::read $::pages::top/src/error.rs]
    set codes [lmap {all code} [regexp -all -inline -line {^    \w+: "(\w+)";$} $text] { set code }]
    foreach path [glob $::pages::top/tcl/*.tcl] {
        foreach {all code} [regexp -all -inline {\m(Err[A-Z]\w+)} [md::read $path]] { lappend codes $code }
    }
    return [lsort -unique $codes]
}
proc index::events {} {
    set text ""
    foreach path [glob $::pages::top/src/connection/*.rs] { append text [md::read $path] }
    set names {}
    foreach {all name other} [regexp -all -inline {report(?:_server)?\(\s*(?:if \w+ \{ )?"(\w+)"(?: \} else \{ "(\w+)")?} $text] {
        lappend names $name {*}[list $other]
    }
    foreach {all name} [regexp -all -inline {place\("(\w+)"} [md::read $::pages::top/src/jetstream/advisories/kinds.rs]] {
        lappend names $name
    }
    return [lsort -unique [lsearch -all -inline -not -exact $names ""]]
}

proc index::entries {} {
    set result [dict create command {} method {} option {} error {} event {}]
    set codes [codes]
    set known [events]
    foreach path [pages::reference] {
        foreach entry [synopsis $path] {
            lassign $entry kind class name line
            set label [expr {$kind eq "method" ? $class : [pages::title $path]}]
            Add result $kind $name $path [place $path $class $name] $label
            foreach option [Options $line] {
                Add result option $option $path [place $path $class $name] $name
            }
        }
        walk $path [list index::Collect result $path $codes $known]
    }
    # Codes that no table has, where they are spoken of.
    foreach path [pages::reference] { walk $path [list index::Mentioned result $path $codes [dict keys [dict get $result error]]] }
    foreach kind [dict keys $result] { dict set result $kind [lsort -dictionary -stride 2 -index 0 [dict get $result $kind]] }
    return $result
}
# The names of options in the line of a synopsis, but not the word that stands for any of them.
proc index::Options {line} {
    set names {}
    foreach {all name} [regexp -all -inline {(?:^|[ ?|])(-[a-z]\w*)} $line] {
        if {$name ni {-option}} { lappend names $name }
    }
    return [lsort -unique $names]
}
proc index::Add {resultVar kind name path anchor label} {
    upvar 1 $resultVar result
    set known [expr {[dict exists $result $kind $name] ? [dict get $result $kind $name] : {}}]
    foreach entry $known {
        lassign $entry there where
        if {$there eq $path && $where eq $anchor} return
        # The row of a table instead of the section in which it is.
        if {$there eq $path && [string match $where.* $anchor]} { set known [lsearch -all -inline -not -exact $known $entry] }
    }
    dict set result $kind $name [linsert $known end [list $path $anchor $label]]
}
proc index::Collect {resultVar path codes known section kind spans about} {
    # Of `entries`, which called walk, which called this.
    upvar 2 $resultVar result
    lassign $section anchor title
    if {$kind ne "row"} return
    set row [row_anchor $anchor $spans]
    if {$row eq ""} { set row $anchor }
    foreach span $spans {
        if {[lindex $span 0] ne "code"} continue
        set code [lindex $span 1]
        if {[regexp {^-[a-z]\w*} $code option]} { Add result option $option $path $row $title }
        foreach word [split $code " {}"] {
            if {$word in $codes} { Add result error $word $path $row $title }
        }
        if {$about in {event kind} && $code in $known} { Add result event $code $path $row $title }
    }
}
proc index::Mentioned {resultVar path codes found section kind spans about} {
    upvar 2 $resultVar result
    foreach span $spans {
        if {[lindex $span 0] ne "code"} continue
        foreach word [split [lindex $span 1] " {}\n"] {
            if {$word in $codes && $word ni $found} {
                Add result error $word $path [lindex $section 0] [lindex $section 1]
            }
        }
    }
}
