# An instance of a service in a process of its own, until it is killed. Arguments: url, name, subject, word, pause in ms. It
# answers with its word and what it was asked, after the pause, and writes a line for each request that it begins with.
lassign $argv url name subject word pause
lappend auto_path [file dirname [file dirname [file dirname [file normalize [info script]]]]]
package require nats
set conn [nats::connection new]
$conn configure -servers $url
$conn connect
proc work {request} {
    puts "begun [nats::msg data $request]"
    after $::pause [list nats::service respond $request "$::word [nats::msg data $request]"]
}
set service [nats::service new $conn -name $name -version 1.0.0]
$service endpoint work -subject $subject -callback work
$conn ping
fconfigure stdout -buffering line
puts ready
vwait forever
