//! Low file descriptors are left to Tcl: Tcl 8.6 waits by `select`, and aborts the process when it is
//! to wait for a descriptor from 1024 on. A runtime does not mind. It has three descriptors (epoll, a
//! copy of it, an eventfd) and no say in their numbers, which are the lowest that are free: so, once
//! the low ones are getting few, the free ones are held while a runtime is made.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// The first descriptor that Tcl 8.6 cannot wait for.
const TOO_HIGH: i32 = 1024;

/// So many others have to be allowed: what is made, and what else the process opens in that time.
const ENOUGH: u64 = 32;

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

/// Whether the process may have others than low ones. To find out by taking all that there are would
/// leave none to other threads for that time.
fn others_allowed() -> bool {
    // Where there is no such file, it is found out all the same.
    std::fs::read_to_string("/proc/self/limits").map_or(true, |limits| beyond_low(&limits))
}

fn beyond_low(limits: &str) -> bool {
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    match limit.and_then(|rest| rest.split_whitespace().next()) {
        Some(limit) => limit.parse().map_or(true, |limit: u64| limit > TOO_HIGH as u64 + ENOUGH),
        None => true,
    }
}

/// All low descriptors that are free; none if there are plenty, or if these are all that there are.
fn hold_low() -> Vec<File> {
    let mut held = Vec::new();
    let Ok(first) = File::open("/dev/null") else { return held };
    if !(PLENTY..TOO_HIGH).contains(&first.as_raw_fd()) || !others_allowed() {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_ones_are_not_held_if_there_are_no_others() {
        let limits = |soft: &str| {
            format!(
                "Limit                     Soft Limit           Hard Limit           Units\n\
                 Max processes             31                   31                   processes\n\
                 Max open files            {soft}                 1048576              files\n"
            )
        };
        for (soft, allowed) in
            [("256", false), ("1024", false), ("1056", false), ("1057", true), ("unlimited", true)]
        {
            assert_eq!(beyond_low(&limits(soft)), allowed, "{soft}");
        }
        assert!(beyond_low(""));
    }
}
