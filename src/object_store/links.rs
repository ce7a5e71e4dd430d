//! Links: objects that stand for another one, or for a whole object store. Making them, and where they
//! lead to.

use super::bucket::{Bucket, missing};
use super::info::{Link, ObjectInfo};
use super::names::{check_object, stream_of};
use super::store::{Described, From, Store, object_not_found};
use super::write::Attempts;
use crate::bucket::names::check_bucket;
use crate::error::{Error, Kind, Result};
use crate::jetstream::api::Op;
use crate::transport::new_token;
use std::sync::Arc;

impl Store {
    /// Makes a link, or leads one that is there to somewhere else.
    ///
    /// # Errors
    /// `ErrObjectExists` if there is an object of this name.
    pub async fn add_link(&self, name: &str, link: Link) -> Result<ObjectInfo> {
        let info = ObjectInfo {
            name: name.to_owned(),
            bucket: self.bucket.name.clone(),
            nuid: new_token(),
            link: Some(link),
            ..ObjectInfo::default()
        };
        let mut attempts = Attempts::default();
        loop {
            let outcome = self.write_link(&info).await;
            if attempts.are_over(&outcome) {
                return Ok(self.stored(info, outcome?).await);
            }
        }
    }

    async fn write_link(&self, info: &ObjectInfo) -> Result<u64> {
        let expected = self.vacant(&info.name, |there| there.link.is_some()).await?;
        self.describe(info, Some(expected)).await
    }

    /// The object that a name stands for, and the object store that has it.
    ///
    /// # Errors
    /// `ErrObjectNotFound` if one of them is missing; `ErrLinkNotAllowed` for a link to an object store,
    /// and for a link to a link, which only others make.
    pub async fn resolve(&self, name: &str) -> Result<(Store, Described)> {
        let described = self.present(name, From::Anybody).await?;
        let Some(link) = described.info.link.clone() else { return Ok((self.clone(), described)) };
        let Some(target) = link.name else {
            let text = format!("Object {name} is a link to bucket {}", link.bucket);
            return Err(not_allowed(text));
        };
        let store = self.neighbour(&link.bucket).await?;
        let described = store.present(&target, From::Anybody).await?;
        match described.info.link {
            Some(_) => Err(not_allowed(format!("Object {name} is a link to a link: {target}"))),
            None => Ok((store, described)),
        }
    }

    /// Another object store of the same account.
    async fn neighbour(&self, bucket: &str) -> Result<Store> {
        if bucket == self.bucket.name {
            return Ok(self.clone());
        }
        check_bucket(bucket)?;
        let info = self.api.call(Op::StreamInfo(&stream_of(bucket)), "").await;
        let info = info.map_err(|error| missing(bucket, error))?;
        let bucket = Bucket::from_info(bucket, &info, &self.api.prefix)?;
        Ok(Store { api: self.api.clone(), bucket: Arc::new(bucket), own_writes: Arc::default() })
    }
}

/// A link to an object.
///
/// # Errors
/// `ErrLinkNotAllowed` if that is a link; `ErrObjectNotFound` if it was deleted.
pub fn to_object(bucket: &str, name: &str, is_link: bool, is_deleted: bool) -> Result<Link> {
    check_bucket(bucket)?;
    check_object(name)?;
    if is_link {
        return Err(not_allowed(format!("Object {name} is a link itself")));
    }
    if is_deleted {
        return Err(object_not_found(bucket, name));
    }
    Ok(Link { bucket: bucket.to_owned(), name: Some(name.to_owned()) })
}

fn not_allowed(text: String) -> Error {
    Error::new(Kind::LinkNotAllowed, text)
}
