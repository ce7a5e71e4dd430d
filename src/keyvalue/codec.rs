//! The codecs of a handle: what it shows of keys and values, and what is stored instead.
//!
//! Everything that comes from the program passes [`Codecs::key_in`], [`Codecs::patterns_in`] and
//! [`Codecs::value_in`], and everything that is shown to it [`Codecs::key_out`] and
//! [`Codecs::value_out`], or [`Codecs::value_shown`] where nobody waits who could be told. In between
//! all is as it is stored. An empty value is an empty value in every form.

use super::entry::Entry;
use super::entry_dict::value_obj;
use super::key_codec::KeyForm;
use super::names::{check_key, invalid_key};
use super::patterns::is_wide;
use crate::error::{Error, Kind};
use crate::jetstream::context::JetStream;
use crate::jetstream::roll::{Marks, mark};
use crate::tcl::{Failure, Interp, InterpHandle, Obj, Result};
use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use std::borrow::Cow;
use std::cell::RefCell;

pub struct Codecs {
    interp: InterpHandle,
    key: Codec<KeyForm>,
    value: Codec<ValueForm>,
    /// Keys that could not be decoded, of which the program has been told.
    told: RefCell<Marks>,
}

enum Codec<F> {
    None,
    Form(F),
    /// Commands of the program.
    Commands {
        encode: Vec<Obj>,
        decode: Vec<Obj>,
    },
}

#[derive(Clone, Copy)]
enum ValueForm {
    Utf8,
    Base64,
    Zlib,
}

/// A value as it goes out.
pub enum Encoded {
    /// To be made bytes as all values are.
    Value(Obj),
    Bytes(Vec<u8>),
}

/// So many keys that cannot be decoded are remembered.
const MOST_TOLD: usize = 65_536;

/// With padding or without.
const TOLERANT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const ANY_STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, TOLERANT);
const ANY_URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, TOLERANT);

fn codec<F: Copy>(
    interp: Interp<'_>,
    option: &str,
    word: Option<&Obj>,
    forms: &[(&str, F)],
) -> Result<Codec<F>> {
    let Some(word) = word else { return Ok(Codec::None) };
    let text = word.text();
    if text == "none" {
        return Ok(Codec::None);
    }
    if let Some((_, form)) = forms.iter().find(|(name, _)| *name == text) {
        return Ok(Codec::Form(*form));
    }
    let prefix = |word: &Obj| interp.aside(|| word.elements(interp)).unwrap_or_default();
    match prefix(word).as_slice() {
        [encode, decode] if !encode.is_empty() && !decode.is_empty() => {
            let (encode, decode) = (prefix(encode), prefix(decode));
            if !encode.is_empty() && !decode.is_empty() {
                return Ok(Codec::Commands { encode, decode });
            }
        }
        _ => {}
    }
    let names: Vec<&str> = forms.iter().map(|(name, _)| *name).collect();
    Err(Error::invalid(format!(
        "Invalid value for the codec option {option} : {text}; allowed values: none {}, \
         or a list of two command prefixes",
        names.join(" ")
    ))
    .into())
}

impl Codecs {
    pub fn none(interp: Interp<'_>) -> Codecs {
        Codecs {
            interp: interp.handle(),
            key: Codec::None,
            value: Codec::None,
            told: RefCell::default(),
        }
    }

    /// Those of the options `-key_codec` and `-value_codec`.
    pub fn of(interp: Interp<'_>, key: Option<&Obj>, value: Option<&Obj>) -> Result<Codecs> {
        const KEYS: &[(&str, KeyForm)] =
            &[("base64", KeyForm::Base64), ("path", KeyForm::Path), ("percent", KeyForm::Percent)];
        const VALUES: &[(&str, ValueForm)] =
            &[("utf8", ValueForm::Utf8), ("base64", ValueForm::Base64), ("zlib", ValueForm::Zlib)];
        Ok(Codecs {
            key: codec(interp, "key_codec", key, KEYS)?,
            value: codec(interp, "value_codec", value, VALUES)?,
            ..Codecs::none(interp)
        })
    }

    /// Calls a command of the program, or of Tcl, with one more word.
    fn call(&self, prefix: &[Obj], word: Obj) -> Result<Obj> {
        let Some(guard) = self.interp.enter() else {
            return Err(Error::connection_closed().into());
        };
        let mut words = [prefix, &[word]].concat();
        guard.interp().call(&mut words)
    }

    // ---------------------------------------------------------------------------------- the way in

    /// The stored form of a key.
    pub fn key_in<'w>(&self, word: &'w Obj) -> Result<Cow<'w, str>> {
        match &self.key {
            Codec::None => Ok(word.text()),
            Codec::Form(form) => {
                let key = word.text();
                Ok(form.encode(&key).ok_or_else(|| invalid_key(&key))?.into())
            }
            Codec::Commands { encode, .. } => Ok(self.call(encode, word.clone())?.string().into()),
        }
    }

    /// The stored form of a key that may be made.
    pub fn new_key_in<'w>(&self, word: &'w Obj) -> Result<Cow<'w, str>> {
        let key = self.key_in(word)?;
        check_key(&key).map_err(self.naming(word))?;
        Ok(key)
    }

    /// Has an error about this key name it as the program does.
    pub fn naming(&self, word: &Obj) -> impl Fn(Error) -> Error + use<> {
        let shown = (!self.keeps_keys()).then(|| word.string());
        move |error| match &shown {
            None => error,
            Some(shown) => error.with_key(shown),
        }
    }

    /// The stored forms of patterns. Commands of the program get those, too, but for wildcards alone,
    /// and have to leave wildcards as they are.
    pub fn patterns_in(&self, patterns: Vec<String>) -> Result<Vec<String>> {
        let encode = |pattern: String| match &self.key {
            Codec::None => Ok(pattern),
            Codec::Form(form) => match form.encode_pattern(&pattern) {
                Some(stored) => Ok(stored),
                None => Err(invalid_key(&pattern).into()),
            },
            Codec::Commands { .. } if matches!(&*pattern, ">" | "*") => Ok(pattern),
            Codec::Commands { encode, .. } => {
                let stored = self.call(encode, Obj::new(&pattern))?.string();
                if is_wide(&pattern) && !is_wide(&stored) {
                    let text = format!(
                        "Invalid pattern {pattern}: the key codec does not keep its wildcards"
                    );
                    return Err(Error::invalid(text).into());
                }
                Ok(stored)
            }
        };
        patterns.into_iter().map(encode).collect()
    }

    /// What may be the stored forms of keys that were shown.
    pub fn names_in(&self, shown: Vec<String>) -> Vec<String> {
        if let Codec::None = self.key {
            return shown;
        }
        let mut stored = Vec::with_capacity(2 * shown.len());
        for name in shown {
            if let Some(guard) = self.interp.enter() {
                let word = Obj::new(&name);
                let encoded = guard.interp().aside(|| self.key_in(&word).map(Cow::into_owned));
                stored.extend(encoded.ok().filter(|encoded| *encoded != name));
            }
            // One that could not be decoded.
            stored.push(name);
        }
        stored
    }

    pub fn value_in(&self, js: &JetStream, value: &Obj) -> Result<Encoded> {
        let bytes = |utf8: bool| value.with_payload(utf8, <[u8]>::to_vec);
        let utf8_convert = js.connection.utf8_convert();
        Ok(match &self.value {
            _ if value.is_empty() => Encoded::Value(value.clone()),
            Codec::None => Encoded::Value(value.clone()),
            Codec::Form(ValueForm::Utf8) => Encoded::Bytes(bytes(true)),
            Codec::Form(ValueForm::Base64) => {
                Encoded::Bytes(STANDARD.encode(bytes(utf8_convert)).into_bytes())
            }
            Codec::Form(ValueForm::Zlib) => {
                let packed = self.zlib("compress", &bytes(utf8_convert))?;
                Encoded::Bytes(packed.with_payload(false, <[u8]>::to_vec))
            }
            Codec::Commands { encode, .. } => Encoded::Value(self.call(encode, value.clone())?),
        })
    }

    fn zlib(&self, subcommand: &str, bytes: &[u8]) -> Result<Obj> {
        self.call(&[Obj::new("::zlib"), Obj::new(subcommand)], Obj::from_bytes(bytes))
    }

    // --------------------------------------------------------------------------------- the way out

    /// Whether there are none.
    pub fn are_plain(&self) -> bool {
        matches!((&self.key, &self.value), (Codec::None, Codec::None))
    }

    /// Whether keys are shown as they are stored.
    pub fn keeps_keys(&self) -> bool {
        matches!(self.key, Codec::None)
    }

    /// Whether values are stored as their bytes, or as text: then they can be looked at without a codec.
    pub fn keeps_values(&self) -> bool {
        matches!(self.value, Codec::None | Codec::Form(ValueForm::Utf8))
    }

    /// Whether values are bytes before they are encoded, if the connection does not convert text.
    pub fn packs_bytes(&self) -> bool {
        matches!(self.value, Codec::Form(ValueForm::Base64 | ValueForm::Zlib))
    }

    /// A key as it is shown. One that cannot be decoded is shown as it is, and the program is told so
    /// once, as an error of the connection.
    pub fn key_out(&self, js: &JetStream, stored: &str) -> Obj {
        let shown = match &self.key {
            Codec::None => return Obj::new(stored),
            Codec::Form(form) => {
                form.decode(stored).map(|key| Obj::new(&key)).ok_or_else(String::new)
            }
            Codec::Commands { decode, .. } => self.answer_of(decode, Obj::new(stored)),
        };
        shown.unwrap_or_else(|why| {
            self.tell(js, "key", stored, undecodable("key", stored, &why));
            Obj::new(stored)
        })
    }

    /// The same, and nobody is told.
    fn name_of(&self, stored: &str) -> String {
        let shown = match &self.key {
            Codec::None => None,
            Codec::Form(form) => form.decode(stored),
            Codec::Commands { decode, .. } => {
                self.answer_of(decode, Obj::new(stored)).ok().map(|key| key.string())
            }
        };
        shown.unwrap_or_else(|| stored.to_owned())
    }

    /// The result of a command of the program, or the text of its error.
    fn answer_of(&self, prefix: &[Obj], word: Obj) -> std::result::Result<Obj, String> {
        let Some(guard) = self.interp.enter() else { return Err(String::new()) };
        let interp = guard.interp();
        interp.aside(|| {
            self.call(prefix, word).map_err(|failure| match failure {
                Failure::Error(error) => error.message.into_owned(),
                Failure::Raised => interp.result().string(),
            })
        })
    }

    /// Tells the program of something that cannot be decoded, once for each key.
    fn tell(&self, js: &JetStream, what: &str, stored: &str, error: Error) {
        let mut told = self.told.borrow_mut();
        if told.len() >= MOST_TOLD || !told.insert(mark(&format!("{what} {stored}"))) {
            return;
        }
        // What follows may run traces.
        drop(told);
        js.connection.async_error(error);
    }

    /// The value of an entry as it is shown.
    ///
    /// # Errors
    /// `ErrCodec`: it cannot be decoded.
    pub fn value_out(&self, js: &JetStream, entry: &Entry) -> crate::error::Result<Obj> {
        let stored = entry.value();
        let bytes = |bytes: &[u8]| match js.connection.utf8_convert() {
            true => Obj::from_encoded(bytes),
            false => Obj::from_bytes(bytes),
        };
        let value = match &self.value {
            Codec::None => return Ok(value_obj(js, entry)),
            _ if stored.is_empty() => return Ok(Obj::empty()),
            Codec::Form(ValueForm::Utf8) => return Ok(Obj::from_encoded(stored)),
            Codec::Form(ValueForm::Base64) => {
                let value = ANY_STANDARD.decode(stored).or_else(|_| ANY_URL_SAFE.decode(stored));
                value.map(|value| bytes(&value)).map_err(|why| why.to_string())
            }
            Codec::Form(ValueForm::Zlib) => {
                let unpack = [Obj::new("::zlib"), Obj::new("decompress")];
                let value = self.answer_of(&unpack, Obj::from_bytes(stored));
                value.map(|value| bytes(&value.with_payload(false, <[u8]>::to_vec)))
            }
            Codec::Commands { decode, .. } => self.answer_of(decode, value_obj(js, entry)),
        };
        value.map_err(|why| undecodable("value", &self.name_of(entry.key()), &why))
    }

    /// The same where nobody waits: a value that cannot be decoded is shown as it is, and the program
    /// is told so.
    pub fn value_shown(&self, js: &JetStream, entry: &Entry) -> Obj {
        self.value_out(js, entry).unwrap_or_else(|error| {
            self.tell(js, "value", entry.key(), error);
            value_obj(js, entry)
        })
    }
}

fn undecodable(what: &str, key: &str, why: &str) -> Error {
    let colon = if why.is_empty() { "" } else { ": " };
    let what = if what == "key" { format!("Key {key}") } else { format!("The value of key {key}") };
    Error::new(Kind::Codec, format!("{what} cannot be decoded{colon}{why}"))
}
