//! `nats::build-info`: what this library was built from, and by what, in the form of TIP 599.

use crate::tcl::call::{Call, Method, create};
use crate::tcl::obj::Obj;
use crate::tcl::{Interp, Result, Return};

/// `version+commit.option.option…`, made by `build.rs`.
const TEXT: &str = env!("NATS_BUILD_INFO");

/// One field; 0 for what is unknown, as Tcl's own `build-info` says. An option is 1, or what follows its dash.
fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let (patchlevel, build) = text.split_once('+').unwrap_or((text, ""));
    let mut parts = build.split('.');
    let commit = parts.next().unwrap_or("");
    let minor =
        || patchlevel.match_indices('.').nth(1).map_or(patchlevel, |(at, _)| &patchlevel[..at]);
    match name {
        "patchlevel" => patchlevel,
        "version" => minor(),
        "commit" => commit,
        "compiler" => parts.find(|option| option.starts_with("rustc-")).unwrap_or("0"),
        _ => parts
            .find_map(|option| match option.strip_prefix(name)? {
                "" => Some("1"),
                rest => rest.strip_prefix('-'),
            })
            .unwrap_or("0"),
    }
}

/// `nats::build-info ?field?`
fn build_info(call: &Call<'_>) -> Result<Return> {
    Ok(Obj::new(match call.args().first() {
        Some(name) => field(TEXT, &name.text()),
        None => TEXT,
    })
    .into())
}

static BUILD_INFO: Method =
    Method { name: "::nats::build-info", usage: "?field?", min: 0, max: 1, body: build_info };

pub fn register(interp: Interp<'_>) -> Result<()> {
    create(interp, &BUILD_INFO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_build() {
        let text = "3.4.1+0ff1ce.debug.profile-debug.rustc-195.target-x86_64-unknown-linux-gnu";
        for (name, expected) in [
            ("version", "3.4"),
            ("patchlevel", "3.4.1"),
            ("commit", "0ff1ce"),
            ("compiler", "rustc-195"),
            ("rustc", "195"),
            ("profile", "debug"),
            ("target", "x86_64-unknown-linux-gnu"),
            ("debug", "1"),
            ("modified", "0"),
            ("static", "0"),
            ("rust", "0"),
            ("0ff1ce", "0"),
            ("", "0"),
        ] {
            assert_eq!(field(text, name), expected, "{name}");
        }
    }

    #[test]
    fn this_build() {
        assert_eq!(field(TEXT, "patchlevel"), env!("CARGO_PKG_VERSION"));
        assert!(field(TEXT, "rustc").parse::<u32>().is_ok_and(|version| version >= 189));
        let commit = field(TEXT, "commit");
        assert!(
            commit == "unknown" || commit.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{commit}"
        );
    }
}
