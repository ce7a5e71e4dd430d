//! Makes an object of chunks that are there: writes its description, which takes the place of an earlier
//! one. Each writer depends on what it replaces, so that of several only one replaces the same object,
//! and deletes the chunks of that.

use crate::error::{Error, Kind, Result};
use crate::object_store::info::{ObjectInfo, nuid_of};
use crate::object_store::names::meta_of;
use crate::object_store::rename::Renaming;
use crate::object_store::store::{From, Store, is_temporary};
use std::time::{Duration, Instant};

/// Between two attempts after one whose outcome is not known.
const PAUSE: Duration = Duration::from_millis(250);
/// So many others may come in between.
const CONFLICTS: u32 = 1000;

/// The description that is there now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Present {
    /// Of its message; 0 if there is none, `None` if it is not known.
    pub seq: Option<u64>,
    /// Whose chunks are in the bucket.
    pub nuid: Option<String>,
}

/// How a commit has failed.
#[derive(Debug)]
pub enum Failed {
    /// The description was not stored.
    Refused(Error),
    /// It may have been, or may be later.
    Unknown(Error),
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Write the description, expecting this one.
    Write(Option<u64>),
    Look,
    /// It is there.
    Done,
}

/// Decides, and does nothing.
pub struct Commit {
    nuid: String,
    present: Present,
    /// A description of ours may have been stored.
    unsure: bool,
    /// What was replaced, or at least was to be.
    replaced: Vec<String>,
    /// Whether it was is not known, nor what has become of it.
    doubt: bool,
}

impl Commit {
    pub fn new(nuid: &str, present: Present) -> Commit {
        let replaced = Vec::new();
        Commit { nuid: nuid.to_owned(), present, unsure: false, replaced, doubt: false }
    }

    pub fn write(&mut self) -> Next {
        if let Some(nuid) = self.present.nuid.clone()
            && !self.replaced.contains(&nuid)
        {
            self.replaced.push(nuid);
        }
        Next::Write(self.present.seq)
    }

    /// Nobody knows what has become of a write.
    pub fn unknown(&mut self) -> Next {
        self.unsure = true;
        Next::Look
    }

    /// What was found when somebody looked.
    pub fn found(&mut self, present: Present) -> Next {
        let before = std::mem::replace(&mut self.present, present);
        if self.is_there() {
            return Next::Done;
        }
        if self.unsure && before.nuid.is_some() && before.nuid == self.present.nuid {
            // What was to be replaced is there and was only described anew, if at all: ours never was. If it
            // is still on its way it comes too late, unless the other one has not changed.
            self.unsure = before.seq == self.present.seq;
        }
        if self.unsure && before.seq != self.present.seq {
            // Perhaps ours was there, and that other writer has deleted its chunks. It is as if it had
            // been there, and surely none of ours is stored any more. Unless the other one has renamed
            // ours, or what we were to replace.
            self.replaced.push(self.nuid.clone());
            self.doubt = true;
            return Next::Done;
        }
        if !self.unsure {
            // Refused, as somebody else was there before: who has deleted those chunks, or given them
            // another name.
            self.replaced.clear();
        }
        self.write()
    }

    fn is_there(&self) -> bool {
        self.present.nuid.as_deref() == Some(&self.nuid)
    }

    /// The objects whose chunks are not needed any more.
    pub fn replaced(&self) -> &[String] {
        &self.replaced
    }
}

/// An object that is there.
pub struct Committed {
    /// Of its description, if that was told.
    pub seq: Option<u64>,
    /// What it has replaced may be there all the same, under another name.
    pub doubt: bool,
}

/// The description that is there. One that cannot be read is replaced, too.
pub async fn look(store: &Store, name: &str) -> Result<Present> {
    let subject = meta_of(&store.bucket.name, name);
    let mut last = store.last(&subject, From::Leader).await;
    if let Ok(stored) = &last
        && let Some(renaming) = Renaming::read(&store.bucket.name, stored)
        && store.complete(name, &renaming).await?
    {
        last = store.last(&subject, From::Leader).await;
    }
    let stored = match last {
        Ok(stored) => stored,
        Err(error) if error.kind == Kind::MsgNotFound => {
            return Ok(Present { seq: Some(0), nuid: None });
        }
        // Who may not read does not know what to expect.
        Err(error) if error.kind == Kind::Permissions => return Ok(Present::default()),
        Err(error) => return Err(store.bucket.missing(error)),
    };
    Ok(Present { seq: Some(stored.seq), nuid: nuid_of(&stored.data) })
}

/// Writes the description.
///
/// `replaced` are the objects whose chunks are not needed any more once it is there; they are known before
/// it is written.
pub async fn commit(
    store: &Store,
    info: &ObjectInfo,
    present: Present,
    patience: Option<Duration>,
    replaced: &mut Vec<String>,
) -> std::result::Result<Committed, Failed> {
    let begin = Instant::now();
    let mut state = Commit::new(&info.nuid, present);
    let mut next = state.write();
    let mut conflicts = 0;
    let mut written = None;
    loop {
        // Why it is not known how it stands.
        let mut doubt: Option<Error> = None;
        replaced.clear();
        replaced.extend_from_slice(state.replaced());
        next = match next {
            Next::Done => {
                let found = state.present.seq.filter(|_| state.is_there());
                return Ok(Committed { seq: written.or(found), doubt: state.doubt });
            }
            Next::Write(expected) => match write(store, info, expected).await {
                Ok(seq) => {
                    written = Some(seq);
                    Next::Done
                }
                Err(error) if error.kind == Kind::WrongLastSequence && conflicts < CONFLICTS => {
                    conflicts += 1;
                    Next::Look
                }
                Err(error) if error.kind == Kind::Timeout => {
                    doubt = Some(error);
                    state.unknown()
                }
                Err(error) if is_end(&error) || state.unsure => {
                    return Err(Failed::Unknown(error));
                }
                Err(error) => return Err(Failed::Refused(error)),
            },
            Next::Look => match look(store, &info.name).await {
                Ok(present) => state.found(present),
                Err(error) if is_end(&error) => return Err(Failed::Unknown(error)),
                Err(error) if is_temporary(&error) || error.kind == Kind::WrongLastSequence => {
                    doubt = Some(error);
                    Next::Look
                }
                Err(error) if state.unsure => return Err(Failed::Unknown(error)),
                Err(error) => return Err(Failed::Refused(error)),
            },
        };
        if let Some(error) = doubt {
            if patience.is_some_and(|patience| begin.elapsed() >= patience) {
                return Err(match state.unsure {
                    true => Failed::Unknown(error),
                    false => Failed::Refused(error),
                });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// That the connection was lost in between is a timeout: nobody will answer.
async fn write(store: &Store, info: &ObjectInfo, expected: Option<u64>) -> Result<u64> {
    let mut connected = store.api.link.connected();
    let now_is = *connected.borrow_and_update();
    let described = store.describe(info, expected);
    tokio::select! {
        biased;
        seq = described => seq,
        changed = connected.wait_for(|state| *state != now_is) => match changed.is_ok() {
            true => {
                let text = "The connection was lost before the object was acknowledged";
                Err(Error::new(Kind::Timeout, text))
            }
            false => Err(Error::connection_closed()),
        }
    }
}

/// Nothing more can be known.
fn is_end(error: &Error) -> bool {
    error.kind == Kind::ConnectionClosed || *error == Error::connection_lost()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn present(seq: u64, nuid: Option<&str>) -> Present {
        Present { seq: Some(seq), nuid: nuid.map(str::to_owned) }
    }

    #[test]
    fn what_another_one_was_quicker_to_replace_is_his_affair() {
        let mut commit = Commit::new("n", present(1, Some("old")));
        assert_eq!(commit.write(), Next::Write(Some(1)));
        // He has renamed it.
        assert_eq!(commit.found(present(3, None)), Next::Write(Some(3)));
        assert_eq!((commit.replaced(), commit.doubt), (&[][..], false));
        assert_eq!(commit.found(present(4, Some("other"))), Next::Write(Some(4)));
        assert_eq!((commit.replaced(), commit.doubt), (&["other".to_owned()][..], false));
    }

    #[test]
    fn without_an_answer_what_was_to_be_replaced_may_be_there() {
        let mut commit = Commit::new("n", present(1, Some("old")));
        commit.write();
        assert_eq!(commit.unknown(), Next::Look);
        assert_eq!(commit.found(present(3, None)), Next::Done);
        let replaced = ["old".to_owned(), "n".to_owned()];
        assert_eq!((commit.replaced(), commit.doubt), (&replaced[..], true));
        // It was stored after all, and there is no doubt.
        let mut commit = Commit::new("n", present(1, Some("old")));
        commit.write();
        commit.unknown();
        assert_eq!(commit.found(present(2, Some("n"))), Next::Done);
        assert_eq!((commit.replaced(), commit.doubt), (&["old".to_owned()][..], false));
    }

    #[test]
    fn what_is_only_described_anew_was_not_replaced() {
        let mut commit = Commit::new("n", present(1, Some("old")));
        commit.write();
        commit.unknown();
        // Nobody knows whether it is on its way.
        assert_eq!(commit.found(present(1, Some("old"))), Next::Write(Some(1)));
        assert!(commit.unsure);
        assert_eq!(commit.found(present(2, Some("old"))), Next::Write(Some(2)));
        assert_eq!((commit.unsure, commit.doubt), (false, false));
        assert_eq!(commit.replaced(), ["old".to_owned()]);
    }

    /// Writers of one name against a server that loses answers. Each replaced object is known to
    /// somebody who deletes its chunks, and nobody deletes those of the last one.
    #[test]
    fn of_many_writers_only_the_last_one_keeps_its_chunks() {
        for seed in 0..500 {
            let mut random = Random::new(seed);
            let (mut seq, mut there) = (0_u64, Present { seq: Some(0), nuid: None });
            let mut deleted: Vec<String> = Vec::new();
            let mut all: Vec<String> = Vec::new();
            let mut running: Vec<(Commit, Option<Next>)> = Vec::new();
            let names: Vec<String> = (0..2 + random.below(6)).map(|n| format!("n{n}")).collect();
            for nuid in &names {
                all.push(nuid.clone());
                let mut commit = Commit::new(nuid, there.clone());
                let next = commit.write();
                running.push((commit, Some(next)));
            }
            while !running.is_empty() {
                let at = random.below(running.len() as u64) as usize;
                let (commit, next) = &mut running[at];
                match next.take() {
                    Some(Next::Write(expected)) => {
                        let fits = expected == there.seq;
                        let arrives = random.percent(80);
                        if fits && arrives {
                            seq += 1;
                            there = Present { seq: Some(seq), nuid: Some(commit.nuid.clone()) };
                        }
                        *next = Some(match arrives && random.percent(70) {
                            true if fits => Next::Done,
                            true => Next::Look,
                            false => commit.unknown(),
                        });
                    }
                    Some(Next::Look) => *next = Some(commit.found(there.clone())),
                    Some(Next::Done) | None => {
                        let (commit, _) = running.swap_remove(at);
                        deleted.extend_from_slice(commit.replaced());
                    }
                }
            }
            let last = there.nuid.expect("somebody has written");
            assert!(!deleted.contains(&last), "seed {seed}");
            for nuid in all.iter().filter(|nuid| **nuid != last) {
                assert!(deleted.contains(nuid), "seed {seed}: {nuid} is left");
            }
        }
    }
}
