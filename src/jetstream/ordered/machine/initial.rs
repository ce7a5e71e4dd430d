//! The end of the initial data: when everything that was there has been delivered.
//!
//! While others write, no number of the server says so. A key that is overwritten before its turn
//! moves to the end of the stream, and may do so again and again; the number of pending messages is
//! too small for a moment after each write, because what was overwritten is taken off at once and
//! what is new is added later, so it is 0 in the middle; and the number promised at the creation is
//! reached by new messages as well. So there are two ways to the end.
//!
//! **Nobody wrote**: as many messages have come as the server counted when it made the consumer, the
//! last one says that nothing is behind it, and all of them had been stored for a while. A message
//! stored later has a later time; each message comes once; so these are messages that were there when
//! the consumer was made (`created` in the reply is taken before the place in the stream is). They are
//! all of them if the count is right. It is wrong only if something was overwritten between `created`
//! and the count, and what is new was not even counted when the last message was sent: for that
//! somebody must write in just that moment, so for a stream that was quiet for [`SETTLED_NS`] before
//! `created` the count is believed. In a cluster the times come from the clocks of two servers, which
//! may differ by [`CLOCK_SKEW_NS`].
//!
//! If it was not, or nothing has come at all (a key that is being overwritten is counted as none), or
//! the server that counts and delivers may know less than it should (a replica, or a mirror, whose
//! messages have the times of their origin: [`OrderedConfig::behind`]), the stream is asked whether it
//! stands still; see [`super::standstill`]. A watch may be told before that: what is written after the
//! server has said that there is nothing comes behind the end. So a program that watches an empty
//! bucket and writes at once sees the order that it expects.
//!
//! **Somebody may have written**: the stream is asked which subjects it has (a roll call, begun after
//! the watch), and the end is when each of them has been seen. What was there at the start and is not in
//! that list has vanished. Revisions have to be complete, too, where all of them are wanted: they come
//! in the order of the stream, so they are when the consumer has passed the sequence that was the last
//! one when the roll was called; or when it says that there is nothing more, since what its number
//! lacks then has been stored just now. The same is asked for where the consumer's server may be behind,
//! so that a deletion that was acknowledged before the start is not overlooked; there, what the consumer
//! says counts only if the leader of the stream agrees; see [`super::replica`]. Subjects that vanish while
//! they are waited for are found by another roll call.
//!
//! If the roll cannot be called (no permission, no answer) the end is when the server says that nothing
//! is pending and as many subjects have come as it counted at the start. Keys that are new may be
//! taken for keys that are missing then.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::probe::{Delivered, Reason};
use super::replica::Replica;
use super::rollcall::RollCall;
use super::{Action, Machine, Phase, created};
use crate::error::{Error, Kind};
use crate::jetstream::metadata::Metadata;
use crate::jetstream::ordered::create::DeliverPolicy;
use crate::jetstream::roll::{Mark, Marks, Roll, Seen};
use crate::rfc3339;

/// A stream without a new message for so long has nobody who writes to it without a pause.
pub(super) const SETTLED_NS: i128 = 100_000_000;
/// How far the clocks of two servers may be apart.
pub(super) const CLOCK_SKEW_NS: i128 = 1_000_000_000;
/// What is missing gets so long to come before the roll is called again.
const PATIENCE: Duration = Duration::from_millis(250);
const MOST_PATIENCE: Duration = Duration::from_secs(2);
/// What was stored just now gets so long to reach the other replicas, if the leader may not be asked.
const LAG: Duration = Duration::from_millis(100);
/// The same if the last message is one of those that are wanted: it will come, however busy they are.
const LONGEST_LAG: Duration = Duration::from_secs(2);
/// Roll calls that find the same subjects missing, until these count as not to be had.
const MOST_FRUITLESS: u32 = 8;
/// How often a roll call that failed for a reason that may pass is repeated.
const MOST_FAILURES: u32 = 3;

/// What is known of the initial data while it comes.
pub(super) struct Initial {
    /// The subjects of what has come.
    seen: Seen,
    /// Those that have not, once the roll was called.
    missing: Option<Missing>,
    roll: Availability,
    /// When the newest message of the present consumer was stored.
    newest: i64,
    /// When the present consumer was made. None if its numbers were not taken at that moment.
    made: Option<i128>,
    clustered: bool,
    /// Behind the last message, as the server said last.
    pending: u64,
    /// When the server said that there was nothing at all.
    empty_at: Option<i128>,
    pub(super) replica: Replica,
}

enum Availability {
    Yes { failures: u32 },
    No,
}

struct Missing {
    marks: Marks,
    /// What was stored up to here is waited for.
    last_seq: u64,
    /// Who may not ask the leader believes from then on that the consumer has what was there.
    believed_from: Instant,
    /// When to call the roll again, and how many were missing the last time.
    again_at: Instant,
    patience: Duration,
    before: usize,
    fruitless: u32,
}

impl Missing {
    /// No subject is waited for any more.
    fn has_all_subjects(&self) -> bool {
        self.marks.is_empty() || self.fruitless >= MOST_FRUITLESS
    }
}

impl Default for Initial {
    fn default() -> Self {
        Initial {
            seen: Seen::default(),
            missing: None,
            roll: Availability::Yes { failures: 0 },
            newest: i64::MIN,
            made: None,
            clustered: false,
            pending: u64::MAX,
            empty_at: None,
            replica: Replica::default(),
        }
    }
}

impl Initial {
    /// Another consumer is made, which tells its own numbers.
    pub fn begin(&mut self) {
        self.newest = i64::MIN;
        self.made = None;
        self.pending = u64::MAX;
        self.replica.begin();
    }

    /// A message has come, for the first time or again.
    pub fn came(&mut self, subject: Mark, meta: &Metadata<'_>) {
        self.newest = self.newest.max(meta.timestamp_ns);
        self.pending = meta.pending;
        self.saw(subject);
    }

    /// So many messages are still to come; which ones does not matter any more.
    pub fn still(&mut self, pending: u64) {
        self.pending = pending;
    }

    pub fn saw(&mut self, subject: Mark) {
        match &mut self.missing {
            Some(missing) => {
                missing.marks.remove(&subject);
            }
            None => self.seen.insert(subject),
        }
    }

    /// The reply to the creation.
    pub fn counted(&mut self, info: &Value, numbers: &Delivered) {
        // What is asked for later may count messages that were not there at the start, and lack some
        // that were overwritten just now.
        let at_once = numbers.consumer_seq == 0;
        // Only a cluster mentions one.
        self.clustered = info.get("cluster").is_some();
        self.made = created(info).filter(|_| at_once);
        if self.pending == u64::MAX {
            self.pending = numbers.pending;
            let said = info.get("ts").and_then(Value::as_str).and_then(rfc3339::nanoseconds);
            // What was said stays true of what is written later, whatever became of that consumer.
            self.empty_at = self.empty_at.or(said.filter(|_| at_once && numbers.pending == 0));
        }
    }

    /// A first message that was written after the server had said that there was none.
    pub fn began_empty(&self, written_ns: i128) -> bool {
        self.empty_at.is_some_and(|at| written_ns > at)
    }

    /// Something came that was stored after the start.
    fn has_news(&self) -> bool {
        self.newest != i64::MIN && self.made.is_none_or(|made| i128::from(self.newest) > made)
    }

    /// Something came, and all of it had been there for a while.
    fn is_old(&self) -> bool {
        let margin = if self.clustered { CLOCK_SKEW_NS } else { SETTLED_NS };
        self.newest != i64::MIN
            && self.made.is_some_and(|made| i128::from(self.newest) <= made - margin)
    }

    /// Whether that was before the present consumer was made, whatever the clocks of servers say.
    pub fn is_before(&self, time: i128) -> bool {
        let skew = if self.clustered { CLOCK_SKEW_NS } else { 0 };
        self.made.is_some_and(|made| time <= made - skew)
    }

    /// As far as the last message says.
    pub fn is_nothing_pending(&self) -> bool {
        self.pending == 0
    }

    /// All subjects have come, and perhaps not all of their revisions.
    pub(super) fn awaits_revisions(&self) -> bool {
        self.missing.as_ref().is_some_and(Missing::has_all_subjects)
    }

    /// What was waited for has come, or will not come at all.
    pub(super) fn is_known(&mut self) {
        if let Some(missing) = &mut self.missing {
            missing.last_seq = 0;
        }
    }

    /// When to call the roll again.
    pub fn again_at(&self) -> Option<Instant> {
        self.missing.as_ref().map(|missing| missing.again_at)
    }
}

impl Machine {
    /// Looks whether the initial data is over, or what has to be done to find out. `certain`: the
    /// consumer says that it has nothing more, and all it has sent has arrived.
    pub(super) fn seek_end(&mut self, certain: bool, now: Instant, out: &mut Vec<Action>) {
        if !self.catching_up || !matches!(self.phase, Phase::Running) {
            return;
        }
        if certain {
            self.initial.still(0);
        }
        let counted = self.has_counted_all();
        let nothing_pending = certain || self.initial.pending == 0;
        // Who may not ask has to believe what comes with the messages.
        let believed = certain || nothing_pending && !self.may_ask_consumer;
        // There is no second end, and nobody waits for it.
        if self.end_sent && !nothing_pending && !counted {
            return;
        }
        let proven =
            counted && !self.spec.behind && self.initial.pending == 0 && self.initial.is_old();
        if proven || self.end_sent || self.has_seen_all(believed, now) {
            return self.end_of_initial(now, out);
        }
        if let Availability::No = self.initial.roll {
            if certain || nothing_pending && self.has_seen_enough() {
                self.end_of_initial(now, out);
            }
        } else if self.initial.missing.is_none() {
            if self.initial.has_news() {
                if matches!(self.roll_call, RollCall::NotNeeded) {
                    self.call_roll(out);
                }
            } else if counted || nothing_pending {
                self.ask_standstill(out);
            }
        } else if let Some(missing) = &mut self.initial.missing
            && missing.has_all_subjects()
            && nothing_pending
        {
            // Only revisions are missing, if anything is.
            if believed && self.initial.replica.may_ask() {
                self.ask_for_more(now, out);
            } else if believed {
                missing.again_at = now + LAG;
            } else if self.probe.is_none() {
                self.ask_consumer(Reason::Quiet, out);
            }
        }
    }

    /// All subjects of the roll have come, and all their revisions where those are wanted.
    fn has_seen_all(&mut self, certain: bool, now: Instant) -> bool {
        // Made again in the middle, it delivers older messages as well.
        let latest = self.spec.policy == DeliverPolicy::LastPerSubject
            && !self.spec.behind
            && self.asked_from.is_none();
        let Some(missing) = &mut self.initial.missing else { return false };
        let replica = &self.initial.replica;
        let knows = !self.spec.behind
            || replica.knows(missing.last_seq, self.stream_seq, now)
            || !replica.may_ask() && now >= missing.believed_from;
        // In a list that was made anew, what changed meanwhile has its place behind that.
        let listed = !self.repeating || self.expected.is_some_and(|all| self.received >= all);
        let passed = certain && knows || listed && self.stream_seq >= missing.last_seq;
        missing.has_all_subjects() && (passed || latest && missing.marks.is_empty())
    }

    /// Without a roll: as many subjects as the consumer counted, or messages if it counted these.
    fn has_seen_enough(&mut self) -> bool {
        let Some(expected) = self.expected else { return false };
        // Subjects that have vanished do not come, however long others write.
        if self.spec.policy != DeliverPolicy::LastPerSubject || self.received >= expected * 2 + 64 {
            return self.received >= expected;
        }
        self.received >= expected && self.initial.seen.count() as u64 >= expected
    }

    /// A first message that was written after there was nothing, which the user may be told before.
    pub(super) fn is_news_of_nothing(&self, written_ns: i128) -> bool {
        self.catching_up
            && self.spec.end_before_news
            && self.credit.has_none()
            && self.initial.began_empty(written_ns)
    }

    /// As many messages have come as the server promised.
    pub(super) fn has_counted_all(&self) -> bool {
        self.expected.is_some_and(|expected| self.received >= expected)
    }

    pub(super) fn end_of_initial(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.finish_initial(out);
        if self.list_has_holes() {
            self.renew(now, out);
        }
    }

    /// Whether what is missing has to be looked up again now.
    pub(super) fn look_again(&mut self, now: Instant, out: &mut Vec<Action>) {
        let (slow, pending) = (self.credit.owes(), self.initial.pending);
        let Some(missing) = &mut self.initial.missing else { return };
        if now < missing.again_at {
            return;
        }
        // Before that they may be on their way.
        let passed = pending == 0 || self.stream_seq >= missing.last_seq;
        let progress = missing.marks.len() < missing.before;
        missing.before = missing.marks.len();
        missing.patience = match progress {
            true => PATIENCE,
            false => (missing.patience * 2).min(MOST_PATIENCE),
        };
        missing.again_at = now + missing.patience;
        let all_seen = missing.marks.is_empty();
        if !passed || slow || !self.connected {
            return;
        }
        if all_seen {
            if self.probe.is_none() {
                self.ask_consumer(Reason::Quiet, out);
            }
        } else if !progress && matches!(self.roll_call, RollCall::NotNeeded) {
            self.call_roll(out);
        }
    }

    /// The roll was called while the initial data comes.
    pub(super) fn mark_missing(&mut self, roll: &Roll, now: Instant, out: &mut Vec<Action>) {
        if !self.catching_up || self.end_sent {
            return;
        }
        self.initial.roll = Availability::Yes { failures: 0 };
        match &mut self.initial.missing {
            Some(missing) => {
                // What is new need not be waited for.
                let before = missing.marks.len();
                missing.marks.retain(|mark| roll.marks.contains(mark));
                missing.fruitless = match missing.marks.len() < before {
                    true => 0,
                    false => missing.fruitless + 1,
                };
            }
            None => {
                let seen = self.initial.seen.set();
                let strange = !seen.is_empty() && seen.is_disjoint(&roll.marks);
                if strange && !roll.marks.is_empty() {
                    // On their way here the subjects get other names.
                    self.initial.roll = Availability::No;
                } else {
                    self.initial.seen = Seen::default();
                    let filters = &self.spec.config.filters;
                    let lag = match filters.iter().all(|filter| filter.ends_with('>')) {
                        _ if !roll.fresh => Duration::ZERO,
                        true => LONGEST_LAG,
                        false => LAG,
                    };
                    // What begins in the middle need not bring every subject, only all revisions.
                    let marks: Marks = match self.spec.policy {
                        DeliverPolicy::ByStartSequence(_) => Marks::default(),
                        _ => roll.marks.difference(&seen).copied().collect(),
                    };
                    self.list_end = Some(roll.last_seq);
                    self.initial.missing = Some(Missing {
                        before: marks.len(),
                        marks,
                        last_seq: roll.last_seq,
                        believed_from: now + lag,
                        again_at: now + PATIENCE,
                        patience: PATIENCE,
                        fruitless: 0,
                    });
                }
            }
        }
        self.seek_end(false, now, out);
    }

    /// The roll could not be called. Whether it is worth another try.
    pub(super) fn roll_failed(
        &mut self,
        error: &Error,
        now: Instant,
        out: &mut Vec<Action>,
    ) -> bool {
        if !self.catching_up || self.end_sent || self.initial.missing.is_some() {
            return false;
        }
        let passing =
            !matches!(error.kind, Kind::Timeout | Kind::Permissions | Kind::StreamNotFound);
        if let Availability::Yes { failures } = &mut self.initial.roll
            && passing
            && *failures < MOST_FAILURES
        {
            *failures += 1;
            return true;
        }
        self.initial.roll = Availability::No;
        self.seek_end(false, now, out);
        false
    }
}
