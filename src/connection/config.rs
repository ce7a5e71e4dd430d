//! The options of a connection: `configure`, `cget`, `reset`, and what the transport makes of them.

use super::Connection;
use crate::error::{Error, Kind, Result};
use crate::options::{self, Spec, Type, bare, check};
use crate::tcl::{self, Call, Interp, Obj, Reply};
use crate::transport::{ServerEntry, Settings, TlsSettings};
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

    /// The settings of the transport, without the pool and without the delay callback.
    pub fn settings(&self, interp: Interp<'_>) -> Result<Settings> {
        let text = |name: &str| self.get(name).string();
        Ok(Settings {
            servers: Vec::new(),
            name: text("name"),
            echo: self.flag("echo"),
            connect_timeout: self.duration("connect_timeout"),
            reconnect_time_wait: self.duration("reconnect_time_wait"),
            max_reconnect_attempts: self.int("max_reconnect_attempts"),
            ping_interval: self.duration("ping_interval"),
            user: text("user"),
            password: text("password"),
            token: text("token"),
            secure: self.flag("secure"),
            tls: tls_settings(interp, &self.get("tls_opts"))?,
            delay_callback: None,
        })
    }
}

/// The keys of `-tls_opts`, which are those of the Tcl package `tls`.
fn tls_settings(interp: Interp<'_>, opts: &Obj) -> Result<TlsSettings> {
    let broken = |text: String| Error::new(Kind::Tls, text);
    let pairs = interp
        .aside(|| opts.pairs(interp))
        .map_err(|_| broken(format!("-tls_opts is not a dictionary: {}", opts.text())))?;
    let mut tls = TlsSettings::default();
    for (key, value) in pairs {
        let path = || (!value.is_empty()).then(|| PathBuf::from(value.string()));
        let flag = || {
            options::boolean(&value.text()).ok_or_else(|| {
                broken(format!(
                    "{}: expected boolean value but got \"{}\"",
                    key.text(),
                    value.text()
                ))
            })
        };
        match &*key.text() {
            "-cafile" => tls.cafile = path(),
            "-cadir" => tls.cadir = path(),
            "-certfile" => tls.certfile = path(),
            "-keyfile" => tls.keyfile = path(),
            "-request" => tls.verify &= flag()?,
            "-require" => tls.verify &= flag()?,
            "-servername" | "-command" | "-cipher" | "-ciphersuites" | "-model" | "-password"
            | "-server" | "-ssl2" | "-ssl3" | "-tls1" | "-tls1.1" | "-tls1.2" | "-tls1.3"
            | "-cert" | "-key" | "-dhparams" | "-alpn" | "-securitylevel" | "-validatecommand" => {}
            other => return Err(broken(format!("bad option \"{other}\" in -tls_opts"))),
        }
    }
    Ok(tls)
}

/// The pool of a `-servers` list.
fn parse_pool(interp: Interp<'_>, list: &Obj, randomize: bool) -> tcl::Result<Vec<ServerEntry>> {
    let mut pool = Vec::new();
    for url in list.elements(interp)? {
        pool.push(ServerEntry::parse(&url.text())?);
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

pub fn configure(call: &Call<'_>) -> tcl::Result<Reply> {
    let this = call.data::<Connection>()?;
    match call.args() {
        [] => {
            let dict = Obj::dict();
            let config = this.config.borrow();
            for (name, ..) in TABLE {
                dict.put(name, &config.get(name));
            }
            Ok(dict.into())
        }
        [name] => read(&this, name),
        pairs => assign(call.interp, &this, pairs),
    }
}

fn assign(interp: Interp<'_>, this: &Connection, words: &[Obj]) -> tcl::Result<Reply> {
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
    Ok(Reply::Empty)
}

fn read(this: &Connection, word: &Obj) -> tcl::Result<Reply> {
    let word = word.text();
    match bare(&word) {
        "status" => Ok(Obj::new(this.status().word()).into()),
        name if position(name).is_some() => Ok(this.config.borrow().get(name).into()),
        _ => Err(Error::invalid(format!("Invalid option {word}")).into()),
    }
}

pub fn cget(call: &Call<'_>) -> tcl::Result<Reply> {
    read(&*call.data::<Connection>()?, call.arg(0)?)
}

pub fn reset(call: &Call<'_>) -> tcl::Result<Reply> {
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
    Ok(Reply::Empty)
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
