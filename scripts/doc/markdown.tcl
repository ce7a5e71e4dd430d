# Reads the Markdown of this project: what doc/*.md, README.md and their like are written in, and no more.
#
#   md::blocks text     a list of blocks:
#       heading level spans anchor     paragraph spans     code language text     table header rows
#       list ordered|bullets items     (an item is a list of blocks, a row a list of cells, a cell spans)
#   md::spans text      a list of spans: text s, code s, strong spans, em spans, link spans target, image alt target
#   md::plain spans     their text

namespace eval md {}

proc md::read {path} {
    set channel [open $path]
    fconfigure $channel -encoding utf-8
    set text [::read $channel]
    close $channel
    return $text
}

# The name of a heading in links, as the usual renderers of Markdown make it; `seen` counts those of a page.
proc md::anchor {text seenVar} {
    upvar 1 $seenVar seen
    set anchor [string map {" " -} [regsub -all {[^\w -]} [string tolower $text] ""]]
    dict incr seen $anchor
    set n [dict get $seen $anchor]
    return [expr {$n > 1 ? "$anchor-[expr {$n - 1}]" : $anchor}]
}

proc md::blocks {text} {
    set seen {}
    return [Blocks [split [string map {\t "    "} $text] \n] seen]
}

proc md::Blocks {lines seenVar} {
    upvar 1 $seenVar seen
    set result {}
    set n [llength $lines]
    for {set i 0} {$i < $n} {} {
        set line [lindex $lines $i]
        # What a script writes stands between two comments.
        if {[string trim $line] eq "" || [regexp {^<!-- .* -->$} $line]} {
            incr i
        } elseif {[regexp {^(#+) (.*)$} $line -> marks title]} {
            set spans [spans $title]
            # The text as it is written counts, so that marks of emphasis disappear with other punctuation.
            lappend result [list heading [string length $marks] $spans [anchor $title seen]]
            incr i
        } elseif {[regexp {^```(.*)$} $line -> language]} {
            set code {}
            while {[incr i] < $n && [lindex $lines $i] ne "```"} { lappend code [lindex $lines $i] }
            incr i
            lappend result [list code $language [join $code \n]]
        } elseif {[string match "    *" $line]} {
            set code {}
            while {$i < $n && ([string match "    *" [lindex $lines $i]] || [string trim [lindex $lines $i]] eq "")} {
                lappend code [string range [lindex $lines $i] 4 end]
                incr i
            }
            lappend result [list code "" [string trimright [join $code \n]]]
        } elseif {[string match "|*" $line]} {
            set rows {}
            while {$i < $n && [string match "|*" [lindex $lines $i]]} {
                lappend rows [Cells [lindex $lines $i]]
                incr i
            }
            lappend result [list table [lindex $rows 0] [lrange $rows 2 end]]
        } elseif {[regexp {^([-*]|\d+\.) } $line -> mark]} {
            set kind [expr {[string is digit [string index $mark 0]] ? "ordered" : "bullets"}]
            set items {}
            while {$i < $n && [regexp {^(([-*]|\d+\.) +)(.*)$} [lindex $lines $i] -> lead mark rest]} {
                set indent [string repeat " " [string length $lead]]
                set item [list $rest]
                while {[incr i] < $n} {
                    set line [lindex $lines $i]
                    if {[string match $indent* $line]} {
                        lappend item [string range $line [string length $indent] end]
                    } elseif {[string trim $line] eq "" && [string match $indent* [lindex $lines $i+1]]} {
                        lappend item ""
                    } else break
                }
                lappend items [Blocks $item seen]
                if {[string trim [lindex $lines $i]] eq "" && [regexp {^([-*]|\d+\.) } [lindex $lines $i+1]]} { incr i }
            }
            lappend result [list list $kind $items]
        } else {
            set words {}
            while {$i < $n} {
                set line [lindex $lines $i]
                if {[string trim $line] eq "" || [regexp {^(#+ |```|\||([-*]|\d+\.) )} $line] && [llength $words]} break
                lappend words $line
                incr i
            }
            lappend result [list paragraph [spans [join $words \n]]]
        }
    }
    return $result
}

# A row of a table. A bar that is no border is written \|.
proc md::Cells {line} {
    set line [string map [list \\| \u0001] [string trim $line]]
    set cells [split [string range $line 1 end-1] |]
    return [lmap cell $cells { spans [string map [list \u0001 |] [string trim $cell]] }]
}

proc md::spans {text} {
    set result {}
    set plain ""
    set i 0
    set end [string length $text]
    while {$i < $end} {
        set c [string index $text $i]
        set rest [string range $text $i end]
        set span ""
        if {$c eq "`"} {
            regexp {^`+} $rest ticks
            set from [string length $ticks]
            set to [string first $ticks $rest $from]
            if {$to > 0} {
                set all [string range $rest 0 [expr {$to + $from - 1}]]
                set code [string map {\n " "} [string range $rest $from [expr {$to - 1}]]]
                # Blanks that separate it from its marks do not count.
                if {[regexp {^ (.*) $} $code -> inner] && [string trim $code] ne ""} { set code $inner }
                set span [list code $code]
            }
        } elseif {$c eq "!" && [regexp {^!\[([^\]]*)\]\(([^)]*)\)} $rest all alt target]} {
            set span [list image $alt $target]
        } elseif {$c eq "\["} {
            if {[regexp {^\[((?:`[^`]*`|\\.|[^\]`\\])*)\]\(([^)]*)\)} $rest all label target]} {
                set span [list link [spans $label] $target]
            }
        } elseif {[regexp {^\*\*([^\s*](?:[^*]*[^\s*])?)\*\*} $rest all inner]} {
            set span [list strong [spans $inner]]
        } elseif {$c eq "*" && [regexp {^\*([^\s*](?:[^*]*[^\s*])?)\*} $rest all inner]} {
            set span [list em [spans $inner]]
        } elseif {$c eq "\\" && [string is punct -strict [string index $text $i+1]]} {
            append plain [string index $text $i+1]
            incr i 2
            continue
        }
        if {$span eq ""} {
            # On to whatever may begin something.
            regexp {^.[^`!*\\\[]*} $rest all
            append plain $all
        } else {
            if {$plain ne ""} { lappend result [list text $plain] }
            set plain ""
            lappend result $span
        }
        incr i [string length $all]
    }
    if {$plain ne ""} { lappend result [list text $plain] }
    return $result
}

proc md::plain {spans} {
    set result ""
    foreach span $spans {
        lassign $span kind what
        switch $kind {
            text - code - image { append result $what }
            default { append result [plain $what] }
        }
    }
    return $result
}

# All spans of a kind in blocks, at any depth: for links.
proc md::find {kind blocks} {
    set result {}
    foreach block $blocks {
        switch [lindex $block 0] {
            heading { lappend result {*}[InSpans $kind [lindex $block 2]] }
            paragraph { lappend result {*}[InSpans $kind [lindex $block 1]] }
            table {
                foreach row [linsert [lindex $block 2] 0 [lindex $block 1]] {
                    foreach cell $row { lappend result {*}[InSpans $kind $cell] }
                }
            }
            list { foreach item [lindex $block 2] { lappend result {*}[find $kind $item] } }
        }
    }
    return $result
}
proc md::InSpans {kind spans} {
    set result {}
    foreach span $spans {
        if {[lindex $span 0] eq $kind} { lappend result $span }
        if {[lindex $span 0] in {strong em link}} { lappend result {*}[InSpans $kind [lindex $span 1]] }
    }
    return $result
}
