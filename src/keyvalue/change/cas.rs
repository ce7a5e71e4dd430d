//! Read, compute, write under the revision that was read; again if somebody else was quicker.

use crate::error::{Error, Kind, Result};
use crate::keyvalue::entry::Entry;
use crate::keyvalue::store::{Store, expecting, revision_in};
use crate::transport::Outgoing;
use bytes::Bytes;
use std::time::{Duration, Instant};

/// Pauses grow up to so many round trips, and up to this time.
const LONGEST_IN_TRIPS: u32 = 64;
const LONGEST: Duration = Duration::from_millis(250);

/// A key as it is.
pub struct Present {
    /// `None` if it is not there.
    pub entry: Option<Entry>,
    /// What a write has to meet: the revision of the entry or of the deletion, or 0.
    pub revision: u64,
}

/// Reads a key, of which a write may have met a revision.
pub async fn present(store: &Store, key: &str, met: Option<u64>) -> Result<Present> {
    let found = match met {
        None => store.reading(key, None).await,
        Some(met) => store.reading_after(key, met).await,
    };
    match found {
        Ok(entry) => {
            let revision = entry.revision;
            let entry = Some(entry).filter(|entry| !entry.operation.deletes());
            Ok(Present { entry, revision })
        }
        Err(error) if error.kind == Kind::KeyNotFound => Ok(Present { entry: None, revision: 0 }),
        Err(error) => Err(error),
    }
}

/// What a write under a revision came to: the new one, or the one that it has met, and the error.
pub async fn write(
    store: &Store,
    out: Outgoing,
    revision: u64,
) -> Result<std::result::Result<u64, (u64, Error)>> {
    let headers = expecting(revision, out.headers);
    match store.writing(Outgoing { headers, ..out }).await {
        Ok(revision) => Ok(Ok(revision)),
        Err(conflict) if conflict.kind == Kind::WrongLastSequence => {
            Ok(Err((revision_in(&conflict), conflict)))
        }
        Err(error) => Err(error),
    }
}

/// A random part of a time that doubles with each conflict, so that those who write the same key find
/// places one behind the other.
pub fn pause(conflicts: u32, unit: Duration) -> Duration {
    let factor = 1_u32.checked_shl(conflicts).unwrap_or(LONGEST_IN_TRIPS).min(LONGEST_IN_TRIPS);
    let longest = unit.saturating_mul(factor).min(LONGEST);
    longest.mul_f64(rand::random::<f64>())
}

/// Changes the value of a key to what `compute` makes of its entry. `out` is the message without a value.
/// What comes out is the new revision, and what `compute` has returned beside the value.
///
/// # Errors
/// That of `compute`, which ends it. The conflict, if there was one again and `limit` is over: then
/// nothing was written. After `ErrTimeout` nobody knows.
pub async fn change<T: Send>(
    store: Store,
    key: String,
    out: Outgoing,
    limit: Option<Duration>,
    mut compute: impl FnMut(Option<Entry>) -> Result<(Bytes, T)> + Send,
) -> Result<(u64, T)> {
    let began = Instant::now();
    let (mut met, mut conflicts) = (None, 0);
    loop {
        let asked = Instant::now();
        let Present { entry, revision } = present(&store, &key, met).await?;
        let (payload, told) = compute(entry)?;
        match write(&store, Outgoing { payload, ..out.clone() }, revision).await? {
            Ok(revision) => return Ok((revision, told)),
            Err((revision, conflict)) => {
                if limit.is_some_and(|limit| began.elapsed() >= limit) {
                    return Err(conflict);
                }
                met = Some(revision);
            }
        }
        // The first one may have been an accident.
        if conflicts > 0 {
            tokio::time::sleep(pause(conflicts, asked.elapsed())).await;
        }
        conflicts += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let unit = Duration::from_millis(1);
        for conflicts in [0, 1, 5, 31, 32, u32::MAX] {
            let longest = (0..100).map(|_| pause(conflicts, unit)).max().expect("some");
            assert!(longest <= unit * 2_u32.saturating_pow(conflicts).min(64), "{conflicts}");
            assert!(longest > Duration::ZERO);
        }
        assert!(pause(9, Duration::from_secs(60)) <= LONGEST);
    }
}
