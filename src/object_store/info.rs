//! What is stored of an object beside its data: its description, as JSON (ADR-20).

use super::names::is_nuid;
use crate::error::{Error, Kind, Result};
use serde_json::{Map, Value};

/// Where a link leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub bucket: String,
    /// `None` for a link to a whole bucket.
    pub name: Option<String>,
}

/// The description of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObjectInfo {
    pub name: String,
    pub description: String,
    /// Name and value, in the order of their names.
    pub metadata: Vec<(String, String)>,
    /// Name and values.
    pub headers: Vec<(String, Vec<String>)>,
    pub max_chunk_size: Option<u64>,
    pub link: Option<Link>,
    pub bucket: String,
    pub nuid: String,
    pub size: u64,
    /// When the server stored the description: ms since the epoch. It is not in the JSON.
    pub mtime: i64,
    pub chunks: u64,
    /// `SHA-256=` and the digest of the data, in URL-safe base64 with padding.
    pub digest: String,
    pub deleted: bool,
    /// Fields that only others know. They are written again when something else is changed.
    pub rest: Map<String, Value>,
    pub rest_of_options: Map<String, Value>,
}

impl ObjectInfo {
    /// Reads the JSON of a description. `name` is that of its subject.
    ///
    /// # Errors
    /// `ErrBadObjectMeta`.
    pub fn read(bucket: &str, name: &str, json: &[u8], mtime: i64) -> Result<ObjectInfo> {
        let bad = |why: &str| bad_meta(name, why);
        let fields = match serde_json::from_slice(json) {
            Ok(Value::Object(fields)) => fields,
            Ok(_) => return Err(bad("it is no JSON object")),
            Err(_) => return Err(bad("it is no JSON")),
        };
        let mut fields = Fields { name, fields };
        let info = ObjectInfo {
            name: fields.text("name")?,
            description: fields.text("description")?,
            metadata: fields.metadata()?,
            headers: fields.headers()?,
            bucket: bucket.to_owned(),
            nuid: fields.text("nuid")?,
            size: fields.number("size")?,
            mtime,
            chunks: fields.number("chunks")?,
            digest: fields.text("digest")?,
            deleted: fields.flag("deleted")?,
            ..ObjectInfo::default()
        };
        if info.name != name {
            return Err(bad(&format!("it names {}", info.name)));
        }
        if !is_nuid(&info.nuid) {
            return Err(bad(&format!("its nuid is not valid: {}", info.nuid)));
        }
        let mut options = fields.object("options")?;
        let max_chunk_size = options.optional_number("max_chunk_size")?;
        let link = match options.fields.shift_remove("link") {
            None | Some(Value::Null) => None,
            Some(Value::Object(link)) => Some(Fields { name, fields: link }.link()?),
            Some(_) => return Err(bad("its link is no object")),
        };
        // They say where it is, and that is known.
        fields.fields.shift_remove("bucket");
        fields.fields.shift_remove("mtime");
        let (rest, rest_of_options) = (fields.fields, options.fields);
        Ok(ObjectInfo { max_chunk_size, link, rest, rest_of_options, ..info })
    }

    /// The JSON of the description.
    pub fn to_json(&self) -> Value {
        let mut json = Map::new();
        json.insert("name".to_owned(), self.name.as_str().into());
        if !self.description.is_empty() {
            json.insert("description".to_owned(), self.description.as_str().into());
        }
        if !self.headers.is_empty() {
            let headers = self.headers.iter();
            let headers = headers.map(|(name, values)| (name.clone(), values.clone().into()));
            json.insert("headers".to_owned(), Value::Object(headers.collect()));
        }
        if !self.metadata.is_empty() {
            let metadata = self.metadata.iter();
            let metadata = metadata.map(|(name, value)| (name.clone(), value.as_str().into()));
            json.insert("metadata".to_owned(), Value::Object(metadata.collect()));
        }
        let options = self.options();
        if !options.is_empty() {
            json.insert("options".to_owned(), options.into());
        }
        json.insert("bucket".to_owned(), self.bucket.as_str().into());
        json.insert("nuid".to_owned(), self.nuid.as_str().into());
        json.insert("size".to_owned(), self.size.into());
        // Clients that look for it find what they write themselves: nothing. It is the time of the
        // message that counts.
        json.insert("mtime".to_owned(), "0001-01-01T00:00:00Z".into());
        json.insert("chunks".to_owned(), self.chunks.into());
        if !self.digest.is_empty() {
            json.insert("digest".to_owned(), self.digest.as_str().into());
        }
        if self.deleted {
            json.insert("deleted".to_owned(), true.into());
        }
        for (name, value) in &self.rest {
            json.entry(name.clone()).or_insert_with(|| value.clone());
        }
        Value::Object(json)
    }

    /// The description of an object of which there is none any more.
    pub fn vanished(bucket: &str, name: &str, mtime: i64) -> ObjectInfo {
        let (bucket, name) = (bucket.to_owned(), name.to_owned());
        ObjectInfo { bucket, name, mtime, deleted: true, ..ObjectInfo::default() }
    }

    /// Makes it the description of an object that was there.
    pub fn mark_deleted(&mut self) {
        self.deleted = true;
        (self.size, self.chunks) = (0, 0);
        self.digest.clear();
    }

    /// What the description says of how the object is stored.
    pub fn options(&self) -> Map<String, Value> {
        let mut options = Map::new();
        if let Some(Link { bucket, name }) = &self.link {
            let mut link = Map::new();
            link.insert("bucket".to_owned(), bucket.as_str().into());
            if let Some(name) = name {
                link.insert("name".to_owned(), name.as_str().into());
            }
            options.insert("link".to_owned(), link.into());
        }
        if let Some(size) = self.max_chunk_size {
            options.insert("max_chunk_size".to_owned(), size.into());
        }
        options.extend(self.rest_of_options.clone());
        options
    }
}

/// The error for a description that cannot be read, which another client has written.
pub fn bad_meta(name: &str, why: &str) -> Error {
    Error::new(Kind::BadObjectMeta, format!("Bad description of object {name}: {why}"))
}

/// Whose chunks a description needs, be it one that cannot be read otherwise: nobody's if the object was
/// deleted. One that was renamed has them under another name.
pub fn nuid_of(json: &[u8]) -> Option<String> {
    let json: Value = serde_json::from_slice(json).ok()?;
    let deleted = json.get("deleted").and_then(Value::as_bool) == Some(true);
    let nuid = json.get("nuid")?.as_str()?;
    (!deleted && is_nuid(nuid)).then(|| nuid.to_owned())
}

/// What is left to be read of an object in JSON; null is as good as nothing.
struct Fields<'n> {
    /// Of the object, for errors.
    name: &'n str,
    fields: Map<String, Value>,
}

impl<'n> Fields<'n> {
    fn take<T>(
        &mut self,
        field: &str,
        what: &str,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> Result<Option<T>> {
        match self.fields.shift_remove(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match read(value) {
                Some(value) => Ok(Some(value)),
                None => Err(bad_meta(self.name, &format!("its {field} is no {what}"))),
            },
        }
    }

    fn optional_text(&mut self, field: &str) -> Result<Option<String>> {
        self.take(field, "string", text)
    }

    fn text(&mut self, field: &str) -> Result<String> {
        Ok(self.optional_text(field)?.unwrap_or_default())
    }

    fn optional_number(&mut self, field: &str) -> Result<Option<u64>> {
        self.take(field, "number", |value| value.as_u64())
    }

    fn number(&mut self, field: &str) -> Result<u64> {
        Ok(self.optional_number(field)?.unwrap_or_default())
    }

    fn flag(&mut self, field: &str) -> Result<bool> {
        Ok(self.take(field, "boolean", |value| value.as_bool())?.unwrap_or_default())
    }

    fn object(&mut self, field: &str) -> Result<Fields<'n>> {
        let fields = self.take(field, "object", object)?.unwrap_or_default();
        Ok(Fields { name: self.name, fields })
    }

    fn metadata(&mut self) -> Result<Vec<(String, String)>> {
        let read = |value| {
            let pairs = object(value)?.into_iter();
            pairs.map(|(name, value)| Some((name, text(value)?))).collect()
        };
        let metadata = self.take("metadata", "object of strings", read)?;
        Ok(metadata.unwrap_or_default())
    }

    fn headers(&mut self) -> Result<Vec<(String, Vec<String>)>> {
        let read = |value| {
            let pairs = object(value)?.into_iter();
            let values = |value| match value {
                Value::Array(values) => values.into_iter().map(text).collect(),
                value => Some(vec![text(value)?]),
            };
            pairs.map(|(name, value)| Some((name, values(value)?))).collect()
        };
        Ok(self.take("headers", "object of lists of strings", read)?.unwrap_or_default())
    }

    fn link(mut self) -> Result<Link> {
        let (bucket, name) = (self.text("bucket")?, self.optional_text("name")?);
        if bucket.is_empty() {
            return Err(bad_meta(self.name, "its link names no bucket"));
        }
        Ok(Link { bucket, name: name.filter(|name| !name.is_empty()) })
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

fn object(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(fields) => Some(fields),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<ObjectInfo> {
        ObjectInfo::read("b", "a", json.as_bytes(), 7)
    }

    #[test]
    fn what_others_write_is_read_and_written_again() {
        let json = concat!(
            r#"{"name":"a","description":"d","headers":{"H":["1","2"]},"metadata":{"k":"v"},"#,
            r#""options":{"link":{"bucket":"o","name":"x"},"max_chunk_size":9,"new":1},"bucket":"b","#,
            r#""nuid":"N1","size":12,"mtime":"0001-01-01T00:00:00Z","chunks":2,"#,
            r#""digest":"SHA-256=eA==","deleted":true,"future":[null]}"#
        );
        let info = read(json).expect("a description");
        assert_eq!((info.size, info.chunks, info.mtime, info.deleted), (12, 2, 7, true));
        assert_eq!(info.link, Some(Link { bucket: "o".into(), name: Some("x".into()) }));
        assert_eq!(info.max_chunk_size, Some(9));
        assert_eq!(info.headers, [("H".to_owned(), vec!["1".to_owned(), "2".to_owned()])]);
        assert_eq!(info.to_json().to_string(), json);
    }

    #[test]
    fn the_least_that_others_write() {
        let info = read(r#"{"name":"a","nuid":"N","options":null,"metadata":null}"#);
        let info = info.expect("a description");
        assert_eq!((info.size, info.chunks, info.deleted), (0, 0, false));
        assert_eq!((info.digest.as_str(), info.link, info.max_chunk_size), ("", None, None));
        let bucket = read(r#"{"name":"a","nuid":"N","options":{"link":{"bucket":"o"}}}"#);
        let link = Link { bucket: "o".into(), name: None };
        assert_eq!(bucket.expect("a link").link, Some(link));
    }

    #[test]
    fn the_chunks_that_a_description_needs() {
        for (json, nuid) in [
            (r#"{"name":"a","nuid":"N"}"#, Some("N")),
            (r#"{"name":1,"nuid":"N","size":"3","deleted":false}"#, Some("N")),
            (r#"{"nuid":"N","deleted":1}"#, Some("N")),
            (r#"{"name":"a","nuid":"N","deleted":true}"#, None),
            (r#"{"name":"a","nuid":">"}"#, None),
            (r#"{"name":"a","nuid":1}"#, None),
            ("{}", None),
            ("[]", None),
            ("no JSON", None),
            ("", None),
        ] {
            assert_eq!(nuid_of(json.as_bytes()).as_deref(), nuid, "{json}");
        }
    }

    #[test]
    fn what_cannot_be_read() {
        for (json, why) in [
            ("", "it is no JSON"),
            ("{", "it is no JSON"),
            ("[]", "it is no JSON object"),
            ("{}", "it names "),
            (r#"{"name":"b","nuid":"N"}"#, "it names b"),
            (r#"{"name":"a"}"#, "its nuid is not valid: "),
            (r#"{"name":"a","nuid":">"}"#, "its nuid is not valid: >"),
            (r#"{"name":"a","nuid":1}"#, "its nuid is no string"),
            (r#"{"name":"a","nuid":"N","size":-1}"#, "its size is no number"),
            (r#"{"name":"a","nuid":"N","size":1.5}"#, "its size is no number"),
            (r#"{"name":"a","nuid":"N","chunks":"2"}"#, "its chunks is no number"),
            (r#"{"name":"a","nuid":"N","deleted":1}"#, "its deleted is no boolean"),
            (
                r#"{"name":"a","nuid":"N","metadata":{"a":1}}"#,
                "its metadata is no object of strings",
            ),
            (
                r#"{"name":"a","nuid":"N","headers":[]}"#,
                "its headers is no object of lists of strings",
            ),
            (r#"{"name":"a","nuid":"N","options":[]}"#, "its options is no object"),
            (r#"{"name":"a","nuid":"N","options":{"link":1}}"#, "its link is no object"),
            (r#"{"name":"a","nuid":"N","options":{"link":{}}}"#, "its link names no bucket"),
        ] {
            let error = read(json).expect_err(json);
            assert_eq!(error.kind, Kind::BadObjectMeta, "{json}");
            assert_eq!(error.message, format!("Bad description of object a: {why}"));
        }
    }
}
