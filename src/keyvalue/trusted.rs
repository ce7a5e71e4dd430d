//! Reads that do not miss what has been written: by the leader of the stream that is written to, always or
//! when an answer is older than what the handle has written itself.

use super::bucket::Bucket;
use super::entry::Entry;
use super::store::{Store, found, gone};
use crate::error::{Kind, Result};
use crate::jetstream::api::reply;
use crate::transport::{How, Outgoing, Patience};
use serde_json::json;
use std::future::Future;
use std::sync::Arc;

impl Store {
    /// [`Store::reading`], consistent if that is wanted, and otherwise not older than what the handle
    /// has written.
    pub fn reading_as(
        &self,
        key: &str,
        revision: Option<u64>,
        consistent: bool,
    ) -> impl Future<Output = Result<Entry>> + Send + use<> {
        let asked = match consistent {
            true => Err(self.reading_leader(key, revision)),
            false => Ok(self.reading(key, revision)),
        };
        let (this, key) = (self.clone(), key.to_owned());
        async move {
            match asked {
                Ok(any) => this.not_older(&key, revision, any.await).await,
                Err(leader) => leader.await,
            }
        }
    }

    /// The answer of a replica or a mirror, unless the handle has written something newer: then that of
    /// the leader.
    async fn not_older(
        &self,
        key: &str,
        revision: Option<u64>,
        answer: Result<Entry>,
    ) -> Result<Entry> {
        let Some(own) = &self.own_writes else { return answer };
        let subject = self.bucket.write_subject(key);
        let written = own.latest(&subject);
        let newest = match (&answer, revision) {
            (Ok(entry), None) => entry.revision,
            // Another revision of the key is no answer that could be old.
            (Ok(_), Some(_)) => return answer,
            (Err(error), _) if error.kind != Kind::KeyNotFound => return answer,
            (Err(_), None) => 0,
            (Err(_), Some(revision)) if revision <= written => 0,
            (Err(_), Some(_)) => return answer,
        };
        if newest >= written {
            return answer;
        }
        let answer = self.reading_leader(key, revision).await;
        let newest = match &answer {
            Ok(entry) => entry.revision,
            Err(error) if error.kind == Kind::KeyNotFound => 0,
            Err(_) => return answer,
        };
        if revision.is_none() && newest < written {
            own.forget(&subject, written);
        }
        answer
    }

    /// Reads where the key is written, from the leader of that stream; the question is queued before this
    /// returns.
    fn reading_leader(
        &self,
        key: &str,
        revision: Option<u64>,
    ) -> impl Future<Output = Result<Entry>> + Send + use<> {
        let written = Bucket { read: self.bucket.written.clone(), ..(*self.bucket).clone() };
        let body = match revision {
            None => json!({"last_by_subj": written.read_subject(key)}),
            Some(seq) => json!({"seq": seq}),
        };
        let out = Outgoing::new(written.write_get.clone(), body.to_string());
        let bucket = self.bucket.clone();
        let patience = Patience::Asking {
            question: self.bucket.write_info.clone(),
            judge: Arc::new(move |info| gone(&bucket, reply::parse(info))),
            doubts_silence: false,
        };
        let how = How { timeout: self.timeout, patience: Some(patience), ..How::default() };
        let reply = self.link.ask_as(out, how);
        let key = key.to_owned();
        async move { found(&written, &key, &written.write_get, reply.await) }
    }
}
