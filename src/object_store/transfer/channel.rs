//! A Tcl channel while a transfer has it: it does not block, carries bytes, and its file events are ours.
//! All of that is put back in the end.

use super::trouble::Trouble;
use crate::bridge;
use crate::error::Error;
use crate::tcl::call::{Return, create};
use crate::tcl::{Call, Interp, InterpHandle, Method, Obj, Result};
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
    /// The channels that are in use, by interpreter and name.
    taken: Vec<(InterpHandle, String, Direction)>,
}

thread_local!(static REGISTRY: RefCell<Registry> = RefCell::default());

pub struct Channel {
    interp_handle: InterpHandle,
    name: Obj,
    direction: Direction,
    key: Key,
    saved: RefCell<Vec<(Obj, Obj)>>,
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
        let option = |option: &str| {
            let mut words =
                [Obj::new("::chan"), Obj::new("configure"), name.clone(), Obj::new(option)];
            Ok::<_, crate::tcl::Failure>((Obj::new(option), interp.call(&mut words)?))
        };
        let blocking = option("-blocking")?;
        let (readable, writable) = interp.channel_mode(&name.text());
        let (fits, word) = match direction {
            Direction::Read => (readable, "reading"),
            Direction::Write => (writable, "writing"),
        };
        if !fits {
            let text = format!("channel \"{}\" wasn't opened for {word}", name.text());
            return Err(Error::invalid(text).into());
        }
        let handle = interp.handle();
        let key = REGISTRY.with(|registry| {
            let mut registry = registry.borrow_mut();
            let taken = |(other, known, way): &(InterpHandle, String, Direction)| {
                other.same(&handle) && *known == *name.text() && *way == direction
            };
            if registry.taken.iter().any(taken) {
                let text = format!("channel \"{}\" is in use by another transfer", name.text());
                return Err(Error::invalid(text));
            }
            registry.taken.push((handle.clone(), name.string(), direction));
            registry.last += 1;
            Ok(registry.last)
        })?;
        let mut channel = Channel {
            interp_handle: handle,
            name: name.clone(),
            direction,
            key,
            saved: RefCell::default(),
            event_before: Obj::empty(),
            watches: Cell::new(false),
            is_own: false,
        };
        // Encoding and translation last: what `binary` changes.
        let size = option("-buffersize")?;
        let mut saved = vec![blocking];
        if size.1.as_int().is_some_and(|size| size < BUFFER) {
            saved.push(size);
        }
        for name in ["-eofchar", "-encoding", "-translation"] {
            saved.push(option(name)?);
        }
        channel.event_before =
            interp.call(&mut channel.words("event", [Obj::new(direction.event())]))?;
        channel.saved.replace(saved);
        channel.watch(interp, false)?;
        channel.configure(interp, "-translation", &Obj::new("binary"))?;
        channel.configure(interp, "-blocking", &Obj::int(0))?;
        channel.configure(interp, "-buffersize", &Obj::int(BUFFER))?;
        if direction == Direction::Write {
            // What the program has written before is on its way then.
            interp.call(&mut channel.words("flush", []))?;
        }
        Ok(channel)
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
        let script = match on {
            true => Obj::list(&[Obj::new(READY.name), Obj::int(self.key)]),
            false => Obj::empty(),
        };
        self.watches.set(on);
        interp.call(&mut self.words("event", [Obj::new(self.direction.event()), script])).map(drop)
    }

    /// Runs commands of Tcl by the way.
    fn aside<T>(
        &self,
        interp: Interp<'_>,
        run: impl FnOnce() -> Result<T>,
    ) -> std::result::Result<T, Trouble> {
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

    /// How much Tcl has still to write.
    pub fn unwritten(&self, interp: Interp<'_>) -> std::result::Result<u64, Trouble> {
        self.aside(interp, || {
            let (command, way) = (Obj::new("pending"), Obj::new("output"));
            let words = &mut [Obj::new("::chan"), command, way, self.name.clone()];
            Ok(interp.call(words)?.as_int().and_then(|n| u64::try_from(n).ok()).unwrap_or(0))
        })
    }
}

/// What a channel was before.
struct Before {
    name: Obj,
    event: &'static str,
    script: Obj,
    options: Vec<(Obj, Obj)>,
    is_own: bool,
}

impl Before {
    /// Gives the channel back as it was; whether Tcl has done what it was told.
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
            let mut done = call("event", &[&Obj::new(self.event), &self.script]);
            for (option, value) in self.options.iter().rev() {
                done &= call("configure", &[option, value]);
            }
            done
        })
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        let forgotten = REGISTRY.try_with(|registry| {
            let mut registry = registry.borrow_mut();
            let name = self.name.text();
            registry.taken.retain(|(handle, known, direction)| {
                !handle.same(&self.interp_handle) || *known != *name || *direction != self.direction
            });
            registry.waiting.remove(&self.key)
        });
        drop(forgotten);
        let Some(guard) = self.interp_handle.enter() else { return };
        let before = Before {
            name: self.name.clone(),
            event: self.direction.event(),
            script: self.event_before.clone(),
            options: self.saved.take(),
            is_own: self.is_own,
        };
        let is_there = || guard.interp().channel_mode(&self.name.text()) != (false, false);
        if is_there() && !before.put_back(guard.interp()) && is_there() {
            // Tcl evaluates nothing while it unwinds a coroutine that was deleted.
            let handle = self.interp_handle.clone();
            let (sender, receiver) = bridge::channel(handle.clone(), move |(), _| {
                if let Some(guard) = handle.enter() {
                    before.put_back(guard.interp());
                }
            });
            receiver.start();
            sender.send(());
            receiver.finish();
        }
    }
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
