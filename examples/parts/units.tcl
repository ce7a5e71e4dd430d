# Numbers for people.
#
#   units::count 1234567      1 234 567          units::bytes 1500000      1.4 MiB
#   units::short 1234567      1.23 M             units::age 93784          1d 2h (of seconds)
#   units::ms 60000           1m

namespace eval units {}

proc units::count {n} {
    while {[regsub {^(-?\d+)(\d{3})} $n {\1 \2} n]} {}
    return $n
}
proc units::bytes {n} {
    foreach unit {B KiB MiB GiB} {
        if {abs($n) < 1024} { return [Digits $n $unit] }
        set n [expr {$n / 1024.0}]
    }
    return [Digits $n TiB]
}
proc units::short {n} {
    foreach unit {"" k M G} {
        if {abs($n) < 1000} { return [string trimright [Digits $n $unit]] }
        set n [expr {$n / 1000.0}]
    }
    return [Digits $n T]
}
# Whole numbers as they are, others with three digits.
proc units::Digits {n unit} {
    if {$n == int($n)} { return "[expr {int($n)}] $unit" }
    set places [expr {abs($n) < 10 ? 2 : abs($n) < 100 ? 1 : 0}]
    return "[format %.${places}f $n] $unit"
}
proc units::age {seconds} {
    set parts {}
    set rest [expr {int($seconds)}]
    foreach {unit size} {d 86400 h 3600 m 60 s 1} {
        set n [expr {$rest / $size}]
        set rest [expr {$rest % $size}]
        if {$n} { lappend parts $n$unit }
    }
    if {$parts eq ""} { return 0s }
    return [join [lrange $parts 0 1] " "]
}
proc units::ms {ms} {
    if {$ms % 1000} { return "$ms ms" }
    return [age [expr {$ms / 1000}]]
}
