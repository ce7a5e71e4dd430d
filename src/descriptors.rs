//! Low file descriptors are left to Tcl: Tcl 8.6 waits by `select`, and aborts the process when it is
//! to wait for a descriptor from 1024 on. A runtime does not mind. It has three descriptors (epoll, a
//! copy of it, an eventfd) and no say in their numbers, which are the lowest that are free: so, once
//! the low ones are getting few, the free ones are held while a runtime is made.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// The first descriptor that Tcl 8.6 cannot wait for.
const TOO_HIGH: i32 = 1024;

/// So many of the low ones may be used before anything is done: a program that stays below never pays
/// for it.
const PLENTY: i32 = 256;

/// Makes something whose descriptors are not to be low ones, if low ones are scarce and the limit of
/// the process allows others. It takes about 0.2 ms then. What other threads open in that time gets
/// a high descriptor, too.
pub fn make_high<T>(make: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let held = hold_low();
    let made = make();
    drop(held);
    made
}

/// All low descriptors that are free; none if there are plenty, or if these are all that there are.
fn hold_low() -> Vec<File> {
    let mut held = Vec::new();
    let Ok(first) = File::open("/dev/null") else { return held };
    if !(PLENTY..TOO_HIGH).contains(&first.as_raw_fd()) {
        return held;
    }
    loop {
        match first.try_clone() {
            Ok(copy) if copy.as_raw_fd() < TOO_HIGH => held.push(copy),
            Ok(_) => break,
            Err(_) => return Vec::new(),
        }
    }
    held.push(first);
    held
}
