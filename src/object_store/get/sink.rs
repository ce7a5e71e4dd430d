//! Where the data of an object go. Digests are computed and files written beside the runtime thread.

use super::file::Beside;
use super::writer::Item;
use crate::bridge::Sender;
use crate::error::Error;
use crate::object_store::transfer::digest::Digest;
use crate::object_store::transfer::trouble::Trouble;
use bytes::Bytes;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;

/// What is less is not worth another thread.
const SMALL: usize = 16 * 1024;
/// So much may wait for a channel.
const AHEAD: u64 = 2 * 1024 * 1024;
/// How often a channel that takes nothing is looked at: it may have been closed.
const LOOK: Duration = Duration::from_millis(500);

/// What the Tcl thread tells of a channel.
pub enum Told {
    /// So many bytes more have been handed to Tcl.
    Taken(u64),
    /// All are written.
    Flushed,
    Failed(Trouble),
}

/// Says what the program has got of an object all the same.
pub fn noted(trouble: Trouble, given: u64) -> Trouble {
    match given {
        0 => trouble,
        given => trouble.with_note(&format!("{given} bytes were written to the channel")),
    }
}

/// A channel of the program, as the runtime sees it.
pub struct Outlet {
    items: Sender<Item>,
    told: UnboundedReceiver<Told>,
    sent: u64,
    taken: u64,
}

impl Outlet {
    pub fn new(items: Sender<Item>, told: UnboundedReceiver<Told>) -> Outlet {
        Outlet { items, told, sent: 0, taken: 0 }
    }

    /// Whether all are written.
    async fn hear(&mut self) -> Result<bool, Trouble> {
        loop {
            match tokio::time::timeout(LOOK, self.told.recv()).await {
                Ok(Some(Told::Taken(bytes))) => {
                    self.taken += bytes;
                    return Ok(false);
                }
                Ok(Some(Told::Flushed)) => return Ok(true),
                Ok(Some(Told::Failed(trouble))) => return Err(noted(trouble, self.taken)),
                Ok(None) => return Err(Error::connection_closed().into()),
                Err(_) => self.items.send(Item::Look),
            }
        }
    }

    async fn write(&mut self, chunks: Vec<Bytes>) -> Result<(), Trouble> {
        for chunk in chunks {
            while self.sent - self.taken > AHEAD {
                self.hear().await?;
            }
            self.sent += chunk.len() as u64;
            self.items.send(Item::Data(chunk));
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Trouble> {
        self.items.send(Item::Flush);
        while !self.hear().await? {}
        Ok(())
    }
}

pub enum Sink {
    Memory(Vec<u8>),
    File(Beside),
    Channel(Outlet),
}

impl Sink {
    /// How many bytes the program has got of it, which cannot be taken back.
    fn given(&self) -> u64 {
        match self {
            Sink::Channel(outlet) => outlet.taken,
            Sink::Memory(_) | Sink::File(_) => 0,
        }
    }

    /// The same, when all that is under way has arrived.
    pub async fn settle(&mut self) -> u64 {
        if let Sink::Channel(outlet) = self {
            // One that fails says so by the number.
            let _ = outlet.flush().await;
        }
        self.given()
    }

    /// Begins anew, with nothing given.
    pub fn rewind(&mut self) -> Result<(), Trouble> {
        match self {
            Sink::Memory(data) => data.clear(),
            Sink::File(file) => file.rewind()?,
            Sink::Channel(_) => {}
        }
        Ok(())
    }

    /// All of it is right. The data, if they are for memory.
    pub async fn accept(self) -> Result<Option<Vec<u8>>, Trouble> {
        match self {
            Sink::Memory(data) => Ok(Some(data)),
            Sink::File(file) => {
                let placed = tokio::task::spawn_blocking(move || file.place()).await;
                placed.map_err(|_| Error::connection_closed())??;
                Ok(None)
            }
            Sink::Channel(mut outlet) => {
                outlet.flush().await?;
                Ok(None)
            }
        }
    }
}

/// A sink, and the digest of what went into it.
pub struct Drain {
    sink: Sink,
    digest: Digest,
}

impl Drain {
    pub fn new(sink: Sink) -> Drain {
        Drain { sink, digest: Digest::new() }
    }

    pub async fn write(mut self, chunks: Vec<Bytes>) -> Result<Drain, Trouble> {
        if chunks.iter().map(Bytes::len).sum::<usize>() <= SMALL {
            self.take(&chunks)?;
            return self.pass(chunks).await;
        }
        let taken = tokio::task::spawn_blocking(move || {
            let taken = self.take(&chunks);
            taken.map(|()| (self, chunks))
        });
        let (drain, chunks) = taken.await.map_err(|_| Error::connection_closed())??;
        drain.pass(chunks).await
    }

    fn take(&mut self, chunks: &[Bytes]) -> Result<(), Trouble> {
        for chunk in chunks {
            self.digest.update(chunk);
            match &mut self.sink {
                Sink::Memory(data) => data.extend_from_slice(chunk),
                Sink::File(file) => file.write(chunk)?,
                Sink::Channel(_) => {}
            }
        }
        Ok(())
    }

    async fn pass(mut self, chunks: Vec<Bytes>) -> Result<Drain, Trouble> {
        if let Sink::Channel(outlet) = &mut self.sink {
            outlet.write(chunks).await?;
        }
        Ok(self)
    }

    /// The digest of all, and the sink.
    pub fn finish(self) -> (String, Sink) {
        (self.digest.finish(), self.sink)
    }
}
