//! Many writes, each by itself: all are under way at once. No Tcl here.

use super::pipeline::{WINDOW, pipelined};
use super::plan::{each, each_by_leader};
use crate::error::{Error, Kind, Result};
use crate::keyvalue::entry::Entry;
use crate::keyvalue::store::{Store, expecting};
use crate::transport::Outgoing;

/// What is to be written to a key.
pub struct Write {
    pub key: String,
    pub out: Outgoing,
    /// The revision that it has to meet; 0 is none, deleted keys counting as such.
    pub expect: Option<u64>,
}

/// Writes all; what comes out is the new revision of each.
pub async fn separately(store: Store, writes: Vec<Write>) -> Vec<Result<u64>> {
    let met = conditions(&store, &writes).await;
    let (count, link) = (writes.len(), store.link.clone());
    let mut ready = writes.into_iter().zip(met);
    pipelined(link, count, WINDOW, move |_, answer| {
        let (write, met) = ready.next().ok_or_else(Error::no_connection)?;
        store.write(conditional(write.out, met?), move |revision| answer.come(revision))
    })
    .await
}

/// The message with the revision that it has to meet.
pub fn conditional(out: Outgoing, revision: Option<u64>) -> Outgoing {
    match revision {
        None => out,
        Some(revision) => Outgoing { headers: expecting(revision, out.headers), ..out },
    }
}

/// The revision that each write has to meet on the wire. A key that was deleted has one.
///
/// An error is that of a key that must not be there and is.
pub async fn conditions(store: &Store, writes: &[Write]) -> Vec<Result<Option<u64>>> {
    let mut met: Vec<_> = writes.iter().map(|write| Ok(write.expect)).collect();
    let absent: Vec<usize> = (0..writes.len()).filter(|at| writes[*at].expect == Some(0)).collect();
    let found = last_of(store, absent.iter().map(|at| writes[*at].key.clone()).collect()).await;
    for (at, found) in absent.into_iter().zip(found) {
        met[at] = match found {
            Ok(entry) if entry.operation.deletes() => Ok(Some(entry.revision)),
            Ok(entry) => {
                let text = format!("wrong last sequence: {}", entry.revision);
                Err(Error::new(Kind::WrongLastSequence, text))
            }
            Err(error) if error.kind == Kind::KeyNotFound => Ok(Some(0)),
            Err(error) => Err(error),
        };
    }
    met
}

/// The last entry of each key, deletions included; from the leader if others may be behind it.
async fn last_of(store: &Store, keys: Vec<String>) -> Vec<Result<Entry>> {
    match store.bucket.behind {
        true => each_by_leader(store, keys).await,
        false => each(store, keys).await,
    }
}
