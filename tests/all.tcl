# Runs every test file in a process of its own and sums up.
#
#   tclsh tests/all.tcl          with FILE=glob, MATCH= and SKIP=test name patterns, FILE_TIMEOUT=seconds in the environment;
#                                FOLDER=interop those of that folder, for which scripts/test-interop gets what they need
#
# The first two lines say what is tested: Tcl, nats-server, and the build of the package.
#
# A file that crashes, hangs or ends without its summary counts as one failure, named after the file. The last
# line is `N passed, N failed, N skipped`; the exit code is 0 only if something passed and nothing failed.

set here [file normalize [file dirname [info script]]]

proc setting {name default} {
    if {[info exists ::env($name)] && $::env($name) ne ""} { return $::env($name) }
    return $default
}
set pattern [setting FILE *.test]
if {[file extension $pattern] eq "" && ![string match {*[*]} $pattern]} { append pattern .test }
set match   [setting MATCH *]
set skip    [setting SKIP {}]
set limit   [setting FILE_TIMEOUT 600]
set folder  [setting FOLDER .]

if {[catch {exec [file join $here .. scripts nats-server] 2>@stderr} server]} {
    puts "no nats-server: $server"
    puts "0 passed, 1 failed, 0 skipped"
    exit 1
}
set env(NATS_SERVER) $server
# The files are UTF-8, and so is what their programs write, whatever the user's locale is.
set env(LC_ALL) C.UTF-8
# A file has a process group of its own where that is possible, so that what it has started can be ended with it.
set group [auto_execok setsid]

# Whether the line reports the start or the end of a test; the rest of the output is shown as it is.
proc digest {line} {
    upvar #0 run run
    if {[regexp {^---- (\S+) start$} $line -> run(now)]} {
        if {[incr ::started($run(now))] == 2} {
            incr run(failed)
            lappend ::failures "$run(now) in $run(file): another test has the same name"
        }
        return
    }
    if {[regexp {^\+\+\+\+ (\S+) PASSED$} $line]} { incr run(passed); set run(now) ""; return }
    if {[regexp {^\+\+\+\+ (\S+) SKIPPED: (.*)$} $line -> name why]} {
        incr run(skipped)
        lappend run(why,$why) $name
        set run(now) ""
        return
    }
    # tcltest writes two such lines around the details of a failure, the second one bare.
    if {[regexp {^==== (\S+) FAILED$} $line -> name]} {
        incr run(failed)
        lappend ::failures "$name in $run(file)"
        lappend ::details $run(details)
        set run(now) ""
        set run(details) ""
    } elseif {[regexp {^==== \S+ .* FAILED$} $line]} {
        set run(details) $line
    } elseif {$run(details) ne ""} {
        append run(details) \n$line
    }
    if {[regexp "^$run(file):\tTotal\t" $line]} { set run(complete) 1; return }
    if {$run(complete) && [regexp {^(Number of tests skipped|\t\d+\t)} $line]} return
    if {$line eq ""} return
    puts $line
}

proc readable {pipe} {
    while {[gets $pipe line] >= 0} { digest $line }
    if {[eof $pipe]} { set ::run(end) eof }
}

proc run_file {path} {
    global run limit match skip
    array unset run
    array set run [list file [file tail $path] passed 0 failed 0 skipped 0 complete 0 now "" details "" end "" status 0]
    set started [clock milliseconds]
    set pipe [open |[list {*}$::group [info nameofexecutable] -encoding utf-8 $path -verbose {start pass skip body error} -match $match -skip $skip </dev/null 2>@1]]
    set pid [pid $pipe]
    fconfigure $pipe -blocking 0 -encoding utf-8
    catch {fconfigure $pipe -profile replace}
    fileevent $pipe readable [list readable $pipe]
    set timer [after [expr {$limit * 1000}] {set run(end) timeout}]
    vwait run(end)
    after cancel $timer
    if {$run(end) eq "timeout"} {
        exec sh -c "kill -s KILL -- [expr {$::group eq "" ? $pid : "-$pid"}]"
        set problem "still running after $limit s, killed"
    }
    fconfigure $pipe -blocking 1
    catch {close $pipe} problem_text options
    if {$run(end) eq "eof"} {
        set code [expr {[dict exists $options -errorcode] ? [dict get $options -errorcode] : "NONE"}]
        if {[lindex $code 0] eq "CHILDKILLED"} {
            set problem "killed by [lindex $code 2]"
        } elseif {[lindex $code 0] eq "CHILDSTATUS"} {
            set problem "exit code [lindex $code 2]"
        } elseif {!$run(complete)} {
            set problem "ended without its summary"
        }
    }
    if {[info exists problem]} {
        if {$run(now) ne ""} { append problem ", in test $run(now)" }
        puts "==== $run(file) CRASHED: $problem"
        lappend ::failures "$run(file): $problem"
        incr run(failed)
    }
    puts [format "%-28s %4d passed %3d failed %3d skipped   %.1f s" $run(file) $run(passed) $run(failed) $run(skipped) \
        [expr {([clock milliseconds] - $started) / 1000.0}]]
    foreach {key names} [array get run why,*] {
        puts "  skipped for [string range $key 4 end]: [join $names {, }]"
    }
}

fconfigure stdout -buffering line
puts "Tcl [info patchlevel] ([info nameofexecutable]), [lindex [split [exec $server --version] \n] 0]"
# In a process of its own: the runner has to survive what it runs. The package is that of this checkout, as for the files.
set load [list apply {dir {
    set ::auto_path [linsert $::auto_path 0 $dir]
    package require nats
    puts "nats [nats::build-info]"
}} [file dirname $here]]
if {[catch {exec [info nameofexecutable] << $load} build]} { set build "nats cannot be loaded: [lindex [split $build \n] 0]" }
puts $build
array set total {passed 0 failed 0 skipped 0}
set failures {}
# What tcltest wrote about them, which is said again in the end: of a long output, often only the end is kept.
set details {}
foreach path [lsort [glob -nocomplain -directory [file join $here $folder] $pattern]] {
    run_file $path
    foreach kind {passed failed skipped} { incr total($kind) $run($kind) }
}
if {$total(passed) + $total(failed) == 0} { puts "no test was run" }
foreach text $details { puts $text }
foreach failure $failures { puts "FAILED: $failure" }
puts "$total(passed) passed, $total(failed) failed, $total(skipped) skipped"
exit [expr {$total(failed) > 0 || $total(passed) == 0}]
