//! Arguments that are patterns: a Tcl list of one or more. Keys hold no blanks, so one pattern without
//! any is what it says, however a list would write it. Behind a codec keys may hold anything: there it is
//! a list and nothing else.

use super::codec::Codecs;
use super::names::check_filter;
use crate::error::Result;
use crate::tcl::{Interp, Obj};
use std::collections::HashSet;

/// The patterns of an argument, as they stand there. None at all is an empty one, which is refused
/// as such.
pub fn patterns_of(interp: Interp<'_>, codecs: &Codecs, word: &Obj) -> Result<Vec<String>> {
    let (text, plain) = (word.string(), codecs.keeps_keys());
    if plain && !text.contains([' ', '\t', '\n', '\r', '\x0b', '\x0c']) {
        return Ok(vec![text]);
    }
    let Ok(elements) = interp.aside(|| word.elements(interp)) else {
        // No list, so it is one pattern, which has a blank.
        if plain {
            check_filter(&text)?;
        }
        return Ok(vec![text]);
    };
    match elements.is_empty() {
        true => Ok(vec![String::new()]),
        false => Ok(elements.iter().map(Obj::string).collect()),
    }
}

/// Leaves out what others match as well: servers refuse filters that are the same in part.
pub fn without_covered(mut patterns: Vec<String>) -> Vec<String> {
    let mut known = HashSet::with_capacity(patterns.len());
    let first: Vec<bool> = patterns.iter().map(|pattern| known.insert(pattern.as_str())).collect();
    let mut first = first.into_iter();
    patterns.retain(|_| first.next().unwrap_or(false));
    let wide: Vec<String> = patterns.iter().filter(|pattern| is_wide(pattern)).cloned().collect();
    if wide.is_empty() {
        return patterns;
    }
    patterns.retain(|pattern| !wide.iter().any(|wide| wide != pattern && covers(wide, pattern)));
    patterns
}

/// Whether it has a wildcard.
pub fn is_wide(pattern: &str) -> bool {
    pattern.contains(['*', '>']) && pattern.split('.').any(|token| matches!(token, "*" | ">"))
}

/// Whether everything that `narrow` matches is matched by `wide`.
fn covers(wide: &str, narrow: &str) -> bool {
    let (mut wide, mut narrow) = (wide.split('.'), narrow.split('.'));
    loop {
        match (wide.next(), narrow.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some("*"), Some(token)) if token != ">" => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

/// Whether some key can match both.
pub fn share_keys(a: &str, b: &str) -> bool {
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        match (a.next(), b.next()) {
            (Some(">"), Some(_)) | (Some(_), Some(">")) | (None, None) => return true,
            (Some(a), Some(b)) if a == "*" || b == "*" || a == b => {}
            _ => return false,
        }
    }
}

/// Whether some key can match two of these, of which none covers another one: so both have wildcards.
pub fn overlap(patterns: &[String]) -> bool {
    let wide: Vec<&String> = patterns.iter().filter(|pattern| is_wide(pattern)).collect();
    wide.iter().enumerate().any(|(n, one)| wide[..n].iter().any(|other| share_keys(one, other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_match_is_left_out() {
        for (patterns, left) in [
            (&["a", "b"][..], &["a", "b"][..]),
            (&["a", "b", "a"], &["a", "b"]),
            (&["a.b", "a.>", "b"], &["a.>", "b"]),
            (&["a.*", "a.b", "a.b.c", "a"], &["a.*", "a.b.c", "a"]),
            (&["*", ">", "x.y"], &[">"]),
            (&["*.b", "a.*"], &["*.b", "a.*"]),
            (&["a.*", "a.>"], &["a.>"]),
            (&["*.*", "a.*", "*.>"], &["*.>"]),
            (&["a.>", "a"], &["a.>", "a"]),
            (&["*.>", "a.>"], &["*.>"]),
            (&["a.*.>", "a.>"], &["a.>"]),
        ] {
            let given = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
            assert_eq!(without_covered(given), left, "{patterns:?}");
        }
    }

    #[test]
    fn what_shares_keys() {
        for (wide, narrow) in [
            (">", "a"),
            (">", "a.>"),
            ("*", "a"),
            ("a.>", "a.*.c"),
            ("*.b", "a.b"),
            (">", "*"),
            ("a", "a"),
        ] {
            assert!(share_keys(wide, narrow), "{wide} {narrow}");
        }
        for (one, other, share) in [
            ("*", ">", true),
            ("a.*", "*.b", true),
            ("a.>", "*.b", true),
            ("a.>", "a", false),
            ("a.*", "b.*", false),
            ("*", "a.b", false),
            ("a.*", "a.>", true),
        ] {
            assert_eq!(
                (share_keys(one, other), share_keys(other, one)),
                (share, share),
                "{one} {other}"
            );
        }
    }

    #[test]
    fn what_overlaps() {
        for (patterns, wanted) in [
            (&["a", "b", "c.>"][..], false),
            (&["a.*", "b.*", "a.*.>"], false),
            (&["a.*", "x", "*.b"], true),
            (&["a.>", "*.b.c"], true),
        ] {
            let given: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
            assert_eq!(overlap(&given), wanted, "{patterns:?}");
        }
    }
}
