//! What comes from the bucket for a key: answers, messages, and that it has gone.

use super::{Change, Effect, Key, Local, Loss, Policy, Refusal, Stage, newest};
use crate::error::{Error, Kind};

impl<V: Clone + PartialEq> Key<V> {
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
        let Some((expected, sent, change)) = self.land(id, out) else { return };
        if self.revision > expected {
            let base = met.unwrap_or(0).max(self.revision);
            return match policy {
                Policy::Mine => self.wait_again(change, base, out),
                Policy::Theirs => self.met(sent, change, error, policy, out),
            };
        }
        match met {
            Some(0) => self.absent(change, out),
            Some(met) if met > expected && policy == Policy::Mine => {
                self.wait_again(change, met, out);
            }
            _ => {
                let until = met.filter(|met| *met > expected);
                let stage = Stage::Refused(Refusal { id, expected, until, sent, change, error });
                self.local = Some(Box::new(Local { waiting: None, stage }));
                out.push(Effect::Ask(id));
            }
        }
    }

    /// The server does not take the write, and would not take it again.
    pub fn failed(&mut self, id: u64, error: Error, policy: Policy, out: &mut Vec<Effect<V>>) {
        let replaced = self.local.as_ref().is_some_and(|local| local.waiting.is_some());
        let Some((expected, _, change)) = self.land(id, out) else { return };
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
            Stage::Refused(Refusal { until: Some(_), .. }) if answer.is_err() => return,
            Stage::Refused(refusal) if refusal.id == id => {}
            _ => return,
        }
        let stage = std::mem::replace(&mut local.stage, Stage::Idle { base: 0 });
        let Stage::Refused(Refusal { expected, sent, change, error, .. }) = stage else { return };
        let change = newest(change, local.waiting.take(), out);
        match answer {
            Err(_) => self.lose(change, error, out),
            // What has come meanwhile is later.
            Ok((revision, _)) if self.revision > expected && revision < self.revision => {
                self.met(sent, change, error, policy, out)
            }
            Ok((0, _)) => self.absent(change, out),
            // Somebody else's write is about to be stored, or was not stored in the end.
            Ok((revision, _)) if revision == expected => self.wait_again(change, expected, out),
            Ok((revision, value)) => {
                (self.revision, self.bucket, self.unknown) = (revision, value, false);
                self.met(sent, change, error, policy, out);
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
            Stage::Refused(Refusal { until: Some(until), .. }) if *until <= revision => {
                let stage = std::mem::replace(&mut local.stage, Stage::Idle { base: 0 });
                let Stage::Refused(Refusal { sent, change, error, .. }) = stage else { return };
                let change = newest(change, local.waiting.take(), out);
                self.met(sent, change, error, policy, out);
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
            Stage::Refused(_) => {
                let stage = std::mem::replace(&mut local.stage, Stage::Idle { base: 0 });
                let Stage::Refused(Refusal { change, .. }) = stage else { return };
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
            Stage::Flight { change, .. } | Stage::Refused(Refusal { change, .. }) => {
                local.waiting = Some(newest(change, local.waiting.take(), out));
                out.push(Effect::Ready);
            }
        }
    }

    // ---------------------------------------------------------------------------------- outcomes

    /// The write is not on its way any more: what it expected, its value, and the newest change.
    fn land(&mut self, id: u64, out: &mut Vec<Effect<V>>) -> Option<(u64, Option<V>, Change<V>)> {
        let local = self.local.as_mut()?;
        if !matches!(local.stage, Stage::Flight { id: flying, .. } if flying == id) {
            return None;
        }
        let stage = std::mem::replace(&mut local.stage, Stage::Idle { base: 0 });
        let Stage::Flight { expected, change, .. } = stage else { return None };
        let sent = change.value.clone();
        Some((expected, sent, newest(change, local.waiting.take(), out)))
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

    /// What was in the way of a write is known now.
    fn met(
        &mut self,
        sent: Option<V>,
        change: Change<V>,
        error: Error,
        policy: Policy,
        out: &mut Vec<Effect<V>>,
    ) {
        match sent == self.bucket && change.value != self.bucket {
            true => self.wait_again(change, self.revision, out),
            false => self.conflict(change, error, policy, out),
        }
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

/// As the server says it.
fn overtaken(revision: u64) -> Error {
    Error::new(Kind::WrongLastSequence, format!("wrong last sequence: {revision}"))
}
