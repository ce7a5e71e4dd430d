# Tables of the monitor: a treeview that is changed only where something has changed, so that nothing flickers, and that keeps what
# is selected, open, and in view. A click on a heading sorts.
#
#   table::make path {id {heading width left|right} …}     columns; the first one is the tree
#   table::fill path rows ?parent?                          all rows that there are, below this one
#
# A row is a list: its id, a dict of all columns and their texts, a dict of those columns that are sorted by something else
# (a number without its unit), and a tag: bad, part, or nothing. <<Sorted>> tells that the rows are wanted again.

namespace eval table {
    # path,id -> what the row shows; path,sort -> column and direction.
    variable shown
    array set shown {}
}

proc table::make {path columns} {
    variable shown
    set names [dict keys $columns]
    ttk::frame $path
    ttk::treeview $path.list -columns [lrange $names 1 end] -selectmode browse -yscrollcommand [list $path.scroll set]
    ttk::scrollbar $path.scroll -command [list $path.list yview]
    pack $path.scroll -side right -fill y
    pack $path.list -fill both -expand 1
    foreach name $names {
        lassign [dict get $columns $name] heading width side
        set column [expr {$name eq [lindex $names 0] ? "#0" : $name}]
        set anchor [expr {$side eq "right" ? "e" : "w"}]
        $path.list heading $column -text $heading -anchor $anchor -command [list table::Sort $path $name]
        $path.list column $column -width $width -minwidth 40 -anchor $anchor -stretch [expr {$side eq "left"}]
    }
    $path.list tag configure bad -background #f8d7da
    $path.list tag configure part -foreground #555555
    set shown($path,names) $names
    set shown($path,sort) [list [lindex $names 0] -increasing]
    return $path
}

proc table::fill {path rows {parent ""}} {
    variable shown
    set list $path.list
    set order [lmap row [Sorted $path $rows] { lindex $row 0 }]
    set gone {}
    foreach id [$list children $parent] { dict set gone $id 1 }
    foreach row $rows {
        lassign $row id texts keys tag
        dict unset gone $id
        set values [dict values $texts]
        if {![$list exists $id]} {
            $list insert $parent end -id $id -text [lindex $values 0] -values [lrange $values 1 end] -tags $tag
        } elseif {$shown($path,$id) ne [list $values $tag]} {
            $list item $id -text [lindex $values 0] -values [lrange $values 1 end] -tags $tag
        }
        set shown($path,$id) [list $values $tag]
    }
    Forget $path [dict keys $gone]
    # Only if it has changed: that is one command for all rows.
    if {[$list children $parent] ne $order} { $list children $parent $order }
}
proc table::Forget {path ids} {
    variable shown
    foreach id $ids {
        foreach part [$path.list children $id] { unset -nocomplain shown($path,$part) }
        unset -nocomplain shown($path,$id)
    }
    $path.list delete $ids
}
# The rows in the order of the chosen column: by numbers if that has nothing else, and equal ones by their ids.
proc table::Sorted {path rows} {
    variable shown
    lassign $shown($path,sort) column direction
    set numbers 1
    set pairs [lmap row [lsort -dictionary -index 0 $rows] {
        lassign $row id texts keys
        set key [dict get [dict merge $texts $keys] $column]
        if {![string is double -strict $key]} { set numbers 0 }
        list $id $key
    }]
    return [lsort [expr {$numbers ? "-real" : "-dictionary"}] $direction -index 1 $pairs]
}
# With the next figures, which come soon.
proc table::Sort {path column} {
    variable shown
    lassign $shown($path,sort) before direction
    set first [expr {$column eq [lindex $shown($path,names) 0] ? "-increasing" : "-decreasing"}]
    if {$column eq $before} { set first [expr {$direction eq "-increasing" ? "-decreasing" : "-increasing"}] }
    set shown($path,sort) [list $column $first]
    event generate $path <<Sorted>>
}
