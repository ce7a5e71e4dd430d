# JSON for the tools: what others have written becomes dicts and lists, texts become JSON strings.
#
#   simple_json::decode text      objects as dicts, arrays as lists, true, false, null and numbers as words
#   simple_json::members text     dict of an object's members: texts decoded, everything else as the JSON that it is
#   simple_json::quote text       a text as a JSON string
#   simple_json::object dict      names and texts as a JSON object, a member on each line
#
# `simple_json::pause` is evaluated after every 50 elements of an array: a coroutine can yield there, so that a window goes on.
# What is no JSON is an error with the code {JSON SYNTAX}.

namespace eval simple_json {
    variable pause {}
    variable token {"(?:[^"\\]|\\(?:["\\/bfnrt]|u[[:xdigit:]]{4}))*"|[][{},:]|[^][{},:"[:space:]]+|"}
    variable escapes
    for {set i 0} {$i < 32} {incr i} { lappend escapes [format %c $i] [format {\u%04x} $i] }
    lappend escapes \" \\\" \\ \\\\ \x7f {\u007f}
}

proc simple_json::decode {text} {
    return [Whole $text Value]
}
proc simple_json::members {text} {
    return [Whole $text Members]
}
proc simple_json::quote {text} {
    variable escapes
    return \"[string map $escapes $text]\"
}
proc simple_json::object {values} {
    if {![dict size $values]} { return "{}" }
    set lines [lmap {name value} $values { string cat "  " [quote $name] ": " [quote $value] }]
    return "{\n[join $lines ,\n]\n}"
}

# Reads all of the text by one of the procedures below, each of which takes what it wants from `tokens`, beginning at `at`.
proc simple_json::Whole {text reader} {
    variable token
    set tokens [regexp -all -inline -- $token $text]
    set at 0
    set result [$reader]
    if {$at != [llength $tokens]} { Wrong }
    return $result
}
proc simple_json::Wrong {} {
    upvar tokens tokens at at
    set what [expr {$at < [llength $tokens] ? "at [string range [lindex $tokens $at] 0 20]" : "at its end"}]
    return -code error -errorcode {JSON SYNTAX} "no JSON: something is wrong $what"
}
proc simple_json::Next {} {
    upvar tokens tokens at at
    set word [lindex $tokens $at]
    incr at
    return $word
}
proc simple_json::Value {} {
    upvar tokens tokens at at
    switch -glob -- [set word [Next]] {
        \{ { return [Object Value] }
        {\[} { return [Array] }
        {"?*"} { return [Text $word] }
        {""} { return "" }
        true - false - null { return $word }
    }
    if {![regexp {^-?\d+(\.\d+)?([eE][-+]?\d+)?$} $word]} { incr at -1; Wrong }
    return $word
}
proc simple_json::Text {word} {
    set text [string range $word 1 end-1]
    # The escapes of JSON are those of Tcl, too, and there are no others here.
    if {[string first \\ $text] >= 0} { set text [subst -nocommands -novariables $text] }
    return $text
}
# Behind its opening brace.
proc simple_json::Object {reader} {
    upvar tokens tokens at at
    set result {}
    if {[lindex $tokens $at] eq "\}"} { incr at; return $result }
    while 1 {
        set name [Next]
        if {[string index $name 0] ne "\"" || $name eq "\"" || [Next] ne ":"} { incr at -1; Wrong }
        dict set result [Text $name] [$reader]
        switch -- [Next] {
            , continue
            \} { return $result }
        }
        incr at -1
        Wrong
    }
}
proc simple_json::Array {} {
    upvar tokens tokens at at
    set result {}
    if {[lindex $tokens $at] eq "\]"} { incr at; return $result }
    variable pause
    while 1 {
        lappend result [Value]
        if {[llength $result] % 50 == 0} $pause
        switch -- [Next] {
            , continue
            \] { return $result }
        }
        incr at -1
        Wrong
    }
}
proc simple_json::Members {} {
    upvar tokens tokens at at
    if {[Next] ne "\{"} { incr at -1; Wrong }
    return [Object Member]
}
proc simple_json::Member {} {
    upvar tokens tokens at at
    set first $at
    set value [Value]
    if {[string index [lindex $tokens $first] 0] eq "\""} { return $value }
    return [join [lrange $tokens $first [expr {$at - 1}]] ""]
}
