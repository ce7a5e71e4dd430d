//! `configure`, `cget` and `reset`, and what the transport is told of the options.

use super::Connection;
use super::options::{Config, SPECS, default, is_live};
use super::servers::parse_pool;
use crate::error::Error;
use crate::mask::masked;
use crate::options::{self, bare};
use crate::tcl::call::ANY;
use crate::tcl::{Call, Dict, Interp, Method, Obj, Result, Return};
use crate::transport::{LoginSettings, Room, ServerEntry, Settings};

pub const METHODS: &[Method] = &[
    Method { name: "cget", usage: "option", min: 1, max: 1, body: cget },
    Method { name: "configure", usage: "?arg ...?", min: 0, max: ANY, body: configure },
    Method { name: "reset", usage: "?arg ...?", min: 0, max: ANY, body: reset },
];

fn configure(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Connection>()?;
    match call.args() {
        [] => {
            let mut dict = Dict::new();
            let config = this.config.borrow();
            for (name, _) in SPECS {
                if let Some(value) = config.shown(name) {
                    dict.put(name, &value);
                }
            }
            Ok(dict.into())
        }
        [name] => read(&this, name),
        pairs => assign(call.interp, &this, pairs),
    }
}

fn cget(call: &Call<'_>) -> Result<Return> {
    read(&*call.data::<Connection>()?, call.arg(0)?)
}

fn read(this: &Connection, word: &Obj) -> Result<Return> {
    let word = word.text();
    let value = match bare(&word) {
        "status" => Some(Obj::new(this.status().word())),
        name => this.config.borrow().shown(name),
    };
    Ok(value.ok_or_else(|| invalid_option(&word))?.into())
}

fn invalid_option(word: &str) -> Error {
    let known = options::known(SPECS.iter().map(|(name, _)| *name));
    Error::invalid(format!("Invalid option {}", masked(word))).with_hint(known)
}

/// All or nothing: everything is checked and read before anything is stored.
fn assign(interp: Interp<'_>, this: &Connection, words: &[Obj]) -> Result<Return> {
    let given = options::parse(interp, SPECS, words)?;
    let mut config = this.config.borrow().clone();
    let mut live = false;
    for (name, value) in given.given() {
        config.set(interp, name, value.clone())?;
        live |= is_live(name);
    }
    let pool = match given.get("servers") {
        None => None,
        Some(_) if !this.closed() => {
            let text = "Cannot configure servers when already connected";
            return Err(Error::invalid(text).into());
        }
        Some(_) => Some(parse_pool(interp, &config.servers, config.randomize)?),
    };
    this.set_config(config, live, pool);
    Ok(Return::Empty)
}

fn reset(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Connection>()?;
    let mut config = this.config.borrow().clone();
    let (mut live, mut pool) = (false, None);
    for word in call.args() {
        let word = word.text();
        let name = bare(&word);
        let value = default(name).ok_or_else(|| invalid_option(&word))?;
        config.set(call.interp, name, Obj::new(value))?;
        live |= is_live(name);
        if name == "servers" {
            pool = Some(Vec::new());
        }
    }
    this.set_config(config, live, pool);
    Ok(Return::Empty)
}

impl Connection {
    fn set_config(&self, config: Config, live: bool, pool: Option<Vec<ServerEntry>>) {
        self.delivery.format.set_utf8(config.utf8_convert);
        self.events.set_prefix(config.event_callback.clone());
        self.logger.set_level(config.log_level);
        if let Some(pool) = pool {
            self.links.set_pool(pool);
        }
        if live {
            self.links.update(config.settings());
        }
        self.config.replace(config);
    }
}

impl Config {
    /// The settings of the transport, without the pool and without callbacks.
    pub fn settings(&self) -> Settings {
        Settings {
            name: self.name.clone(),
            echo: self.echo,
            connect_timeout: self.connect_timeout,
            reconnect_time_wait: self.reconnect_time_wait,
            max_reconnect_attempts: self.max_reconnect_attempts,
            retry: self.retry_on_failed_connect,
            ignore_discovered: self.ignore_discovered_servers,
            room: Room::of_options(self.pending_out_msgs, self.pending_out_bytes),
            ping_interval: self.ping_interval,
            login: self.login(),
            secure: self.secure,
            tls_first: self.tls_first,
            tls: self.tls_opts.settings.clone(),
            inbox_prefix: self.inbox_prefix.clone(),
            // Of the link that is opened.
            servers: Vec::new(),
            delay_callback: None,
            login_callback: None,
            tls_callback: None,
        }
    }

    fn login(&self) -> LoginSettings {
        LoginSettings {
            ask: !self.auth_callback.is_empty(),
            credentials: self.credentials.clone(),
            jwt: self.jwt.0.clone(),
            nkey_seed: self.nkey_seed.0.clone(),
            nkey_seed_file: self.nkey_seed_file.clone(),
            user: self.user.clone(),
            password: self.password.clone(),
            token: self.token.clone(),
        }
    }
}
