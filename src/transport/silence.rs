//! How long the server has been silent.
//!
//! The engine ends a connection whose keep-alive stays unanswered, but says no more than that the
//! connection has gone. What it has read so far tells that case from a server that closed.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::shared::lock;

/// The engine gives up when it would have to send one PING more than this.
pub(super) const UNANSWERED_PINGS: u32 = 2;

#[derive(Default)]
pub(super) struct Silence(Mutex<Option<Heard>>);

struct Heard {
    bytes: u64,
    at: Instant,
}

impl Silence {
    /// Notes how much has been read in all. How long ago was more read, as far as the looks tell?
    pub fn look(&self, bytes: u64, now: Instant) -> Duration {
        let mut last = lock(&self.0);
        match last.as_ref() {
            Some(heard) if heard.bytes == bytes => now.duration_since(heard.at),
            _ => {
                *last = Some(Heard { bytes, at: now });
                Duration::ZERO
            }
        }
    }
}

/// How often to look: often enough to see the silence of some keep-alive intervals.
pub(super) fn look_interval(ping_interval: Duration) -> Duration {
    (ping_interval / 4).max(Duration::from_millis(5))
}

/// Whether this much silence is what ends a connection with this keep-alive. The engine waits three
/// intervals; a look may have come a quarter late.
pub(super) fn is_stale(silence: Duration, ping_interval: Duration) -> bool {
    silence * 2 >= ping_interval * (2 * UNANSWERED_PINGS + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_grows_until_something_is_read() {
        let (silence, start) = (Silence::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(silence.look(10, at(0)), Duration::ZERO);
        assert_eq!(silence.look(10, at(30)), Duration::from_millis(30));
        assert_eq!(silence.look(11, at(40)), Duration::ZERO);
        assert_eq!(silence.look(11, at(45)), Duration::from_millis(5));
    }

    #[test]
    fn three_intervals_less_a_late_look_are_stale() {
        let interval = Duration::from_millis(1000);
        assert!(is_stale(Duration::from_millis(2750), interval));
        assert!(!is_stale(Duration::from_millis(2400), interval));
        assert!(!is_stale(Duration::ZERO, interval));
    }
}
