//! One key of a bound array: what the bucket has, what the program wants, and what is on its way. It
//! decides and does nothing: no I/O, no clock, no Tcl.
//!
//! ```text
//!              the program changes the element        taken to be sent
//!     (clean) ─────────────────────────────▶ Idle ─────────────────────▶ Flight ──▶ acknowledged: clean,
//!        ▲                                    ▲                            │        or Idle with the next
//!        │ theirs, or given up                │ mine, or nobody's change   │ refused
//!        └──────────── conflict ◀─────── Refused ◀──────────────────────────┘
//! ```
//! A change is made on a revision: the last one that the element has shown. It reaches the bucket only
//! upon that one, so what others have written since is a conflict, wherever that is found out.
//! Each write has a number that is stored with it, and is sent again under the same one when its answer
//! was lost: the server stores it once, and whoever sees it in the bucket knows that it was this one.

use crate::error::{Error, Kind};

/// Who has the last word when both sides have changed a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    Theirs,
    Mine,
}

/// What the program has done to an element; no value is a deletion.
#[derive(Clone, Debug, PartialEq)]
pub struct Change<V> {
    pub value: Option<V>,
    /// Counts the changes of a binding; of several in one the first.
    pub number: u64,
}

/// What goes to the bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct Write<V> {
    /// The number that it is known by.
    pub id: u64,
    pub value: Option<V>,
    /// The revision that it must meet; 0 is none at all.
    pub expected: u64,
}

/// A change that has not reached the bucket and will not.
#[derive(Debug)]
pub struct Loss<V> {
    pub change: Change<V>,
    pub theirs: Option<V>,
    pub revision: u64,
    pub error: Error,
}

/// What comes out.
#[derive(Debug)]
pub enum Effect<V> {
    /// The element becomes what the bucket has.
    Show,
    /// There is something to be sent.
    Ready,
    /// The key is to be read where it is written; the answer goes to [`Key::told`].
    Ask(u64),
    /// The change of this number is in the bucket, or needs nothing there.
    Settled(u64),
    Lost(Loss<V>),
}

#[derive(Debug)]
enum Stage<V> {
    /// Nothing is under way. What waits was made on this revision.
    Idle {
        base: u64,
    },
    Flight {
        id: u64,
        expected: u64,
        change: Change<V>,
    },
    /// Another revision is in the way. The key is being read; if it is known which one that is, it may
    /// also come by itself.
    Refused {
        id: u64,
        expected: u64,
        until: Option<u64>,
        change: Change<V>,
        error: Error,
    },
}

#[derive(Debug)]
struct Local<V> {
    waiting: Option<Change<V>>,
    stage: Stage<V>,
}

#[derive(Debug)]
pub struct Key<V> {
    /// Of the last message of the key; 0 if there is none.
    revision: u64,
    bucket: Option<V>,
    /// The bucket was made again, and what the new one has is not known yet.
    unknown: bool,
    /// The owner has it among those that have something to be sent.
    pub queued: bool,
    local: Option<Box<Local<V>>>,
}

impl<V> Default for Key<V> {
    fn default() -> Self {
        Key { revision: 0, bucket: None, unknown: false, queued: false, local: None }
    }
}

impl<V: Clone + PartialEq> Key<V> {
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Whether the program's changes are all in the bucket.
    pub fn is_clean(&self) -> bool {
        self.local.is_none()
    }

    /// Whether there is nothing to remember.
    pub fn is_blank(&self) -> bool {
        let nothing = self.local.is_none() && self.revision == 0 && self.bucket.is_none();
        nothing && !self.queued && !self.unknown
    }

    /// What the element shows.
    pub fn shown(&self) -> Option<&V> {
        let Some(local) = &self.local else { return self.bucket.as_ref() };
        match (&local.waiting, &local.stage) {
            (Some(change), _)
            | (None, Stage::Flight { change, .. } | Stage::Refused { change, .. }) => {
                change.value.as_ref()
            }
            (None, Stage::Idle { .. }) => self.bucket.as_ref(),
        }
    }

    // -------------------------------------------------------------------------- from the program

    /// The program has set the element, or removed it.
    pub fn change(&mut self, value: Option<V>, number: u64, out: &mut Vec<Effect<V>>) {
        let base = self.revision;
        let local = self.local.get_or_insert_with(|| {
            out.push(Effect::Ready);
            Box::new(Local { waiting: None, stage: Stage::Idle { base } })
        });
        let number = match &local.waiting {
            // It takes the place of the one before.
            Some(before) => {
                out.push(Effect::Settled(number));
                before.number
            }
            None => number,
        };
        local.waiting = Some(Change { value, number });
        if matches!(local.stage, Stage::Idle { .. }) {
            self.drop_needless(out);
        }
    }

    /// Forgets a deletion of what the bucket does not have.
    fn drop_needless(&mut self, out: &mut Vec<Effect<V>>) {
        let Some(local) = &self.local else { return };
        if let (Some(Change { value: None, number }), Stage::Idle { .. }) =
            (&local.waiting, &local.stage)
            && self.bucket.is_none()
            && !self.unknown
        {
            out.push(Effect::Settled(*number));
            self.local = None;
        }
    }

    // ----------------------------------------------------------------------------- to the bucket

    /// What is to be written now, if anything; from then on it is on its way.
    pub fn next(&mut self, id: u64) -> Option<Write<V>> {
        let local = self.local.as_mut()?;
        let Stage::Idle { base: expected } = local.stage else { return None };
        let change = local.waiting.take()?;
        let value = change.value.clone();
        local.stage = Stage::Flight { id, expected, change };
        Some(Write { id, value, expected })
    }

    /// What is on its way, for the case that it was lost.
    pub fn again(&self) -> Option<Write<V>> {
        match &self.local.as_ref()?.stage {
            Stage::Flight { id, expected, change } => {
                Some(Write { id: *id, value: change.value.clone(), expected: *expected })
            }
            _ => None,
        }
    }

    /// What is being asked, for the same case.
    pub fn asks(&self) -> Option<u64> {
        match &self.local.as_ref()?.stage {
            Stage::Refused { id, .. } => Some(*id),
            _ => None,
        }
    }

    // --------------------------------------------------------------------------- from the bucket

    /// The write has become this revision.
    pub fn acknowledged(
        &mut self,
        id: u64,
        revision: u64,
        policy: Policy,
        out: &mut Vec<Effect<V>>,
    ) {
        let Some(local) = self.local.as_mut() else { return };
        if !matches!(local.stage, Stage::Flight { id: flying, .. } if flying == id) {
            return;
        }
        let stage = std::mem::replace(&mut local.stage, Stage::Idle { base: revision });
        let Stage::Flight { change, .. } = stage else { return };
        out.push(Effect::Settled(change.number));
        let replaced = self.revision > revision;
        if !replaced {
            (self.revision, self.bucket, self.unknown) = (revision, change.value, false);
        }
        match local.waiting.take() {
            None => {
                self.local = None;
                if replaced {
                    out.push(Effect::Show);
                }
            }
            Some(next) if replaced => self.conflict(next, overtaken(self.revision), policy, out),
            Some(next) => self.wait_again(next, revision, out),
        }
    }

    /// The write has met another revision, as far as the server tells which.
    pub fn refused(
        &mut self,
        id: u64,
        met: Option<u64>,
        error: Error,
        policy: Policy,
        out: &mut Vec<Effect<V>>,
    ) {
        let Some((expected, change)) = self.land(id, out) else { return };
        if self.revision > expected {
            let base = met.unwrap_or(0).max(self.revision);
            return match policy {
                Policy::Mine => self.wait_again(change, base, out),
                Policy::Theirs => self.conflict(change, error, policy, out),
            };
        }
        match met {
            Some(0) => self.absent(change, out),
            Some(met) if met > expected && policy == Policy::Mine => {
                self.wait_again(change, met, out);
            }
            _ => {
                let until = met.filter(|met| *met > expected);
                let stage = Stage::Refused { id, expected, until, change, error };
                self.local = Some(Box::new(Local { waiting: None, stage }));
                out.push(Effect::Ask(id));
            }
        }
    }

    /// The server does not take the write, and would not take it again.
    pub fn failed(&mut self, id: u64, error: Error, policy: Policy, out: &mut Vec<Effect<V>>) {
        let replaced = self.local.as_ref().is_some_and(|local| local.waiting.is_some());
        let Some((expected, change)) = self.land(id, out) else { return };
        match replaced {
            true if self.revision > expected => {
                self.conflict(change, overtaken(self.revision), policy, out)
            }
            true => self.wait_again(change, expected, out),
            false => self.lose(change, error, out),
        }
    }

    /// The answer to [`Effect::Ask`]: the last message of the key, with revision 0 if there is none.
    pub fn told(
        &mut self,
        id: u64,
        answer: Result<(u64, Option<V>), Error>,
        policy: Policy,
        out: &mut Vec<Effect<V>>,
    ) {
        let Some(local) = self.local.as_mut() else { return };
        match &local.stage {
            // It comes by itself.
            Stage::Refused { until: Some(_), .. } if answer.is_err() => return,
            Stage::Refused { id: asked, .. } if *asked == id => {}
            _ => return,
        }
        let stage = std::mem::replace(&mut local.stage, Stage::Idle { base: 0 });
        let Stage::Refused { expected, change, error, .. } = stage else { return };
        let change = newest(change, local.waiting.take(), out);
        match answer {
            Err(_) => self.lose(change, error, out),
            // What has come meanwhile is later.
            Ok((revision, _)) if self.revision > expected && revision < self.revision => {
                self.conflict(change, error, policy, out)
            }
            Ok((0, _)) => self.absent(change, out),
            // Somebody else's write is about to be stored, or was not stored in the end.
            Ok((revision, _)) if revision == expected => self.wait_again(change, expected, out),
            Ok((revision, value)) => {
                (self.revision, self.bucket, self.unknown) = (revision, value, false);
                self.conflict(change, error, policy, out);
            }
        }
    }

    /// A message of the key; `own` is the number of the write that it was made by.
    pub fn entry(
        &mut self,
        revision: u64,
        value: Option<V>,
        own: Option<u64>,
        policy: Policy,
        out: &mut Vec<Effect<V>>,
    ) {
        if revision <= self.revision {
            return;
        }
        (self.revision, self.bucket, self.unknown) = (revision, value, false);
        let Some(local) = self.local.as_mut() else {
            out.push(Effect::Show);
            return;
        };
        match &local.stage {
            Stage::Flight { id, .. } if own == Some(*id) => {
                self.acknowledged(own.unwrap_or(0), revision, policy, out)
            }
            Stage::Idle { base } if *base < revision => {
                if let Some(change) = local.waiting.take() {
                    self.conflict(change, overtaken(revision), policy, out);
                }
            }
            Stage::Refused { until: Some(until), .. } if *until <= revision => {
                let stage = std::mem::replace(&mut local.stage, Stage::Idle { base: 0 });
                let Stage::Refused { change, error, .. } = stage else { return };
                let change = newest(change, local.waiting.take(), out);
                self.conflict(change, error, policy, out);
            }
            // The answer will tell what became of it.
            _ => {}
        }
    }

    /// The key has gone from the bucket without a message that says so. Nobody's change is lost if it
    /// is made again.
    pub fn vanished(&mut self, out: &mut Vec<Effect<V>>) {
        (self.revision, self.bucket, self.unknown) = (0, None, false);
        let Some(local) = self.local.as_mut() else {
            return out.push(Effect::Show);
        };
        match &mut local.stage {
            Stage::Idle { base } => {
                *base = 0;
                self.drop_needless(out);
            }
            Stage::Refused { .. } => {
                let stage = std::mem::replace(&mut local.stage, Stage::Idle { base: 0 });
                let Stage::Refused { change, .. } = stage else { return };
                let change = newest(change, local.waiting.take(), out);
                self.absent(change, out);
            }
            Stage::Flight { .. } => {}
        }
    }

    /// The bucket was made again: revisions begin again, and what it has follows. What was on its way
    /// to the old one goes to the new one.
    pub fn remade(&mut self, out: &mut Vec<Effect<V>>) {
        (self.revision, self.bucket, self.unknown) = (0, None, true);
        let Some(local) = self.local.as_mut() else { return };
        let stage = std::mem::replace(&mut local.stage, Stage::Idle { base: 0 });
        match stage {
            Stage::Idle { .. } => {}
            // The new bucket may have taken it, and knows its number then.
            Stage::Flight { expected: 0, .. } => local.stage = stage,
            Stage::Flight { change, .. } | Stage::Refused { change, .. } => {
                local.waiting = Some(newest(change, local.waiting.take(), out));
                out.push(Effect::Ready);
            }
        }
    }

    /// The binding ends: what has not reached the bucket, and whether it may have.
    pub fn abandon(&mut self, out: &mut Vec<Effect<V>>) -> Option<Change<V>> {
        let local = *self.local.take()?;
        match local.stage {
            Stage::Idle { .. } => local.waiting,
            Stage::Flight { change, .. } | Stage::Refused { change, .. } => {
                Some(newest(change, local.waiting, out))
            }
        }
    }

    pub fn bucket(&self) -> Option<&V> {
        self.bucket.as_ref()
    }

    // ---------------------------------------------------------------------------------- outcomes

    /// The write is not on its way any more: what it expected, and the newest change.
    fn land(&mut self, id: u64, out: &mut Vec<Effect<V>>) -> Option<(u64, Change<V>)> {
        let local = self.local.as_mut()?;
        if !matches!(local.stage, Stage::Flight { id: flying, .. } if flying == id) {
            return None;
        }
        let stage = std::mem::replace(&mut local.stage, Stage::Idle { base: 0 });
        let Stage::Flight { expected, change, .. } = stage else { return None };
        Some((expected, newest(change, local.waiting.take(), out)))
    }

    /// It will be written, upon this revision.
    fn wait_again(&mut self, change: Change<V>, base: u64, out: &mut Vec<Effect<V>>) {
        let stage = Stage::Idle { base };
        self.local = Some(Box::new(Local { waiting: Some(change), stage }));
        self.drop_needless(out);
        if self.local.is_some() {
            out.push(Effect::Ready);
        }
    }

    /// There is nothing in the bucket that could be in the way.
    fn absent(&mut self, change: Change<V>, out: &mut Vec<Effect<V>>) {
        (self.revision, self.bucket, self.unknown) = (0, None, false);
        self.wait_again(change, 0, out);
    }

    /// Both sides have changed the key.
    fn conflict(
        &mut self,
        change: Change<V>,
        error: Error,
        policy: Policy,
        out: &mut Vec<Effect<V>>,
    ) {
        if change.value == self.bucket {
            self.local = None;
            return out.push(Effect::Settled(change.number));
        }
        match policy {
            Policy::Mine => self.wait_again(change, self.revision, out),
            Policy::Theirs => self.lose(change, error, out),
        }
    }

    fn lose(&mut self, change: Change<V>, error: Error, out: &mut Vec<Effect<V>>) {
        self.local = None;
        out.push(Effect::Show);
        let (theirs, revision) = (self.bucket.clone(), self.revision);
        out.push(Effect::Lost(Loss { change, theirs, revision, error }));
    }
}

/// The later one of two changes, which stands for both.
fn newest<V>(change: Change<V>, later: Option<Change<V>>, out: &mut Vec<Effect<V>>) -> Change<V> {
    let Some(later) = later else { return change };
    out.push(Effect::Settled(later.number));
    Change { value: later.value, number: change.number }
}

/// As the server says it.
fn overtaken(revision: u64) -> Error {
    Error::new(Kind::WrongLastSequence, format!("wrong last sequence: {revision}"))
}
