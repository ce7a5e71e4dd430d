//! A page: one direct get with many replies. They come without flow control, so a page is bounded, and
//! many of them are one answer.

use super::direct::{self, Form, Part};
use crate::error::{Error, Kind, Result};
use crate::jetstream::api::{Api, Op};
use crate::lock::lock;
use crate::transport::{ConnState, Link, RequestId, RequestResult};
use std::future::pending;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::sync::{oneshot, watch};

/// What a page has at most, in bytes, if the program does not say otherwise. A server keeps no more than
/// some times that for a client before it drops it.
pub const BYTES: u64 = 8 << 20;

/// How a page has ended.
pub enum End {
    /// With so many messages left, in a snapshot that ends there.
    Whole { pending: u64, up_to: Option<u64> },
    /// There was nothing.
    Nothing,
    /// A message that was to come has gone meanwhile, and with it the rest of the page.
    Torn,
    /// The connection was lost before the end. What has come is what was asked for first.
    Interrupted,
}

/// How often, within the timeout, it is looked whether something has come: to ask the clock at each message
/// would take longer than to read it.
const LOOKS: u32 = 8;

type Arrived<T> = Mutex<Vec<T>>;

/// Asks for a page, and adds what comes to the messages. The timeout is that of silence.
pub async fn page<F: Form>(
    form: &F,
    api: &Api,
    stream: &str,
    question: String,
    messages: &mut Vec<F::Item>,
) -> Result<End> {
    let before = messages.len();
    let taken = std::mem::take(messages);
    let arrived = Arc::new(Mutex::new(taken));
    let end = ask(form, api, stream, question, &arrived).await;
    *messages = std::mem::take(&mut lock(&arrived));
    match end {
        // It could go on for ever.
        Ok(End::Whole { pending: 1.., .. }) if messages.len() == before => {
            Err(Error::new(Kind::Protocol, "A batch without a message that is not the last one"))
        }
        Ok(End::Nothing) if messages.len() > before => Ok(End::Torn),
        end => end,
    }
}

async fn ask<F: Form>(
    form: &F,
    api: &Api,
    stream: &str,
    question: String,
    arrived: &Arc<Arrived<F::Item>>,
) -> Result<End> {
    let (subject, out) = api.outgoing(Op::DirectGet(stream), question.into())?;
    let mut state = api.link.connected();
    let asked_over = number(&state);
    let (tell, mut told) = oneshot::channel();
    let (mut tell, to, about) = (Some(tell), arrived.clone(), subject.clone());
    let form = form.clone();
    let asked = api.link.request_many(out, None, move |result| {
        let Some(end) = take(&form, &about, result, &to) else { return ControlFlow::Continue(()) };
        // Nobody may wait for it any more.
        let _ = tell.take().map(|tell| tell.send(end));
        ControlFlow::Break(())
    })?;
    let _asked = Asked(&api.link, asked);
    let (mut count, mut heard) = (lock(arrived).len(), Instant::now());
    loop {
        let look = async {
            match api.timeout {
                Some(timeout) => tokio::time::sleep(timeout / LOOKS).await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            end = &mut told => return end.unwrap_or_else(|_| Err(Error::connection_closed())),
            () = another(&mut state, asked_over) => return Ok(End::Interrupted),
            () = look => {
                let now = lock(arrived).len();
                if std::mem::replace(&mut count, now) != now {
                    heard = Instant::now();
                } else if api.timeout.is_some_and(|timeout| heard.elapsed() >= timeout) {
                    let text = format!("Request to {subject} timed out");
                    return Err(Error::new(Kind::Timeout, text));
                }
            }
        }
    }
}

/// Takes one reply; what comes out is the end.
fn take<F: Form>(
    form: &F,
    subject: &str,
    result: RequestResult,
    arrived: &Arrived<F::Item>,
) -> Option<Result<End>> {
    match direct::part(form, subject, result) {
        Ok(Part::Message(message)) => {
            lock(arrived).push(message);
            None
        }
        Ok(Part::End { pending, up_to }) => Some(Ok(End::Whole { pending, up_to })),
        Ok(Part::Nothing { vanished }) => Some(Ok(match vanished {
            true => End::Torn,
            false => End::Nothing,
        })),
        Err(error) => Some(Err(error)),
    }
}

/// The number of the connection, if there is one.
fn number(state: &watch::Receiver<ConnState>) -> Option<u64> {
    match *state.borrow() {
        ConnState::Connected(number) => Some(number),
        _ => None,
    }
}

/// Waits for another connection than that over which something was asked: the first one, if it was asked
/// without a connection.
async fn another(state: &mut watch::Receiver<ConnState>, mut asked_over: Option<u64>) {
    loop {
        match (asked_over, number(state)) {
            (Some(asked), Some(now)) if asked != now => return,
            (None, now) => asked_over = now,
            _ => {}
        }
        if state.changed().await.is_err() {
            // The end of the link ends the request.
            pending().await
        }
    }
}

/// Nobody waits for the replies any more when this is dropped.
struct Asked<'a>(&'a Link, RequestId);

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.0.cancel(self.1);
    }
}
