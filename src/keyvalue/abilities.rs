//! What the stream behind a bucket allows. It is known from the time when the bucket was bound; a stream
//! that did not allow something then is asked again before that is refused.

use super::store::Store;
use crate::error::{Error, Kind, Result};
use crate::jetstream::api::{reply, request_error};
use crate::transport::Outgoing;
use serde_json::Value;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// The answer to a message with a lifetime where the stream allows none.
const TTL_DISABLED: (u64, u64) = (400, 10166);
/// That to a batch where the stream takes none.
const BATCHES_DISABLED: (u64, u64) = (400, 10174);

/// Shared by all that works with one handle.
#[derive(Default)]
pub struct Abilities {
    /// Messages may have a lifetime of their own.
    lifetimes: AtomicBool,
    /// It takes atomic batches.
    batches: AtomicBool,
    /// What expires leaves a marker behind.
    markers: AtomicBool,
    /// After so many ns everything is removed; 0 is never.
    max_age: AtomicU64,
}

impl Abilities {
    /// From the info of the stream that is written to. Nothing is taken for granted without it.
    pub fn from_info(info: Option<&Value>) -> Abilities {
        let abilities = Abilities::default();
        if let Some(info) = info {
            abilities.learn(info);
        }
        abilities
    }

    fn learn(&self, info: &Value) {
        let config = info.get("config");
        let flag = |name: &str| config.and_then(|config| config.get(name)) == Some(&true.into());
        self.lifetimes.store(flag("allow_msg_ttl"), Ordering::Relaxed);
        self.batches.store(flag("allow_atomic"), Ordering::Relaxed);
        let markers = config.and_then(|config| config.get("subject_delete_marker_ttl"));
        let lasts = markers.and_then(Value::as_i64).is_some_and(|ttl| ttl > 0);
        self.markers.store(lasts && flag("allow_msg_ttl"), Ordering::Relaxed);
        let max_age = config.and_then(|config| config.get("max_age")).and_then(Value::as_u64);
        self.max_age.store(max_age.unwrap_or(0), Ordering::Relaxed);
    }

    fn refuses(&self, what: &str, ttl: Duration) -> Option<Error> {
        let max_age = Duration::from_nanos(self.max_age.load(Ordering::Relaxed));
        let lacks = if !self.markers.load(Ordering::Relaxed) {
            "-limit_marker_ttl".to_owned()
        } else if !max_age.is_zero() && max_age < ttl {
            // The lifetime of a message is no longer than that of all.
            format!("a -ttl of {} or more, or without one", ttl.as_millis())
        } else {
            return None;
        };
        Some(Error::new(Kind::NotSupported, format!("{what} needs a bucket with {lacks}")))
    }

    /// The error of a write with a lifetime in the words of a bucket.
    pub fn explain(&self, error: Error) -> Error {
        if error.api != Some(TTL_DISABLED) {
            return error;
        }
        // It is another stream by now.
        self.lifetimes.store(false, Ordering::Relaxed);
        self.markers.store(false, Ordering::Relaxed);
        no_lifetimes()
    }
}

fn no_lifetimes() -> Error {
    Error::new(Kind::NotSupported, "ttl needs a bucket with -limit_marker_ttl")
}

fn no_batches() -> Error {
    Error::new(Kind::NotSupported, "mput -atomic needs a bucket with -atomic true")
}

impl Store {
    /// Does what gives a message a lifetime, if it is `wanted`: before this returns if the stream is
    /// known to allow it.
    ///
    /// # Errors
    /// `ErrNotSupported`, before anything is written.
    pub fn with_lifetime<T, F>(
        &self,
        wanted: bool,
        work: impl FnOnce(&Store) -> F + Send + 'static,
    ) -> impl Future<Output = Result<T>> + Send + 'static
    where
        T: Send,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let known = !wanted || self.abilities.lifetimes.load(Ordering::Relaxed);
        let begun = if known { Ok(work(self)) } else { Err(work) };
        let this = self.clone();
        async move {
            let outcome = match begun {
                Ok(begun) => begun.await,
                Err(work) => {
                    this.ask_abilities().await?;
                    if !this.abilities.lifetimes.load(Ordering::Relaxed) {
                        return Err(no_lifetimes());
                    }
                    work(&this).await
                }
            };
            outcome.map_err(|error| this.abilities.explain(error))
        }
    }

    /// That the bucket keeps what has a lifetime for so long, and that what expires leaves a marker behind, for
    /// what is called `what`.
    ///
    /// # Errors
    /// `ErrNotSupported`.
    pub async fn check_keeps(&self, what: &str, ttl: Duration) -> Result<()> {
        if self.abilities.refuses(what, ttl).is_some() {
            self.ask_abilities().await?;
        }
        self.abilities.refuses(what, ttl).map_or(Ok(()), Err)
    }

    /// That the stream takes atomic batches.
    ///
    /// # Errors
    /// `ErrNotSupported`, and those of the question.
    pub async fn check_batches(&self) -> Result<()> {
        let known = || self.abilities.batches.load(Ordering::Relaxed);
        if !known() {
            self.ask_abilities().await?;
        }
        if known() { Ok(()) } else { Err(no_batches()) }
    }

    /// The error of a batch; a stream that takes none any more is another one by now.
    pub fn batch_error(&self, error: Error) -> Error {
        if error.api != Some(BATCHES_DISABLED) {
            return error;
        }
        self.abilities.batches.store(false, Ordering::Relaxed);
        no_batches()
    }

    async fn ask_abilities(&self) -> Result<()> {
        let question = &self.bucket.write_info;
        let reply = self.link.ask(Outgoing::new(question.clone(), ""), self.timeout).await;
        let reply = reply.map_err(|error| request_error(question, error))?;
        match reply::parse(reply.payload()) {
            Ok(info) => self.abilities.learn(&info),
            Err(error) if error.kind == Kind::StreamNotFound => {
                return Err(crate::bucket::names::not_found(&self.bucket.name));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
