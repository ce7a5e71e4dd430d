//! Option lists `-name value …`, as every method of the package takes them: types, checks, errors.
//!
//! Leading dashes do not matter, the last of several values wins, values are checked in the order
//! of the table, and unknown names are reported after all known ones were accepted.

use crate::error::{Error, Kind};
use crate::mask::{MASK, masked};
use crate::rfc3339;
use crate::tcl::{Interp, Obj, Result};
use std::borrow::Cow;
use std::time::Duration;

/// The type of an option. Its word is part of the error message.
#[derive(Clone, Copy, Debug)]
pub enum Type {
    /// Anything.
    Str,
    /// Any non-empty string.
    ValidStr,
    /// A Tcl boolean, abbreviations included, but no other number than 0 and 1.
    Bool,
    /// Any integer.
    Int,
    /// An integer ≥ 0.
    PosInt,
    /// Milliseconds ≥ 0; errors are `ErrBadTimeout`.
    Timeout,
    /// Milliseconds, with a fraction if wanted.
    Ms,
    /// A non-empty Tcl list.
    List,
    /// A dictionary.
    Dict,
    /// A non-empty dictionary of strings.
    Metadata,
    /// Anything; it is shown as [`MASK`].
    Secret,
    /// What passes this check; the word is that of the error message.
    Checked(&'static str, fn(&str) -> bool),
    /// One of these words.
    Enum(&'static [&'static str]),
}

impl Type {
    pub fn word(self) -> &'static str {
        match self {
            Type::Str => "str",
            Type::ValidStr => "valid_str",
            Type::Bool => "bool",
            Type::Int => "int",
            Type::PosInt => "pos_int",
            Type::Timeout => "timeout",
            Type::Ms => "ms",
            Type::List => "list",
            Type::Dict => "dict",
            Type::Metadata => "metadata",
            Type::Secret => "secret",
            Type::Checked(word, _) => word,
            Type::Enum(_) => "enum",
        }
    }

    /// What a value may be, in a few words.
    fn allowed(self) -> Option<&'static str> {
        Some(match self {
            Type::ValidStr => "any string that is not empty",
            Type::Bool => "a boolean: 1 0 true false yes no on off",
            Type::Int => "an integer",
            Type::PosInt => "an integer, 0 or more",
            Type::Timeout => "milliseconds: an integer, 0 or more",
            Type::List => "a list that is not empty",
            Type::Dict => "a dict: names and values",
            Type::Metadata => "a dict that is not empty",
            // What has no words here says more in the text.
            _ => return None,
        })
    }
}

/// A time as servers read it.
pub const TIME: Type =
    Type::Checked("valid_str", |text| !text.is_empty() && rfc3339::is_countable(text));

pub type Spec = (&'static str, Type);

/// Checked values, by the position of their option in the table.
pub struct Options {
    table: &'static [Spec],
    values: Vec<Option<Obj>>,
}

/// The name of an option without its dashes.
pub fn bare(word: &str) -> &str {
    word.trim_start_matches('-')
}

pub fn unknown(name: &str) -> Error {
    Error::invalid(format!("Unknown option {}", masked(bare(name))))
}

/// What can be given instead of an unknown option.
pub fn known(names: impl Iterator<Item = &'static str>) -> String {
    let names: Vec<String> = names.map(|name| format!("-{name}")).collect();
    format!("options are {}", names.join(" "))
}

pub fn missing_value(word: &Obj) -> Error {
    Error::invalid(format!("Missing value for option {}", masked(&word.text())))
}

/// Parses an option list: an unknown option is an error.
pub fn parse(interp: Interp<'_>, table: &'static [Spec], words: &[Obj]) -> Result<Options> {
    let position = |word: &str| table.iter().position(|(name, _)| *name == word);
    let (mut values, unknown) = assign(table.len(), position, words)?;
    let unknown = unknown.map(|error| error.with_hint(known(table.iter().map(|(name, _)| *name))));
    for (slot, (name, kind)) in values.iter_mut().zip(table) {
        if let Some(value) = slot.take() {
            *slot = Some(check(interp, name, *kind, value)?);
        }
    }
    match unknown {
        Some(error) => Err(error.into()),
        None => Ok(Options { table, values }),
    }
}

/// The given values, by the position of their option in a table of this length; and the error for the
/// first option that has none.
pub fn assign(
    length: usize,
    position: impl Fn(&str) -> Option<usize>,
    words: &[Obj],
) -> Result<(Vec<Option<Obj>>, Option<Error>)> {
    if words.len() % 2 == 1
        && let Some(last) = words.last()
    {
        return Err(missing_value(last).into());
    }
    let mut values = vec![None; length];
    let mut stranger = None;
    for pair in words.chunks_exact(2) {
        let [word, value] = pair else { continue };
        let word = word.text();
        match position(bare(&word)).and_then(|at| values.get_mut(at)) {
            Some(slot) => *slot = Some(value.clone()),
            None => {
                stranger.get_or_insert_with(|| unknown(&word));
            }
        }
    }
    Ok((values, stranger))
}

/// Checks one value; booleans come back as the words `true` and `false`, all else as given.
pub fn check(interp: Interp<'_>, name: &str, kind: Type, value: Obj) -> Result<Obj> {
    let fits = match kind {
        Type::Str => true,
        Type::ValidStr => !value.is_empty(),
        Type::Bool => match boolean(&value.text()) {
            Some(flag) => return Ok(Obj::word(flag)),
            None => false,
        },
        Type::Int => integer(&value).is_some(),
        Type::PosInt | Type::Timeout => integer(&value).is_some_and(|n| n >= 0),
        Type::Ms => milliseconds(&value).is_some(),
        Type::List => interp.aside(|| value.elements(interp).is_ok_and(|all| !all.is_empty())),
        Type::Dict => interp.aside(|| value.pairs(interp).is_ok()),
        Type::Metadata => !value.pairs(interp)?.is_empty(),
        // A secret that was read back is none.
        Type::Secret => value.tcl_bytes() != MASK.as_bytes(),
        Type::Checked(_, fits) => fits(&value.text()),
        Type::Enum(words) => {
            let text = value.text();
            if !words.contains(&&*text) {
                let allowed = words.join(" ");
                return Err(Error::invalid(format!(
                    "Invalid value for the enum {name} : {text}; allowed values: {allowed}"
                ))
                .into());
            }
            true
        }
    };
    if fits { Ok(value) } else { Err(refused(name, kind, &value).into()) }
}

/// The error for a value that an option of this type does not take.
pub fn refused(name: &str, kind: Type, value: &Obj) -> Error {
    let word = kind.word();
    let error = if matches!(kind, Type::Timeout) { Kind::BadTimeout } else { Kind::InvalidArg };
    let allowed = match kind {
        Type::Ms => "; allowed is a number of milliseconds, with a fraction if wanted",
        _ => "",
    };
    let text = format!("Invalid value for the {word} option {name} : {}{allowed}", value.text());
    Error { hint: kind.allowed().map(Cow::Borrowed), ..Error::new(error, text) }
}

/// A strict Tcl boolean: `0`, `1` and unambiguous beginnings of the six words, in any case.
pub fn boolean(text: &str) -> Option<bool> {
    let text = text.to_ascii_lowercase();
    let begins = |word: &str, shortest: usize| text.len() >= shortest && word.starts_with(&text);
    if text == "1" || begins("true", 1) || begins("yes", 1) || begins("on", 2) {
        Some(true)
    } else if text == "0" || begins("false", 1) || begins("no", 1) || begins("off", 2) {
        Some(false)
    } else {
        None
    }
}

/// An integer of any size; what does not fit 64 bits is cut to the largest that does.
pub fn integer(value: &Obj) -> Option<i64> {
    let text = value.text();
    let trimmed = text.trim();
    let (negative, digits) = match trimmed.as_bytes().first() {
        Some(b'-') => (true, &trimmed[1..]),
        Some(b'+') => (false, &trimmed[1..]),
        _ => (false, trimmed),
    };
    let huge = || is_huge(digits).then_some(if negative { i64::MIN } else { i64::MAX });
    match value.as_int() {
        // Tcl 8.6 lets numbers between 2^63 and 2^64 wrap.
        Some(n) if (n < 0) != negative && n != 0 => huge(),
        Some(n) => Some(n),
        None => huge(),
    }
}

/// Whether these digits, perhaps behind a prefix, are a number that does not fit 63 bits.
fn is_huge(digits: &str) -> bool {
    let lower = digits.to_ascii_lowercase();
    let (digits, radix, longest) = match lower.get(..2) {
        Some("0x") => (&lower[2..], 16, 15),
        Some("0o") => (&lower[2..], 8, 20),
        Some("0b") => (&lower[2..], 2, 62),
        Some("0d") => (&lower[2..], 10, 18),
        _ => (&*lower, 10, 18),
    };
    digits.len() > longest && digits.chars().all(|c| c.is_digit(radix))
}

/// An integer ≥ 0 as the server counts sequences, in unsigned 64 bits; what does not fit is cut to the
/// largest that does.
pub fn unsigned(value: &Obj) -> Option<u64> {
    integer(value).filter(|cut| *cut >= 0)?;
    Some(exactly_unsigned(value).unwrap_or(u64::MAX))
}

/// An integer ≥ 0 that fits unsigned 64 bits.
pub fn exactly_unsigned(value: &Obj) -> Option<u64> {
    let small = integer(value)?;
    if small < i64::MAX {
        return u64::try_from(small).ok();
    }
    let text = value.text();
    let digits = text.trim().trim_start_matches('+');
    let (digits, radix) = match digits.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => (&digits[2..], 16),
        Some("0o") => (&digits[2..], 8),
        Some("0b") => (&digits[2..], 2),
        Some("0d") => (&digits[2..], 10),
        _ => (digits, 10),
    };
    u64::from_str_radix(digits, radix).ok()
}

/// Milliseconds with a fraction, as nanoseconds.
pub fn milliseconds(value: &Obj) -> Option<i64> {
    if let Some(whole) = integer(value) {
        return whole.checked_mul(1_000_000);
    }
    let ms: f64 = value.text().trim().parse().ok()?;
    let ns = ms * 1e6;
    (ns.is_finite() && ns.abs() < 9.2e18).then_some(ns as i64)
}

impl Options {
    pub fn get(&self, name: &str) -> Option<&Obj> {
        let at = self.table.iter().position(|(known, _)| *known == name)?;
        self.values.get(at)?.as_ref()
    }

    /// All given options, in the order of the table.
    pub fn given(&self) -> impl Iterator<Item = (&'static str, &Obj)> {
        self.table
            .iter()
            .zip(&self.values)
            .filter_map(|((name, _), value)| value.as_ref().map(|value| (*name, value)))
    }

    pub fn string(&self, name: &str) -> Option<String> {
        self.get(name).map(Obj::string)
    }

    /// A non-empty string: for options whose empty value means "not given".
    pub fn non_empty(&self, name: &str) -> Option<&Obj> {
        self.get(name).filter(|value| !value.is_empty())
    }

    pub fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.tcl_bytes() == b"true")
    }

    pub fn int(&self, name: &str) -> Option<i64> {
        self.get(name).and_then(integer)
    }

    /// A limit of time, `usual` if the option was not given; `0` means none.
    pub fn time_limit(&self, name: &str, usual: Duration) -> Option<Duration> {
        Some(self.duration(name).unwrap_or(usual)).filter(|limit| !limit.is_zero())
    }

    /// Milliseconds as they were given, 0 included.
    pub fn duration(&self, name: &str) -> Option<Duration> {
        self.int(name).map(|ms| Duration::from_millis(ms.max(0) as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::boolean;

    #[test]
    fn booleans_are_strict() {
        for yes in ["1", "true", "T", "tRu", "y", "YES", "on", "ON"] {
            assert_eq!(boolean(yes), Some(true), "{yes}");
        }
        for no in ["0", "false", "f", "n", "No", "of", "OFF"] {
            assert_eq!(boolean(no), Some(false), "{no}");
        }
        for bad in ["", "2", "1.0", "0x1", " 1", "o", "truely", "nope"] {
            assert_eq!(boolean(bad), None, "{bad}");
        }
    }
}
