//! Changes of a description, on the wire. No Tcl here.

use super::info::ObjectInfo;
use super::store::{Described, From, Store};
use super::write::Attempts;
use crate::error::{Kind, Result};
use crate::transport::new_token;

/// What is to be changed.
#[derive(Default)]
pub struct Changes {
    pub name: Option<String>,
    pub description: Option<String>,
    pub metadata: Option<Vec<(String, String)>>,
    pub headers: Option<Vec<(String, Vec<String>)>>,
}

impl Changes {
    fn apply(&self, info: &mut ObjectInfo) {
        fn set<T: Clone>(place: &mut T, value: &Option<T>) {
            if let Some(value) = value {
                place.clone_from(value);
            }
        }
        set(&mut info.name, &self.name);
        set(&mut info.description, &self.description);
        set(&mut info.metadata, &self.metadata);
        set(&mut info.headers, &self.headers);
    }
}

impl Store {
    /// Changes the description of an object.
    ///
    /// # Errors
    /// `ErrObjectNotFound`; `ErrObjectExists` if it shall have the name of another one.
    pub async fn update_meta(&self, name: &str, changes: &Changes) -> Result<ObjectInfo> {
        let mut attempts = Attempts::default();
        loop {
            let outcome = self.try_update(name, changes).await;
            if attempts.are_over(&outcome) {
                let (info, seq) = outcome?;
                return Ok(self.stored(info, seq).await);
            }
        }
    }

    async fn try_update(&self, name: &str, changes: &Changes) -> Result<(ObjectInfo, u64)> {
        let Described { info: old, seq } = self.present(name, From::Leader).await?;
        let mut info = old.clone();
        changes.apply(&mut info);
        if info.name == old.name {
            let seq = self.describe(&info, Some(seq)).await?;
            return Ok((info, seq));
        }
        // An attempt that got no answer may have come as far as this.
        let ours = |there: &ObjectInfo| there.nuid == old.nuid;
        let expected = self.vacant(&info.name, ours).await?;
        let renamed = self.describe(&info, Some(expected)).await?;
        match self.describe(&left_behind(old), Some(seq)).await {
            Ok(_) => Ok((info, renamed)),
            Err(error) => {
                // Somebody has put another object there, and removes the chunks of this one. Whether an
                // answer that never came was one is not known.
                if error.kind == Kind::WrongLastSequence {
                    self.purge_meta(&info.name, renamed).await?;
                }
                Err(error)
            }
        }
    }
}

/// What remains under the old name of an object. The chunks are those of the new name: nobody shall
/// remove them with this.
fn left_behind(mut old: ObjectInfo) -> ObjectInfo {
    old.mark_deleted();
    old.nuid = new_token();
    old
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_given_changes() {
        let info = ObjectInfo {
            name: "a".into(),
            description: "d".into(),
            metadata: vec![("k".into(), "v".into())],
            size: 7,
            ..ObjectInfo::default()
        };
        let mut same = info.clone();
        Changes::default().apply(&mut same);
        assert_eq!(same, info);
        let changes = Changes {
            name: Some("b".into()),
            metadata: Some(Vec::new()),
            headers: Some(vec![("H".into(), vec!["1".into()])]),
            ..Changes::default()
        };
        let mut changed = info.clone();
        changes.apply(&mut changed);
        let headers = vec![("H".to_owned(), vec!["1".to_owned()])];
        let wanted = ObjectInfo { name: "b".into(), metadata: Vec::new(), headers, ..info };
        assert_eq!(changed, wanted);
    }

    #[test]
    fn what_a_rename_leaves_behind_names_no_chunks() {
        let old = ObjectInfo { name: "a".into(), nuid: "N".into(), size: 7, ..Default::default() };
        let left = left_behind(old);
        assert!(left.deleted && left.nuid != "N" && left.size == 0);
    }
}
