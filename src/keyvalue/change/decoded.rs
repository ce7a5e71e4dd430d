//! The loop where values have a codec, which may be a command of the program: it goes on in the thread of
//! Tcl, after each answer.

use super::cas::{Present, pause, present, write};
use super::commands::writing;
use crate::keyvalue::entry::Entry;
use crate::keyvalue::object::KeyValue;
use crate::tcl::{Interp, Obj, Result, Return};
use crate::transport::Headers;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Of what pauses between attempts consist.
const UNIT: Duration = Duration::from_millis(1);

/// A new value from the old entry and its decoded value, and the result if it is not the revision.
type Compute = dyn Fn(Option<(&Entry, &Obj)>) -> crate::error::Result<(Obj, Option<Obj>)>;

/// A change that is being made.
pub struct Change {
    pub kv: Rc<KeyValue>,
    pub key: String,
    pub own: Headers,
    pub expires: bool,
    pub compute: Box<Compute>,
}

/// As [`change`](super::cas::change).
pub fn change(interp: Interp<'_>, change: Change) -> Result<Return> {
    attempt(interp, Rc::new(change), Instant::now(), None, 0)
}

fn attempt(
    interp: Interp<'_>,
    this: Rc<Change>,
    began: Instant,
    met: Option<u64>,
    conflicts: u32,
) -> Result<Return> {
    let (store, key) = (this.kv.store()?, this.key.clone());
    let reading = async move {
        if conflicts > 1 {
            tokio::time::sleep(pause(conflicts, UNIT)).await;
        }
        present(&store, &key, met).await
    };
    let js = this.kv.js.clone();
    js.clone().run(
        interp,
        |_| reading,
        move |interp, outcome| {
            let Present { entry, revision } = outcome?;
            let kv = &this.kv;
            let old = entry.as_ref().map(|entry| kv.codecs.value_out(&kv.js, entry)).transpose()?;
            let (new, told) = (this.compute)(entry.as_ref().zip(old.as_ref()))?;
            let (store, out) = writing(kv, &this.key, this.own.clone(), &new)?;
            let limit = store.timeout;
            let writing = store.with_lifetime(this.expires, move |store| {
                let store = store.clone();
                async move { write(&store, out, revision).await }
            });
            js.run(
                interp,
                |_| writing,
                move |interp, outcome| match outcome? {
                    Ok(revision) => Ok(told.unwrap_or_else(|| Obj::uint(revision)).into()),
                    Err((_, conflict)) if limit.is_some_and(|limit| began.elapsed() >= limit) => {
                        Err(conflict.into())
                    }
                    Err((met, _)) => attempt(interp, this, began, Some(met), conflicts + 1),
                },
            )
        },
    )
}
