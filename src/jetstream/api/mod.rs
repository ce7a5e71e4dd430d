//! Requests to the JetStream API.

pub mod reply;

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::error::{Error, Kind, Result};
use crate::transport::{Link, Message, Outgoing, RequestError, RequestId};

/// What a trace is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Request,
    Reply,
}

/// Is shown the subject of each request with its body, and then with the body of the reply. Replies
/// come on the runtime thread.
pub type Trace = Arc<dyn Fn(Direction, &str, &[u8]) + Send + Sync>;

/// How often a list of subjects is begun again because some of them have vanished meanwhile.
const SUBJECT_ROUNDS: u32 = 3;

/// The JetStream API of one domain, reached through one connection.
#[derive(Clone)]
pub struct Api {
    pub link: Link,
    /// `$JS.API`, or that of another domain or account.
    pub prefix: String,
    /// Of every request; `None` is no limit.
    pub timeout: Option<Duration>,
    pub trace: Option<Trace>,
}

impl Api {
    /// The subject of an operation such as `STREAM.INFO.S`.
    pub fn subject(&self, op: &str) -> String {
        format!("{}.{op}", self.prefix)
    }

    /// Sends a request, and resolves to the reply with the order of its keys kept. The request is
    /// on its way when this returns; dropping the future cancels it.
    pub fn call(
        &self,
        op: &str,
        body: impl Into<Vec<u8>>,
    ) -> impl Future<Output = Result<Value>> + Send + 'static {
        let (subject, out) = self.outgoing(op, body.into());
        let reply = self.link.ask(out, self.timeout);
        let trace = self.trace.clone();
        async move { read(&subject, trace.as_ref(), reply.await) }
    }

    /// The same with a timeout of its own, and with a callback, which runs on the runtime thread.
    ///
    /// # Errors
    /// When nothing was sent; `done` is then never called.
    pub fn request(
        &self,
        op: &str,
        body: impl Into<Vec<u8>>,
        timeout: Option<Duration>,
        done: impl FnOnce(Result<Value>) + Send + 'static,
    ) -> Result<RequestId> {
        let (subject, out) = self.outgoing(op, body.into());
        let trace = self.trace.clone();
        self.link.request(out, timeout, move |reply| done(read(&subject, trace.as_ref(), reply)))
    }

    /// All names of streams, optionally of those that take a subject.
    pub async fn stream_names(&self, subject: Option<&str>) -> Result<Vec<Value>> {
        let mut fields = Map::new();
        if let Some(subject) = subject {
            fields.insert("subject".to_owned(), subject.into());
        }
        self.all_pages("STREAM.NAMES", "streams", fields).await
    }

    /// The list under `key`, from as many pages as there are.
    pub async fn all_pages(
        &self,
        op: &str,
        key: &str,
        mut fields: Map<String, Value>,
    ) -> Result<Vec<Value>> {
        let mut all = Vec::new();
        loop {
            // The first page is asked for as nats-tcl does, without an offset.
            if !all.is_empty() {
                fields.insert("offset".to_owned(), all.len().into());
            }
            let body = if fields.is_empty() { Vec::new() } else { to_body(&fields) };
            let mut page = self.call(op, body).await?;
            let total = page.get("total").and_then(Value::as_u64).unwrap_or(0);
            // Without any element the list is null.
            let Some(Value::Array(mut items)) = page.get_mut(key).map(Value::take) else { break };
            let empty = items.is_empty();
            all.append(&mut items);
            if empty || u64::try_from(all.len()).is_ok_and(|len| len >= total) {
                break;
            }
        }
        Ok(all)
    }

    /// The subjects of a stream's messages that match a filter, from as many pages as there are.
    /// `op` is that of the stream's info.
    ///
    /// # Errors
    /// Those of the request; `ErrTimeout` if subjects vanish all the time while pages are read.
    pub async fn subjects(&self, op: &str, filter: &str) -> Result<HashSet<String>> {
        'again: for _ in 0..SUBJECT_ROUNDS {
            let mut all = HashSet::new();
            let (mut offset, mut steady) = (0, None);
            loop {
                let body = json!({"subjects_filter": filter, "offset": offset}).to_string();
                let mut info = self.call(op, body).await?;
                let total = info.get("total").and_then(Value::as_u64).unwrap_or(0);
                let Some(state) = info.get_mut("state") else { break };
                // What vanishes between two pages moves others from the second to the first.
                let first_seq = state.get("first_seq").and_then(Value::as_u64);
                let (least, since) = *steady.get_or_insert((total, first_seq));
                if total < least || first_seq != since {
                    continue 'again;
                }
                // Without any the field is missing.
                let Some(Value::Object(page)) = state.get_mut("subjects").map(Value::take) else {
                    break;
                };
                offset += page.len() as u64;
                let empty = page.is_empty();
                all.extend(page.into_iter().map(|(subject, _)| subject));
                if empty || offset >= total {
                    break;
                }
            }
            return Ok(all);
        }
        Err(Error::new(Kind::Timeout, "Subjects vanish faster than they can be listed"))
    }

    fn outgoing(&self, op: &str, body: Vec<u8>) -> (String, Outgoing) {
        let subject = self.subject(op);
        if let Some(trace) = &self.trace {
            trace(Direction::Request, &subject, &body);
        }
        (subject.clone(), Outgoing::new(subject, body))
    }
}

fn to_body(fields: &Map<String, Value>) -> Vec<u8> {
    // Serialising strings and numbers to memory cannot fail.
    serde_json::to_vec(fields).unwrap_or_default()
}

fn read(
    subject: &str,
    trace: Option<&Trace>,
    reply: std::result::Result<Message, RequestError>,
) -> Result<Value> {
    let message = reply.map_err(|error| request_error(subject, error))?;
    if let Some(trace) = trace {
        trace(Direction::Reply, subject, message.payload());
    }
    reply::parse(message.payload())
}

/// What a failed API request means to the user.
pub fn request_error(subject: &str, error: RequestError) -> Error {
    match error {
        RequestError::NoResponders(_) => {
            Error::new(Kind::JetStreamNotEnabled, "JetStream is not enabled in the server")
        }
        error => error.into_error(format!("Request to {subject} timed out")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_requests() {
        for (error, kind, text) in [
            (RequestError::Timeout, Kind::Timeout, "Request to $JS.API.X timed out"),
            (RequestError::Closed, Kind::ConnectionClosed, "Connection closed"),
            (RequestError::Lost, Kind::Timeout, "Connection lost"),
        ] {
            let error = request_error("$JS.API.X", error);
            assert_eq!((error.kind, &*error.message), (kind, text));
        }
    }
}
