//! Changes of a description, on the wire. No Tcl here.

use super::info::ObjectInfo;
use super::store::{Store, object_not_found};
use super::write::Attempts;
use crate::error::Result;

/// What is to be changed.
#[derive(Default)]
pub struct Changes {
    pub name: Option<String>,
    pub description: Option<String>,
    pub metadata: Option<Vec<(String, String)>>,
    pub headers: Option<Vec<(String, Vec<String>)>>,
}

impl Changes {
    pub fn applied_to(&self, info: &ObjectInfo) -> ObjectInfo {
        fn set<T: Clone>(place: &mut T, value: &Option<T>) {
            if let Some(value) = value {
                place.clone_from(value);
            }
        }
        let mut info = info.clone();
        set(&mut info.name, &self.name);
        set(&mut info.description, &self.description);
        set(&mut info.metadata, &self.metadata);
        set(&mut info.headers, &self.headers);
        info
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
        let old = self.settled(name, changes.name.as_deref()).await?;
        if old.info.deleted {
            return Err(object_not_found(&self.bucket.name, name));
        }
        let info = changes.applied_to(&old.info);
        if info.name != old.info.name {
            return self.rename(&old, changes).await;
        }
        let seq = self.describe(&info, Some(old.seq)).await?;
        Ok((info, seq))
    }
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
        assert_eq!(Changes::default().applied_to(&info), info);
        let changes = Changes {
            name: Some("b".into()),
            metadata: Some(Vec::new()),
            headers: Some(vec![("H".into(), vec!["1".into()])]),
            ..Changes::default()
        };
        let changed = changes.applied_to(&info);
        let headers = vec![("H".to_owned(), vec!["1".to_owned()])];
        let wanted = ObjectInfo { name: "b".into(), metadata: Vec::new(), headers, ..info };
        assert_eq!(changed, wanted);
    }
}
