//! `put`: an object of any size into the store.
//!
//! | file | what it is |
//! |---|---|
//! | `machine` | lays chunks, each once and in order; decides and does nothing |
//! | `driver` | publishes what the machine says, and tells it what the server says |
//! | `source`, `reader` | where data come from: memory, files; channels, on the Tcl thread |
//! | `commit` | the description, by which chunks become an object |
//! | `leftovers` | chunks that belong to no object |
//! | `command` | the method |

mod command;
mod commit;
mod driver;
mod leftovers;
mod machine;
mod reader;
mod source;

#[cfg(test)]
mod model_tests;

use self::commit::Failed;
use self::leftovers::Leftover;
use self::machine::Window;
use self::source::{Feed, Source};
use super::info::ObjectInfo;
use super::names::chunks_of;
use super::store::Store;
use super::transfer::persistently;
use super::transfer::progress::Progress;
use super::transfer::trouble::Trouble;
use crate::error::Error;
use crate::transport::ConnState;
use std::time::Duration;

pub use self::command::register;

/// So much may be under way.
const WINDOW_BYTES: usize = 8 * 1024 * 1024;
/// So many chunks at most: a server refuses what waits for a stream beyond 10 000 messages.
const WINDOW_CHUNKS: usize = 1024;

/// What is to be put.
struct Job {
    store: Store,
    /// What the program says of it.
    info: ObjectInfo,
    chunk_size: usize,
    /// How long nothing may be acknowledged.
    patience: Option<Duration>,
}

async fn put(job: Job, source: Source, progress: Progress) -> Result<ObjectInfo, Trouble> {
    let store = job.store.clone();
    leftovers::sweep(&store);
    let began = connection(&store);
    let mut guard = Guard::new(&store, &job.info);
    let (trouble, perhaps) = match attempt(job, source, &progress, &mut guard.leftover).await {
        Ok(info) => {
            guard.disarm();
            return Ok(info);
        }
        Err(Failure { trouble, perhaps }) => (trouble, perhaps),
    };
    let leftover = Leftover { perhaps, ..guard.disarm() };
    let chunks = chunks_of(&store.bucket.name, &leftover.nuid);
    if !matches!(connection(&store), ConnState::Connected(_)) {
        leftovers::remember(&store, leftover);
        leftovers::sweep(&store);
        let note = format!("its chunks {chunks} are deleted when there is a connection");
        return Err(trouble.with_note(&note));
    }
    match leftovers::delete(&store, &leftover).await {
        Ok(_) if connection(&store) == began => Err(trouble),
        // What an earlier connection has sent may still come.
        Ok(_) => {
            leftovers::remember(&store, Leftover { fresh: false, ..leftover });
            leftovers::sweep_later(&store);
            Err(trouble)
        }
        Err(error) => {
            leftovers::remember(&store, leftover);
            leftovers::sweep(&store);
            Err(trouble.with_note(&format!("its chunks {chunks} are left: {error}")))
        }
    }
}

fn connection(store: &Store) -> ConnState {
    *store.api.link.connected().borrow()
}

struct Failure {
    trouble: Trouble,
    /// The chunks may have become an object.
    perhaps: bool,
}

impl<T: Into<Trouble>> From<T> for Failure {
    fn from(trouble: T) -> Failure {
        Failure { trouble: trouble.into(), perhaps: false }
    }
}

/// `leftover`: what there is to delete if this does not come to its end.
async fn attempt(
    job: Job,
    source: Source,
    progress: &Progress,
    leftover: &mut Leftover,
) -> Result<ObjectInfo, Failure> {
    let Job { store, mut info, chunk_size, patience } = job;
    let feed = Feed::new(source, chunk_size);
    let chunks = (WINDOW_BYTES / chunk_size).clamp(2, WINDOW_CHUNKS);
    let window = Window { chunks, bytes: WINDOW_BYTES };
    let laying = driver::lay(&store, &info.nuid, (window, patience), feed, progress);
    let looking = async { Ok(persistently(patience, || commit::look(&store, &info.name)).await) };
    let (laid, present) = tokio::try_join!(laying, looking)?;
    if laid.doubt {
        let there = persistently(patience, || store.count_chunks(&info.nuid)).await?;
        if there != laid.chunks {
            return Err(leftovers::miscounted(laid.chunks, there).into());
        }
    }
    (info.size, info.chunks, info.digest) = (laid.size, laid.chunks, laid.digest);
    let present = present?;
    leftover.perhaps = true;
    leftover.after = laid.last;
    let replaces = &mut leftover.replaces;
    let committed = match commit::commit(&store, &info, present, patience, replaces).await {
        Ok(committed) => committed,
        Err(Failed::Refused(error)) => return Err(error.into()),
        Err(Failed::Unknown(error)) => {
            let text = format!("Whether the object was stored is not known: {}", error.message);
            let trouble = Error { message: text.into(), ..error }.into();
            return Err(Failure { trouble, perhaps: true });
        }
    };
    let cleaning = async {
        for nuid in replaces.clone() {
            let leftover = Leftover {
                name: info.name.clone(),
                nuid,
                fresh: false,
                perhaps: committed.doubt,
                after: 0,
                replaces: Vec::new(),
            };
            if leftovers::delete(&store, &leftover).await.is_err() {
                leftovers::remember(&store, leftover);
                leftovers::sweep(&store);
            }
        }
    };
    let showing = store.stored(info.clone(), committed.seq.unwrap_or_default());
    let ((), info) = tokio::join!(cleaning, showing);
    Ok(info)
}

/// Should the put end in the middle, its chunks are remembered and deleted.
struct Guard {
    store: Store,
    leftover: Leftover,
    armed: bool,
}

impl Guard {
    fn new(store: &Store, info: &ObjectInfo) -> Guard {
        let (name, nuid) = (info.name.clone(), info.nuid.clone());
        let leftover =
            Leftover { name, nuid, fresh: true, perhaps: false, after: 0, replaces: Vec::new() };
        Guard { store: store.clone(), leftover, armed: true }
    }

    fn disarm(mut self) -> Leftover {
        self.armed = false;
        self.leftover.clone()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.armed {
            leftovers::remember(&self.store, self.leftover.clone());
            leftovers::sweep(&self.store);
        }
    }
}
