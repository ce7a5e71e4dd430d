# What every test file sources first: tcltest, constraints, and the helpers under tests/support.
#
#   source [file join [file dirname [info script]] support.tcl]
#   …tests…
#   support::done
#
# Plain tclsh 8.6 or 9.0 is enough; no Tcllib, no Thread package.

package require Tcl 8.6-
package require tcltest 2.3
namespace import -force ::tcltest::test ::tcltest::testConstraint

namespace eval support {
    variable here [file normalize [file dirname [info script]]]
    # The checkout itself is the package under test.
    set ::auto_path [linsert $::auto_path 0 [file dirname $here]]
    variable root ""
}

# A fresh folder below one that belongs to this process. Whoever uses it removes it; `support::done` removes the rest.
proc support::folder {name} {
    variable root
    variable serial
    if {$root eq ""} {
        set base /tmp
        if {[info exists ::env(TMPDIR)]} { set base $::env(TMPDIR) }
        set root [exec mktemp -d [file join $base nats-test-XXXXXX]]
    }
    set dir [file join $root $name-[incr serial]]
    file mkdir $dir
    return $dir
}

# The shell's own kill: the program of that name is in a package that a small system does not have.
proc support::kill {pid {signal TERM}} { exec sh -c "kill -s $signal -- $pid" }

foreach part {wait observe server child program protocol proxy fake raw responder cluster nkey certificates} {
    source [file join $::support::here support $part.tcl]
}

::tcltest::configure {*}$argv
testConstraint openssl [expr {[auto_execok openssl] ne ""}]
testConstraint proc [file readable /proc/self/statm]
testConstraint tcl9 [package vsatisfies [info patchlevel] 9.0-]
testConstraint tcl8 [expr {![package vsatisfies [info patchlevel] 9.0-]}]
# serverVersion2.10, serverVersion2.11, …: the server under test is at least that one; serverBefore2.10, …: it is older.
foreach minor {10 11 12 14 15} {
    testConstraint serverVersion2.$minor [package vsatisfies [server::version] 2.$minor-]
    testConstraint serverBefore2.$minor [expr {![testConstraint serverVersion2.$minor]}]
}

# The end of a test file: stop everything started here, then let tcltest sum up.
proc support::done {} {
    variable root
    proxy::stop_all
    fake::stop_all
    responder::stop_all
    raw::close_all
    server::stop_all
    if {$root ne ""} { file delete -force $root }
    uplevel 1 ::tcltest::cleanupTests
}
