//! The options of a connection: `configure`, `cget`, `reset`, and what the transport makes of them.

use super::{Connection, tls_opts};
use crate::error::Error;
use crate::options::{self, MASK, Spec, Type, bare, check};
use crate::tcl::{self, Call, Interp, Obj, Return};
use crate::transport::{Credentials, DEFAULT_PREFIX, LoginSettings, ServerEntry, Settings};
use rand::seq::SliceRandom;
use std::path::PathBuf;
use std::time::Duration;

/// Name, type and default, in the order in which values are checked.
const TABLE: &[(&str, Type, &str)] = &[
    ("servers", Type::ValidStr, ""),
    ("name", Type::ValidStr, ""),
    ("pedantic", Type::Bool, "false"),
    ("verbose", Type::Bool, "false"),
    ("randomize", Type::Bool, "true"),
    ("connect_timeout", Type::Timeout, "2000"),
    ("reconnect_time_wait", Type::Timeout, "2000"),
    ("custom_reconnect_delay", Type::Str, ""),
    ("max_reconnect_attempts", Type::Int, "60"),
    ("ping_interval", Type::Timeout, "120000"),
    ("max_outstanding_pings", Type::PosInt, "2"),
    ("echo", Type::Bool, "true"),
    ("tls_opts", Type::Str, ""),
    ("user", Type::Str, ""),
    ("password", Type::Str, ""),
    ("token", Type::Str, ""),
    ("secure", Type::Bool, "false"),
    ("check_subjects", Type::Bool, "true"),
    ("dictmsg", Type::Bool, "false"),
    ("utf8_convert", Type::Bool, "false"),
    ("request_timeout", Type::Timeout, "10000"),
    // What nats-tcl does not have.
    ("nkey_seed", Type::Secret, ""),
    ("nkey_seed_file", Type::Str, ""),
    ("jwt", Type::Secret, ""),
    ("credentials", Type::Secret, ""),
    ("auth_callback", Type::Str, ""),
    ("tls_first", Type::Bool, "false"),
    ("inbox_prefix", Type::Subject, DEFAULT_PREFIX),
    ("event_callback", Type::Str, ""),
    ("log_level", Type::ValidStr, "warn"),
];

const SPECS: [Spec; TABLE.len()] = {
    let mut specs = [("", Type::Str); TABLE.len()];
    let mut at = 0;
    while at < TABLE.len() {
        specs[at] = (TABLE[at].0, TABLE[at].1);
        at += 1;
    }
    specs
};

/// The values, as the user gave them.
pub struct Config {
    values: Vec<Obj>,
    /// Looked at for each message.
    check_subjects: bool,
}

fn position(name: &str) -> Option<usize> {
    TABLE.iter().position(|(known, ..)| *known == name)
}

impl Config {
    pub fn new(name: &str) -> Config {
        let values = TABLE.iter().map(|(.., default)| Obj::new(default)).collect();
        let mut config = Config { values, check_subjects: true };
        config.set("name", Obj::new(name));
        config
    }

    pub fn get(&self, name: &str) -> Obj {
        position(name).and_then(|at| self.values.get(at)).cloned().unwrap_or_else(Obj::empty)
    }

    pub fn set(&mut self, name: &str, value: Obj) {
        if let Some(slot) = position(name).and_then(|at| self.values.get_mut(at)) {
            *slot = value;
        }
        self.check_subjects = self.flag("check_subjects");
    }

    pub fn flag(&self, name: &str) -> bool {
        self.get(name).tcl_bytes() == b"true"
    }

    pub fn checks_subjects(&self) -> bool {
        self.check_subjects
    }

    fn int(&self, name: &str) -> i64 {
        options::integer(&self.get(name)).unwrap_or_default()
    }

    pub fn duration(&self, name: &str) -> Duration {
        Duration::from_millis(self.int(name).max(0) as u64)
    }

    /// What a program may see of it.
    fn shown(&self, name: &str) -> Obj {
        let value = self.get(name);
        let secret = match name {
            "nkey_seed" | "jwt" => !value.is_empty(),
            // The name of a file is no secret.
            "credentials" => Credentials::is_text(&value.text()),
            _ => false,
        };
        if secret { Obj::new(MASK) } else { value }
    }

    /// The settings of the transport, without the pool and without callbacks. Names of files are
    /// those of now.
    pub fn settings(&self, interp: Interp<'_>) -> Settings {
        let text = |name: &str| self.get(name).string();
        Settings {
            name: text("name"),
            echo: self.flag("echo"),
            connect_timeout: self.duration("connect_timeout"),
            reconnect_time_wait: self.duration("reconnect_time_wait"),
            max_reconnect_attempts: self.int("max_reconnect_attempts"),
            ping_interval: self.duration("ping_interval"),
            login: self.login(interp),
            secure: self.flag("secure"),
            tls_first: self.flag("tls_first"),
            tls: tls_opts::read(interp, &self.get("tls_opts")),
            inbox_prefix: text("inbox_prefix"),
            ..Settings::default()
        }
    }

    fn login(&self, interp: Interp<'_>) -> LoginSettings {
        let text = |name: &str| self.get(name).string();
        let credentials = self.get("credentials");
        LoginSettings {
            ask: !self.get("auth_callback").is_empty(),
            credentials: match Credentials::is_text(&credentials.text()) {
                true => Some(Credentials::Text(credentials.string())),
                false => file_name(interp, &credentials).map(Credentials::File),
            },
            jwt: text("jwt"),
            nkey_seed: text("nkey_seed"),
            nkey_seed_file: file_name(interp, &self.get("nkey_seed_file")),
            user: text("user"),
            password: text("password"),
            token: text("token"),
        }
    }
}

/// The absolute name of a file, as Tcl sees it now; `None` for an empty one.
pub fn file_name(interp: Interp<'_>, name: &Obj) -> Option<PathBuf> {
    if name.is_empty() {
        return None;
    }
    let words = [Obj::new("::file"), Obj::new("normalize"), name.clone()];
    let absolute = interp.aside(|| interp.call(&words).ok());
    Some(absolute.unwrap_or_else(|| name.clone()).string().into())
}

/// The pool of a `-servers` list.
fn parse_pool(interp: Interp<'_>, list: &Obj, randomize: bool) -> tcl::Result<Vec<ServerEntry>> {
    let mut pool: Vec<ServerEntry> = Vec::new();
    for url in list.elements(interp)? {
        pool.push(ServerEntry::parse(&url.text())?);
    }
    if pool.iter().any(ServerEntry::is_websocket) && !pool.iter().all(ServerEntry::is_websocket) {
        let text = "WebSocket and other servers cannot be mixed";
        return Err(Error::invalid(text).into());
    }
    if randomize {
        let mut distinct: Vec<ServerEntry> = Vec::with_capacity(pool.len());
        for entry in pool {
            if !distinct.iter().any(|known| known.same_url(&entry)) {
                distinct.push(entry);
            }
        }
        distinct.shuffle(&mut rand::rng());
        pool = distinct;
    }
    Ok(pool)
}

pub fn configure(call: &Call<'_>) -> tcl::Result<Return> {
    let this = call.data::<Connection>()?;
    match call.args() {
        [] => {
            let dict = Obj::dict();
            let config = this.config.borrow();
            for (name, ..) in TABLE {
                dict.put(name, &config.shown(name));
            }
            Ok(dict.into())
        }
        [name] => read(&this, name),
        pairs => assign(call.interp, &this, pairs),
    }
}

fn assign(interp: Interp<'_>, this: &Connection, words: &[Obj]) -> tcl::Result<Return> {
    // All or nothing: everything is checked before anything is stored.
    let given = options::parse(interp, &SPECS, words)?;
    if let Some(level) = given.string("log_level") {
        super::log::Level::parse(&level)?;
    }
    let pool = match given.get("servers") {
        None => None,
        Some(_) if !this.closed() => {
            let text = "Cannot configure servers when already connected";
            return Err(Error::invalid(text).into());
        }
        Some(list) => {
            let randomize = match given.get("randomize") {
                Some(_) => given.flag("randomize"),
                None => this.config.borrow().flag("randomize"),
            };
            Some(parse_pool(interp, list, randomize)?)
        }
    };
    {
        let mut config = this.config.borrow_mut();
        for (name, value) in given.given() {
            config.set(name, value.clone());
        }
    }
    if let Some(pool) = pool {
        this.set_pool(pool);
    }
    this.config_changed(interp);
    Ok(Return::Empty)
}

fn read(this: &Connection, word: &Obj) -> tcl::Result<Return> {
    let word = word.text();
    match bare(&word) {
        "status" => Ok(Obj::new(this.status().word()).into()),
        name if position(name).is_some() => Ok(this.config.borrow().shown(name).into()),
        _ => Err(Error::invalid(format!("Invalid option {word}")).into()),
    }
}

pub fn cget(call: &Call<'_>) -> tcl::Result<Return> {
    read(&*call.data::<Connection>()?, call.arg(0)?)
}

pub fn reset(call: &Call<'_>) -> tcl::Result<Return> {
    let this = call.data::<Connection>()?;
    for word in call.args() {
        let word = word.text();
        if position(bare(&word)).is_none() {
            return Err(Error::invalid(format!("Invalid option {word}")).into());
        }
    }
    for word in call.args() {
        let word = word.text();
        let name = bare(&word);
        if let Some((_, kind, default)) = position(name).and_then(|at| TABLE.get(at)) {
            let value = Obj::new(default);
            debug_assert!(
                *kind == Type::ValidStr || check(call.interp, name, *kind, value.clone()).is_ok()
            );
            this.config.borrow_mut().set(name, value);
        }
        if name == "servers" {
            this.set_pool(Vec::new());
        }
    }
    this.config_changed(call.interp);
    Ok(Return::Empty)
}

/// A pool entry as `all_servers` shows it and as the delay callback gets it.
pub fn entry_dict(entry: &ServerEntry) -> Obj {
    let dict = Obj::dict();
    dict.put("scheme", &Obj::new(&entry.scheme));
    dict.put("host", &Obj::new(&entry.host));
    dict.put("port", &Obj::new(&entry.port));
    dict.put("discovered", &Obj::word(entry.discovered));
    dict.put("reconnects", &Obj::int(entry.reconnects.into()));
    dict.put("last_attempt", &Obj::int(entry.last_attempt));
    for (name, value) in
        [("user", &entry.user), ("password", &entry.password), ("auth_token", &entry.auth_token)]
    {
        if let Some(value) = value {
            dict.put(name, &Obj::new(value));
        }
    }
    dict
}
