//! What the values of options become when they are set.

use super::log::Level;
use crate::error::Error;
use crate::options;
use crate::tcl::{Interp, Obj, Result};
use crate::transport::Credentials;
use std::path::PathBuf;
use std::time::Duration;

/// The type of an option's value inside.
pub trait OptionValue: Sized {
    /// Makes it of what a program has set, which has been checked against the option's
    /// [`Type`](options::Type).
    fn read(interp: Interp<'_>, given: &Obj) -> Result<Self>;

    /// Whether programs get to see a mask instead of it.
    fn is_secret(&self) -> bool {
        false
    }
}

/// A value that is never shown.
#[derive(Clone)]
pub struct Secret(pub String);

fn wrong(given: &Obj) -> Error {
    Error::invalid(format!("Invalid value {}", given.text()))
}

impl OptionValue for bool {
    fn read(_: Interp<'_>, given: &Obj) -> Result<bool> {
        Ok(options::boolean(&given.text()).ok_or_else(|| wrong(given))?)
    }
}

impl OptionValue for i64 {
    fn read(_: Interp<'_>, given: &Obj) -> Result<i64> {
        Ok(options::integer(given).ok_or_else(|| wrong(given))?)
    }
}

impl OptionValue for Duration {
    fn read(interp: Interp<'_>, given: &Obj) -> Result<Duration> {
        Ok(Duration::from_millis(i64::read(interp, given)?.max(0) as u64))
    }
}

impl OptionValue for String {
    fn read(_: Interp<'_>, given: &Obj) -> Result<String> {
        Ok(given.string())
    }
}

/// What only Tcl understands: a list, a command prefix.
impl OptionValue for Obj {
    fn read(_: Interp<'_>, given: &Obj) -> Result<Obj> {
        Ok(given.clone())
    }
}

impl OptionValue for Level {
    fn read(_: Interp<'_>, given: &Obj) -> Result<Level> {
        Ok(Level::parse(&given.text())?)
    }
}

impl OptionValue for Secret {
    fn read(_: Interp<'_>, given: &Obj) -> Result<Secret> {
        Ok(Secret(given.string()))
    }

    fn is_secret(&self) -> bool {
        !self.0.is_empty()
    }
}

/// The name of a file, absolute from the moment in which it is set.
impl OptionValue for Option<PathBuf> {
    fn read(interp: Interp<'_>, given: &Obj) -> Result<Option<PathBuf>> {
        Ok(file_name(interp, given))
    }
}

/// The name of a file, which is no secret, or what would be in it.
impl OptionValue for Option<Credentials> {
    fn read(interp: Interp<'_>, given: &Obj) -> Result<Option<Credentials>> {
        Ok(match Credentials::is_text(&given.text()) {
            true => Some(Credentials::Text(given.string())),
            false => file_name(interp, given).map(Credentials::File),
        })
    }

    fn is_secret(&self) -> bool {
        matches!(self, Some(Credentials::Text(_)))
    }
}

/// The absolute name of a file, as Tcl sees it now; `None` for an empty one.
pub fn file_name(interp: Interp<'_>, name: &Obj) -> Option<PathBuf> {
    if name.is_empty() {
        return None;
    }
    let mut words = [Obj::new("::file"), Obj::new("normalize"), name.clone()];
    let absolute = interp.aside(|| interp.call(&mut words).ok());
    Some(absolute.unwrap_or_else(|| name.clone()).string().into())
}
