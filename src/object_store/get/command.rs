//! `$store get`.

use super::driver::{Got, Job, get};
use super::file::Beside;
use super::sink::Sink;
use super::writer::Writer;
use crate::bridge;
use crate::error::Error;
use crate::jetstream::context::JetStream;
use crate::jetstream::ordered::create::{ConsumerConfig, DeliverPolicy, name_prefix};
use crate::jetstream::ordered::{OrderedConfig, Resume};
use crate::object_store::bucket::Bucket;
use crate::object_store::info::ObjectInfo;
use crate::object_store::info_dict::to_dict;
use crate::object_store::names::{check_object, chunks_of};
use crate::object_store::object::ObjectStore;
use crate::object_store::transfer::channel::{Channel, Direction};
use crate::object_store::transfer::progress::progress;
use crate::object_store::transfer::trouble::Trouble;
use crate::object_store::transfer::{paths, patience, persistently};
use crate::options::{self, Options, Type};
use crate::tcl::call::ANY;
use crate::tcl::{Call, Interp, InterpHandle, Method, Obj, Result, Return, oo};
use crate::transport::new_token;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

const OPTIONS: &[options::Spec] = &[
    ("file", Type::ValidStr),
    ("channel", Type::ValidStr),
    ("progress", Type::List),
    ("timeout", Type::Timeout),
];

/// What the Tcl thread has of where the data are to go.
#[derive(Default)]
struct Target {
    /// Of a channel, as long as that is written to.
    writer: Option<Rc<Writer>>,
    /// A file that only Tcl can write: its name, and the one under which it is written.
    file: Option<(Obj, Temporary)>,
}

/// And what the runtime has of it.
enum Way {
    Sink(Sink),
    /// Made when it is known that there is something to write.
    File(PathBuf, String),
}

/// A file of Tcl's that goes, unless it has got another name.
struct Temporary {
    path: Obj,
    interp_handle: InterpHandle,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let (handle, path) = (self.interp_handle.clone(), self.path.clone());
        // From the event loop: Tcl evaluates nothing while it unwinds a coroutine that was deleted.
        let (sender, receiver) = bridge::channel(handle.clone(), move |(), _| {
            if let Some(guard) = handle.enter() {
                let interp = guard.interp();
                let words = &mut [Obj::new("::file"), Obj::new("delete"), path.clone()];
                interp.aside(|| drop(interp.call(words)));
            }
        });
        receiver.start();
        sender.send(());
        receiver.finish();
    }
}

fn target(interp: Interp<'_>, given: &Options) -> Result<(Target, Way)> {
    match (given.get("file"), given.get("channel")) {
        (None, None) => Ok((Target::default(), Way::Sink(Sink::Memory(Vec::new())))),
        (None, Some(name)) => {
            let channel = Channel::take(interp, name, Direction::Write)?;
            let (writer, outlet) = Writer::new(interp, channel);
            let target = Target { writer: Some(writer), file: None };
            Ok((target, Way::Sink(Sink::Channel(outlet))))
        }
        (Some(path), None) => file(interp, path),
        (Some(_), Some(_)) => {
            Err(Error::invalid("-file and -channel are mutually exclusive").into())
        }
    }
}

fn file(interp: Interp<'_>, path: &Obj) -> Result<(Target, Way)> {
    let text = path.string();
    if let Some(native) = paths::native(interp, path)? {
        // What is no file is not to be replaced by one: a device, a folder.
        if std::fs::metadata(&native).is_ok_and(|there| !there.is_file()) {
            let text =
                format!("\"{text}\" is no file; what can be opened can be given to -channel");
            return Err(Error::invalid(text).into());
        }
        return Ok((Target::default(), Way::File(native, text)));
    }
    let path = paths::absolute(interp, path)?;
    let beside = Obj::new(&format!("{}.{}", path.text(), new_token()));
    let channel = Channel::open(interp, &beside, Direction::Write)?;
    let temporary = Temporary { path: beside, interp_handle: interp.handle() };
    let (writer, outlet) = Writer::new(interp, channel);
    let target = Target { writer: Some(writer), file: Some((path, temporary)) };
    Ok((target, Way::Sink(Sink::Channel(outlet))))
}

impl Target {
    /// All has been written.
    fn finish(self, interp: Interp<'_>) -> Result<()> {
        let (Some(writer), Some((path, temporary))) = (self.writer, self.file) else {
            return Ok(());
        };
        writer.close(interp)?;
        let (file, rename, force) = (Obj::new("::file"), Obj::new("rename"), Obj::new("-force"));
        interp.call(&mut [file, rename, force, Obj::new("--"), temporary.path.clone(), path])?;
        Ok(())
    }
}

/// How the chunks of an object are consumed.
fn consumption(js: &JetStream) -> impl Fn(&Bucket, &ObjectInfo) -> OrderedConfig + Send + use<> {
    const HEARTBEAT: Duration = Duration::from_secs(5);
    let (named, action) = (js.serves((2, 9, 0)), js.serves((2, 10, 0)));
    let prefix = named.then(|| name_prefix(&js.connection.name()));
    move |bucket, info| OrderedConfig {
        config: ConsumerConfig {
            stream: bucket.stream.clone(),
            filters: vec![chunks_of(&bucket.name, &info.nuid)],
            description: Some("Object store get".into()),
            headers_only: None,
            idle_heartbeat: HEARTBEAT,
            name_prefix: prefix.clone(),
            action,
        },
        policy: DeliverPolicy::All,
        resume: Resume::BySequence,
        stream_created: None,
        behind: bucket.behind,
        seeks_end: true,
        end_before_news: false,
        roll_call: false,
        never_waits: false,
    }
}

fn get_method(call: &Call<'_>) -> Result<Return> {
    let interp = call.interp;
    let this = call.data::<ObjectStore>()?;
    let name = call.arg(0)?.string();
    check_object(&name)?;
    let given = options::parse(interp, OPTIONS, call.args().get(1..).unwrap_or_default())?;
    let store = this.store()?;
    let (progress, reporter) = progress(interp, given.get("progress"))?;
    let (target, way) = target(interp, &given)?;
    let (config, patience) = (consumption(&this.js), patience(&this.js, &given));
    let work = move |_| async move {
        let (store, described) = persistently(patience, || store.resolve(&name)).await?;
        let sink = match way {
            Way::Sink(sink) => sink,
            Way::File(path, shown) => match Beside::create(&path, &shown) {
                Ok(file) => Sink::File(file),
                Err(trouble) => return Ok(Err(trouble)),
            },
        };
        let (info, config) = (described.info, Box::new(config));
        Ok(get(Job { store, info, config, patience, progress }, sink).await)
    };
    let (js, bound) = (this.js.clone(), this.clone());
    js.run(interp, work, move |interp, outcome| {
        let ended = |trouble| match trouble {
            Trouble::Nats(error) => Trouble::Nats(bound.js.connection.ended(error)),
            other => other,
        };
        let outcome: std::result::Result<Got, Trouble> = outcome?;
        if outcome.is_ok() {
            target.finish(interp)?;
        }
        if let Some(reporter) = reporter {
            reporter.finish(interp, outcome.as_ref().ok().map(|got| got.info.size));
        }
        let Got { info, data } = outcome.map_err(ended)?;
        Ok(match data {
            Some(data) => Obj::byte_array(&data).into(),
            None => to_dict(&info).into(),
        })
    })
}

const METHODS: &[Method] =
    &[Method { name: "get", usage: "name ?arg ...?", min: 1, max: ANY, body: get_method }];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::object_store", None, None, METHODS)
}
