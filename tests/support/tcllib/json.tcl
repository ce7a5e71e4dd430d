# As Tcllib does, commands come into being under another name and are renamed: that fails where one exists already.
namespace eval ::json {
    variable loads
    incr loads
}
proc ::json::json2dict_tcl {text} { return [list parsed $text] }
proc ::json::many-json2dict_tcl {text {max -1}} { return [list many $text $max] }
foreach name {json2dict many-json2dict} { rename ::json::${name}_tcl ::json::$name }
proc ::json::validate {text} { return [expr {$text ne ""}] }
package provide json 1.3.4
