//! Contexts as natscli stores them: JSON, as what a program uses and as what it may show.

use crate::error::{Error, Kind};
use crate::json;
use crate::mask::{MASK, masked};
use crate::tcl::call::create;
use crate::tcl::{Call, Interp, Method, Obj, Result, Return};
use serde_json::{Map, Value};

/// The fields that mean something here, and are texts.
const TEXTS: &[&str] = &[
    "description",
    "url",
    "user",
    "password",
    "token",
    "creds",
    "nkey",
    "cert",
    "key",
    "ca",
    "inbox_prefix",
    "jetstream_domain",
    "jetstream_api_prefix",
    "user_jwt",
    "user_seed",
    "socks_proxy",
    "nsc",
];

/// Fields whose names have one of these are secrets, also such as are not known here.
const SECRETS: &[&str] =
    &["password", "passphrase", "token", "secret", "seed", "jwt", "private", "credential"];

/// Fields that are URLs, also without a scheme.
const URLS: &[&str] = &["url", "socks_proxy"];

/// `::nats::context::Parse text`: two dicts, of the fields and of what may be shown of them.
fn parse(call: &Call<'_>) -> Result<Return> {
    let fields = read(&call.arg(0)?.text())?;
    let shown = fields.iter().map(|(name, value)| (name.clone(), shown(name, value))).collect();
    Ok(Obj::list(&[json::to_dict(&fields), json::to_dict(&shown)]).into())
}

fn bad(why: impl std::fmt::Display) -> Error {
    Error::new(Kind::BadContext, why.to_string())
}

/// What is null is as if it were not there.
fn read(text: &str) -> crate::error::Result<Map<String, Value>> {
    let mut fields = match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) => return Err(bad("it is not a JSON object")),
        Err(error) => return Err(bad(format_args!("it is not JSON: {error}"))),
    };
    fields.retain(|_, value| !value.is_null());
    for (name, value) in &fields {
        if TEXTS.contains(&name.as_str()) && !value.is_string() {
            return Err(bad(format_args!("{name} is not a text")));
        }
        if name == "tls_first" && !value.is_boolean() {
            return Err(bad("tls_first is neither true nor false"));
        }
    }
    Ok(fields)
}

fn shown(name: &str, value: &Value) -> Value {
    let lower = name.to_ascii_lowercase();
    let secret = SECRETS.iter().any(|word| lower.contains(word));
    match value {
        Value::Array(items) => items.iter().map(|item| shown(name, item)).collect(),
        Value::Object(fields) => {
            // What is in a secret is secret, whatever it is called.
            let named = |inner: &String| if secret { name.to_owned() } else { inner.clone() };
            let fields = fields.iter();
            Value::Object(fields.map(|(n, v)| (n.clone(), shown(&named(n), v))).collect())
        }
        Value::String(text) if text.is_empty() => value.clone(),
        Value::String(text) if !secret && !is_key(text) => {
            let urls = URLS.contains(&name) || text.contains("://");
            if urls { urls_shown(text).into() } else { value.clone() }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) if !secret => value.clone(),
        _ => MASK.into(),
    }
}

/// Where the name of a file is meant, some write what should be in it.
fn is_key(text: &str) -> bool {
    let text = text.trim();
    let seed = text.len() > 50 && text.starts_with('S');
    text.contains("-----BEGIN") || (seed && text.bytes().all(|c| c.is_ascii_alphanumeric()))
}

/// URLs with commas between them, each without user and password.
fn urls_shown(text: &str) -> String {
    let mut pieces: Vec<String> = Vec::new();
    for piece in text.split(',') {
        match pieces.last_mut() {
            // The comma may stand in a password.
            Some(last) if !piece.contains("://") => {
                last.push(',');
                last.push_str(piece);
            }
            _ => pieces.push(piece.to_owned()),
        }
    }
    let one = |piece: &String| {
        let url = piece.trim_start();
        let blanks = &piece[..piece.len() - url.len()];
        format!("{blanks}{}", masked(url))
    };
    pieces.iter().map(one).collect::<Vec<_>>().join(",")
}

static PARSE: Method =
    Method { name: "::nats::context::Parse", usage: "text", min: 1, max: 1, body: parse };

pub fn register(interp: Interp<'_>) -> Result<()> {
    create(interp, &PARSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let seed = "SUAMLK2ZNL35WSMW37E7UD4VZ7ELPKW7DHC3BWBSD2GCZ7IUQQXZIORRBU";
        let text = format!(
            r#"{{"url": "nats://u:p,x@a:1, tls://t@b,c", "password": "x", "token": "", "nkey": "{seed}",
                "creds": "~/u.creds", "user_jwt": "e", "extra": {{"a": ["nats://u:p@h"], "API_Token": 7}},
                "my_secrets": {{"a": "x"}}, "tls_first": true, "user": "me@home", "socks_proxy": "u:p@x"}}"#
        );
        let fields = read(&text).expect("fields");
        let told: Map<_, _> = fields.iter().map(|(n, v)| (n.clone(), shown(n, v))).collect();
        let expected = format!(
            r#"{{"url": "nats://{MASK}@a:1, tls://{MASK}@b,c", "password": "{MASK}", "token": "", "nkey": "{MASK}",
                "creds": "~/u.creds", "user_jwt": "{MASK}", "extra": {{"a": ["nats://{MASK}@h"], "API_Token": "{MASK}"}},
                "my_secrets": {{"a": "{MASK}"}}, "tls_first": true, "user": "me@home", "socks_proxy": "{MASK}@x"}}"#
        );
        assert_eq!(Value::Object(told), serde_json::from_str::<Value>(&expected).expect("JSON"));
    }

    #[test]
    fn what_is_no_context() {
        for text in
            ["", "{", "[]", "7", r#"{"url": 7}"#, r#"{"tls_first": "yes"}"#, r#"{"ca": []}"#]
        {
            assert_eq!(read(text).expect_err(text).kind, Kind::BadContext, "{text}");
        }
        assert!(read(r#"{"url": null, "else": null}"#).expect("fields").is_empty());
    }
}
