//! Where the data of an object comes from, cut into chunks. Files are read and digests computed beside the
//! runtime thread.

use crate::bridge::Sender;
use crate::error::Error;
use crate::object_store::transfer::digest::Digest;
use crate::object_store::transfer::trouble::Trouble;
use bytes::{Bytes, BytesMut};
use std::fs::File;
use std::io::Read;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;

/// So much is read at once.
const BATCH: usize = 1024 * 1024;
/// And so many chunks of few bytes.
const MOST: usize = 1024;
/// What is less is not worth another thread.
const SMALL: usize = 16 * 1024;
/// How often a channel that gives nothing is looked at: it may have been closed.
const LOOK: Duration = Duration::from_millis(500);

/// What the Tcl thread has read from a channel.
pub enum Piece {
    Data(Bytes),
    End,
    Failed(Trouble),
}

pub enum Source {
    Memory(Bytes),
    File(File, String),
    /// A channel: what asks for more, and what comes.
    Channel(Sender<usize>, UnboundedReceiver<Piece>),
}

pub struct Feed {
    source: Source,
    digest: Digest,
    chunk_size: usize,
    size: u64,
    /// What is no whole chunk yet.
    rest: BytesMut,
}

type Batch = Result<Vec<Bytes>, Trouble>;

impl Feed {
    pub fn new(source: Source, chunk_size: usize) -> Feed {
        let rest = BytesMut::new();
        Feed { source, digest: Digest::new(), chunk_size, size: 0, rest }
    }

    /// How many chunks come at once.
    fn batch(&self) -> usize {
        (BATCH / self.chunk_size).clamp(1, MOST)
    }

    /// The next chunks; none is the end.
    pub async fn next(mut self) -> (Feed, Batch) {
        let (wanted, chunk_size) = (self.batch() * self.chunk_size, self.chunk_size);
        match &mut self.source {
            Source::Memory(data) => {
                let taken = data.split_to(wanted.min(data.len()));
                let chunks = cut(taken, chunk_size);
                self.count(chunks).await
            }
            Source::File(..) => {
                beside(self, |mut feed| {
                    let chunks = feed.read_file();
                    (feed, chunks)
                })
                .await
            }
            Source::Channel(..) => {
                let chunks = self.receive(wanted).await;
                match chunks {
                    Ok(chunks) => self.count(chunks).await,
                    Err(trouble) => (self, Err(trouble)),
                }
            }
        }
    }

    /// What there is of the object, once the end has come.
    pub fn finish(self) -> (u64, String) {
        (self.size, self.digest.finish())
    }

    fn add(&mut self, chunks: &[Bytes]) {
        for chunk in chunks {
            self.size += chunk.len() as u64;
            self.digest.update(chunk);
        }
    }

    async fn count(mut self, chunks: Vec<Bytes>) -> (Feed, Batch) {
        if chunks.iter().map(Bytes::len).sum::<usize>() <= SMALL {
            self.add(&chunks);
            return (self, Ok(chunks));
        }
        beside(self, |mut feed| {
            feed.add(&chunks);
            (feed, Ok(chunks))
        })
        .await
    }

    fn read_file(&mut self) -> Batch {
        let (count, chunk_size) = (self.batch(), self.chunk_size);
        let Source::File(file, path) = &mut self.source else { return Ok(Vec::new()) };
        let mut chunks = Vec::with_capacity(count);
        for _ in 0..count {
            let mut chunk = Vec::with_capacity(chunk_size);
            let read = file.by_ref().take(chunk_size as u64).read_to_end(&mut chunk);
            read.map_err(|error| Trouble::system(format!("error reading \"{path}\""), &error))?;
            let whole = chunk.len() == chunk_size;
            if !chunk.is_empty() {
                chunks.push(Bytes::from(chunk));
            }
            if !whole {
                break;
            }
        }
        self.add(&chunks);
        Ok(chunks)
    }

    /// Whole chunks out of what the channel gives, and the rest at its end.
    async fn receive(&mut self, wanted: usize) -> Batch {
        let Source::Channel(ask, pieces) = &mut self.source else { return Ok(Vec::new()) };
        loop {
            ask.send(wanted - self.rest.len());
            let piece = loop {
                match tokio::time::timeout(LOOK, pieces.recv()).await {
                    Ok(Some(piece)) => break piece,
                    Ok(None) => return Err(Error::connection_closed().into()),
                    // Nothing more is asked for: it is looked at.
                    Err(_) => ask.send(0),
                }
            };
            match piece {
                Piece::Data(data) => self.rest.extend_from_slice(&data),
                Piece::Failed(trouble) => return Err(trouble),
                Piece::End => return Ok(cut(self.rest.split().freeze(), self.chunk_size)),
            }
            let whole = self.rest.len() - self.rest.len() % self.chunk_size;
            if whole > 0 {
                return Ok(cut(self.rest.split_to(whole).freeze(), self.chunk_size));
            }
        }
    }
}

/// Chunks share the memory that they are cut from.
fn cut(mut data: Bytes, chunk_size: usize) -> Vec<Bytes> {
    let mut chunks = Vec::with_capacity(data.len().div_ceil(chunk_size));
    while !data.is_empty() {
        chunks.push(data.split_to(chunk_size.min(data.len())));
    }
    chunks
}

/// Runs what takes its time on a thread for that.
async fn beside(
    feed: Feed,
    work: impl FnOnce(Feed) -> (Feed, Batch) + Send + 'static,
) -> (Feed, Batch) {
    match tokio::task::spawn_blocking(move || work(feed)).await {
        Ok(done) => done,
        Err(_) => (Feed::new(Source::Memory(Bytes::new()), 1), Err(stopped())),
    }
}

/// The runtime has gone, or a panic has ended it.
fn stopped() -> Trouble {
    Error::connection_closed().into()
}
