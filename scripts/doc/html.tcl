# Makes the web site of the documentation: plain files, which work from a folder as well, without scripts.
#
#   html::site folder

namespace eval html {
    variable here [file dirname [file normalize [info script]]]
}

proc html::escape {text} {
    return [string map {& &amp; < &lt; > &gt; \" &quot;} $text]
}

# The file of a page, and of an example, in the site.
proc html::address {path} {
    if {$path eq "README.md"} { return index.html }
    if {[file extension $path] eq ".md"} { return [file rootname [file tail $path]].html }
    if {[file dirname $path] eq "examples"} { return examples/[file tail $path].html }
    return [file tail $path]
}

# What a link of a page leads to in the site.
proc html::target {path target} {
    if {[regexp {^\w+:} $target]} { return $target }
    lassign [split $target #] to anchor
    set anchor [expr {$anchor eq "" ? "" : "#$anchor"}]
    if {$to eq ""} { return $anchor }
    set there [links::resolve $path $to]
    if {[string trimright $there /] eq "examples"} { return examples/index.html }
    return [address $there]$anchor
}

proc html::spans {path spans} {
    set result ""
    foreach span $spans {
        lassign $span kind what target
        switch $kind {
            text { append result [escape $what] }
            code {
                # The name of an option is not broken behind its dash.
                set whole [expr {[string match -* $what] && ![string match "* *" $what] ? " class=\"whole\"" : ""}]
                append result <code$whole>[expr {$whole eq "" ? [Breakable [escape $what]] : [escape $what]}]</code>
            }
            strong { append result <strong>[spans $path $what]</strong> }
            em { append result <em>[spans $path $what]</em> }
            link { append result "<a href=\"[escape [target $path $target]]\">[label $path $what $target]</a>" }
            image { append result "<img[expr {[file extension $target] eq ".svg" ? " class=\"drawing\"" : ""}] src=\"[escape [target $path $target]]\" alt=\"[escape $what]\">" }
        }
    }
    return $result
}

# Long names may be broken behind their dots and underscores, and not elsewhere.
proc html::Breakable {text} {
    if {![regexp {[^ ]{24}} $text]} { return $text }
    return [regsub -all {([a-zA-Z;][._/:]+)(?=[\w$&*])} $text {\1<wbr>}]
}

# Where a link says only the name of a file, it says what that is called.
proc html::label {path spans target} {
    set to [lindex [split $target #] 0]
    if {[file extension $to] eq ".md" && [file tail [md::plain $spans]] eq [file tail $to]} {
        return [escape [pages::title [links::resolve $path $to]]]
    }
    return [spans $path $spans]
}

# Comments, which say what comes out, look different from commands.
proc html::code {text language} {
    set lines {}
    foreach line [split $text \n] {
        if {[string match tcl* $language] && [regexp {^(\s*|.*\s;|.*;)(#(?: .*|[^;]*))$} $line -> before comment]} {
            lappend lines "[escape $before]<i>[escape $comment]</i>"
        } else {
            lappend lines [escape $line]
        }
    }
    return "<pre><code>[join $lines \n]</code></pre>"
}

# Each name leads to where it is described.
proc html::synopsis {path text} {
    set result {}
    set class ""
    foreach line [index::lines $text] {
        set html [escape $line]
        if {[string match #* $line]} {
            regexp {nats::\w+} $line class
            set html "<i>$html</i>"
        } else {
            lassign [index::Named $line] kind name
            if {$kind ne ""} {
                set anchor [index::place $path [expr {$kind eq "method" ? $class : ""}] $name]
                set shown [escape $name]
                if {$anchor ne "synopsis"} { set shown "<a href=\"#$anchor\">$shown</a>" }
                set html [regsub -all {(^|[ |])(\??-\w+)} $html {\1<span class="whole">\2</span>}]
                set html [regsub -- $name $html $shown]
            }
        }
        lappend result "<span class=\"line\">$html</span>"
    }
    return "<pre class=\"synopsis\" id=\"synopsis\"><code>[join $result ""]</code></pre>"
}

proc html::blocks {path blocks} {
    set result {}
    set section ""
    # Rows whose name came before in the section have none.
    set named {}
    foreach block $blocks {
        switch [lindex $block 0] {
            heading {
                lassign $block -> level spans section
                set anchor "<a class=\"anchor\" href=\"#$section\" aria-label=\"Link to this heading\">#</a>"
                lappend result "<h$level id=\"$section\">[spans $path $spans]$anchor</h$level>"
            }
            paragraph {
                set spans [lindex $block 1]
                if {[llength $spans] == 1 && [lindex $spans 0 0] eq "image"} {
                    lappend result "<figure>[spans $path $spans]</figure>"
                } else {
                    lappend result <p>[spans $path $spans]</p>
                }
            }
            code {
                lassign $block -> language text
                lappend result [expr {$language eq "tcl synopsis" ? [synopsis $path $text] : [code $text $language]}]
            }
            list {
                lassign $block -> kind items
                set tag [expr {$kind eq "ordered" ? "ol" : "ul"}]
                lappend result <$tag>
                foreach item $items {
                    set body [expr {[llength $item] == 1 && [lindex $item 0 0] eq "paragraph"
                        ? [spans $path [lindex $item 0 1]] : [blocks $path $item]}]
                    lappend result <li>$body</li>
                }
                lappend result </$tag>
            }
            table {
                lassign $block -> header rows
                set count [llength $header]
                lappend result "<div class=\"table\" tabindex=\"0\"><table class=\"[expr {$count > 6 ? "wide many" : $count > 2 ? "wide" : "narrow"}]\">"
                if {[string trim [join [lmap cell $header { md::plain $cell }]]] ne ""} {
                    lappend result "<thead><tr>[join [lmap cell $header { string cat <th> [spans $path $cell] </th> }] ""]</tr></thead>"
                }
                lappend result <tbody>
                foreach row $rows {
                    set id [index::row_anchor $section [lindex $row 0]]
                    if {$id ne "" && $id ni $named} {
                        lappend named $id
                        set id " id=\"$id\""
                    } else {
                        set id ""
                    }
                    # On a narrow screen the name of the column stands before each cell.
                    set cells [lmap name $header cell $row {
                        set name [string trim [md::plain $name]]
                        set label [expr {$name eq "" ? "" : " data-label=\"[escape $name]: \""}]
                        string cat "<td$label>" [spans $path $cell] </td>
                    }]
                    lappend result "<tr$id>[join $cells ""]</tr>"
                }
                lappend result </tbody></table></div>
            }
        }
    }
    return [join $result \n]
}

# Of the page that is shown also its chapters.
proc html::navigation {current base} {
    set result {}
    foreach group [pages::groups] {
        lassign $group title paths
        lappend result "<h2>$title</h2>" <ul>
        foreach path $paths {
            set name [pages::short $path]
            if {$path ne $current} {
                lappend result "<li><a href=\"$base[address $path]\">[escape $name]</a></li>"
                continue
            }
            lappend result "<li><a href=\"$base[address $path]\" aria-current=\"page\">[escape $name]</a><ul>"
            foreach block [pages::blocks $path] {
                if {[lindex $block 0] ne "heading" || [lindex $block 1] != 2} continue
                lappend result "<li><a href=\"#[lindex $block 3]\">[escape [md::plain [lindex $block 2]]]</a></li>"
            }
            lappend result </ul></li>
        }
        lappend result </ul>
    }
    set here [expr {$current in {index examples} ? [list $current] : ""}]
    lappend result <h2>More</h2> <ul>
    foreach {name to title} {index reference.html {Index of all names} examples examples/index.html Examples} {
        set mark [expr {$current eq $name ? " aria-current=\"page\"" : ""}]
        lappend result "<li><a href=\"$base$to\"$mark>$title</a></li>"
    }
    lappend result </ul>
    return [join $result \n]
}

proc html::page {current title base body} {
    variable here
    set map [list @title@ [escape $title] @base@ $base @navigation@ [navigation $current $base] @body@ $body \
        @version@ [pages::version]]
    return [string map $map [md::read $here/page.html]]
}

proc html::index_page {} {
    set titles {command Commands method Methods option Options error "Error codes" event "Events and advisories"}
    set result {{<h1 id="index">Index of all names</h1>}}
    set jumps [lmap {kind title} $titles { string cat "<a href=\"#$kind\">$title</a>" }]
    lappend result "<p>[join $jumps { · }]</p>"
    set entries [index::entries]
    foreach {kind title} $titles {
        lappend result "<h2 id=\"$kind\">$title</h2>" {<dl class="index">}
        dict for {name places} [dict get $entries $kind] {
            set links {}
            foreach place $places {
                lassign $place path anchor label
                set shown [expr {$kind eq "command" ? [pages::short $path] : $label}]
                if {$kind ni {command method}} { append shown ", [pages::short $path]" }
                lappend links "<a href=\"[address $path]#[escape $anchor]\">[escape $shown]</a>"
            }
            lappend result "<dt id=\"$kind.[string map {" " -} $name]\"><code>[escape $name]</code></dt><dd>[join $links {<br>}]</dd>"
        }
        lappend result </dl>
    }
    return [join $result \n]
}

# What an example is about, its first line of comment says.
proc html::about {path} {
    regexp -line {^# (.*)$} [md::read $::pages::top/$path] -> text
    return $text
}

proc html::examples_page {paths} {
    set result {{<h1>Examples</h1>} {<div class="table"><table class="narrow"><tbody>}}
    foreach path $paths {
        set name [file tail $path]
        lappend result "<tr><td><a href=\"$name.html\"><code>$name</code></a></td><td>[escape [about $path]]</td></tr>"
    }
    lappend result </tbody></table></div>
    return [join $result \n]
}

proc html::write {path text} {
    file mkdir [file dirname $path]
    set channel [open $path w]
    fconfigure $channel -encoding utf-8
    puts $channel $text
    close $channel
}

proc html::site {folder} {
    variable here
    set top $::pages::top
    file delete -force $folder
    file mkdir $folder
    file copy $here/style.css $folder/style.css
    file copy $top/LICENSE $folder/LICENSE
    foreach picture [glob -nocomplain $top/doc/*.png $top/doc/*.svg] { file copy $picture $folder }
    foreach path [pages::all] {
        write $folder/[address $path] [page $path [pages::title $path] "" [blocks $path [pages::blocks $path]]]
    }
    write $folder/reference.html [page index "Index" "" [index_page]]
    set examples [lsort [lmap path [glob -directory $top -tails examples/*.tcl] { set path }]]
    write $folder/examples/index.html [page examples Examples ../ [examples_page $examples]]
    foreach path $examples {
        set body "<h1>[file tail $path]</h1>\n[code [string trimright [md::read $top/$path]] tcl]"
        write $folder/[address $path] [page examples [file tail $path] ../ $body]
    }
}
