namespace eval ::json::write {
    namespace export string array object
    namespace ensemble create
}
proc ::json::write::string {text} { return "\"$text\"" }
proc ::json::write::array {args} { return "\[[join $args ,]\]" }
proc ::json::write::object {args} { return "\{[join $args ,]\}" }
package provide json::write 1.0.4
