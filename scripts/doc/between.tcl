# Text that a script writes into a page: what stands between the lines <!-- NAME --> and <!-- end of NAME --> is its.

proc between {path name text} {
    set f [open $path]
    fconfigure $f -encoding utf-8
    set page [read $f]
    close $f
    set begin "<!-- $name -->\n"
    set end "<!-- end of $name -->\n"
    set from [string first $begin $page]
    set to [string first $end $page]
    if {$from < 0 || $to < $from} { error "$path has no lines $begin and $end" }
    set f [open $path w]
    fconfigure $f -encoding utf-8 -translation lf
    puts -nonewline $f [string range $page 0 $from-1]$begin\n$text\n\n[string range $page $to end]
    close $f
    puts "$path: $name written"
}
