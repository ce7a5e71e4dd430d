//! The rotating list of servers: who is tried next, and after how long a wait.
//!
//! Pure data: no clock, no network. The server being tried or in use is the last of the list, the
//! next candidate the first. A server that must be waited for already stands at its place as the
//! current one, so that it stays visible during the wait.

use std::collections::VecDeque;
use std::time::Duration;

use super::server::ServerEntry;

/// Which servers are tried, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// That of `connect` itself: each server once.
    First,
    /// That of a `connect` which goes on: each server as often as after a loss, and none is thrown
    /// out, so that a later `connect` finds them all.
    Retry,
    /// After a loss: a server that has failed too often is thrown out when its turn comes.
    Again,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Try this one; it is the current server from now on.
    Try(ServerEntry),
    /// Nobody is left; the text says why.
    GiveUp(&'static str),
}

const NO_SERVERS: &str = "No servers available for connection";

#[derive(Debug, Default)]
pub(super) struct Pool {
    entries: VecDeque<ServerEntry>,
    /// Whether the last entry is the current server; false before the first choice and after
    /// [`Pool::clear`].
    has_current: bool,
}

impl Pool {
    /// A pool at the start of a `connect`: all counters are zero.
    pub fn new(entries: impl IntoIterator<Item = ServerEntry>) -> Pool {
        let fresh = |entry| ServerEntry { reconnects: 0, last_attempt: 0, ..entry };
        Pool { entries: entries.into_iter().map(fresh).collect(), has_current: false }
    }

    /// All servers in the order of rotation.
    pub fn entries(&self) -> Vec<ServerEntry> {
        self.entries.iter().cloned().collect()
    }

    /// The server being tried or in use.
    pub fn current(&self) -> Option<&ServerEntry> {
        if self.has_current { self.entries.back() } else { None }
    }

    pub fn clear(&mut self) {
        self.entries.clear();
        self.has_current = false;
    }

    /// Chooses the server of the next attempt. `limit` is the number of failures after which a server
    /// is given up (negative: never). Servers thrown out go to `removed`.
    pub fn next(&mut self, pass: Pass, limit: i64, removed: &mut Vec<ServerEntry>) -> Next {
        self.has_current = false;
        // What has failed so often is not tried; in the passes of `connect` once is not too often.
        let limit = match pass {
            Pass::First => 1,
            Pass::Retry if limit == 0 => 1,
            Pass::Retry | Pass::Again => limit,
        };
        let mut spent = 0;
        while let Some(entry) = self.entries.pop_front() {
            if limit < 0 || i64::from(entry.reconnects) < limit {
                self.entries.push_back(entry.clone());
                self.has_current = true;
                return Next::Try(entry);
            }
            match pass {
                Pass::Again => removed.push(entry),
                Pass::First => {
                    self.entries.push_front(entry);
                    return Next::GiveUp(NO_SERVERS);
                }
                Pass::Retry => {
                    self.entries.push_back(entry);
                    spent += 1;
                    if spent == self.entries.len() {
                        return Next::GiveUp(NO_SERVERS);
                    }
                }
            }
        }
        Next::GiveUp("Server pool is empty")
    }

    /// The attempt at the current server failed at `now` (epoch ms). That server, as it is now.
    pub fn failed(&mut self, now: i64) -> Option<ServerEntry> {
        let entry = self.current_mut()?;
        entry.reconnects = entry.reconnects.saturating_add(1);
        entry.last_attempt = now;
        Some(entry.clone())
    }

    /// The current server is connected. That server, as it is now.
    pub fn succeeded(&mut self) -> Option<ServerEntry> {
        let entry = self.current_mut()?;
        (entry.reconnects, entry.last_attempt) = (0, 0);
        Some(entry.clone())
    }

    fn current_mut(&mut self) -> Option<&mut ServerEntry> {
        if self.has_current { self.entries.back_mut() } else { None }
    }

    /// Those of `urls` that the pool does not know yet, as entries. A URL that cannot be read is
    /// passed to `bad` and skipped.
    pub fn unknown(&self, urls: &[String], mut bad: impl FnMut(&str)) -> Vec<ServerEntry> {
        let mut fresh: Vec<ServerEntry> = Vec::new();
        for url in urls {
            let Ok(parsed) = ServerEntry::parse(url) else {
                bad(url);
                continue;
            };
            let known = |entry: &ServerEntry| entry.same_address(&parsed);
            if !self.entries.iter().any(known) && !fresh.iter().any(known) {
                fresh.push(ServerEntry { discovered: true, ..parsed });
            }
        }
        fresh
    }

    /// Puts discovered servers behind those that the user has named, each before the one that came
    /// before it. The current server stays the last.
    pub fn insert(&mut self, fresh: impl IntoIterator<Item = ServerEntry>) {
        let candidates = self.entries.len() - usize::from(self.current().is_some());
        let named = self.entries.iter().take(candidates).rposition(|entry| !entry.discovered);
        let place = named.map_or(0, |last| last + 1);
        for entry in fresh {
            self.entries.insert(place, entry);
        }
    }
}

/// How much of `wait` since the last failed attempt is left at `now` (epoch ms). A clock that was
/// set back cannot make it longer than `wait`.
pub(super) fn remaining(entry: &ServerEntry, wait: Duration, now: i64) -> Duration {
    if entry.reconnects == 0 {
        return Duration::ZERO;
    }
    let gone = u64::try_from(now.saturating_sub(entry.last_attempt)).unwrap_or(0);
    wait.saturating_sub(Duration::from_millis(gone))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(hosts: &[&str]) -> Pool {
        Pool::new(hosts.iter().map(|h| ServerEntry::parse(h).expect(h)))
    }

    fn order(pool: &Pool) -> String {
        pool.entries().iter().map(|e| e.host.clone()).collect::<Vec<_>>().join(" ")
    }

    /// The host of the next attempt, or the reason to give up; then the servers thrown out.
    fn step(pool: &mut Pool, first: bool, limit: i64) -> (String, usize) {
        let mut removed = Vec::new();
        let pass = if first { Pass::First } else { Pass::Again };
        match pool.next(pass, limit, &mut removed) {
            Next::Try(entry) => (entry.host, removed.len()),
            Next::GiveUp(why) => (why.to_owned(), removed.len()),
        }
    }

    #[test]
    fn first_pass_tries_each_once_and_keeps_them() {
        let mut pool = pool(&["a", "b"]);
        assert_eq!(pool.current(), None);
        for (host, after) in [("a", "b a"), ("b", "a b")] {
            assert_eq!(step(&mut pool, true, 60).0, host);
            assert_eq!(order(&pool), after);
            assert_eq!(pool.current().map(|e| e.host.as_str()), Some(host));
            pool.failed(5);
        }
        assert_eq!(step(&mut pool, true, 60), ("No servers available for connection".into(), 0));
        assert_eq!(order(&pool), "a b");
        assert!(pool.entries().iter().all(|e| e.reconnects == 1 && e.last_attempt == 5));
        let again = Pool::new(pool.entries());
        assert!(again.entries().iter().all(|e| e.reconnects == 0 && e.last_attempt == 0));
    }

    #[test]
    fn empty_pool_gives_up() {
        assert_eq!(step(&mut pool(&[]), true, 60).0, "Server pool is empty");
        assert_eq!(step(&mut pool(&[]), false, 60).0, "Server pool is empty");
    }

    #[test]
    fn a_server_goes_after_its_limit() {
        let mut pool = pool(&["a"]);
        assert_eq!(step(&mut pool, true, 2).0, "a");
        pool.succeeded();
        for _ in 0..2 {
            assert_eq!(step(&mut pool, false, 2), ("a".into(), 0));
            pool.failed(1);
        }
        assert_eq!(step(&mut pool, false, 2), ("Server pool is empty".into(), 1));
        assert_eq!(order(&pool), "");
    }

    #[test]
    fn the_limit_is_per_server() {
        let mut pool = pool(&["a", "b"]);
        step(&mut pool, true, 1);
        pool.succeeded();
        assert_eq!(step(&mut pool, false, 1).0, "b");
        pool.failed(1);
        assert_eq!(step(&mut pool, false, 1).0, "a");
        pool.succeeded();
        // b has used up its limit, a has not: b goes, a is tried.
        assert_eq!(step(&mut pool, false, 1), ("a".into(), 1));
        assert_eq!(order(&pool), "a");
    }

    #[test]
    fn limit_zero_means_no_reconnects() {
        let mut pool = pool(&["a"]);
        assert_eq!(step(&mut pool, true, 0).0, "a");
        pool.succeeded();
        assert_eq!(step(&mut pool, false, 0), ("Server pool is empty".into(), 1));
    }

    #[test]
    fn negative_limit_never_throws_out() {
        let mut pool = pool(&["a"]);
        step(&mut pool, true, -1);
        for _ in 0..500 {
            assert_eq!(step(&mut pool, false, -1).0, "a");
            pool.failed(1);
        }
    }

    #[test]
    fn clear_is_safe_while_a_server_is_current() {
        let mut pool = pool(&["a"]);
        step(&mut pool, true, 1);
        pool.clear();
        pool.failed(1);
        pool.succeeded();
        pool.insert([ServerEntry::parse("x").expect("x")]);
        assert_eq!(pool.current(), None);
        assert_eq!(step(&mut pool, false, 1).0, "x");
    }

    #[test]
    fn waits_only_after_failures() {
        let mut entry = ServerEntry::parse("a").expect("a");
        let wait = Duration::from_millis(100);
        assert_eq!(remaining(&entry, wait, 1000), Duration::ZERO);
        entry.reconnects = 1;
        entry.last_attempt = 1000;
        assert_eq!(remaining(&entry, wait, 1000), wait);
        assert_eq!(remaining(&entry, wait, 1030), Duration::from_millis(70));
        assert_eq!(remaining(&entry, wait, 5000), Duration::ZERO);
        assert_eq!(remaining(&entry, wait, 900), wait);
    }

    #[test]
    fn a_connect_that_goes_on_tries_each_up_to_the_limit_and_throws_out_none() {
        for (limit, tried) in [(0, "a b"), (1, "a b"), (2, "a b a b")] {
            let mut pool = pool(&["a", "b"]);
            let mut hosts = Vec::new();
            let why = loop {
                match pool.next(Pass::Retry, limit, &mut Vec::new()) {
                    Next::Try(entry) => hosts.push(entry.host),
                    Next::GiveUp(why) => break why,
                }
                pool.failed(1);
            };
            assert_eq!((hosts.join(" ").as_str(), why), (tried, NO_SERVERS));
            assert_eq!(order(&pool), "a b");
            assert_eq!(pool.current(), None);
        }
        let mut pool = pool(&["a", "b"]);
        for host in ["a", "b"].repeat(100) {
            let Next::Try(entry) = pool.next(Pass::Retry, -1, &mut Vec::new()) else { panic!() };
            assert_eq!(entry.host, host);
            pool.failed(1);
        }
        pool.clear();
        let next = pool.next(Pass::Retry, -1, &mut Vec::new());
        assert_eq!(next, Next::GiveUp("Server pool is empty"));
    }

    #[test]
    fn discovered_servers_come_behind_those_that_were_named() {
        let mut pool = pool(&["a:1", "b:2"]);
        step(&mut pool, true, 1);
        let urls = ["b:02", "c:3", "bad url", "d:4", "c:3"].map(str::to_owned);
        let mut bad = Vec::new();
        let fresh = pool.unknown(&urls, |url| bad.push(url.to_owned()));
        assert_eq!(bad, ["bad url"]);
        assert!(fresh.iter().all(|e| e.discovered && e.scheme == "nats"));
        pool.insert(fresh);
        assert_eq!(order(&pool), "b d c a");
        assert_eq!(pool.current().map(|e| e.host.as_str()), Some("a"));
        // The turn of "b" comes, then one more is told.
        step(&mut pool, true, 1);
        let fresh = pool.unknown(&["e:5".to_owned()], |_| ());
        pool.insert(fresh);
        assert_eq!(order(&pool), "d c a e b");
    }

    #[test]
    fn beside_the_only_server_discovered_ones_are_all_candidates() {
        let mut pool = pool(&["a"]);
        step(&mut pool, true, 1);
        for url in ["b", "c"] {
            let fresh = pool.unknown(&[url.to_owned()], |_| ());
            pool.insert(fresh);
        }
        assert_eq!(order(&pool), "c b a");
    }
}
