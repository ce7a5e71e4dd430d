//! Replies to direct gets. They are the stored message itself with some headers more, or a status.

use crate::error::{Error, Kind, Result};
use crate::jetstream::api::reply;
use crate::jetstream::stored::StoredMessage;
use crate::schema;
use crate::transport::{Message, PackedMessage, RequestError, RequestResult};

pub const SUBJECT: &str = "Nats-Subject";
pub const SEQUENCE: &str = "Nats-Sequence";
pub const TIME: &str = "Nats-Time-Stamp";
const STREAM: &str = "Nats-Stream";
/// In batches.
const PENDING: &str = "Nats-Num-Pending";
const PREVIOUS: &str = "Nats-Last-Sequence";
const UP_TO: &str = "Nats-UpTo-Sequence";

/// The one reply to a question for one message, which may have been asked again as JSON.
pub fn one(subject: &str, result: RequestResult) -> Result<StoredMessage> {
    let reply = received(subject, result)?;
    if let Some(error) = refusal(&reply) {
        return Err(error);
    }
    if is_message(&reply) {
        return message(&reply, &[]);
    }
    StoredMessage::from_reply(&reply::parse(reply.payload())?)
}

/// The reply to a question without headers, which only a status has.
pub fn bare(subject: &str, result: RequestResult) -> Result<PackedMessage> {
    let reply = received(subject, result)?;
    match refusal(&reply) {
        Some(error) => Err(error),
        None => Ok(PackedMessage::new(reply)),
    }
}

/// What has come, be it a report that nobody is there which a publisher has made up.
pub fn received(subject: &str, result: RequestResult) -> Result<Message> {
    match result {
        Ok(reply) => Ok(reply),
        Err(RequestError::NoResponders(report)) if is_message(&report) => Ok(*report),
        Err(error) => Err(error.into_error(format!("Request to {subject} timed out"))),
    }
}

/// Whether this is a message of a stream: a status says nothing, since what was stored may have one.
pub fn is_message(reply: &Message) -> bool {
    reply.header(SEQUENCE).is_some()
}

/// The error that a status means.
pub fn refusal(reply: &Message) -> Option<Error> {
    let status = reply.status().filter(|_| !is_message(reply))?;
    Some(match status {
        404 => Error::new(Kind::MsgNotFound, "no message found"),
        408 => Error::invalid("Invalid request"),
        _ => {
            let text = reply.description().map(str::trim).unwrap_or_default().to_owned();
            Error { api: Some((status.into(), 0)), ..Error::new(Kind::JsResponse, text) }
        }
    })
}

/// What is made of the messages that come.
pub trait Form: Clone + Send + 'static {
    type Item: Send;

    /// From the message itself, with the headers that the server adds.
    fn of_reply(&self, reply: &Message) -> Result<Self::Item>;

    /// From one that had to be asked for as JSON.
    fn of_stored(&self, stored: StoredMessage) -> Result<Self::Item>;

    fn seq(item: &Self::Item) -> u64;
}

/// Messages as they are stored.
#[derive(Clone)]
pub struct AsStored;

impl Form for AsStored {
    type Item = StoredMessage;

    fn of_reply(&self, reply: &Message) -> Result<StoredMessage> {
        message(reply, &[PENDING, PREVIOUS])
    }

    fn of_stored(&self, stored: StoredMessage) -> Result<StoredMessage> {
        Ok(stored)
    }

    fn seq(item: &StoredMessage) -> u64 {
        item.seq
    }
}

/// One of several replies.
pub enum Part<T> {
    Message(T),
    /// The last one: how many messages are left behind it, and the end of the snapshot that they are
    /// part of.
    End {
        pending: u64,
        up_to: Option<u64>,
    },
    /// There is no message, or one of them `vanished` before it was its turn.
    Nothing {
        vanished: bool,
    },
}

/// Reads one of several replies.
pub fn part<F: Form>(form: &F, subject: &str, result: RequestResult) -> Result<Part<F::Item>> {
    let reply = received(subject, result)?;
    // What has no status must be one.
    if reply.status().is_none() || is_message(&reply) {
        if reply.header(PENDING).is_none() && is_message(&reply) {
            return Err(schema::too_old("a batch of messages", (2, 11, 0)));
        }
        return form.of_reply(&reply).map(Part::Message);
    }
    let number = |name| reply.header(name).and_then(|text| text.trim().parse().ok());
    match reply.status() {
        Some(204) => {
            let pending = number(PENDING)
                .ok_or_else(|| malformed(format!("End of a batch without {PENDING}")))?;
            Ok(Part::End { pending, up_to: number(UP_TO) })
        }
        Some(404) => {
            let vanished = reply.description().map(str::trim) == Some("Message Not Found");
            Ok(Part::Nothing { vanished })
        }
        _ => Err(refusal(&reply)
            .unwrap_or_else(|| malformed(format!("Direct get reply without {SEQUENCE}")))),
    }
}

/// Reads a message. Its publisher may have written headers of these names, and of those that the server
/// has added `more` of: the server's are the last ones.
fn message(reply: &Message, more: &[&str]) -> Result<StoredMessage> {
    let [mut subject, mut seq, mut time] = [None, None, None];
    let mut headers = Vec::new();
    for (name, values) in reply.headers() {
        let mut other = None;
        let of_server = match name {
            SUBJECT => Some(&mut subject),
            SEQUENCE => Some(&mut seq),
            TIME => Some(&mut time),
            _ => (name == STREAM || more.contains(&name)).then_some(&mut other),
        };
        let mut values = values.map(str::trim);
        if let Some(place) = of_server {
            *place = values.next_back();
        }
        headers.extend(values.map(|value| (name.trim(), value)));
    }
    // The engine forgets their order. The sort keeps that of the values of a name.
    headers.sort_by_key(|(name, _)| *name);
    Ok(StoredMessage {
        subject: needed(subject, SUBJECT)?.to_owned(),
        seq: sequence(needed(seq, SEQUENCE)?)?,
        time: needed(time, TIME)?.to_owned(),
        data: reply.payload().to_vec(),
        headers: headers.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
    })
}

/// The number of a message.
///
/// # Errors
/// `ErrProtocol`.
pub fn sequence(text: &str) -> Result<u64> {
    let invalid = || malformed(format!("Invalid sequence in direct get reply: {text}"));
    text.parse().map_err(|_| invalid())
}

/// What a message from a stream must have.
pub fn needed<'a>(value: Option<&'a str>, name: &str) -> Result<&'a str> {
    value.ok_or_else(|| malformed(format!("Direct get reply without {name}")))
}

fn malformed(text: String) -> Error {
    Error::new(Kind::Protocol, text)
}
