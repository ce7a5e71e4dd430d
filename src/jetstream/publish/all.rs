//! `publish_all`: many messages, pipelined within the window. The work is done on the runtime
//! thread; the program waits once.

use super::ack::{self, Ack};
use super::window::{End, Slot, Window};
use super::{error_dict, warn_of_reply};
use crate::connection::MessageArgs;
use crate::error::{Error, Kind, Result as Outcome};
use crate::error_code::error_code;
use crate::jetstream::context::JetStream;
use crate::lock::lock;
use crate::options::{self, Type};
use crate::tcl::call::ANY;
use crate::tcl::{Call, List, Method, Obj, Result, Return};
use crate::transport::{Link, Outgoing, RequestId, RequestResult, Subject};
use serde_json::Value;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

/// So many are under way at most, whatever the window: a server refuses what waits for a stream beyond
/// 10 000 messages, or drops it.
const MOST: usize = 4096;
/// When so few are left, the next ones are sent.
const FEW: usize = MOST / 2;
/// After so many messages others have their turn on the thread.
const BREATH: usize = 128;

/// An acknowledgement, kept without what all of them have in common.
enum Kept {
    Plain { stream: Arc<str>, seq: u64 },
    Whole(Value),
}

/// What has come until now.
#[derive(Default)]
struct Answers {
    /// By the position of the message.
    all: Vec<Option<Outcome<Kept>>>,
    missing: usize,
    failed: bool,
    last_stream: Option<Arc<str>>,
}

impl Answers {
    fn keep(&mut self, ack: Ack<'_>) -> Kept {
        let (stream, seq) = match ack {
            Ack::Plain { stream, seq } => (stream, seq),
            Ack::Whole(value) => return Kept::Whole(value),
        };
        let last = self.last_stream.take().filter(|last| **last == *stream);
        let stream = last.unwrap_or_else(|| stream.into());
        self.last_stream = Some(stream.clone());
        Kept::Plain { stream, seq }
    }

    /// Takes over what became of a message, and says how its publish ended.
    fn come(&mut self, at: usize, subject: &Subject, reply: RequestResult) -> End {
        let answer = ack::with_body(subject, reply, |body| Ok(self.keep(ack::read(body)?)));
        let end = match &answer {
            Ok(_) => End::Acknowledged,
            Err(error) if error.kind == Kind::Timeout => End::TimedOut,
            Err(_) => End::Failed,
        };
        self.settle(at, answer);
        end
    }

    fn settle(&mut self, at: usize, answer: Outcome<Kept>) {
        self.missing -= 1;
        self.failed |= answer.is_err();
        if let Some(place) = self.all.get_mut(at) {
            *place = Some(answer);
        }
    }
}

/// Publishes that are under way; those that are dropped are cancelled.
struct Run {
    link: Link,
    answers: Arc<(Mutex<Answers>, Notify)>,
    sent: Vec<RequestId>,
}

impl Run {
    fn send(&mut self, out: Outgoing, timeout: Option<Duration>, slot: Slot) {
        let (answers, subject) = (self.answers.clone(), out.subject.clone());
        let mut state = lock(&answers.0);
        let at = state.all.len();
        state.all.push(None);
        state.missing += 1;
        drop(state);
        let told = answers.clone();
        let sent = self.link.request(out, timeout, move |reply| {
            let mut state = lock(&told.0);
            let end = state.come(at, &subject, reply);
            let turn = matches!(state.missing, 0 | FEW);
            drop(state);
            slot.settle(end);
            if turn {
                told.1.notify_one();
            }
        });
        match sent {
            Ok(id) => self.sent.push(id),
            Err(error) => lock(&answers.0).settle(at, Err(error)),
        }
    }

    fn failed(&self) -> bool {
        lock(&self.answers.0).failed
    }

    /// Waits until there are not too many under way.
    async fn room(&self) {
        if lock(&self.answers.0).missing < MOST {
            return;
        }
        while lock(&self.answers.0).missing > FEW {
            self.answers.1.notified().await;
        }
    }

    /// What has come, if nothing is missing.
    fn complete(&self) -> Option<Vec<Outcome<Kept>>> {
        let mut state = lock(&self.answers.0);
        let all = (state.missing == 0).then(|| std::mem::take(&mut state.all))?;
        Some(all.into_iter().flatten().collect())
    }

    /// Waits until all that were sent are answered.
    async fn finish(self) -> Vec<Outcome<Kept>> {
        loop {
            if let Some(all) = self.complete() {
                return all;
            }
            self.answers.1.notified().await;
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if lock(&self.answers.0).missing > 0 {
            for id in &self.sent {
                self.link.cancel(*id);
            }
        }
    }
}

async fn all(
    link: Link,
    window: Arc<Window>,
    messages: Vec<Outgoing>,
    timeout: Option<Duration>,
    stop: bool,
) -> Outcome<Vec<Outcome<Kept>>> {
    let mut run = Run { link, answers: Arc::default(), sent: Vec::with_capacity(messages.len()) };
    for (at, out) in messages.into_iter().enumerate() {
        run.room().await;
        let slot = window.place().await;
        if stop && run.failed() {
            break;
        }
        run.send(out, timeout, slot);
        if at % BREATH == 0 {
            tokio::task::yield_now().await;
        }
    }
    Ok(run.finish().await)
}

fn publish_all(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<JetStream>()?;
    let interp = call.interp;
    const OPTIONS: &[options::Spec] = &[("stop_on_error", Type::Bool), ("timeout", Type::Timeout)];
    let given = options::parse(interp, OPTIONS, &call.args()[1..])?;
    let timeout = given.time_limit("timeout", this.timeout().unwrap_or_default());
    let dicts = call.arg(0)?.elements(interp)?;
    let (connection, format) = (&this.connection, this.connection.format());
    connection.check_open()?;
    let mut messages = Vec::with_capacity(dicts.len());
    let mut warned = false;
    for dict in &dicts {
        let fields = format.fields(interp, dict)?;
        if !warned {
            warn_of_reply(connection, "publish_all", &fields.reply);
            warned = !fields.reply.is_empty();
        }
        let mut args = MessageArgs::new(&fields.subject, &fields.data);
        args.header = Some(fields.header.clone());
        // The window bounds how many of them wait to be sent.
        messages.push(Outgoing { refusable: false, ..connection.outgoing(interp, args)? });
    }
    if messages.is_empty() {
        return Ok(Return::Empty);
    }
    let (window, publishing) = (this.publishing.window.clone(), this.publishing.clone());
    let stop = given.flag("stop_on_error");
    this.run(
        interp,
        |api| all(api.link, window, messages, timeout, stop),
        move |_, answers| {
            let mut list = List::new();
            for answer in answers? {
                list.push(&match answer {
                    Ok(Kept::Plain { stream, seq }) => {
                        publishing.words.dict(Ack::Plain { stream: &stream, seq })
                    }
                    Ok(Kept::Whole(value)) => publishing.words.dict(Ack::Whole(value)),
                    Err(error) => failure(&error),
                });
            }
            Ok(list.into())
        },
    )
}

/// What is in the place of an acknowledgement.
fn failure(error: &Error) -> Obj {
    let mut dict = error_dict(error);
    dict.put("errorCode", &error_code(error));
    dict.into()
}

pub const METHODS: &[Method] = &[Method {
    name: "publish_all",
    usage: "messages ?arg ...?",
    min: 1,
    max: ANY,
    body: publish_all,
}];
