//! `-tls_opts`: a dict with the keys of the Tcl package `tls`.
//!
//! Each key is obeyed, or says that it cannot be. What would only matter to a server is let pass.

use super::option_value::{OptionValue, file_name};
use crate::options;
use crate::tcl::{self, Interp, Obj};
use crate::transport::{Material, TlsOptions, TlsSettings};

/// What the callbacks are set to that decide nothing: by default, and when nothing is wanted.
const NO_CALLBACK: [&str; 3] = ["", "::nats::tls_callback", "nats::tls_callback"];

/// The highest of OpenSSL's security levels that the library below is sure to reach.
const SECURITY_LEVEL: i64 = 2;

/// What a dict says.
#[derive(Clone)]
pub struct TlsOpts {
    /// For the transport.
    pub settings: TlsOptions,
    pub commands: Commands,
}

/// The commands in a dict.
#[derive(Clone, Default)]
pub struct Commands {
    /// Gives the password of a key.
    pub password: Option<Obj>,
    /// Says whether a certificate will do.
    pub judge: Option<Obj>,
    /// Hears what becomes of a handshake.
    pub listener: Option<Obj>,
}

impl OptionValue for TlsOpts {
    /// A dict that is of no use is the failure of each handshake.
    fn read(interp: Interp<'_>, dict: &Obj) -> tcl::Result<TlsOpts> {
        let mut reading = Reading::default();
        let settings = reading.dict(interp, dict).map(|()| reading.settings());
        Ok(TlsOpts { settings, commands: Commands::of(interp, dict) })
    }
}

impl Commands {
    fn of(interp: Interp<'_>, dict: &Obj) -> Commands {
        let get = |key| interp.aside(|| dict.dict_get(interp, key)).ok().flatten();
        let listener = get("-command").filter(decides);
        Commands {
            password: get("-password").filter(|prefix| !prefix.is_empty()),
            judge: get("-validatecommand").filter(decides).or_else(|| listener.clone()),
            listener,
        }
    }
}

/// What has been read of a dict.
#[derive(Default)]
struct Reading {
    tls: TlsSettings,
    /// Certificate and key as data, which come before those in files.
    certificate: Option<Material>,
    key: Option<Material>,
    /// `-request 0` and `-require 0` were there.
    no_request: bool,
    no_require: bool,
    /// `-command` is there, and empty.
    silent: bool,
    /// There is a command that decides.
    asks: bool,
}

/// Whether a key was known, or a text that never has a value of the dict in it, unless that is a
/// plain word.
type Known = Result<bool, String>;

impl Reading {
    fn dict(&mut self, interp: Interp<'_>, dict: &Obj) -> Result<(), String> {
        let pairs = interp.aside(|| dict.pairs(interp));
        let pairs = pairs.map_err(|_| "-tls_opts is not a dictionary".to_owned())?;
        for (key, value) in pairs {
            let key = &*key.text();
            let known = self.material(interp, key, &value)
                || self.verification(key, &value)?
                || self.protocol(interp, key, &value)?
                || unsupported(key, &value)?;
            if !known {
                return Err(format!("bad option \"{key}\" in -tls_opts"));
            }
        }
        Ok(())
    }

    fn settings(self) -> TlsSettings {
        let mut tls = self.tls;
        // The default callback of nats-tcl objects to everything that is not verified.
        tls.verify = !self.no_request && (!self.no_require || !self.silent);
        tls.ask_about_server = !self.no_request && self.asks;
        tls.certificate = self.certificate.or(tls.certificate);
        tls.key = self.key.or(tls.key);
        tls
    }

    /// Authorities, certificates and keys.
    fn material(&mut self, interp: Interp<'_>, key: &str, value: &Obj) -> bool {
        let file = || file_name(interp, value);
        match key {
            "-cafile" => self.tls.cafile = file(),
            "-cadir" => self.tls.cadir = file(),
            "-certfile" => self.tls.certificate = file().map(Material::File),
            "-keyfile" => self.tls.key = file().map(Material::File),
            "-cert" => self.certificate = data(value),
            "-key" => self.key = data(value),
            "-password" => self.tls.ask_for_password = !value.is_empty(),
            _ => return false,
        }
        true
    }

    /// Whether and how the server is verified.
    fn verification(&mut self, key: &str, value: &Obj) -> Known {
        match key {
            "-request" => self.no_request = !flag(key, value)?,
            "-require" => self.no_require = !flag(key, value)?,
            "-command" => {
                self.asks |= decides(value);
                self.silent = value.is_empty();
            }
            "-validatecommand" => self.asks |= decides(value),
            "-servername" => {
                self.tls.server_name = Some(value.string()).filter(|name| !name.is_empty());
            }
            "-check_name" => self.tls.check_name = Some(flag(key, value)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn protocol(&mut self, interp: Interp<'_>, key: &str, value: &Obj) -> Known {
        match key {
            "-cipher" => self.tls.ciphers = value.string(),
            "-ciphersuites" => self.tls.ciphers13 = value.string(),
            "-alpn" => {
                let words = interp.aside(|| value.elements(interp));
                let words = words.map_err(|_| "-alpn is not a list".to_owned())?;
                let encoded = words.iter().map(|word| word.with_payload(true, <[u8]>::to_vec));
                self.tls.alpn = encoded.collect();
            }
            "-tls1.2" => self.tls.tls12 = flag(key, value)?,
            "-tls1.3" => self.tls.tls13 = flag(key, value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Keys of which only the values are possible that change nothing.
fn unsupported(key: &str, value: &Obj) -> Known {
    let refused = |why: &str| Err(format!("{key} is not possible: {why}"));
    match key {
        // To allow what is not there changes nothing.
        "-tls1" | "-tls1.1" => {
            flag(key, value)?;
        }
        "-ssl2" | "-ssl3" if flag(key, value)? => return refused("protocol not supported"),
        "-server" if flag(key, value)? => return refused("this is a client"),
        "-securitylevel" => match options::integer(value) {
            Some(level) if (0..=SECURITY_LEVEL).contains(&level) => {}
            _ => return refused("levels are 0, 1 and 2"),
        },
        "-model" if !value.is_empty() => return refused("the channel cannot be shared"),
        "-ssl2" | "-ssl3" | "-server" | "-model" => {}
        // Only for servers.
        "-dhparams" => {}
        _ => return Ok(false),
    }
    Ok(true)
}

fn flag(key: &str, value: &Obj) -> Result<bool, String> {
    let text = value.text();
    options::boolean(&text)
        .ok_or_else(|| format!("{key}: expected boolean value but got \"{text}\""))
}

fn decides(callback: &Obj) -> bool {
    !NO_CALLBACK.contains(&&*callback.text())
}

fn data(value: &Obj) -> Option<Material> {
    (!value.is_empty()).then(|| Material::Data(value.with_payload(false, <[u8]>::to_vec)))
}
