namespace eval ::struct {}
proc ::struct::list {command args} { return [::list $command {*}$args] }
package provide struct::list 1.8.5
