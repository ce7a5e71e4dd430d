//! Link options of the loadable file.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Its threads may still run its code when Tcl unloads what it has loaded.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
