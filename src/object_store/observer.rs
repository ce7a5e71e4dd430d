//! The runtime thread's part of lists and watches: descriptions as they come.

use super::info::{ObjectInfo, nuid_of};
use super::names::name_of;
use crate::error::Kind;
use crate::jetstream::metadata::Metadata;
use crate::jetstream::ordered::ConsumerState;
use crate::jetstream::ordered::consumer::Observer;
use crate::jetstream::roll::Roll;
use crate::jetstream::stored::StoredMessage;
use crate::rfc3339;
use crate::transport::Message;
use serde_json::Value;
use std::sync::Arc;

/// What happens, in order.
pub enum MetaEvent {
    /// The server is at work.
    Heard,
    /// A description, and its sequence number.
    Object(Box<ObjectInfo>, u64),
    Unreadable(Unreadable),
    EndOfData,
    RollCallBegins,
    RollCall(Arc<Roll>),
    /// A consumer was made.
    Created,
    LastError(Kind, String),
    State(ConsumerState),
}

/// A description that cannot be read.
#[derive(Default)]
pub struct Unreadable {
    /// Of which object, if that is known.
    pub name: Option<String>,
    /// Whose chunks it needs all the same.
    pub nuid: Option<String>,
    /// Why.
    pub text: String,
}

/// Tells a sink of the descriptions in a bucket.
pub struct MetaObserver<S> {
    bucket: String,
    sink: S,
}

impl<S: FnMut(MetaEvent) + Send> MetaObserver<S> {
    pub fn new(bucket: &str, sink: S) -> Self {
        MetaObserver { bucket: bucket.to_owned(), sink }
    }

    fn described(&mut self, subject: &str, json: &[u8], seq: u64, mtime: i64) {
        let event = match name_of(&self.bucket, subject) {
            None => {
                let text = format!("Description under {subject}, which is no name of an object");
                MetaEvent::Unreadable(Unreadable { name: None, nuid: nuid_of(json), text })
            }
            // A mark that the server leaves behind what has expired.
            Some(name) if json.is_empty() => {
                let info = ObjectInfo::vanished(&self.bucket, &name, mtime);
                MetaEvent::Object(Box::new(info), seq)
            }
            Some(name) => match ObjectInfo::read(&self.bucket, &name, json, mtime) {
                Ok(info) => MetaEvent::Object(Box::new(info), seq),
                Err(error) => {
                    let (nuid, text) = (nuid_of(json), error.message.into_owned());
                    MetaEvent::Unreadable(Unreadable { name: Some(name), nuid, text })
                }
            },
        };
        (self.sink)(event);
    }
}

impl<S: FnMut(MetaEvent) + Send> Observer for MetaObserver<S> {
    fn heard(&mut self) {
        (self.sink)(MetaEvent::Heard);
    }

    fn entry(&mut self, message: &Message, meta: &Metadata<'_>) {
        let mtime = meta.timestamp_ns.div_euclid(1_000_000);
        self.described(message.subject(), message.payload(), meta.stream_seq, mtime);
    }

    fn stored(&mut self, stored: &StoredMessage) {
        let mtime = rfc3339::milliseconds(&stored.time).unwrap_or_default();
        self.described(&stored.subject, &stored.data, stored.seq, mtime);
    }

    fn end_of_data(&mut self) {
        (self.sink)(MetaEvent::EndOfData);
    }

    fn roll_call_begins(&mut self) {
        (self.sink)(MetaEvent::RollCallBegins);
    }

    fn roll_call(&mut self, roll: Arc<Roll>) {
        (self.sink)(MetaEvent::RollCall(roll));
    }

    fn last_error(&mut self, kind: Kind, text: String) {
        (self.sink)(MetaEvent::LastError(kind, text));
    }

    fn state(&mut self, state: ConsumerState) {
        (self.sink)(MetaEvent::State(state));
    }

    fn created(&mut self, _info: &Value) {
        (self.sink)(MetaEvent::Created);
    }
}
