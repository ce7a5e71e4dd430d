# The bare loop is a crate of its own (benches/bare), with the profile and the engine of the package.

set bare_top [file dirname [file dirname [file normalize [info script]]]]

# Its path, when it is built.
proc bare_loop {} {
    set target [file join $::bare_top target]
    set cargo [expr {[info exists ::env(CARGO)] ? $::env(CARGO) : "cargo"}]
    puts "building the bare loop …"
    exec $cargo build --release --locked --package bare --target-dir $target \
        --manifest-path [file join $::bare_top Cargo.toml] >@stdout 2>@stderr
    return [file join $target release bare]
}
