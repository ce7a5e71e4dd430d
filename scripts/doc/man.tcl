# Makes man pages, section n, of the reference: plain ASCII with the escapes of troff, macros of man(7) only.
#
#   man::write folder
#
# Tables become lists with a paragraph for each row, since columns have no room in a terminal: its first cell is what
# the paragraph is about, the last one its text, and those between stand in front of that.

namespace eval man {}

proc man::escape {text} {
    set text [string map {\\ \\e - \\- ' \\(aq ` \\(ga ^ \\(ha ~ \\(ti} $text]
    set result ""
    foreach c [split $text ""] {
        scan $c %c code
        append result [expr {$code < 127 ? $c : [format {\[u%04X]} $code]}]
    }
    return $result
}

# Text with fonts. A link to another page names its man page.
proc man::spans {path spans} {
    set result ""
    foreach span $spans {
        lassign $span kind what target
        switch $kind {
            text { append result [escape [string map {\n " "} $what]] }
            code { append result \\fB[Whole [escape $what]]\\fR }
            strong { append result \\fB[escape [md::plain $what]]\\fR }
            em { append result \\fI[escape [md::plain $what]]\\fR }
            link { append result [Link $path $what $target] }
            image { append result [escape "\[picture: $what\]"] }
        }
    }
    return $result
}
# Names are not hyphenated.
proc man::Whole {text} {
    return [regsub -all {(^| )(?=[\w:$*<-])} $text {\1\\%}]
}
proc man::Link {path spans target} {
    if {[regexp {^\w+:} $target]} { return "[spans $path $spans] ([escape $target])" }
    set to [lindex [split $target #] 0]
    if {$to eq ""} { return [spans $path $spans] }
    set page [pages::man [links::resolve $path $to]]
    set name [file tail $to]
    set said [expr {[file tail [md::plain $spans]] eq $name}]
    if {$page ne ""} {
        set name \\fB[lindex $page 0]\\fR(n)
    } else {
        set name [escape $name]
    }
    return [expr {$said ? $name : "[spans $path $spans] ($name)"}]
}

# A paragraph in lines of a width that is easy to read in the source, too; none may begin like a request.
proc man::fill {text} {
    set lines {}
    set line ""
    foreach word [regexp -all -inline {\S+} $text] {
        if {$line ne "" && [string length $line] + [string length $word] > 76} {
            lappend lines $line
            set line ""
        }
        append line [expr {$line eq "" ? "" : " "}] $word
    }
    lappend lines $line
    return [join [lmap line $lines { expr {[string index $line 0] eq "." ? "\\&$line" : $line} }] \n]
}
proc man::verbatim {text} {
    return [join [lmap line [split $text \n] {
        set line [escape $line]
        expr {[string index $line 0] eq "." ? "\\&$line" : $line}
    }] \n]
}

proc man::blocks {path blocks} {
    set result {}
    # Behind a heading there is a paragraph already.
    set fresh 1
    foreach block $blocks {
        switch [lindex $block 0] {
            heading {
                lassign $block -> level spans
                if {$level == 1} continue
                set title [expr {$level == 2 ? [escape [string toupper [md::plain $spans]]] : [spans $path $spans]}]
                lappend result "[expr {$level == 2 ? ".SH" : ".SS"}] [string map {\" \\(dq} $title]"
                set fresh 1
                continue
            }
            paragraph {
                if {!$fresh} { lappend result .PP }
                lappend result [fill [spans $path [lindex $block 1]]]
            }
            code {
                if {[lindex $block 1] eq "tcl synopsis"} continue
                if {!$fresh} { lappend result .PP }
                lappend result {.RS 4} .EX [verbatim [lindex $block 2]] .EE .RE
            }
            list {
                lassign $block -> kind items
                set number 0
                foreach item $items {
                    lappend result [expr {$kind eq "ordered" ? ".IP [incr number]. 4" : ".IP \\(bu 2"}]
                    lappend result [fill [spans $path [lindex $item 0 1]]]
                    set rest [lrange $item 1 end]
                    if {$rest ne ""} { lappend result .RS [blocks $path $rest] .RE }
                }
            }
            table { lappend result {*}[Table $path [lindex $block 1] [lindex $block 2]] }
        }
        set fresh 0
    }
    return [join $result \n]
}

proc man::Table {path header rows} {
    set result {}
    foreach row $rows {
        set tag [fill [spans $path [lindex $row 0]]]
        if {$tag eq ""} { set tag \\& }
        set about {}
        foreach name [lrange $header 1 end-1] cell [lrange $row 1 end-1] {
            if {$cell eq ""} continue
            set name [md::plain $name]
            lappend about [expr {$name in {"" type} ? "" : "[escape $name] "}][spans $path $cell]
        }
        set text [spans $path [lindex $row end]]
        if {$about ne ""} { set text "([join $about {; }]) $text" }
        set text [fill $text]
        # What a paragraph is about is one line, unless each ends in \c.
        lappend result .TP [string map {\n " \\c\n"} $tag] [expr {$text eq "" ? "\\&" : $text}]
    }
    return $result
}

# What is called how, for NAME: the classes and commands of its synopsis.
proc man::names {path page} {
    set names [list $page]
    foreach entry [index::synopsis $path] {
        lassign $entry kind class name
        set name [expr {$kind eq "method" ? $class : [regsub {^(nats::\w+) .*} $name {\1}]}]
        if {$name ni $names} { lappend names $name }
    }
    return $names
}

proc man::head {page} {
    global env
    set now [expr {[info exists env(SOURCE_DATE_EPOCH)] ? $env(SOURCE_DATE_EPOCH) : [clock seconds]}]
    set date [clock format $now -format %Y-%m-%d -gmt 1]
    return ".TH [string toupper $page] n $date \"nats [pages::version]\" \"nats for Tcl\"\n.ad l"
}

proc man::page {path} {
    lassign [pages::man $path] page about
    set result [list [head $page] ".SH NAME"]
    lappend result [fill "[join [lmap name [names $path $page] { escape $name }] {, }] \\- [escape $about]"]
    foreach block [pages::blocks $path] {
        if {[lrange $block 0 1] ne {code {tcl synopsis}}} continue
        lappend result ".SH SYNOPSIS" .nf [Synopsis [lindex $block 2]] .fi
    }
    lappend result ".SH DESCRIPTION" [blocks $path [pages::blocks $path]]
    lappend result ".SH \"SEE ALSO\"" [fill [join [lmap other [others $page] { string cat \\fB $other \\fR(n) }] ", "]]
    return [join $result \n]
}
proc man::Synopsis {text} {
    set lines {}
    foreach line [index::lines $text] {
        if {[string trim $line] eq ""} {
            lappend lines .sp
            continue
        }
        # Broken where an optional argument begins.
        set part ""
        foreach word [split [string map {" ?" \u0001?} $line] \u0001] {
            if {$part ne "" && [string length $part] + [string length $word] > 70} {
                lappend lines [escape $part]
                set part "   "
            }
            append part [expr {$part eq "" ? "" : " "}] $word
        }
        lappend lines [escape $part]
    }
    set lines [lmap line $lines { regsub {^(\$\w+ |nats::\w+ )(\w+)} $line {\1\\fB\2\\fR} }]
    return [join $lines \n]
}

proc man::others {page} {
    set names nats
    foreach path [pages::reference] { lappend names [lindex [pages::man $path] 0] }
    return [lsearch -all -inline -not -exact $names $page]
}

# nats.n: what the README shows first, and which pages there are.
proc man::overview {} {
    set result [list [head nats] ".SH NAME" "nats \\- a client of NATS: messages, streams, Key\\-Value store"]
    lappend result ".SH SYNOPSIS" .nf "\\fBpackage require nats\\fR" .fi ".SH DESCRIPTION"
    set chapter ""
    set taken {}
    foreach block [pages::blocks README.md] {
        if {[lindex $block 0] eq "heading"} {
            lassign $block -> level spans
            set chapter [expr {$level == 1 ? "" : [md::plain $spans]}]
        }
        if {$chapter in {"" Example "Limits, honestly"}} { lappend taken $block }
    }
    lappend result [blocks README.md $taken] ".SH PAGES"
    foreach path [pages::reference] {
        lassign [pages::man $path] page about
        lappend result .TP \\fB$page\\fR(n) [fill [escape $about]]
    }
    lappend result ".SH \"SEE ALSO\"" [fill [join [lmap other [others nats] { string cat \\fB $other \\fR(n) }] ", "]]
    return [join $result \n]
}

proc man::write {folder} {
    file delete -force $folder
    file mkdir $folder
    Save $folder/nats.n [overview]
    foreach path [pages::reference] { Save $folder/[lindex [pages::man $path] 0].n [page $path] }
}
proc man::Save {path text} {
    set channel [open $path w]
    fconfigure $channel -encoding ascii
    puts $channel $text
    close $channel
}
