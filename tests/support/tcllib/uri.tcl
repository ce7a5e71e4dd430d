namespace eval ::uri {}
proc ::uri::split {url} { return [list scheme [lindex [::split $url :] 0]] }
package provide uri 1.2.7
