//! Keys that this package would not make. Others have made them, so they can be read and ended; where
//! there is no such key, its name is refused as it always was.

use super::entry::Entry;
use super::names::invalid_key;
use super::store::Store;
use crate::error::{Kind, Result};
use crate::transport::Outgoing;
use std::future::Future;

impl Store {
    /// Reads an entry as [`Store::reading_as`] does.
    pub fn read_foreign(
        &self,
        key: &str,
        revision: Option<u64>,
        consistent: bool,
    ) -> impl Future<Output = Result<Entry>> + Send + use<> {
        let entry = self.reading_as(key, revision, consistent);
        let (this, key) = (self.clone(), key.to_owned());
        async move {
            match entry.await {
                Err(error) if error.kind == Kind::KeyNotFound => {
                    this.must_exist(&key, revision.is_none()).await?;
                    Err(error)
                }
                other => other,
            }
        }
    }

    /// Writes the marker that ends the key.
    pub fn end_foreign(
        &self,
        key: &str,
        out: Outgoing,
    ) -> impl Future<Output = Result<u64>> + Send + use<> {
        let (this, key) = (self.clone(), key.to_owned());
        async move {
            this.must_exist(&key, false).await?;
            this.writing(out).await
        }
    }

    /// Refuses the name of a key that nobody has ever written, or that is gone with its history.
    /// `missed`: it is known already that a read does not find it, which is not the last word: a
    /// replica or a mirror may not have it yet.
    async fn must_exist(&self, key: &str, missed: bool) -> Result<()> {
        let found = match missed {
            true => false,
            false => match self.reading(key, None).await {
                Ok(_) => true,
                Err(error) if error.kind == Kind::KeyNotFound => false,
                Err(error) => return Err(error),
            },
        };
        match found || self.reading_written(key).await.is_ok() {
            true => Ok(()),
            false => Err(invalid_key(key)),
        }
    }
}
