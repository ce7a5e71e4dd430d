//! `-auth_callback`: how the program is asked to log in.

use super::Connection;
use super::servers::entry_dict;
use crate::error::Error;
use crate::tcl::{Interp, Obj, Result};
use crate::transport::{Login, LoginQuestion, parse_credentials};
use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// The length of an Ed25519 signature.
const SIGNATURE: usize = 64;

impl Connection {
    /// Calls the program; `None` if it fails, which is a background error then.
    pub(super) fn ask_for_login(&self, question: &LoginQuestion) -> Option<Login> {
        let guard = self.interp_handle.enter()?;
        let interp = guard.interp();
        let prefix = self.config.borrow().auth_callback.clone();
        interp.aside(|| {
            let outcome = prefix.elements(interp).and_then(|mut words| {
                words.push(Obj::new(&question.nonce));
                words.push(entry_dict(&question.server));
                let answer = interp.call(&mut words)?;
                read(interp, &answer)
            });
            outcome.map_err(|failure| interp.background(&failure)).ok()
        })
    }
}

/// The login that a dict describes. What is wrong with it is told without its values.
fn read(interp: Interp<'_>, answer: &Obj) -> Result<Login> {
    let wrong = |text: &str| Error::invalid(format!("-auth_callback: {text}"));
    let pairs = interp.aside(|| answer.pairs(interp));
    let pairs = pairs.map_err(|_| wrong("the result is not a dictionary"))?;
    let mut login = Login::default();
    for (key, value) in pairs {
        let text = || Some(value.string()).filter(|text| !text.is_empty());
        match &*key.text() {
            "user" => login.user = text(),
            "password" => login.password = text(),
            "token" => login.token = text(),
            "jwt" => login.jwt = text(),
            "nkey" => login.nkey = text(),
            "nkey_seed" => login.seed = text(),
            "signature" => {
                let signature = value.with_payload(false, signature);
                login.signature = Some(signature.ok_or_else(|| wrong("no signature"))?);
            }
            "credentials" => {
                let given = parse_credentials(&value.text());
                let given = given.ok_or_else(|| wrong("no user token and seed in credentials"))?;
                (login.jwt, login.seed) = (given.jwt, given.seed);
            }
            _ => return Err(wrong("a key of the result is not known").into()),
        }
    }
    Ok(login)
}

/// A signature as bytes, or in either form of base64.
fn signature(given: &[u8]) -> Option<Vec<u8>> {
    if given.len() == SIGNATURE {
        return Some(given.to_vec());
    }
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let mut forms = [&URL_SAFE, &STANDARD].into_iter();
    forms
        .find_map(|alphabet| GeneralPurpose::new(alphabet, config).decode(given).ok())
        .filter(|signature| signature.len() == SIGNATURE)
}
