//! `nats::publish_batch`: the object and its commands.

use super::atomic::Atomic;
use super::fast::{Fast, FastSettings, News};
use crate::bridge::{self, LanePlace, Receiver, Rest};
use crate::connection::MessageArgs;
use crate::connection::log::Level;
use crate::error::Error;
use crate::jetstream::context::JetStream;
use crate::jetstream::publish::options::{HEADER_OPTIONS, headers};
use crate::jetstream::publish::{error_dict, warn_of_reply};
use crate::json;
use crate::options::{self, Type};
use crate::schema::{Version, too_old};
use crate::tcl::call::ANY;
use crate::tcl::{
    Call, Dict, Interp, InterpHandle, Method, Native, Obj, ObjectHandle, Result, Return, oo,
};
use crate::transport::Outgoing;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

const CLASS: &str = "::nats::publish_batch";
const ATOMIC: Version = (2, 12, 0);
/// A commit that stores no message.
const BARE_COMMIT: Version = (2, 14, 0);
const FAST: Version = (2, 14, 0);

pub struct PublishBatch {
    interp_handle: InterpHandle,
    handle: ObjectHandle,
    js: Rc<JetStream>,
    /// The stream that all messages must come to.
    stream: Option<String>,
    mode: Mode,
}

enum Mode {
    Atomic(Rc<Atomic>),
    Fast(FastBatch),
}

struct FastBatch {
    settings: FastSettings,
    callback: Vec<Obj>,
    /// Once there is a message.
    fast: RefCell<Option<Rc<Fast>>>,
    news: RefCell<Option<Receiver<News>>>,
    over: Cell<bool>,
    /// How many messages there were, once it is over.
    count: Cell<u64>,
    lane: LanePlace<News>,
}

impl Native for PublishBatch {
    fn gone(&self) {
        self.close();
        self.js.release(&self.handle);
    }
}

/// `$js publish_batch ?options?`
fn create(call: &Call<'_>) -> Result<Return> {
    let js = call.data::<JetStream>()?;
    const OPTIONS: &[options::Spec] = &[
        ("mode", Type::Enum(&["atomic", "fast"])),
        ("stream", Type::ValidStr),
        ("flow", Type::PosInt),
        ("gap", Type::Enum(&["fail", "ok"])),
        ("callback", Type::ValidStr),
    ];
    const FLOW: i64 = 1000;
    /// What the server can count.
    const MOST_FLOW: i64 = 65535;
    let given = options::parse(call.interp, OPTIONS, call.args())?;
    let is_fast = given.string("mode").is_some_and(|mode| mode == "fast");
    for option in ["flow", "gap", "callback"] {
        if !is_fast && given.get(option).is_some() {
            return Err(Error::invalid(format!("-{option} requires -mode fast")).into());
        }
    }
    if let Some(flow) =
        given.get("flow").filter(|_| !(1..=MOST_FLOW).contains(&given.int("flow").unwrap_or(FLOW)))
    {
        return Err(options::refused("flow", Type::PosInt, flow).into());
    }
    let callback = given.get("callback").map(|prefix| prefix.elements(call.interp));
    check_server(&js, is_fast)?;
    let mode = match is_fast {
        false => Mode::Atomic(Rc::new(Atomic::new())),
        true => Mode::Fast(FastBatch {
            settings: FastSettings {
                flow: given.int("flow").unwrap_or(FLOW).unsigned_abs(),
                strict: given.string("gap").is_none_or(|gap| gap == "fail"),
                patience: js.timeout(),
            },
            callback: callback.transpose()?.unwrap_or_default(),
            fast: RefCell::default(),
            news: RefCell::default(),
            over: Cell::new(false),
            count: Cell::new(0),
            lane: LanePlace::new(),
        }),
    };
    let stream = given.string("stream");
    let interp_handle = call.interp.handle();
    let batch = oo::instantiate(call.interp, CLASS, |handle| {
        Rc::new(PublishBatch { interp_handle, handle, js, stream, mode })
    })?;
    batch.js.adopt(call.interp, &batch.handle)?;
    Ok(batch.handle.command(call.interp).into())
}

fn check_server(js: &JetStream, is_fast: bool) -> crate::error::Result<()> {
    let (what, since) = if is_fast { ("a fast batch", FAST) } else { ("an atomic batch", ATOMIC) };
    if js.serves(since) { Ok(()) } else { Err(too_old(what, since)) }
}

impl PublishBatch {
    fn check_open(&self) -> crate::error::Result<()> {
        check_server(&self.js, matches!(self.mode, Mode::Fast(_)))?;
        match &self.mode {
            Mode::Atomic(atomic) => atomic.check_open(),
            Mode::Fast(fast) if fast.over.get() => Err(Error::invalid("The batch is over")),
            Mode::Fast(_) => Ok(()),
        }
    }

    fn close(&self) {
        match &self.mode {
            Mode::Atomic(atomic) => atomic.close(),
            Mode::Fast(fast) => {
                fast.over.set(true);
                if let Some(gone) = fast.fast.take() {
                    fast.count.set(gone.count());
                }
                fast.news.take();
            }
        }
    }

    fn outgoing(
        &self,
        interp: Interp<'_>,
        mut args: MessageArgs<'_>,
        words: &[Obj],
    ) -> Result<Outgoing> {
        let given = options::parse(interp, &HEADER_OPTIONS, words)?;
        args.set = headers(&self.js, &given)?;
        if let Some(stream) = self.stream.as_ref().filter(|_| given.get("stream").is_none()) {
            args.set.push(("Nats-Expected-Stream", stream.clone()));
        }
        self.check_open()?;
        self.js.connection.check_open()?;
        self.js.connection.outgoing(interp, args)
    }

    fn add(self: &Rc<Self>, interp: Interp<'_>, out: Outgoing) -> Result<Return> {
        let batch = match &self.mode {
            Mode::Atomic(atomic) => return atomic.add(&self.js, interp, out),
            Mode::Fast(batch) => batch,
        };
        let fast = self.fast(batch)?;
        if fast.has_room() {
            return Ok(Obj::uint(fast.add(out)?).into());
        }
        let room = fast.room();
        let wait = async move {
            room.await;
            Ok(())
        };
        let this = self.clone();
        self.js.run(
            interp,
            |_| wait,
            move |_, outcome| {
                outcome?;
                this.check_open()?;
                Ok(Obj::uint(fast.add(out)?).into())
            },
        )
    }

    /// The batch, which begins with its first message.
    fn fast(self: &Rc<Self>, batch: &FastBatch) -> crate::error::Result<Rc<Fast>> {
        if let Some(fast) = &*batch.fast.borrow() {
            return Ok(fast.clone());
        }
        let this = Rc::downgrade(self);
        let (sender, receiver) = bridge::channel(self.interp_handle.clone(), move |news, rest| {
            if let Some(this) = this.upgrade() {
                this.news(news, rest);
            }
        });
        receiver.start();
        let link = self.js.connection.link()?;
        let fast = Rc::new(Fast::open(link, &batch.settings, move |news| sender.send(news))?);
        *batch.news.borrow_mut() = Some(receiver);
        *batch.fast.borrow_mut() = Some(fast.clone());
        Ok(fast)
    }

    /// Tells the program what has become of single messages.
    fn news(&self, news: News, rest: &Rest<'_, News>) {
        let Mode::Fast(batch) = &self.mode else { return };
        let Some(guard) = self.interp_handle.enter().filter(|_| self.handle.is_alive()) else {
            return;
        };
        let interp = guard.interp();
        let Some(news) = rest.admit(interp, &batch.lane, &batch.callback, news) else { return };
        let mut dict = Dict::new();
        let (word, text) = match &news {
            News::Gap { first, last } => {
                dict.put("first", &Obj::uint(*first));
                dict.put("last", &Obj::uint(*last));
                ("gap", format!("messages {first} to {last} were lost"))
            }
            News::Refused { seq, error } => {
                dict = error_dict(error);
                dict.put("seq", &Obj::uint(*seq));
                ("error", format!("message {seq} was refused: {error}"))
            }
        };
        if batch.callback.is_empty() {
            self.js.connection.logger.log(Level::Warn, &format!("Batch: {text}"));
            return;
        }
        let mut words = batch.callback.clone();
        words.extend([Obj::new(word), dict.into()]);
        interp.call_back(&mut words);
        rest.delivered(&batch.lane);
    }

    fn commit(self: &Rc<Self>, interp: Interp<'_>, last: Option<Outgoing>) -> Result<Return> {
        let batch = match &self.mode {
            Mode::Atomic(atomic) => {
                if last.is_none() && atomic.count() > 0 && !self.js.serves(BARE_COMMIT) {
                    return Err(too_old("commit without a message", BARE_COMMIT).into());
                }
                return atomic.commit(&self.js, interp, last);
            }
            Mode::Fast(batch) => batch,
        };
        if last.is_none() && batch.fast.borrow().is_none() {
            return Err(Error::invalid("There is nothing to commit").into());
        }
        let outcome = self.fast(batch)?.commit(last)?;
        batch.over.set(true);
        self.js.run(interp, |_| outcome, |_, ack| Ok(json::to_obj(&ack?).into()))
    }
}

fn add(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<PublishBatch>()?;
    let args = MessageArgs::new(call.arg(0)?, call.arg(1)?);
    let out = this.outgoing(call.interp, args, call.args().get(2..).unwrap_or_default())?;
    this.add(call.interp, out)
}

fn add_msg(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<PublishBatch>()?;
    let connection = &this.js.connection;
    let fields = connection.format().fields(call.interp, call.arg(0)?)?;
    warn_of_reply(connection, "add_msg", &fields.reply);
    let mut args = MessageArgs::new(&fields.subject, &fields.data);
    args.header = Some(fields.header.clone());
    let out = this.outgoing(call.interp, args, call.args().get(1..).unwrap_or_default())?;
    this.add(call.interp, out)
}

fn commit(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<PublishBatch>()?;
    let last = match call.args() {
        [] => {
            this.check_open()?;
            None
        }
        [_] => return Err(call.wrong_args("?subject data? ?arg ...?")),
        [subject, data, words @ ..] => {
            Some(this.outgoing(call.interp, MessageArgs::new(subject, data), words)?)
        }
    };
    this.commit(call.interp, last)
}

fn discard(call: &Call<'_>) -> Result<Return> {
    call.data::<PublishBatch>()?.close();
    Ok(Return::Empty)
}

fn count(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<PublishBatch>()?;
    let count = match &this.mode {
        Mode::Atomic(atomic) => atomic.count(),
        Mode::Fast(batch) => {
            batch.fast.borrow().as_ref().map_or(batch.count.get(), |fast| fast.count())
        }
    };
    Ok(Obj::uint(count).into())
}

const METHODS: &[Method] = &[
    Method { name: "add", usage: "subject data ?arg ...?", min: 2, max: ANY, body: add },
    Method { name: "add_msg", usage: "msg ?arg ...?", min: 1, max: ANY, body: add_msg },
    Method { name: "commit", usage: "?subject data? ?arg ...?", min: 0, max: ANY, body: commit },
    Method { name: "count", usage: "", min: 0, max: 0, body: count },
    Method { name: "discard", usage: "", min: 0, max: 0, body: discard },
];

/// What a jet_stream has of batches.
const FACTORY: &[Method] =
    &[Method { name: "publish_batch", usage: "?arg ...?", min: 0, max: ANY, body: create }];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::jet_stream", None, None, FACTORY)?;
    oo::define(interp, CLASS, None, None, METHODS)
}
