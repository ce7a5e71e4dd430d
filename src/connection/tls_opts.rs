//! `-tls_opts`: a dict with the keys of the Tcl package `tls`.
//!
//! Each key is obeyed, or says that it cannot be. What would only matter to a server is let pass.

use super::config::file_name;
use crate::options;
use crate::tcl::{Interp, Obj};
use crate::transport::{Material, TlsOptions, TlsSettings};

/// What the callbacks are set to that decide nothing: by default, and when nothing is wanted.
const NO_CALLBACK: [&str; 3] = ["", "::nats::tls_callback", "nats::tls_callback"];

/// The highest of OpenSSL's security levels that the library below is sure to reach.
const SECURITY_LEVEL: i64 = 2;

/// Reads the dict. Names of files are taken from the folder of now.
///
/// # Errors
/// A text that never has a value of the dict in it, unless that is a plain word.
pub fn read(interp: Interp<'_>, opts: &Obj) -> TlsOptions {
    let pairs = interp.aside(|| opts.pairs(interp));
    let pairs = pairs.map_err(|_| "-tls_opts is not a dictionary".to_owned())?;
    let mut tls = TlsSettings::default();
    let (mut request, mut require, mut silent, mut asked) = (true, true, false, false);
    let (mut data, mut key_data) = (None, None);
    for (key, value) in pairs {
        let key = &*key.text();
        let text = || value.text();
        let flag = || {
            options::boolean(&text())
                .ok_or_else(|| format!("{key}: expected boolean value but got \"{}\"", text()))
        };
        let refused = |why: &str| Err(format!("{key} is not possible: {why}"));
        match key {
            "-cafile" => tls.cafile = file_name(interp, &value),
            "-cadir" => tls.cadir = file_name(interp, &value),
            "-certfile" => tls.certificate = file_name(interp, &value).map(Material::File),
            "-keyfile" => tls.key = file_name(interp, &value).map(Material::File),
            "-cert" => data = material(&value),
            "-key" => key_data = material(&value),
            "-request" => request = flag()?,
            "-require" => require = flag()?,
            "-command" => {
                asked |= decides(&value);
                silent = value.is_empty();
            }
            "-validatecommand" => asked |= decides(&value),
            "-password" => tls.ask_for_password = !value.is_empty(),
            "-servername" => {
                tls.server_name = Some(value.string()).filter(|name| !name.is_empty());
            }
            "-check_name" => tls.check_name = Some(flag()?),
            "-cipher" => tls.ciphers = value.string(),
            "-ciphersuites" => tls.ciphers13 = value.string(),
            "-alpn" => {
                let words = interp.aside(|| value.elements(interp));
                let words = words.map_err(|_| "-alpn is not a list".to_owned())?;
                tls.alpn = words.iter().map(|word| word.encoded_payload().into_owned()).collect();
            }
            "-tls1.2" => tls.tls12 = flag()?,
            "-tls1.3" => tls.tls13 = flag()?,
            // To allow what is not there changes nothing.
            "-tls1" | "-tls1.1" => {
                flag()?;
            }
            "-ssl2" | "-ssl3" => {
                if flag()? {
                    return refused("protocol not supported");
                }
            }
            "-server" => {
                if flag()? {
                    return refused("this is a client");
                }
            }
            "-securitylevel" => match options::integer(&value) {
                Some(level) if (0..=SECURITY_LEVEL).contains(&level) => {}
                _ => return refused("levels are 0, 1 and 2"),
            },
            "-model" => {
                if !value.is_empty() {
                    return refused("the channel cannot be shared");
                }
            }
            // Only for servers.
            "-dhparams" => {}
            other => return Err(format!("bad option \"{other}\" in -tls_opts")),
        }
    }
    // The default callback of nats-tcl objects to everything that is not verified.
    tls.verify = request && (require || !silent);
    tls.ask_about_server = request && asked;
    tls.certificate = data.or(tls.certificate);
    tls.key = key_data.or(tls.key);
    Ok(tls)
}

/// The commands in a dict.
#[derive(Default)]
pub struct Commands {
    /// Gives the password of a key.
    pub password: Option<Obj>,
    /// Says whether a certificate will do.
    pub judge: Option<Obj>,
    /// Hears what becomes of a handshake.
    pub listener: Option<Obj>,
}

impl Commands {
    pub fn of(interp: Interp<'_>, opts: &Obj) -> Commands {
        let get = |key| interp.aside(|| opts.dict_get(interp, key)).ok().flatten();
        let listener = get("-command").filter(decides);
        Commands {
            password: get("-password").filter(|prefix| !prefix.is_empty()),
            judge: get("-validatecommand").filter(decides).or_else(|| listener.clone()),
            listener,
        }
    }
}

fn decides(callback: &Obj) -> bool {
    !NO_CALLBACK.contains(&&*callback.text())
}

fn material(value: &Obj) -> Option<Material> {
    (!value.is_empty()).then(|| Material::Data(value.payload().into_owned()))
}
