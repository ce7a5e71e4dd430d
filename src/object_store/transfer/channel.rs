//! A Tcl channel while a transfer has it: it does not block, carries bytes, and its file events are ours.
//! All of that is put back in the end.

use super::trouble::Trouble;
use crate::bridge;
use crate::error::Error;
use crate::tcl::call::{Return, create};
use crate::tcl::{Call, Failure, Interp, InterpHandle, KnownChannel, Method, Obj, Result};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};

/// Of the buffers that Tcl has for it, if the program has not chosen more.
const BUFFER: i64 = 256 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Read,
    Write,
}

impl Direction {
    fn event(self) -> &'static str {
        match self {
            Direction::Read => "readable",
            Direction::Write => "writable",
        }
    }
}

/// Is told that a channel which was not ready may be so now.
pub trait Ready {
    fn ready(&self, interp: Interp<'_>);
}

type Key = i64;

#[derive(Default)]
struct Registry {
    last: Key,
    waiting: HashMap<Key, Weak<dyn Ready>>,
    taken: Vec<Taken>,
}

/// A channel that is in use, by one transfer in each direction.
struct Taken {
    known: Rc<KnownChannel>,
    interp_handle: InterpHandle,
    name: String,
    directions: Vec<Direction>,
    /// The options as they were before the first of them: both directions share them.
    saved: Vec<(Obj, Obj)>,
}

impl Taken {
    fn is(&self, handle: &InterpHandle, name: &str) -> bool {
        !self.known.is_closed() && self.interp_handle.same(handle) && self.name == name
    }
}

thread_local!(static REGISTRY: RefCell<Registry> = RefCell::default());

pub struct Channel {
    interp_handle: InterpHandle,
    name: Obj,
    known: Rc<KnownChannel>,
    direction: Direction,
    key: Key,
    event_before: Obj,
    watches: Cell<bool>,
    /// It is ours, and closed in the end.
    is_own: bool,
}

/// What a read has come to.
pub enum Input {
    Data(Obj),
    /// Nothing now.
    Nothing,
    End,
}

impl Channel {
    /// # Errors
    /// Tcl's own for a channel that does not exist; `ErrInvalidArg` for one that is of no use here, or
    /// in use.
    pub fn take(interp: Interp<'_>, name: &Obj, direction: Direction) -> Result<Channel> {
        let text = name.text();
        // Tcl's own error, if there is none.
        interp.call(&mut [Obj::new("::chan"), Obj::new("eof"), name.clone()])?;
        let (readable, writable) = interp.channel_mode(&text);
        let (fits, word) = match direction {
            Direction::Read => (readable, "reading"),
            Direction::Write => (writable, "writing"),
        };
        if !fits {
            let text = format!("channel \"{text}\" wasn't opened for {word}");
            return Err(Error::invalid(text).into());
        }
        let handle = interp.handle();
        let (known, key, is_first) = use_in(interp, &handle, &text, direction)?;
        let mut channel = Channel {
            interp_handle: handle,
            name: name.clone(),
            known,
            direction,
            key,
            event_before: Obj::empty(),
            watches: Cell::new(false),
            is_own: false,
        };
        channel.event_before =
            interp.call(&mut channel.words("event", [Obj::new(direction.event())]))?;
        channel.watch(interp, false)?;
        if is_first {
            channel.make_binary(interp)?;
        }
        if direction == Direction::Write {
            // What the program has written before is on its way then.
            interp.call(&mut channel.words("flush", []))?;
        }
        Ok(channel)
    }

    /// Has it carry bytes and not block, once its options are saved.
    fn make_binary(&self, interp: Interp<'_>) -> Result<()> {
        // Encoding and translation last: what `binary` changes.
        let mut saved = vec![self.option(interp, "-blocking")?];
        let size = self.option(interp, "-buffersize")?;
        if size.1.as_int().is_some_and(|size| size < BUFFER) {
            saved.push(size);
        }
        for name in ["-eofchar", "-encoding", "-translation"] {
            saved.push(self.option(interp, name)?);
        }
        REGISTRY.with(|registry| {
            let mut registry = registry.borrow_mut();
            let ours = |taken: &&mut Taken| Rc::ptr_eq(&taken.known, &self.known);
            if let Some(taken) = registry.taken.iter_mut().find(ours) {
                taken.saved = saved;
            }
        });
        self.configure(interp, "-translation", &Obj::new("binary"))?;
        self.configure(interp, "-blocking", &Obj::int(0))?;
        self.configure(interp, "-buffersize", &Obj::int(BUFFER))
    }

    fn option(&self, interp: Interp<'_>, option: &str) -> Result<(Obj, Obj)> {
        let value = interp.call(&mut self.words("configure", [Obj::new(option)]))?;
        Ok((Obj::new(option), value))
    }

    /// Opens a file that only Tcl can open.
    ///
    /// # Errors
    /// Those of `open`.
    pub fn open(interp: Interp<'_>, path: &Obj, direction: Direction) -> Result<Channel> {
        let mode = match direction {
            Direction::Read => "rb",
            Direction::Write => "wb",
        };
        let name = interp.call(&mut [Obj::new("::open"), path.clone(), Obj::new(mode)])?;
        let channel = Channel::take(interp, &name, direction);
        if channel.is_err() {
            interp.aside(|| drop(interp.call(&mut [Obj::new("::close"), name])));
        }
        channel.map(|mut channel| {
            channel.is_own = true;
            channel
        })
    }

    /// Closes one that is ours, which may fail where it is written.
    pub fn close(&self, interp: Interp<'_>) -> std::result::Result<(), Trouble> {
        if !self.is_own {
            return Ok(());
        }
        self.aside(interp, || {
            self.configure(interp, "-blocking", &Obj::int(1))?;
            interp.call(&mut self.words("close", [])).map(drop)
        })
    }

    fn words<const N: usize>(&self, command: &str, rest: [Obj; N]) -> Vec<Obj> {
        let mut words = vec![Obj::new("::chan"), Obj::new(command), self.name.clone()];
        words.extend(rest);
        words
    }

    fn configure(&self, interp: Interp<'_>, option: &str, value: &Obj) -> Result<()> {
        interp.call(&mut self.words("configure", [Obj::new(option), value.clone()])).map(drop)
    }

    fn watch(&self, interp: Interp<'_>, on: bool) -> Result<()> {
        let script = if on { ready_script(self.key) } else { Obj::empty() };
        self.watches.set(on);
        interp.call(&mut self.words("event", [Obj::new(self.direction.event()), script])).map(drop)
    }

    /// Runs commands of Tcl by the way, unless the channel is closed: another one may have its name.
    fn aside<T>(
        &self,
        interp: Interp<'_>,
        run: impl FnOnce() -> Result<T>,
    ) -> std::result::Result<T, Trouble> {
        let watches = self.watches.get().then_some(self.key);
        if !is_same(interp, &self.known, &self.name, self.direction, watches) {
            let name = self.name.string();
            let message = format!("can not find channel named \"{name}\"");
            let code = ["TCL", "LOOKUP", "CHANNEL", &name].map(str::to_owned).into();
            return Err(Trouble::Tcl { message, code });
        }
        interp.aside(|| run().map_err(|failure| Trouble::of_tcl(interp, failure)))
    }

    /// Has this one called when there may be more to read, or room to write, until it is told otherwise.
    pub fn wait_for(
        &self,
        interp: Interp<'_>,
        who: Option<Weak<dyn Ready>>,
    ) -> std::result::Result<(), Trouble> {
        let on = who.is_some();
        REGISTRY.with(|registry| {
            let mut registry = registry.borrow_mut();
            match who {
                Some(who) => registry.waiting.insert(self.key, who),
                None => registry.waiting.remove(&self.key),
            };
        });
        if on == self.watches.get() {
            return Ok(());
        }
        self.aside(interp, || self.watch(interp, on))
    }

    pub fn read(&self, interp: Interp<'_>, most: usize) -> std::result::Result<Input, Trouble> {
        self.aside(interp, || {
            let most = Obj::int(i64::try_from(most).unwrap_or(i64::MAX));
            let data = interp.call(&mut self.words("read", [most]))?;
            if !data.is_empty() {
                return Ok(Input::Data(data));
            }
            let at_end = interp.call(&mut self.words("eof", []))?;
            Ok(if at_end.as_int() == Some(1) { Input::End } else { Input::Nothing })
        })
    }

    pub fn write(&self, interp: Interp<'_>, data: &[u8]) -> std::result::Result<(), Trouble> {
        self.aside(interp, || {
            let (puts, flag) = (Obj::new("puts"), Obj::new("-nonewline"));
            let data = Obj::byte_array(data);
            interp.call(&mut [Obj::new("::chan"), puts, flag, self.name.clone(), data])?;
            interp.call(&mut self.words("flush", [])).map(drop)
        })
    }

    /// Has Tcl write at once what it keeps for later. Tcl 9.0 calls nobody for a pipe or a socket whose reader is gone,
    /// and so would not even try; that it forgets to wait if it is made to block for a moment is its own rule.
    pub fn try_again(&self, interp: Interp<'_>) -> std::result::Result<(), Trouble> {
        self.aside(interp, || {
            self.configure(interp, "-blocking", &Obj::int(1))?;
            self.configure(interp, "-blocking", &Obj::int(0))?;
            interp.call(&mut self.words("flush", [])).map(drop)
        })
    }

    /// How much Tcl has still to write, after it was told to: the program may have written something, too, which
    /// nobody else would flush.
    pub fn unwritten(&self, interp: Interp<'_>) -> std::result::Result<u64, Trouble> {
        self.aside(interp, || {
            interp.call(&mut self.words("flush", []))?;
            let (command, way) = (Obj::new("pending"), Obj::new("output"));
            let words = &mut [Obj::new("::chan"), command, way, self.name.clone()];
            Ok(interp.call(words)?.as_int().and_then(|n| u64::try_from(n).ok()).unwrap_or(0))
        })
    }
}

/// What a channel was before.
struct Before {
    name: Obj,
    known: Rc<KnownChannel>,
    direction: Direction,
    script: Obj,
    is_own: bool,
    watches: Option<Key>,
}

impl Before {
    fn is_there(&self, interp: Interp<'_>) -> bool {
        is_same(interp, &self.known, &self.name, self.direction, self.watches)
    }

    /// Gives the channel back as it was; whether Tcl has done what it was told. Options are put back
    /// when nobody uses it in the other direction any more.
    fn put_back(&self, interp: Interp<'_>) -> bool {
        let call = |command: &str, rest: &[&Obj]| {
            let mut words = vec![Obj::new("::chan"), Obj::new(command), self.name.clone()];
            words.extend(rest.iter().map(|word| (*word).clone()));
            interp.call(&mut words).is_ok()
        };
        interp.aside(|| {
            if self.is_own {
                return call("close", &[]);
            }
            let mut done = call("event", &[&Obj::new(self.direction.event()), &self.script]);
            for (option, value) in self.options().iter().rev() {
                // It may be closed meanwhile, by a script of its own.
                done &= !self.known.is_closed() && call("configure", &[option, value]);
            }
            done
        })
    }

    /// Those to be put back.
    fn options(&self) -> Vec<(Obj, Obj)> {
        REGISTRY.with(|registry| {
            let registry = registry.borrow();
            let alone = |taken: &&Taken| {
                Rc::ptr_eq(&taken.known, &self.known) && taken.directions == [self.direction]
            };
            registry.taken.iter().find(alone).map(|taken| taken.saved.clone()).unwrap_or_default()
        })
    }

    /// Nobody uses it in this direction any more.
    fn release(&self) {
        let released = REGISTRY.try_with(|registry| {
            let taken = &mut registry.borrow_mut().taken;
            let at = taken.iter().position(|taken| Rc::ptr_eq(&taken.known, &self.known))?;
            taken[at].directions.retain(|direction| *direction != self.direction);
            taken[at].directions.is_empty().then(|| taken.swap_remove(at))
        });
        // Outside of the registry, as it may run code of Tcl's.
        drop(released);
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        let key = self.key;
        let forgotten = REGISTRY.try_with(|registry| registry.borrow_mut().waiting.remove(&key));
        drop(forgotten);
        let before = Before {
            name: self.name.clone(),
            known: self.known.clone(),
            direction: self.direction,
            script: self.event_before.clone(),
            is_own: self.is_own,
            watches: self.watches.get().then_some(key),
        };
        let Some(guard) = self.interp_handle.enter() else { return before.release() };
        let is_there = || before.is_there(guard.interp());
        if !is_there() || before.put_back(guard.interp()) || !is_there() {
            return before.release();
        }
        // Tcl evaluates nothing while it unwinds a coroutine that was deleted. Until then it stays in use.
        let handle = self.interp_handle.clone();
        let (sender, receiver) = bridge::channel(handle.clone(), move |(), _| {
            if let Some(guard) = handle.enter()
                && before.is_there(guard.interp())
            {
                before.put_back(guard.interp());
            }
            before.release();
        });
        receiver.start();
        sender.send(());
        receiver.finish();
    }
}

/// What is evaluated when the channel of a transfer is ready.
fn ready_script(key: Key) -> Obj {
    Obj::list(&[Obj::new(READY.name), Obj::int(key)])
}

/// Whether the channel of this name is still the one that a transfer has taken: it does not block, and calls the transfer
/// that waits for it. A channel that was closed while it was writing in the background goes without a word when that is
/// done, and the next one that is opened has its name, and perhaps its address.
fn is_same(
    interp: Interp<'_>,
    known: &KnownChannel,
    name: &Obj,
    direction: Direction,
    watches: Option<Key>,
) -> bool {
    if known.is_closed() {
        return false;
    }
    let ask = |command: &str, word: &str| {
        let words = &mut [Obj::new("::chan"), Obj::new(command), name.clone(), Obj::new(word)];
        interp.call(words)
    };
    let is_ours = || -> Result<bool> {
        if ask("configure", "-blocking")?.as_int() != Some(0) {
            return Ok(false);
        }
        let Some(key) = watches else { return Ok(true) };
        Ok(ask("event", direction.event())?.text() == ready_script(key).text())
    };
    let is_ours =
        interp.aside(|| is_ours().unwrap_or(interp.channel_mode(&name.text()) != (false, false)));
    if !is_ours {
        known.closed();
    }
    is_ours
}

/// Notes that a channel is in use in a direction; a key for that, and whether it was in none before.
fn use_in(
    interp: Interp<'_>,
    handle: &InterpHandle,
    name: &str,
    direction: Direction,
) -> Result<(Rc<KnownChannel>, Key, bool)> {
    let earlier = REGISTRY.with(|registry| {
        let registry = registry.borrow();
        let taken = registry.taken.iter().find(|taken| taken.is(handle, name));
        taken.map(|taken| taken.known.clone())
    });
    if let Some(known) = earlier {
        // Notes if it is another one by now.
        is_same(interp, &known, &Obj::new(name), direction, None);
    }
    let (key, joined) = REGISTRY.with(|registry| {
        let mut registry = registry.borrow_mut();
        registry.last += 1;
        let key = registry.last;
        let joined = registry.taken.iter_mut().find(|taken| taken.is(handle, name)).map(|taken| {
            let is_free = !taken.directions.contains(&direction);
            if is_free {
                taken.directions.push(direction);
            }
            is_free.then(|| taken.known.clone())
        });
        (key, joined)
    });
    let known = match joined {
        Some(Some(known)) => return Ok((known, key, false)),
        Some(None) => {
            let text = format!("channel \"{name}\" is in use by another transfer");
            return Err(Error::invalid(text).into());
        }
        None => KnownChannel::of(interp, name).map(Rc::new),
    };
    let missing =
        || -> Failure { Error::invalid(format!("can not find channel named \"{name}\"")).into() };
    let known = known.ok_or_else(missing)?;
    let taken = Taken {
        known: known.clone(),
        interp_handle: handle.clone(),
        name: name.to_owned(),
        directions: vec![direction],
        saved: Vec::new(),
    };
    REGISTRY.with(|registry| registry.borrow_mut().taken.push(taken));
    Ok((known, key, true))
}

/// What file events call.
static READY: Method =
    Method { name: "::nats::ChannelReady", usage: "key", min: 1, max: 1, body: channel_ready };

fn channel_ready(call: &Call<'_>) -> Result<Return> {
    let who = call.arg(0)?.as_int().and_then(|key| {
        REGISTRY.with(|registry| registry.borrow().waiting.get(&key).and_then(Weak::upgrade))
    });
    if let Some(who) = who {
        let who: Rc<dyn Ready> = who;
        who.ready(call.interp);
    }
    Ok(Return::Empty)
}

pub fn register(interp: Interp<'_>) -> Result<()> {
    create(interp, &READY)
}
