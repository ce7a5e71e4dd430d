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

mod answers;

use crate::error::Error;

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
    Refused(Refusal<V>),
}

#[derive(Debug)]
struct Refusal<V> {
    id: u64,
    expected: u64,
    until: Option<u64>,
    /// What was refused. If it is what the key has, it had been written after all, as the server does
    /// not remember for ever; and the newest change has come after it.
    sent: Option<V>,
    change: Change<V>,
    error: Error,
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
            | (None, Stage::Flight { change, .. } | Stage::Refused(Refusal { change, .. })) => {
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
        if let (Some(Change { value: None, number }), Stage::Idle { base }) =
            (&local.waiting, &local.stage)
            && self.bucket.is_none()
            // Otherwise it is upon a message that has not come yet.
            && *base <= self.revision
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
            Stage::Refused(refusal) => Some(refusal.id),
            _ => None,
        }
    }

    /// The binding ends: what has not reached the bucket, and whether it may have.
    pub fn abandon(&mut self, out: &mut Vec<Effect<V>>) -> Option<Change<V>> {
        let local = *self.local.take()?;
        match local.stage {
            Stage::Idle { .. } => local.waiting,
            Stage::Flight { change, .. } | Stage::Refused(Refusal { change, .. }) => {
                Some(newest(change, local.waiting, out))
            }
        }
    }

    pub fn bucket(&self) -> Option<&V> {
        self.bucket.as_ref()
    }
}

/// The later one of two changes, which stands for both.
fn newest<V>(change: Change<V>, later: Option<Change<V>>, out: &mut Vec<Effect<V>>) -> Change<V> {
    let Some(later) = later else { return change };
    out.push(Effect::Settled(later.number));
    Change { value: later.value, number: change.number }
}
