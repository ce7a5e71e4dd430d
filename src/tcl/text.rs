//! Between Tcl's internal strings and UTF-8.
//!
//! Inside Tcl, NUL is the two bytes C0 80, and Tcl 8.6 keeps characters beyond U+FFFF as two
//! surrogates of three bytes each; a lone surrogate is possible in both versions.

use std::borrow::Cow;

/// UTF-8 of a Tcl string; lone surrogates stay as their three bytes, as `encoding convertto` of
/// Tcl 8.6 does.
pub fn to_utf8_bytes(tcl: &[u8]) -> Cow<'_, [u8]> {
    if !tcl.iter().any(|&b| b == 0xC0 || b == 0xED) {
        return Cow::Borrowed(tcl);
    }
    let mut out = Vec::with_capacity(tcl.len());
    let mut rest = tcl;
    while let Some((&first, tail)) = rest.split_first() {
        match rest {
            [0xC0, 0x80, tail @ ..] => {
                out.push(0);
                rest = tail;
            }
            [0xED, 0xA0..=0xAF, _, 0xED, 0xB0..=0xBF, _, tail @ ..] => {
                let unit = |at: usize| {
                    (u32::from(rest[at] & 0x3F) << 6 | u32::from(rest[at + 1] & 0x3F)) & 0x3FF
                };
                let code = 0x1_0000 + (unit(1) << 10 | unit(4));
                let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = tail;
            }
            _ => {
                out.push(first);
                rest = tail;
            }
        }
    }
    Cow::Owned(out)
}

/// UTF-8 of a Tcl string as a `str`; what UTF-8 cannot hold becomes U+FFFD.
pub fn to_utf8(tcl: &[u8]) -> Cow<'_, str> {
    // What Tcl writes in another way is no UTF-8, and most text has none of it.
    if let Ok(text) = std::str::from_utf8(tcl) {
        return Cow::Borrowed(text);
    }
    match to_utf8_bytes(tcl) {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Cow::Owned(text),
            Err(error) => Cow::Owned(String::from_utf8_lossy(error.as_bytes()).into_owned()),
        },
    }
}

/// Tcl's internal form of UTF-8 text. `nine`: the running Tcl is version 9.
pub fn from_utf8(text: &str, nine: bool) -> Cow<'_, [u8]> {
    let special = |b: u8| b == 0 || (!nine && b >= 0xF0);
    // To the end in any case, so that many bytes can be looked at at once.
    if !text.bytes().fold(false, |found, b| found | special(b)) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut out = Vec::with_capacity(text.len() + 8);
    for c in text.chars() {
        push_char(&mut out, c, nine);
    }
    Cow::Owned(out)
}

/// What `encoding convertfrom utf-8` makes of any bytes: a byte that is not UTF-8 stands for the
/// character of its own number.
pub fn decode_tolerant(bytes: &[u8], nine: bool) -> Cow<'_, [u8]> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return from_utf8(text, nine);
    }
    let mut out = Vec::with_capacity(bytes.len() + 8);
    let mut rest = bytes;
    while let Some(chunk) = rest.utf8_chunks().next() {
        out.extend_from_slice(&from_utf8(chunk.valid(), nine));
        rest = rest.get(chunk.valid().len()..).unwrap_or_default();
        // Tcl 8.6 takes its own forms of NUL and of lone surrogates from outside, too.
        let own = match rest {
            _ if nine => 0,
            [0xC0, 0x80, ..] => 2,
            [0xED, 0xA0..=0xBF, 0x80..=0xBF, ..] => 3,
            _ => 0,
        };
        let (taken, left) = rest.split_at(if own > 0 { own } else { chunk.invalid().len() });
        if own > 0 {
            out.extend_from_slice(taken);
        } else {
            taken.iter().for_each(|&byte| push_char(&mut out, char::from(byte), nine));
        }
        rest = left;
    }
    Cow::Owned(out)
}

fn push_char(out: &mut Vec<u8>, c: char, nine: bool) {
    if c == '\0' {
        out.extend_from_slice(&[0xC0, 0x80]);
    } else if nine || u32::from(c) < 0x1_0000 {
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    } else {
        for unit in c.encode_utf16(&mut [0; 2]) {
            let [high, low] = unit.to_be_bytes();
            out.extend_from_slice(&[
                0xE0 | high >> 4,
                0x80 | (high & 0x0F) << 2 | low >> 6,
                0x80 | low & 0x3F,
            ]);
        }
    }
}

/// The low eight bits of every character: how Tcl 8.6 turns a string into a byte array.
pub fn low_bytes(tcl: &[u8]) -> Cow<'_, [u8]> {
    if tcl.is_ascii() {
        return Cow::Borrowed(tcl);
    }
    let mut out = Vec::with_capacity(tcl.len());
    let mut rest = tcl;
    while let Some((&first, tail)) = rest.split_first() {
        let length = match first {
            0xC0..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF7 => 4,
            _ => 1,
        };
        if length == 1 || rest.len() < length {
            out.push(first);
            rest = tail;
        } else {
            // The low eight bits sit in the last two bytes of every longer form.
            out.push((rest[length - 2] & 0x03) << 6 | rest[length - 1] & 0x3F);
            rest = &rest[length..];
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf8_round_trips_in_both_versions() {
        for text in ["", "plain", "a\0b", "žluťoučký", "x😀y", "\0😀\0"] {
            for nine in [false, true] {
                let tcl = from_utf8(text, nine);
                assert!(!tcl.contains(&0), "{text:?}");
                assert_eq!(to_utf8(&tcl), text);
            }
        }
        assert_eq!(&*from_utf8("😀", false), b"\xED\xA0\xBD\xED\xB8\x80");
        assert_eq!(&*from_utf8("😀", true), "😀".as_bytes());
    }

    #[test]
    fn lone_surrogates_do_no_harm() {
        assert_eq!(&*to_utf8_bytes(b"a\xED\xA0\xBD"), b"a\xED\xA0\xBD");
        assert!(to_utf8(b"a\xED\xA0\xBD").starts_with("a\u{FFFD}"));
        assert_eq!(&*to_utf8_bytes(b"\xED"), b"\xED");
    }

    #[test]
    fn bytes_that_are_not_utf8_become_their_numbers() {
        assert_eq!(to_utf8(&decode_tolerant(b"a\xFFb", false)), "aÿb");
        assert_eq!(to_utf8(&decode_tolerant(b"\xC3", true)), "Ã");
    }

    #[test]
    fn the_old_tcl_reads_its_own_forms() {
        assert_eq!(&*decode_tolerant(b"a\xC0\x80b\xED\xA0\xBD", false), b"a\xC0\x80b\xED\xA0\xBD");
        assert_eq!(to_utf8(&decode_tolerant(b"\xED\xC0\x80\xE2\xFF", false)), "í\0âÿ");
        assert_eq!(to_utf8(&decode_tolerant(b"\xC0\x80", true)), "À\u{80}");
    }

    #[test]
    fn low_bytes_follow_the_byte_array_rule() {
        assert_eq!(&*low_bytes(b"abc"), b"abc");
        assert_eq!(&*low_bytes("ÿ\u{100}€".as_bytes()), b"\xFF\x00\xAC");
        assert_eq!(&*low_bytes(b"\xC0\x80"), b"\x00");
        assert_eq!(&*low_bytes("😀".as_bytes()), b"\x00");
    }
}
