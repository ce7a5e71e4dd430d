# A stand-in for Tcllib, for machines that have none: the names and manners of four of its packages, none of their work.
foreach {package version file} {json 1.3.4 json.tcl json::write 1.0.4 json_write.tcl uri 1.2.7 uri.tcl struct::list 1.8.5 list.tcl} {
    package ifneeded $package $version [list source [file join $dir $file]]
}
