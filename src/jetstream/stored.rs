//! A message out of a `STREAM.MSG.GET` reply: base64 inside JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::error::{Error, Kind, Result};

/// A stored message. `headers` are in the order of the publisher, repeated names included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    pub subject: String,
    pub seq: u64,
    pub time: String,
    pub data: Vec<u8>,
    pub headers: Vec<(String, String)>,
}

impl StoredMessage {
    /// Reads the reply of `STREAM.MSG.GET`, whose errors have been mapped before.
    pub fn from_reply(reply: &Value) -> Result<Self> {
        let malformed = |what: &str| {
            Error::new(Kind::Protocol, format!("Stored message without a valid {what}"))
        };
        let message = reply.get("message").ok_or_else(|| malformed("body"))?;
        let text = |name: &str| message.get(name).and_then(Value::as_str);
        let decode = |name: &str| match text(name) {
            Some(encoded) => STANDARD.decode(encoded).map_err(|_| malformed(name)),
            None => Ok(Vec::new()),
        };
        Ok(StoredMessage {
            subject: text("subject").ok_or_else(|| malformed("subject"))?.to_owned(),
            seq: message.get("seq").and_then(Value::as_u64).ok_or_else(|| malformed("seq"))?,
            time: text("time").ok_or_else(|| malformed("time"))?.to_owned(),
            data: decode("data")?,
            headers: header_fields(&decode("hdrs")?),
        })
    }

    /// About how many bytes it has.
    pub fn size(&self) -> usize {
        let fields = self.headers.iter().map(|(name, value)| name.len() + value.len());
        self.subject.len() + self.data.len() + fields.sum::<usize>()
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The fields of a raw header block `NATS/1.0…CRLF name: value CRLF … CRLF`. What is no field is
/// skipped: the message was accepted by the server, so it must stay readable.
fn header_fields(block: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(block);
    text.split("\r\n")
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_message_with_headers() {
        let block = STANDARD.encode("NATS/1.0\r\nKV-Operation: DEL\r\nA:1\r\nA: 2:3 \r\n\r\n");
        let reply = json!({"message": {
            "subject": "$KV.B.k", "seq": 7, "hdrs": block, "data": "AP8=",
            "time": "2026-11-22T17:04:03.018876992Z"}});
        let stored = StoredMessage::from_reply(&reply).expect("a message");
        assert_eq!((stored.subject.as_str(), stored.seq), ("$KV.B.k", 7));
        assert_eq!(stored.data, [0, 255]);
        assert_eq!(stored.header("KV-Operation"), Some("DEL"));
        assert_eq!(stored.headers[2], ("A".to_owned(), "2:3".to_owned()));
        assert_eq!(stored.header("kv-operation"), None);
    }

    #[test]
    fn missing_data_is_empty_and_nonsense_an_error() {
        let reply = json!({"message": {"subject": "s", "seq": 1, "time": "t"}});
        let stored = StoredMessage::from_reply(&reply).expect("a message");
        assert!(stored.data.is_empty() && stored.headers.is_empty());
        for reply in [
            json!({}),
            json!({"message": {"seq": 1, "time": "t"}}),
            json!({"message": {"subject": "s", "seq": -1, "time": "t"}}),
            json!({"message": {"subject": "s", "seq": 1, "time": "t", "data": "%"}}),
        ] {
            assert_eq!(
                StoredMessage::from_reply(&reply).expect_err("an error").kind,
                Kind::Protocol
            );
        }
    }
}
