# Package index, for a checkout (library under target/release) and for an installed folder (library beside this file).
# A folder without a library claims nothing, so that another installed version can be found.
if {[package vsatisfies [package provide Tcl] 8.6-]} {
    apply {dir {
        foreach place [list $dir [file join $dir target release]] {
            set library [file join $place libnats[info sharedlibextension]]
            if {[file exists $library]} {
                package ifneeded nats 3.3.0 [list load $library Nats]
                return
            }
        }
    }} $dir
}
