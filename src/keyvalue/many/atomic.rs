//! Many writes of which all are stored or none: an atomic batch (ADR-50). No Tcl here.
//!
//! All messages go out without a wait between them: that the stream takes batches is known before. Only
//! the last one has an answer.

use super::write::{Write, conditional, conditions};
use crate::error::{Error, Kind, Result};
use crate::jetstream::batch::atomic::{commit, committed, mark, new_id};
use crate::keyvalue::store::Store;
use serde_json::Value;

/// So many messages a server takes in one batch.
pub const MOST: usize = 1000;
/// After so many others have their turn on the thread.
const BREATH: usize = 128;

/// Writes all in one batch; what comes out is the new revision of each.
///
/// # Errors
/// Nothing was written, unless it is `ErrTimeout`: then all was, or nothing.
pub async fn together(store: Store, writes: Vec<Write>) -> Result<Vec<u64>> {
    store.check_batches().await?;
    let met = conditions(&store, &writes).await;
    let met = met.into_iter().collect::<Result<Vec<_>>>()?;
    let (id, count) = (new_id(), writes.len());
    let mut last = None;
    for (at, (write, met)) in writes.into_iter().zip(met).enumerate() {
        if let Some(out) = last.take() {
            store.link.publish(out)?;
        }
        let mut out = conditional(write.out, met);
        mark(&mut out.headers, &id, at as u64 + 1);
        last = Some(out);
        if at % BREATH == BREATH - 1 {
            tokio::task::yield_now().await;
        }
    }
    let Some(mut out) = last else { return Ok(Vec::new()) };
    commit(&mut out.headers, true);
    let subject = out.subject.clone();
    let reply = store.link.ask_as(out, store.writing_how()).await;
    let ack =
        committed(&subject, reply, &id, count as u64).map_err(|error| store.batch_error(error))?;
    let seq = ack.get("seq").and_then(Value::as_u64).unwrap_or(0);
    // They have consecutive revisions.
    let first = seq.checked_sub(count as u64 - 1).filter(|first| *first > 0);
    let first = first.ok_or_else(|| {
        Error::new(Kind::Protocol, "Publish acknowledgement without a sequence number")
    })?;
    Ok((first..=seq).collect())
}
