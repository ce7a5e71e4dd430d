//! Whether what comes is the object that its description tells of. No I/O here.

use crate::error::{Error, Kind};
use crate::object_store::info::ObjectInfo;
use crate::object_store::transfer::digest::{is_known, same};

/// What is wrong with what has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    Missing {
        got: u64,
        chunks: u64,
    },
    Size {
        got: u64,
        size: u64,
    },
    Digest,
    /// One that cannot be computed here.
    UnknownDigest(String),
}

impl Flaw {
    pub fn error(&self, name: &str) -> Error {
        let why = match self {
            Flaw::Missing { got, chunks } => format!("{got} of its {chunks} chunks are there"),
            Flaw::Size { got, size } => format!("its chunks have {got} bytes instead of {size}"),
            Flaw::Digest => "its data do not have the digest that they had".to_owned(),
            Flaw::UnknownDigest(digest) => {
                let text = format!("Object {name} cannot be checked: its digest is {digest}");
                return Error::new(Kind::DigestMismatch, text);
            }
        };
        Error::new(Kind::DigestMismatch, format!("Object {name} is damaged: {why}"))
    }
}

/// The chunks of one object as they come.
pub struct Assembly {
    chunks: u64,
    size: u64,
    digest: String,
    got: u64,
    bytes: u64,
}

impl Assembly {
    pub fn new(info: &ObjectInfo) -> Assembly {
        let digest = info.digest.clone();
        Assembly { chunks: info.chunks, size: info.size, digest, got: 0, bytes: 0 }
    }

    /// Takes the next chunk.
    pub fn chunk(&mut self, length: usize) -> Result<(), Flaw> {
        self.got += 1;
        self.bytes += length as u64;
        match self.bytes > self.size {
            true => Err(Flaw::Size { got: self.bytes, size: self.size }),
            false => Ok(()),
        }
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn has_all(&self) -> bool {
        self.got >= self.chunks
    }

    /// The stream has no more chunks of it.
    pub fn end(&self) -> Result<(), Flaw> {
        match self.has_all() {
            true => Ok(()),
            false => Err(Flaw::Missing { got: self.got, chunks: self.chunks }),
        }
    }

    /// All have come, and have this digest.
    pub fn check(&self, digest: &str) -> Result<(), Flaw> {
        if self.bytes != self.size {
            return Err(Flaw::Size { got: self.bytes, size: self.size });
        }
        // There are objects without one, of which size and number of chunks have to do.
        match &self.digest {
            written if written.is_empty() || same(written, digest) => Ok(()),
            written if is_known(written) => Err(Flaw::Digest),
            written => Err(Flaw::UnknownDigest(written.clone())),
        }
    }
}

/// What is done about a flaw, as the description is now.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// Another object has taken its place: read that.
    Again(Box<ObjectInfo>),
    Fail(Error),
}

/// How often an object may be replaced while it is read.
const RETRIES: u32 = 3;

/// `now` is the description that was found after the flaw; `fresh`: the program has got nothing yet.
pub fn judge(
    flaw: &Flaw,
    read: &ObjectInfo,
    now: Result<ObjectInfo, Error>,
    fresh: bool,
    tries: u32,
) -> Verdict {
    let name = &read.name;
    match now {
        Ok(now) if now.deleted => gone(name),
        Ok(now) if now.nuid == read.nuid => Verdict::Fail(flaw.error(name)),
        Ok(now) if now.link.is_none() && fresh && tries < RETRIES => Verdict::Again(Box::new(now)),
        Ok(_) => {
            let text = format!("Object {name} was replaced while it was read");
            Verdict::Fail(Error::new(Kind::ObjectChanged, text))
        }
        Err(error) if error.kind == Kind::ObjectNotFound => gone(name),
        Err(error) => Verdict::Fail(error),
    }
}

fn gone(name: &str) -> Verdict {
    let text = format!("Object {name} was deleted while it was read");
    Verdict::Fail(Error::new(Kind::ObjectNotFound, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(nuid: &str, chunks: u64, size: u64) -> ObjectInfo {
        let (name, digest) = ("o".to_owned(), "SHA-256=eA==".to_owned());
        ObjectInfo { name, nuid: nuid.to_owned(), chunks, size, digest, ..ObjectInfo::default() }
    }

    #[test]
    fn objects_that_are_whole_and_others() {
        let mut assembly = Assembly::new(&info("n", 2, 5));
        assert_eq!(assembly.chunk(3), Ok(()));
        assert!(!assembly.has_all());
        assert_eq!(assembly.end(), Err(Flaw::Missing { got: 1, chunks: 2 }));
        assert_eq!(assembly.chunk(2), Ok(()));
        assert!(assembly.has_all());
        assert_eq!((assembly.end(), assembly.check("SHA-256=eA")), (Ok(()), Ok(())));
        assert_eq!(assembly.check("SHA-256=eQ=="), Err(Flaw::Digest));
        assert_eq!(assembly.chunk(1), Err(Flaw::Size { got: 6, size: 5 }));
        let mut short = Assembly::new(&info("n", 1, 5));
        assert_eq!(short.chunk(4), Ok(()));
        assert_eq!(short.check("SHA-256=eA=="), Err(Flaw::Size { got: 4, size: 5 }));
        let empty = Assembly::new(&info("n", 0, 0));
        assert!(empty.has_all() && empty.end().is_ok());
        let undigested = ObjectInfo { digest: String::new(), ..info("n", 0, 0) };
        assert_eq!(Assembly::new(&undigested).check("SHA-256=eQ=="), Ok(()));
    }

    #[test]
    fn what_a_flaw_means() {
        let read = info("n", 2, 5);
        let kind = |now, fresh, tries| match judge(&Flaw::Digest, &read, now, fresh, tries) {
            Verdict::Fail(error) => Some(error.kind),
            Verdict::Again(_) => None,
        };
        let deleted = ObjectInfo { deleted: true, ..read.clone() };
        let missing = || Err(Error::new(Kind::ObjectNotFound, ""));
        assert_eq!(kind(Ok(read.clone()), true, 0), Some(Kind::DigestMismatch));
        assert_eq!(kind(Ok(deleted), true, 0), Some(Kind::ObjectNotFound));
        assert_eq!(kind(missing(), true, 0), Some(Kind::ObjectNotFound));
        assert_eq!(kind(Ok(info("m", 1, 1)), true, 0), None);
        assert_eq!(kind(Ok(info("m", 1, 1)), true, RETRIES), Some(Kind::ObjectChanged));
        assert_eq!(kind(Ok(info("m", 1, 1)), false, 0), Some(Kind::ObjectChanged));
        assert_eq!(kind(Err(Error::connection_closed()), true, 0), Some(Kind::ConnectionClosed));
    }
}
