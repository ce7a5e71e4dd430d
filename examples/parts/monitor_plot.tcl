# A plot of two rates over the last two minutes. Its items are made once; new figures only move them.
#
#   plot::make path title unit_command base {name colour} {name colour}     unit_command makes a number a text, in steps of
#                                                                           `base`: 10, or 2 for bytes
#   plot::add path value value                                          the next second

namespace eval plot {
    variable seconds 120
    # path,values0, path,values1: newest last; path,unit: the command.
    variable of
    array set of {}
}

proc plot::make {path title unit base first second} {
    variable of
    canvas $path -background white -highlightthickness 1 -highlightbackground #cccccc -height 150 -width 300
    set of($path,unit) $unit
    set of($path,base) $base
    foreach i {0 1 2 3 4} {
        $path create line 0 0 0 0 -fill #e4e4e4 -tags grid$i
        $path create text 0 0 -anchor e -fill #777777 -font TkSmallCaptionFont -tags label$i
    }
    $path create text 10 12 -anchor w -text $title -font TkHeadingFont -tags title
    foreach i {0 1} series [list $first $second] {
        lassign $series of($path,name$i) colour
        set of($path,values$i) {}
        $path create line 0 0 0 0 -fill $colour -width 2 -tags line$i
        $path create text 0 12 -anchor e -fill $colour -font TkHeadingFont -tags now$i
    }
    foreach {time part} {start "2 minutes ago" end now} {
        $path create text 0 0 -anchor [expr {$time eq "start" ? "w" : "e"}] -fill #777777 -font TkSmallCaptionFont -text $part -tags $time
    }
    bind $path <Configure> [list plot::Draw $path]
    return $path
}
proc plot::add {path args} {
    variable of
    variable seconds
    foreach i {0 1} value $args {
        set of($path,values$i) [lrange [concat $of($path,values$i) $value] end-$seconds end]
        $path itemconfigure now$i -text "$of($path,name$i) [{*}$of($path,unit) $value]"
    }
    Draw $path
}
# The next larger one of 4, 8, 20, 40, 80, 200 …, or of the powers of two: a quarter of it is a round number, too.
proc plot::Ceiling {value base} {
    if {$base == 2} { return [expr {2 ** max(2, int(ceil(log($value) / log(2))))}] }
    set power [expr {10 ** int(log10($value))}]
    foreach step {4 8 20 40} {
        if {$value <= $step * $power} { return [expr {$step * $power}] }
    }
}
proc plot::Draw {path} {
    variable of
    variable seconds
    set left 72
    set right [expr {[winfo width $path] - 12}]
    set top 30
    set bottom [expr {[winfo height $path] - 24}]
    set most [Ceiling [::tcl::mathfunc::max 1 {*}$of($path,values0) {*}$of($path,values1)] $of($path,base)]
    foreach i {0 1 2 3 4} {
        set y [expr {$bottom - ($bottom - $top) * $i / 4.0}]
        $path coords grid$i $left $y $right $y
        $path coords label$i [expr {$left - 6}] $y
        $path itemconfigure label$i -text [{*}$of($path,unit) [expr {$most * $i / 4.0}]]
    }
    $path coords now1 $right 12
    $path coords now0 [expr {$right - 130}] 12
    $path coords start $left [expr {$bottom + 12}]
    $path coords end $right [expr {$bottom + 12}]
    foreach i {0 1} {
        set values $of($path,values$i)
        if {[llength $values] < 2} continue
        set points {}
        set at [expr {$seconds - [llength $values] + 1}]
        foreach value $values {
            lappend points [expr {$left + ($right - $left) * double($at) / $seconds}] [expr {$bottom - ($bottom - $top) * double($value) / $most}]
            incr at
        }
        $path coords line$i $points
    }
}
