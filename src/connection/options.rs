//! The options of a connection: one table, and the values of a connection by it.
//!
//! A new option is a line of the table, and is then a field of [`Config`]: name, type of the value
//! inside, type for the check, default, and when a new value takes effect. What the link is told of it
//! stands in [`Config::settings`].

use super::log::Level;
use super::option_value::{OptionValue, Secret};
use super::tls_opts::TlsOpts;
use crate::mask::MASK;
use crate::options::{Spec, Type, unknown};
use crate::subject;
use crate::tcl::{Interp, Obj, Result};
use crate::transport::{Credentials, DEFAULT_PREFIX};
use std::path::PathBuf;
use std::time::Duration;

/// When a new value takes effect.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// From the next `connect` on.
    AtConnect,
    /// At its next use by the link, which is told of it.
    Live,
    /// At its next use by a command or an event of this thread.
    Here,
}

macro_rules! connection_options {
    ($($name:ident: $value:ty = $kind:expr, $default:expr, $effect:ident;)*) => {
        /// Names and types, in the order in which values are checked.
        pub const SPECS: &[Spec] = &[$((stringify!($name), $kind)),*];

        const DEFAULTS: &[&str] = &[$($default),*];

        const EFFECTS: &[Effect] = &[$(Effect::$effect),*];

        /// The values of the options.
        #[derive(Clone)]
        pub struct Config {
            /// As they were set.
            given: Vec<Obj>,
            $(pub $name: $value,)*
        }

        impl Config {
            pub fn new(interp: Interp<'_>) -> Result<Config> {
                Ok(Config {
                    given: DEFAULTS.iter().map(|default| Obj::new(default)).collect(),
                    $($name: OptionValue::read(interp, &Obj::new($default))?,)*
                })
            }

            /// Sets a value, which has been checked against the type of its option.
            pub fn set(&mut self, interp: Interp<'_>, name: &str, value: Obj) -> Result<()> {
                match name {
                    $(stringify!($name) => self.$name = OptionValue::read(interp, &value)?,)*
                    _ => return Err(unknown(name).into()),
                }
                if let Some(slot) = position(name).and_then(|at| self.given.get_mut(at)) {
                    *slot = value;
                }
                Ok(())
            }

            fn is_secret(&self, name: &str) -> bool {
                match name {
                    $(stringify!($name) => self.$name.is_secret(),)*
                    _ => false,
                }
            }
        }
    };
}

connection_options! {
    servers: Obj = Type::ValidStr, "", AtConnect;
    name: String = Type::ValidStr, "", AtConnect;
    pedantic: bool = Type::Bool, "false", AtConnect;
    verbose: bool = Type::Bool, "false", AtConnect;
    randomize: bool = Type::Bool, "true", Here;
    connect_timeout: Duration = Type::Timeout, "2000", AtConnect;
    reconnect_time_wait: Duration = Type::Timeout, "2000", Live;
    custom_reconnect_delay: Obj = Type::Str, "", Here;
    max_reconnect_attempts: i64 = Type::Int, "60", Live;
    ping_interval: Duration = Type::Timeout, "120000", AtConnect;
    max_outstanding_pings: i64 = Type::PosInt, "2", AtConnect;
    echo: bool = Type::Bool, "true", AtConnect;
    tls_opts: TlsOpts = Type::Str, "", Live;
    user: String = Type::Str, "", Live;
    password: String = Type::Str, "", Live;
    token: String = Type::Str, "", Live;
    secure: bool = Type::Bool, "false", AtConnect;
    check_subjects: bool = Type::Bool, "true", Here;
    dictmsg: bool = Type::Bool, "false", Here;
    utf8_convert: bool = Type::Bool, "false", Here;
    request_timeout: Duration = Type::Timeout, "10000", Here;
    // What nats-tcl does not have.
    nkey_seed: Secret = Type::Secret, "", Live;
    nkey_seed_file: Option<PathBuf> = Type::Str, "", Live;
    jwt: Secret = Type::Secret, "", Live;
    credentials: Option<Credentials> = Type::Secret, "", Live;
    auth_callback: Obj = Type::Str, "", Live;
    tls_first: bool = Type::Bool, "false", AtConnect;
    inbox_prefix: String = Type::Checked("subject", subject::is_prefix), DEFAULT_PREFIX, AtConnect;
    event_callback: Obj = Type::Str, "", Here;
    retry_on_failed_connect: bool = Type::Bool, "false", AtConnect;
    ignore_discovered_servers: bool = Type::Bool, "false", Live;
    pending_out_msgs: i64 = Type::PosInt, "2097152", Live;
    pending_out_bytes: i64 = Type::PosInt, "67108864", Live;
    jetstream_domain: String = Type::Str, "", Here;
    jetstream_api_prefix: String = Type::Str, "", Here;
    log_level: Level = Type::ValidStr, "warn", Here;
}

fn position(name: &str) -> Option<usize> {
    SPECS.iter().position(|(known, _)| *known == name)
}

/// The default of an option; `None` if there is no such option.
pub fn default(name: &str) -> Option<&'static str> {
    position(name).and_then(|at| DEFAULTS.get(at)).copied()
}

/// Whether an open link is to be told of a new value.
pub fn is_live(name: &str) -> bool {
    position(name).and_then(|at| EFFECTS.get(at)) == Some(&Effect::Live)
}

impl Config {
    /// What a program may see of a value; `None` if there is no such option.
    pub fn shown(&self, name: &str) -> Option<Obj> {
        let given = position(name).and_then(|at| self.given.get(at))?;
        Some(if self.is_secret(name) { Obj::new(MASK) } else { given.clone() })
    }
}
