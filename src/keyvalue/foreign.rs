//! Keys that this package would not make. Others have made them, so they can be read and ended; where
//! there is no such key, its name is refused as it always was.

use super::entry::Entry;
use super::names::invalid_key;
use super::store::Store;
use crate::error::{Kind, Result};
use crate::transport::Outgoing;
use std::future::Future;

impl Store {
    /// Reads an entry as [`Store::read`] does.
    pub fn read_foreign(
        &self,
        key: &str,
        revision: Option<u64>,
    ) -> impl Future<Output = Result<Entry>> + Send + 'static {
        let entry = self.reading(key, revision);
        let (this, key) = (self.clone(), key.to_owned());
        async move {
            match entry.await {
                Err(error) if error.kind == Kind::KeyNotFound => {
                    if revision.is_some() {
                        this.must_exist(&key).await?;
                        return Err(error);
                    }
                    Err(invalid_key(&key))
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
    ) -> impl Future<Output = Result<u64>> + Send + 'static {
        let known = self.must_exist(key);
        let this = self.clone();
        async move {
            known.await?;
            this.writing(out).await
        }
    }

    /// Refuses the name of a key that nobody has ever written, or that is gone with its history.
    fn must_exist(&self, key: &str) -> impl Future<Output = Result<()>> + Send + 'static {
        let entry = self.reading(key, None);
        let key = key.to_owned();
        async move {
            match entry.await {
                Err(error) if error.kind == Kind::KeyNotFound => Err(invalid_key(&key)),
                other => other.map(|_| ()),
            }
        }
    }
}
