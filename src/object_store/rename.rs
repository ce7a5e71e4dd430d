//! Renaming, on the wire. No Tcl here.
//!
//! It takes three steps, since a server stores one description after the other: the old description says
//! under which name there will be another one, which is written then and says whence it came, and at last
//! the old one is marked as deleted. Who dies in between leaves two names with the same chunks. Whoever
//! wants to change one of them is told of the other by its description, and completes the renaming first:
//! else he would remove the chunks of both. He may also be quicker than who is at it and has not died; if the
//! new description is not there yet, he sees to it that it will never be.

use super::info::ObjectInfo;
use super::names::{meta_of, name_of};
use super::store::{Described, From, Place, Store};
use super::update::Changes;
use super::write::Attempts;
use crate::error::{Error, Kind, Result};
use crate::jetstream::stored::StoredMessage;
use crate::transport::new_token;

/// Headers of descriptions; the values are the subjects of others.
const TO: &str = "Nats-Object-Renamed-To";
const FROM: &str = "Nats-Object-Renamed-From";

/// What a description says of a renaming that may not be complete: the other name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renaming {
    To(String),
    From(String),
}

impl Renaming {
    /// From the headers of a description.
    pub fn read(bucket: &str, stored: &StoredMessage) -> Option<Renaming> {
        let other = |name| name_of(bucket, stored.header(name)?);
        other(TO).map(Renaming::To).or_else(|| other(FROM).map(Renaming::From))
    }

    /// The header that says it.
    pub fn header(&self, bucket: &str) -> (&'static str, String) {
        match self {
            Renaming::To(name) => (TO, meta_of(bucket, name)),
            Renaming::From(name) => (FROM, meta_of(bucket, name)),
        }
    }

    /// The old name and the new one, if it is a description of `name` that says this.
    fn names<'n>(&'n self, name: &'n str) -> (&'n str, &'n str) {
        match self {
            Renaming::To(new) => (name, new),
            Renaming::From(old) => (old, name),
        }
    }
}

/// What there is under a name.
enum Other {
    There(Box<Described>),
    /// No object: what was read has this number.
    Vacant(u64),
    Unknown,
}

impl Store {
    /// Changes an object, its name included. Returns its description, and the number of that.
    pub async fn rename(&self, old: &Described, changes: &Changes) -> Result<(ObjectInfo, u64)> {
        let (old, seq) = (&old.info, old.seq);
        let info = changes.applied_to(old);
        // An attempt that got no answer may have come as far as this.
        let ours = |there: &ObjectInfo| there.nuid == old.nuid;
        let expected = self.vacant(&info.name, ours).await?;
        let to = Renaming::To(info.name.clone());
        let seq = self.describe_as(old, Some(seq), Some(&to)).await?;
        let from = Renaming::From(old.name.clone());
        let renamed = self.describe_as(&info, Some(expected), Some(&from)).await?;
        match self.leave_behind(old, seq).await {
            Ok(()) => Ok((info, renamed)),
            // Somebody has completed it, and written the new description again before that; or put another
            // object there, and removes the chunks of this one.
            Err(error) if error.kind == Kind::WrongLastSequence => {
                self.purge_meta(&info.name, renamed).await?;
                let Other::There(there) = self.other(&info.name).await? else { return Err(error) };
                if !ours(&there.info) {
                    return Err(error);
                }
                // It may also have been another renaming to the same name, with other changes.
                let info = changes.applied_to(&there.info);
                match info == there.info {
                    true => Ok((info, there.seq)),
                    false => {
                        let seq = self.describe(&info, Some(there.seq)).await?;
                        Ok((info, seq))
                    }
                }
            }
            // Whether an answer that never came was one is not known.
            Err(error) => Err(error),
        }
    }

    /// The description of what is to be changed, be it a deleted object: of its renaming nothing is left to
    /// do. Unless it is to be renamed to `name_next`, and that was begun.
    ///
    /// # Errors
    /// `ErrObjectNotFound`; `ErrBadObjectMeta`.
    pub async fn settled(&self, name: &str, name_next: Option<&str>) -> Result<Described> {
        let described = self.described(name, From::Leader).await?;
        match &described.renaming {
            Some(Renaming::To(new)) if name_next == Some(new) => Ok(described),
            Some(renaming) if self.complete(name, renaming).await? => {
                self.described(name, From::Leader).await
            }
            _ => Ok(described),
        }
    }

    /// Completes a renaming of which the description of `name` says something, or ends it if it was only
    /// begun: then whoever is at it has to begin anew. Whether it was completed.
    pub async fn complete(&self, name: &str, renaming: &Renaming) -> Result<bool> {
        let (old, new) = renaming.names(name);
        let mut attempts = Attempts::default();
        loop {
            let outcome = self.try_complete(old, new).await;
            if attempts.are_over(&outcome) {
                return outcome;
            }
        }
    }

    async fn try_complete(&self, old: &str, new: &str) -> Result<bool> {
        let Other::There(old) = self.other(old).await? else { return Ok(false) };
        match self.other(new).await? {
            Other::There(new) => {
                let shared = old.info.nuid == new.info.nuid && old.info.name != new.info.name;
                if shared {
                    // Written anew, so that who has written it does not take it away again.
                    let from = Renaming::From(old.info.name.clone());
                    self.describe_as(&new.info, Some(new.seq), Some(&from)).await?;
                    self.leave_behind(&old.info, old.seq).await?;
                }
                Ok(shared)
            }
            Other::Vacant(seq) if old.renaming == Some(Renaming::To(new.to_owned())) => {
                // The new description may be on its way, and depends on that there is still this one.
                let name = new.to_owned();
                let none = left_behind(ObjectInfo { name, ..old.info });
                self.describe(&none, Some(seq)).await?;
                Ok(false)
            }
            Other::Vacant(_) | Other::Unknown => Ok(false),
        }
    }

    async fn other(&self, name: &str) -> Result<Other> {
        match self.place(name, From::Leader).await {
            Ok(Place::Taken(there)) if there.info.deleted => Ok(Other::Vacant(there.seq)),
            Ok(Place::Taken(there)) => Ok(Other::There(there)),
            Ok(Place::Empty(seq)) => Ok(Other::Vacant(seq)),
            // Who may use one name alone uses one that was renamed long ago.
            Err(Error { kind: Kind::BadObjectMeta | Kind::Permissions, .. }) => Ok(Other::Unknown),
            Err(error) => Err(error),
        }
    }

    /// Marks the old name of an object as deleted. The chunks are those of the new name: nobody shall
    /// remove them with this.
    async fn leave_behind(&self, old: &ObjectInfo, seq: u64) -> Result<()> {
        self.describe(&left_behind(old.clone()), Some(seq)).await.map(drop)
    }
}

/// What remains under the old name of an object.
fn left_behind(mut old: ObjectInfo) -> ObjectInfo {
    old.mark_deleted();
    old.nuid = new_token();
    old
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_rename_leaves_behind_names_no_chunks() {
        let old = ObjectInfo { name: "a".into(), nuid: "N".into(), size: 7, ..Default::default() };
        let left = left_behind(old);
        assert!(left.deleted && left.nuid != "N" && left.size == 0);
    }

    #[test]
    fn a_header_says_which_name_is_the_other_one() {
        let to = Renaming::To("b \u{e9}".into());
        let from = Renaming::From("a".into());
        for said in [to, from] {
            let (name, value) = said.header("bucket");
            let stored = |value: &str| StoredMessage {
                subject: "$O.bucket.M.YQ==".into(),
                seq: 1,
                time: String::new(),
                data: Vec::new(),
                headers: vec![(name.to_owned(), value.to_owned())],
            };
            assert_eq!(Renaming::read("bucket", &stored(&value)), Some(said));
            assert_eq!(Renaming::read("other", &stored(&value)), None);
            assert_eq!(Renaming::read("bucket", &stored("no subject")), None);
        }
    }
}
