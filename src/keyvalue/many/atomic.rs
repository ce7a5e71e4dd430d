//! Many writes of which all are stored or none: an atomic batch (ADR-50). No Tcl here.
//!
//! All messages go out without a wait between them: that the stream takes batches is known before. Only
//! the last one has an answer. If that says that the batch was not whole, nothing was stored and all of
//! it is sent again, listening to what the stream has against each message: it may be refused for good,
//! or a connection was lost, or others have too many batches under way.

use super::write::{Write, conditional, conditions};
use crate::error::{Error, Kind, Result};
use crate::jetstream::batch::atomic::{INCOMPLETE, commit, committed, mark, new_id, taken};
use crate::keyvalue::store::Store;
use crate::lock::lock;
use crate::transport::{How, Outgoing};
use serde_json::Value;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// So many messages a server takes in one batch.
pub const MOST: usize = 1000;
/// After so many others have their turn on the thread.
const BREATH: usize = 128;
/// What the server says to the first message if too many batches are under way.
const TOO_MANY: (u64, u64) = (429, 10210);
/// How long a server keeps what was begun and is not gone on with: then there is room for others.
const KEPT: Duration = Duration::from_secs(10);
/// The longest pause between two attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// Writes all in one batch; what comes out is the new revision of each.
///
/// # Errors
/// Nothing was written, unless it is `ErrTimeout`: then all was, or nothing.
pub async fn together(store: Store, writes: Vec<Write>) -> Result<Vec<u64>> {
    store.check_batches().await?;
    let met = conditions(&store, &writes).await;
    let met = met.into_iter().collect::<Result<Vec<_>>>()?;
    let (began, limit) = (Instant::now(), store.timeout.unwrap_or(KEPT));
    let mut listening = false;
    loop {
        match attempt(&store, &writes, &met, listening).await {
            Err(error) if may_pass(&error) && began.elapsed() < limit => {}
            outcome => return outcome,
        }
        if std::mem::replace(&mut listening, true) {
            tokio::time::sleep(PAUSE.mul_f64(rand::random::<f64>())).await;
        }
    }
}

/// Whether the same batch may be stored if it is sent again.
fn may_pass(error: &Error) -> bool {
    matches!(error.api, Some(INCOMPLETE | TOO_MANY))
}

async fn attempt(
    store: &Store,
    writes: &[Write],
    met: &[Option<u64>],
    listening: bool,
) -> Result<Vec<u64>> {
    let (id, count) = (new_id(), writes.len());
    let mut batch = Vec::with_capacity(count);
    for (at, (write, met)) in writes.iter().zip(met).enumerate() {
        let mut out = conditional(write.out.clone(), *met);
        mark(&mut out.headers, &id, at as u64 + 1);
        if at + 1 == count {
            commit(&mut out.headers, true);
        }
        // Before anything is sent: the server keeps for a while what has no end, and no more than some
        // of that.
        store.link.check(&out)?;
        batch.push(out);
        if at % BREATH == BREATH - 1 {
            tokio::task::yield_now().await;
        }
    }
    let Some(last) = batch.pop() else { return Ok(Vec::new()) };
    let refused = Arc::default();
    // No other batch comes between them: only so many may have begun.
    for out in batch {
        match listening {
            true => ask(store, out, &refused)?,
            false => store.link.publish(out)?,
        }
    }
    let subject = last.subject.clone();
    let reply = store.link.ask_as(last, store.writing_how()).await;
    let ack = committed(&subject, reply, &id, count as u64).map_err(|error| {
        let why = lock(&refused).take().filter(|_| may_pass(&error));
        store.batch_error(why.unwrap_or(error))
    });
    let seq = ack.map_err(unknown)?.get("seq").and_then(Value::as_u64).unwrap_or(0);
    // They have consecutive revisions.
    let first = seq.checked_sub(count as u64 - 1).filter(|first| *first > 0);
    let first = first.ok_or_else(|| {
        Error::new(Kind::Protocol, "Publish acknowledgement without a sequence number")
    })?;
    let revisions: Vec<u64> = (first..=seq).collect();
    if let Some(own) = &store.own_writes {
        writes.iter().zip(&revisions).for_each(|(write, rev)| own.note(&write.out.subject, *rev));
    }
    Ok(revisions)
}

/// Sends a message that is not the last one, and listens to what is said against it.
fn ask(store: &Store, out: Outgoing, refused: &Arc<Mutex<Option<Error>>>) -> Result<()> {
    let (subject, refused) = (out.subject.clone(), refused.clone());
    let how = How { timeout: store.timeout, ..How::default() };
    store.link.request_as(out, how, move |reply| {
        if let Err(error) = taken(&subject, reply)
            && (error.api.is_some() || error.kind == Kind::Permissions)
        {
            lock(&refused).get_or_insert(error);
        }
    })?;
    Ok(())
}

/// An answer that has not come may have been one of success.
fn unknown(error: Error) -> Error {
    if error.kind != Kind::Timeout {
        return error;
    }
    let text = format!("{}: either all of the keys were written or none", error.message);
    error.with_message(text)
}
