# Package index. It declares the package and loads nothing. The library is beside this file, in a folder named after the
# platform (so that one folder can serve several), or in a checkout under target/release. A folder without one for this
# platform claims nothing, so that another installed version can be found.
if {[package vsatisfies [package provide Tcl] 8.6-]} {
    apply {dir {
        global tcl_platform
        set os [string tolower [lindex $tcl_platform(os) 0]]
        set machine $tcl_platform(machine)
        switch -glob -- $os,$machine,$tcl_platform(pointerSize) {
            windows,*,8 { set os win32; set machine x86_64 }
            windows,*   { set os win32; set machine ix86 }
            darwin,*    { set os macosx }
            *,x86_64,4 - *,i?86,* { set machine ix86 }
        }
        foreach place [list $dir [file join $dir $os-$machine] [file join $dir target release]] {
            set library [file join $place libnats[info sharedlibextension]]
            if {[file exists $library]} {
                package ifneeded nats 3.3.0 [list load $library Nats]
                return
            }
        }
    }} $dir
}
