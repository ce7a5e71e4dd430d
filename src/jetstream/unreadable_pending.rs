//! Messages that the engine cannot read, of consumers whose messages are acknowledged.
//!
//! Such a message costs the connection each time that it is delivered, which is again and again: as
//! long as nobody has acknowledged it. Nothing tells which message it was. So whoever has asked a
//! consumer for messages while the connection was lost looks for it: among those that the consumer
//! has delivered and that are not acknowledged, as JSON; among a few the first time, which may be
//! bad luck, and among many if it happens again. It is given to the program, once, with a subject by
//! which it can be acknowledged, made from what the consumer says of itself; servers look for nothing
//! but the sequence in the stream there.
//!
//! How to use it, for each consumer that is pulled from:
//!
//! 1. On each new connection of the link, if messages were asked for when the last one was lost,
//!    [`Losses::connection_lost`], and with what comes out [`find`] (a future for the runtime of the
//!    link; one at a time is enough).
//! 2. [`Losses::deliverable`] says which of those found are to be delivered;
//!    [`Losses::delivered`] is told of each that was. Keep the `Losses` for as long as this program
//!    may ask the consumer again, or it delivers twice.
//! 3. If [`find`] fails, [`suspicion`] says whether the program has to hear of it; other errors pass, and
//!    the next loss asks again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::api::{Api, Op};
use super::delivery::StoredDelivery;
use super::stored::StoredMessage;
use crate::error::{Error, Kind, Result};
use crate::rfc3339;
use crate::transport::is_readable;

/// How many messages are looked at after one loss, and after several.
const FEW: usize = 64;
const MOST: usize = 4096;

/// What is known of the losses beside one consumer.
#[derive(Default)]
pub struct Losses {
    count: u32,
    /// Unreadable messages that were delivered from here, and when.
    delivered: HashMap<u64, Instant>,
}

/// What a consumer has delivered, and nobody can read.
pub struct Found {
    messages: Vec<StoredDelivery>,
    /// After which time the consumer delivers again what is not acknowledged.
    ack_wait: Duration,
}

impl Losses {
    /// A connection was lost while this consumer was asked, and there is another one. How often that
    /// has happened since something was found.
    pub fn connection_lost(&mut self) -> u32 {
        self.count += 1;
        self.count
    }

    /// Which of them the program is to have now. One that it has had comes again only when the consumer
    /// would deliver it again, too, and if there is no other that may have cost the connection.
    pub fn deliverable(&mut self, found: Found, now: Instant) -> Vec<StoredDelivery> {
        let Found { messages, ack_wait } = found;
        if !messages.is_empty() {
            self.count = 0;
        }
        self.delivered.retain(|seq, _| messages.iter().any(|found| found.message.seq == *seq));
        let is_new = |found: &StoredDelivery| !self.delivered.contains_key(&found.message.seq);
        let any_new = messages.iter().any(is_new);
        let due = |found: &StoredDelivery| match self.delivered.get(&found.message.seq) {
            None => true,
            Some(at) => !any_new && now.saturating_duration_since(*at) >= ack_wait,
        };
        messages.into_iter().filter(due).collect()
    }

    /// The program has got the message of this sequence.
    pub fn delivered(&mut self, seq: u64, now: Instant) {
        self.delivered.insert(seq, now);
    }
}

/// What a program is told that may not look, if that is so: a single loss may have been bad luck, but if
/// it was a message, there is no end.
pub fn suspicion(stream: &str, consumer: &str, losses: u32, error: &Error) -> Option<Error> {
    (error.kind == Kind::Permissions && losses > 1).then(|| {
        let text = format!(
            "The connection was lost {losses} times while consumer {consumer} of stream {stream} was \
             asked, perhaps for a message that cannot be read: {error}"
        );
        Error::new(error.kind, text)
    })
}

/// Looks for messages that the consumer waits to be acknowledged and that cannot be read. `losses`
/// goes into their subjects as the number of deliveries.
pub async fn find(api: Api, stream: String, consumer: String, losses: u32) -> Result<Found> {
    let info = api.call(Op::ConsumerInfo { stream: &stream, consumer: &consumer }, "").await?;
    let number = |path: &str| info.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    let ack_wait = Duration::from_nanos(number("/config/ack_wait"));
    let mut messages = Vec::new();
    if number("/num_ack_pending") == 0 {
        return Ok(Found { messages, ack_wait });
    }
    let (floor, last) = (number("/ack_floor/stream_seq"), number("/delivered/stream_seq"));
    let (mut looked, most) = (0, if losses > 1 { MOST } else { FEW });
    for filter in filters(&info) {
        let mut seq = floor + 1;
        while seq <= last && looked < most {
            looked += 1;
            let body = json!({"seq": seq, "next_by_subj": filter}).to_string();
            let reply = match api.call(Op::MessageGet(&stream), body).await {
                Ok(reply) => reply,
                Err(error) if error.kind == Kind::MsgNotFound => break,
                Err(error) => return Err(error),
            };
            let message = StoredMessage::from_reply(&reply)?;
            if message.seq < seq || message.seq > last {
                break;
            }
            seq = message.seq + 1;
            if !can_be_read(&message, &reply) {
                let written = rfc3339::nanoseconds(&message.time).unwrap_or(0);
                let reply = format!(
                    "$JS.ACK.{stream}.{consumer}.{losses}.{}.{}.{written}.{}",
                    message.seq,
                    number("/delivered/consumer_seq"),
                    number("/num_pending")
                );
                messages.push(StoredDelivery { message, reply });
            }
        }
    }
    Ok(Found { messages, ack_wait })
}

/// What the consumer has of its stream.
fn filters(info: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    if let Some(filter) = info.pointer("/config/filter_subject").and_then(text) {
        return vec![filter];
    }
    let several = info.pointer("/config/filter_subjects").and_then(Value::as_array);
    let several: Vec<String> = several.into_iter().flatten().filter_map(text).collect();
    if several.is_empty() { vec![">".to_owned()] } else { several }
}

/// JSON has a sign of its own for what is no UTF-8.
fn can_be_read(message: &StoredMessage, reply: &Value) -> bool {
    let block = reply.pointer("/message/hdrs").and_then(Value::as_str);
    let readable = |block: &str| STANDARD.decode(block).is_ok_and(|block| is_readable(&block));
    !message.subject.contains('\u{fffd}') && block.is_none_or(readable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(sequences: &[u64]) -> Found {
        let message = |seq: &u64| StoredDelivery {
            message: StoredMessage {
                subject: "s".into(),
                seq: *seq,
                time: String::new(),
                data: Vec::new(),
                headers: Vec::new(),
            },
            reply: String::new(),
        };
        let messages = sequences.iter().map(message).collect();
        Found { messages, ack_wait: Duration::from_secs(30) }
    }

    fn sequences(messages: &[StoredDelivery]) -> Vec<u64> {
        messages.iter().map(|found| found.message.seq).collect()
    }

    #[test]
    fn losses_are_counted_until_something_is_found() {
        let (mut losses, now) = (Losses::default(), Instant::now());
        assert_eq!((losses.connection_lost(), losses.connection_lost()), (1, 2));
        assert!(losses.deliverable(found(&[]), now).is_empty());
        assert_eq!(losses.connection_lost(), 3);
        assert_eq!(losses.deliverable(found(&[7]), now).len(), 1);
        assert_eq!(losses.connection_lost(), 1);
    }

    #[test]
    fn each_is_delivered_once_and_again_when_it_is_due() {
        let (mut losses, now) = (Losses::default(), Instant::now());
        assert_eq!(sequences(&losses.deliverable(found(&[3, 5]), now)), [3, 5]);
        losses.delivered(3, now);
        assert_eq!(sequences(&losses.deliverable(found(&[3, 5]), now)), [5]);
        losses.delivered(5, now);
        let later = now + Duration::from_secs(31);
        assert!(losses.deliverable(found(&[3, 5]), now).is_empty());
        assert_eq!(sequences(&losses.deliverable(found(&[3, 5, 9]), later)), [9]);
        assert_eq!(sequences(&losses.deliverable(found(&[3, 5]), later)), [3, 5]);
        assert!(losses.deliverable(found(&[5]), now).is_empty());
        assert_eq!(sequences(&losses.deliverable(found(&[3]), now)), [3], "it was acknowledged");
    }

    #[test]
    fn what_cannot_be_read() {
        let message = |subject: &str, block: Option<&[u8]>| {
            let mut message = json!({"subject": subject, "seq": 1, "time": "t"});
            if let Some(block) = block {
                message["hdrs"] = STANDARD.encode(block).into();
            }
            let reply = json!({ "message": message });
            can_be_read(&StoredMessage::from_reply(&reply).expect("a message"), &reply)
        };
        assert!(message("a", None) && message("gr\u{fc}n", Some(b"NATS/1.0\r\nA: b\r\n\r\n")));
        assert!(
            !message("a\u{fffd}", None) && !message("a", Some(b"NATS/1.0\r\nno colon\r\n\r\n"))
        );
    }

    #[test]
    fn filters_of_consumers() {
        assert_eq!(filters(&json!({"config": {}})), [">"]);
        assert_eq!(filters(&json!({"config": {"filter_subject": "a.*"}})), ["a.*"]);
        assert_eq!(filters(&json!({"config": {"filter_subjects": ["a", "b"]}})), ["a", "b"]);
    }
}
