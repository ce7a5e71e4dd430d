//! Reads the chunks of an object by an ordered consumer, which goes on where it was after a lost
//! connection, and hands them to a sink as fast as that takes them.

use super::assembly::{Assembly, Flaw, Verdict, judge};
use super::sink::{Drain, Sink, noted};
use crate::error::{Error, Kind};
use crate::jetstream::metadata::Metadata;
use crate::jetstream::ordered::consumer::{Observer, OrderedConsumer};
use crate::jetstream::ordered::{ConsumerState, OrderedConfig};
use crate::jetstream::stored::StoredMessage;
use crate::object_store::bucket::Bucket;
use crate::object_store::info::ObjectInfo;
use crate::object_store::store::{From, Store};
use crate::object_store::transfer::persistently;
use crate::object_store::transfer::progress::Progress;
use crate::object_store::transfer::trouble::Trouble;
use crate::transport::Message;
use bytes::Bytes;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// So many chunks are taken at once.
const BATCH: usize = 32;

enum Event {
    Chunk(Bytes),
    /// There are no more.
    End,
    Failed(Error),
}

struct Ears(UnboundedSender<Event>);

impl Ears {
    fn tell(&self, event: Event) {
        // The get may be over.
        let _ = self.0.send(event);
    }
}

impl Observer for Ears {
    fn entry(&mut self, message: &Message, _meta: &Metadata<'_>) {
        self.tell(Event::Chunk(message.clone().into_payload()));
    }

    fn stored(&mut self, stored: &StoredMessage) {
        self.tell(Event::Chunk(stored.data.clone().into()));
    }

    fn end_of_data(&mut self) {
        self.tell(Event::End);
    }

    // It goes on by itself; what is final has a state.
    fn last_error(&mut self, _kind: Kind, _text: String) {}

    fn state(&mut self, state: ConsumerState) {
        if matches!(state, ConsumerState::Stopped | ConsumerState::Recreated) {
            self.tell(Event::End);
        }
    }
}

/// How the chunks of an object are consumed.
pub type Consumption = Box<dyn Fn(&Bucket, &ObjectInfo) -> OrderedConfig + Send>;

/// What is to be read.
pub struct Job {
    pub store: Store,
    pub info: ObjectInfo,
    pub config: Consumption,
    /// How long nothing may come.
    pub patience: Option<Duration>,
    pub progress: Progress,
}

/// What has come out: the description, and the data if they are for memory.
pub struct Got {
    pub info: ObjectInfo,
    pub data: Option<Vec<u8>>,
}

enum Failure {
    Flaw(Flaw, Sink),
    Trouble(Trouble, Sink),
    /// It is the sink that has failed.
    Sink(Trouble),
}

pub async fn get(mut job: Job, mut sink: Sink) -> Result<Got, Trouble> {
    let mut tries = 0;
    loop {
        job.progress.total(job.info.size);
        let (flaw, mut rest) = match read(&mut job, sink).await {
            Ok(whole) => {
                let data = whole.accept().await?;
                return Ok(Got { info: job.info, data });
            }
            Err(Failure::Flaw(flaw, rest)) => (flaw, rest),
            Err(Failure::Trouble(trouble, mut rest)) => {
                return Err(noted(trouble, rest.settle().await));
            }
            Err(Failure::Sink(trouble)) => return Err(trouble),
        };
        let given = rest.settle().await;
        let asked = || job.store.described(&job.info.name, From::Leader);
        let now = persistently(job.patience, asked).await;
        let now = now.map(|described| described.info);
        match judge(&flaw, &job.info, now, given == 0, tries) {
            Verdict::Again(info) => job.info = *info,
            Verdict::Fail(error) => return Err(noted(error.into(), given)),
        }
        tries += 1;
        rest.rewind()?;
        sink = rest;
    }
}

/// Reads all chunks into the sink, and checks them.
async fn read(job: &mut Job, sink: Sink) -> Result<Sink, Failure> {
    let (mut assembly, mut drain) = (Assembly::new(&job.info), Drain::new(sink));
    let (tell, mut told) = unbounded_channel();
    let failed = tell.clone();
    let done = Box::new(move |created: crate::error::Result<()>| {
        if let Err(error) = created {
            let _ = failed.send(Event::Failed(error));
        }
    });
    let consumer = (!assembly.has_all()).then(|| {
        let (api, config) = (job.store.api.clone(), (job.config)(&job.store.bucket, &job.info));
        OrderedConsumer::start(api, config, Box::new(Ears(tell)), done)
    });
    while !assembly.has_all() {
        let mut events = Vec::with_capacity(BATCH);
        if let Err(error) = receive(&mut told, &mut events, job.patience).await {
            return Err(Failure::Trouble(error.into(), drain.finish().1));
        }
        let mut chunks = Vec::with_capacity(events.len());
        for event in events {
            let taken = match event {
                Event::Failed(error) => {
                    let error = job.store.bucket.missing(error);
                    return Err(Failure::Trouble(error.into(), drain.finish().1));
                }
                Event::End => assembly.end(),
                Event::Chunk(_) if assembly.has_all() => break,
                Event::Chunk(chunk) => {
                    let taken = assembly.chunk(chunk.len());
                    chunks.push(chunk);
                    taken
                }
            };
            if let Err(flaw) = taken {
                return Err(Failure::Flaw(flaw, drain.finish().1));
            }
        }
        let count = chunks.len() as u64;
        drain = drain.write(chunks).await.map_err(Failure::Sink)?;
        if let Some(consumer) = &consumer {
            consumer.consumed(count);
        }
        job.progress.done(assembly.bytes());
    }
    let (digest, sink) = drain.finish();
    match assembly.check(&digest) {
        Ok(()) => Ok(sink),
        Err(flaw) => Err(Failure::Flaw(flaw, sink)),
    }
}

/// At least one event.
async fn receive(
    told: &mut UnboundedReceiver<Event>,
    events: &mut Vec<Event>,
    patience: Option<Duration>,
) -> crate::error::Result<()> {
    let received = told.recv_many(events, BATCH);
    let count = match patience {
        None => received.await,
        Some(patience) => {
            let late = |_| Error::new(Kind::Timeout, "The chunks of the object do not come");
            tokio::time::timeout(patience, received).await.map_err(late)?
        }
    };
    match count {
        0 => Err(Error::connection_closed()),
        _ => Ok(()),
    }
}
