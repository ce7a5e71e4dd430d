# Do the links lead anywhere? In the Markdown, and in the site that was made of it.
#
#   links::resolve path target   a path below the top folder
#   links::pages                 those of Markdown files that lead nowhere, as file:target
#   links::site folder           those of the site, as file:target

namespace eval links {}

proc links::resolve {path target} {
    set parts {}
    foreach part [split [file join [file dirname $path] $target] /] {
        switch $part {
            . {}
            .. { set parts [lrange $parts 0 end-1] }
            default { lappend parts $part }
        }
    }
    return [join $parts /]
}

proc links::pages {} {
    set dead {}
    foreach path [pages::all] {
        set blocks [pages::blocks $path]
        foreach span [concat [md::find link $blocks] [md::find image $blocks]] {
            set target [lindex $span 2]
            if {[regexp {^\w+:} $target]} continue
            lassign [split $target #] to anchor
            set there [expr {$to eq "" ? $path : [resolve $path $to]}]
            if {![file exists $::pages::top/$there]
                || ($anchor ne "" && [file extension $there] eq ".md" && $anchor ni [anchors $there])} {
                lappend dead $path:$target
            }
        }
    }
    return $dead
}
proc links::anchors {path} {
    set result {}
    foreach block [pages::blocks $path] {
        if {[lindex $block 0] eq "heading"} { lappend result [lindex $block 3] }
    }
    return $result
}

# Everything that refers to something has to find it, and nothing may be there twice.
proc links::site {folder} {
    set wrong {}
    set files [concat [glob -directory $folder -tails *.html] [glob -directory $folder -tails examples/*.html]]
    foreach name $files {
        set text [md::read $folder/$name]
        set ids($name) [lmap {all id} [regexp -all -inline { id="([^"]*)"} $text] { set id }]
        set targets($name) [lmap {all target} [regexp -all -inline { (?:href|src)="([^"]*)"} $text] { set target }]
        if {[llength $ids($name)] != [llength [lsort -unique $ids($name)]]} { lappend wrong "$name: an id is there twice" }
    }
    foreach name $files {
        foreach target [lsort -unique $targets($name)] {
            if {[regexp {^\w+:} $target]} continue
            lassign [split $target #] to anchor
            set there [expr {$to eq "" ? $name : [resolve $name $to]}]
            if {![file exists $folder/$there] || ($anchor ne "" && (![info exists ids($there)] || $anchor ni $ids($there)))} {
                lappend wrong $name:$target
            }
        }
    }
    return $wrong
}
