//! Headers as dicts: name → list of values.

use crate::tcl::{Interp, Obj, Result};
use crate::transport::{Headers, PackedMessage};

/// The headers of a message that came in, the status line first.
pub(super) fn to_dict(message: &PackedMessage) -> Obj {
    let mut words: Vec<Obj> = Vec::new();
    let mut named: [(&str, Vec<Obj>); 2] = [("Status", Vec::new()), ("Description", Vec::new())];
    if let Some(status) = message.status() {
        named[0].1.push(Obj::int(status.into()));
    }
    if let Some(text) = message.description().map(str::trim).filter(|text| !text.is_empty()) {
        // Runs of blanks are one.
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        named[1].1.push(Obj::new(&text));
    }
    let mut rest: Vec<Obj> = Vec::new();
    for (name, values) in message.headers() {
        let values = values.map(|value| Obj::new(value.trim()));
        match named.iter_mut().find(|(known, _)| *known == name) {
            Some((_, list)) => list.extend(values),
            None => {
                let values: Vec<Obj> = values.collect();
                rest.push(Obj::new(name.trim()));
                rest.push(Obj::list(&values));
            }
        }
    }
    for (name, values) in named {
        if !values.is_empty() {
            words.push(Obj::new(name));
            words.push(Obj::list(&values));
        }
    }
    words.append(&mut rest);
    Obj::list(&words)
}

/// Headers as they are stored: the values of a name stand where it comes first.
pub(super) fn of_fields(fields: &[(String, String)]) -> Obj {
    let mut named: Vec<(&str, Vec<Obj>)> = Vec::new();
    for (name, value) in fields {
        let value = Obj::new(value);
        match named.iter_mut().find(|(known, _)| known == name) {
            Some((_, values)) => values.push(value),
            None => named.push((name, vec![value])),
        }
    }
    let words: Vec<Obj> =
        named.into_iter().flat_map(|(name, values)| [Obj::new(name), Obj::list(&values)]).collect();
    Obj::list(&words)
}

/// The headers of a message that goes out.
pub fn from_dict(interp: Interp<'_>, dict: &Obj) -> Result<Headers> {
    let mut headers = Headers::new();
    if dict.is_empty() {
        return Ok(headers);
    }
    for (name, values) in dict.pairs(interp)? {
        let name = name.text();
        for value in values.elements(interp)? {
            headers.push(&*name, value.text());
        }
    }
    Ok(headers)
}
