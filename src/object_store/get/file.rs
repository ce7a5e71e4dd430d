//! A file that is written beside its final name, and takes that when it is whole.

use crate::object_store::transfer::trouble::Trouble;
use crate::transport::new_token;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

pub struct Beside {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
    /// As the program calls it.
    shown: String,
    placed: bool,
}

impl Beside {
    /// Makes an empty file. That of a link is made beside what the link leads to. One that is to be
    /// replaced hands on its permissions.
    pub fn create(path: &Path, shown: &str) -> Result<Beside, Trouble> {
        let refused = |error: &io::Error| Trouble::system(could_not(shown), error);
        let target = led_to(path.to_owned()).map_err(|error| refused(&error))?;
        let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // With what is added a name may become too long.
        let name: String = name.chars().take(32).collect();
        let temporary = target.with_file_name(format!(".{name}.{}", new_token()));
        let made = OpenOptions::new().write(true).create_new(true).open(&temporary);
        let file = made.map_err(|error| refused(&error))?;
        let beside = Beside { file, temporary, target, shown: shown.to_owned(), placed: false };
        if let Ok(known) = fs::metadata(&beside.target) {
            let handed = beside.file.set_permissions(known.permissions());
            handed.map_err(|error| refused(&error))?;
        }
        Ok(beside)
    }

    fn trouble(&self, error: &io::Error) -> Trouble {
        Trouble::system(could_not(&self.shown), error)
    }

    pub fn write(&mut self, data: &[u8]) -> Result<(), Trouble> {
        self.file.write_all(data).map_err(|error| self.trouble(&error))
    }

    /// Begins anew.
    pub fn rewind(&mut self) -> Result<(), Trouble> {
        let begun = self.file.set_len(0).and_then(|()| self.file.rewind());
        begun.map_err(|error| self.trouble(&error))
    }

    /// Gives it its name.
    pub fn place(mut self) -> Result<(), Trouble> {
        fs::rename(&self.temporary, &self.target).map_err(|error| self.trouble(&error))?;
        self.placed = true;
        Ok(())
    }
}

/// Where links lead to, whether there is something or not.
fn led_to(mut path: PathBuf) -> io::Result<PathBuf> {
    /// As the system has it.
    const LINKS: usize = 40;
    for _ in 0..LINKS {
        match fs::read_link(&path) {
            Ok(next) => path = path.parent().unwrap_or(Path::new("/")).join(next),
            Err(_) => return Ok(path),
        }
    }
    // A circle: what the system says to that.
    fs::metadata(&path).map(|_| path)
}

fn could_not(shown: &str) -> String {
    format!("couldn't write \"{shown}\"")
}

impl Drop for Beside {
    fn drop(&mut self) {
        if !self.placed {
            // It may have been removed by somebody else.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}
