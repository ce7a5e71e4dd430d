//! How a watch is, in the words of `-state`.

use crate::error::Kind;
use crate::jetstream::ordered::ConsumerState;
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// What was there at the start is being delivered.
    Initial,
    /// Changes follow as they happen.
    Live,
    /// There is no sign of the server, or the consumer is being made again.
    Stale,
    /// It goes on where it was; what it is then follows.
    Resumed,
    /// The bucket was made again: all of the new one follows.
    Recreated,
    /// The bucket was deleted.
    Lost,
    /// The connection was closed.
    Stopped,
}

impl Health {
    pub fn word(self) -> &'static str {
        match self {
            Health::Initial => "initial",
            Health::Live => "live",
            Health::Stale => "stale",
            Health::Resumed => "resumed",
            Health::Recreated => "recreated",
            Health::Lost => "lost",
            Health::Stopped => "stopped",
        }
    }
}

/// The present time in ms since the epoch.
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64
}

/// What the states of the consumer mean for the watch.
#[derive(Default)]
pub struct Healths {
    now: Option<Health>,
    /// The stream is not there any more, as the last error says.
    gone: bool,
}

impl Healths {
    pub fn error(&mut self, kind: Kind) {
        self.gone = kind == Kind::StreamNotFound;
    }

    /// What there is to tell, in this order.
    pub fn state(&mut self, state: ConsumerState) -> [Option<Health>; 2] {
        let was = self.now;
        let back = matches!(was, Some(Health::Stale | Health::Stopped)).then_some(Health::Resumed);
        let (before, now) = match state {
            ConsumerState::Initial => (back, Health::Initial),
            ConsumerState::Live => (back, Health::Live),
            ConsumerState::Recreated => (None, Health::Recreated),
            ConsumerState::Stopped if self.gone => (None, Health::Lost),
            ConsumerState::Stopped => (None, Health::Stopped),
            // Said by the state that it has.
            ConsumerState::Resuming if was == Some(Health::Recreated) => return [None, None],
            // On its way back after `connect`.
            ConsumerState::Stale | ConsumerState::Resuming if was == Some(Health::Stopped) => {
                return [None, None];
            }
            ConsumerState::Stale | ConsumerState::Resuming => (None, Health::Stale),
        };
        if was == Some(now) {
            return [None, None];
        }
        self.now = Some(now);
        [before, Some(now)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(states: &[ConsumerState]) -> Vec<&'static str> {
        let mut healths = Healths::default();
        let told = states.iter().flat_map(|state| healths.state(*state));
        told.flatten().map(Health::word).collect()
    }

    #[test]
    fn words_for_states() {
        use ConsumerState::*;
        for (states, told) in [
            (&[Initial, Live][..], &["initial", "live"][..]),
            (&[Initial, Live, Stale, Live], &["initial", "live", "stale", "resumed", "live"]),
            (&[Live, Stale, Resuming, Live], &["live", "stale", "resumed", "live"]),
            (&[Live, Resuming, Stale, Resuming, Live], &["live", "stale", "resumed", "live"]),
            (&[Initial, Stale, Initial, Live], &["initial", "stale", "resumed", "initial", "live"]),
            (&[Live, Stale, Recreated, Resuming, Live], &["live", "stale", "recreated", "live"]),
            (&[Live, Recreated, Resuming, Live, Live], &["live", "recreated", "live"]),
            (
                &[Live, Recreated, Stale, Resuming, Live],
                &["live", "recreated", "stale", "resumed", "live"],
            ),
            (&[Live, Stopped, Stale, Resuming, Live], &["live", "stopped", "resumed", "live"]),
        ] {
            assert_eq!(words(states), told, "{states:?}");
        }
    }

    #[test]
    fn a_bucket_that_is_deleted_is_lost() {
        let mut healths = Healths::default();
        healths.state(ConsumerState::Live);
        healths.error(Kind::StreamNotFound);
        assert_eq!(healths.state(ConsumerState::Stopped), [None, Some(Health::Lost)]);
        let mut healths = Healths::default();
        healths.error(Kind::StreamNotFound);
        healths.error(Kind::ConnectionClosed);
        assert_eq!(healths.state(ConsumerState::Stopped), [None, Some(Health::Stopped)]);
    }
}
