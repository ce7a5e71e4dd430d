//! `$kv bind`: makes a `nats::kv_binding`.

use super::elements::Elements;
use super::feed::{Feed, Writer};
use super::flush::Flushes;
use super::key::Policy;
use super::object::{Binding, Running, Settings};
use super::reports::Reports;
use super::table::Table;
use super::twice;
use super::writing::max_message;
use crate::bridge;
use crate::bucket::unfinished::{Unfinished, gone};
use crate::error::Error;
use crate::jetstream::ordered::consumer::OrderedConsumer;
use crate::jetstream::ordered::create::DeliverPolicy;
use crate::keyvalue::bucket::bucket_gone;
use crate::keyvalue::consumer::check_several;
use crate::keyvalue::consumer::ordered_config;
use crate::keyvalue::names::check_pattern;
use crate::keyvalue::object::KeyValue;
use crate::keyvalue::patterns::{patterns_of, without_covered};
use crate::keyvalue::writes::{TTL, lifetime_of};
use crate::options::{self, Type};
use crate::tcl::call::ANY;
use crate::tcl::trace::Traced;
use crate::tcl::{Call, Interp, Method, Obj, Result, Return, oo};
use std::cell::{Cell, OnceCell, RefCell};
use std::rc::{Rc, Weak};
use std::time::Duration;
use tokio::sync::oneshot;

pub const CLASS: &str = "::nats::kv_binding";
/// The variable in the namespace of a binding that stands for the user's array.
const ARRAY: &str = "BoundArray";

fn bind(call: &Call<'_>) -> Result<Return> {
    const OPTIONS: &[options::Spec] = &[
        ("patterns", Type::List),
        ("conflict", Type::Enum(&["theirs", "mine"])),
        ("on_error", Type::Str),
        ("on_ready", Type::Str),
        TTL,
        ("delay", Type::PosInt),
    ];
    let (interp, kv) = (call.interp, call.data::<KeyValue>()?);
    kv.check_writable()?;
    let given = options::parse(interp, OPTIONS, &call.args()[1..])?;
    let patterns = match given.get("patterns") {
        Some(list) => kv.codecs.patterns_in(patterns_of(interp, &kv.codecs, list)?)?,
        None => vec![">".to_owned()],
    };
    patterns.iter().try_for_each(|pattern| check_pattern(pattern))?;
    check_several(&kv.js, &without_covered(patterns.clone()))?;
    let policy = match given.get("conflict") {
        Some(word) if word.tcl_bytes() == b"mine" => Policy::Mine,
        _ => Policy::Theirs,
    };
    let lifetime = lifetime_of(&kv.js, &given)?;
    let settings = Settings {
        patterns: patterns.clone(),
        lifetime,
        delay: given.duration("delay").unwrap_or_default(),
    };
    let prefix =
        |name| given.non_empty(name).map(|prefix: &Obj| prefix.elements(interp)).transpose();
    let reports = Reports::new(interp, prefix("on_error")?, prefix("on_ready")?);
    let store = kv.store()?;
    let binding = create(interp, &kv, call.arg(0)?, settings, policy, reports)?;
    let unfinished = Unfinished::new(interp, &binding.handle);
    let created = start(interp, &binding, patterns)?;

    let js = kv.js.clone();
    let work = async move {
        created.await.unwrap_or_else(|_| Err(Error::connection_closed()))?;
        store.with_lifetime(lifetime.is_some(), |_| async { Ok(()) }).await?;
        // As far as the user may know it.
        Ok(max_message(&store).await.unwrap_or_default())
    };
    // Nothing holds it during the wait: destroyed meanwhile, it ends that.
    let weak = Rc::downgrade(&binding);
    drop(binding);
    js.run(
        interp,
        |_| work,
        move |interp, outcome| {
            let alive = |binding: &Rc<Binding>| binding.handle.is_alive();
            let Some(binding) = weak.upgrade().filter(alive) else {
                return Err(gone(&kv.js, outcome).into());
            };
            let limit = outcome.map_err(|error| bucket_gone(&kv.bucket.name, error))?;
            binding.max_message.set(limit);
            twice::check(interp, &binding)?;
            let traced: Rc<dyn Traced> = binding.clone();
            binding.elements.begin(interp, Rc::downgrade(&traced))?;
            if let Some(running) = binding.running.get() {
                running.events.start();
            }
            unfinished.finish();
            Ok(binding.handle.command(interp).into())
        },
    )
}

fn create(
    interp: Interp<'_>,
    kv: &Rc<KeyValue>,
    array: &Obj,
    settings: Settings,
    policy: Policy,
    reports: Reports,
) -> Result<Rc<Binding>> {
    let mut linked = Ok(());
    let binding = oo::instantiate(interp, CLASS, |handle| {
        let name = format!("{}::{ARRAY}", handle.namespace());
        let elements = match Elements::link(interp, array, &name) {
            Ok(elements) => elements,
            Err(failure) => {
                linked = Err(failure);
                Elements::none(&name)
            }
        };
        Rc::new(Binding {
            interp_handle: interp.handle(),
            handle,
            kv: kv.clone(),
            settings,
            max_message: Cell::new(None),
            elements,
            table: RefCell::new(Table::new(policy)),
            reports,
            flushes: Flushes::default(),
            writer: Writer::new(),
            running: OnceCell::new(),
            due: Cell::new(false),
            touched: RefCell::default(),
            heard: RefCell::default(),
            state: Cell::new(None),
            last_error: RefCell::default(),
            lost: Cell::new(false),
            ready: Cell::new(false),
        })
    })?;
    if let Err(failure) = linked {
        interp.aside(|| binding.handle.destroy(interp));
        return Err(failure);
    }
    kv.js.adopt(interp, &binding.handle)?;
    Ok(binding)
}

/// Begins to consume; what comes out tells whether the consumer could be made.
fn start(
    interp: Interp<'_>,
    binding: &Rc<Binding>,
    patterns: Vec<String>,
) -> Result<oneshot::Receiver<crate::error::Result<()>>> {
    let kv = &binding.kv;
    let api = kv.js.api()?;
    let policy = DeliverPolicy::LastPerSubject;
    let mut config = ordered_config(kv, patterns, policy, false, Duration::from_secs(5))?;
    config.roll_call = true;
    config.end_before_news = true;
    let weak: Weak<Binding> = Rc::downgrade(binding);
    let (sender, events) = bridge::channel(interp.handle(), move |event, _| {
        if let Some(binding) = weak.upgrade() {
            binding.event(event);
        }
    });
    let feed = Feed {
        events: sender.clone(),
        bucket: kv.bucket.clone(),
        writer: binding.writer.clone(),
        first_seq: 0,
    };
    let (tell, told) = oneshot::channel();
    // The command may have given up.
    let done = Box::new(move |created| drop(tell.send(created)));
    let consumer = Rc::new(OrderedConsumer::start(api, config, Box::new(feed), done));
    consumer.follow(&kv.js);
    // It is started once.
    let _ = binding.running.set(Running { consumer, sender, events });
    Ok(told)
}

/// What a bucket has of it.
const FACTORY: &[Method] =
    &[Method { name: "bind", usage: "arrayName ?arg ...?", min: 1, max: ANY, body: bind }];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::key_value", None, None, FACTORY)
}
