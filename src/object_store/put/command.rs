//! `$store put`.

use super::reader::Reader;
use super::source::Source;
use super::{Job, put};
use crate::error::Error;
use crate::object_store::info::ObjectInfo;
use crate::object_store::info_dict::to_dict;
use crate::object_store::names::{check_object, meta_of};
use crate::object_store::object::ObjectStore;
use crate::object_store::transfer::channel::{Channel, Direction};
use crate::object_store::transfer::progress::progress;
use crate::object_store::transfer::trouble::Trouble;
use crate::object_store::transfer::{paths, patience};
use crate::options::{self, Options, Type};
use crate::tcl::call::ANY;
use crate::tcl::{Call, Failure, Interp, Method, Obj, Result, Return, oo};
use crate::transport::{Outgoing, new_token};
use bytes::Bytes;
use std::fs::File;
use std::rc::Rc;

const OPTIONS: &[options::Spec] = &[
    ("data", Type::Str),
    ("file", Type::ValidStr),
    ("channel", Type::ValidStr),
    ("description", Type::Str),
    ("metadata", Type::Dict),
    ("header", Type::Dict),
    ("chunk_size", Type::PosInt),
    ("progress", Type::List),
    ("timeout", Type::Timeout),
];

/// Of chunks, unless it is said.
const CHUNK_SIZE: usize = 128 * 1024;
const LONGEST_NUMBER: &str = "18446744073709551615";
/// What a chunk has beside its data.
const CHUNK_HEADER: usize = 128;

/// Where the data come from, how many they are if that is known, and what belongs to the Tcl thread.
struct Given {
    source: Source,
    total: Option<u64>,
    reader: Option<Rc<Reader>>,
}

fn of_data(data: &Obj) -> Result<Given> {
    if data.is_beyond_bytes() {
        let text = "Invalid value for the option data : a character beyond U+00FF is no byte; \
                    encoding convertto makes bytes of text";
        return Err(Error::invalid(text).into());
    }
    let bytes = data.with_payload(false, Bytes::copy_from_slice);
    let total = Some(bytes.len() as u64);
    Ok(Given { source: Source::Memory(bytes), total, reader: None })
}

fn of_channel(interp: Interp<'_>, channel: Channel, total: Option<u64>) -> Given {
    let (reader, ask, pieces) = Reader::new(interp, channel);
    Given { source: Source::Channel(ask, pieces), total, reader: Some(reader) }
}

fn of_file(interp: Interp<'_>, path: &Obj) -> Result<Given> {
    let Some(native) = paths::native(interp, path)? else {
        let channel = Channel::open(interp, path, Direction::Read)?;
        return Ok(of_channel(interp, channel, None));
    };
    let text = path.text();
    let refused = |error: &std::io::Error| -> Failure {
        Trouble::system(format!("couldn't open \"{text}\""), error).into()
    };
    // Before it is opened, which would wait for the other end of a pipe.
    let is_file = std::fs::metadata(&native).map_err(|error| refused(&error))?.is_file();
    if !is_file {
        let text = format!("\"{text}\" is no file; what can be opened can be put with -channel");
        return Err(Error::invalid(text).into());
    }
    let file = File::open(&native).map_err(|error| refused(&error))?;
    let total = file.metadata().ok().map(|metadata| metadata.len());
    Ok(Given { source: Source::File(file, text.into_owned()), total, reader: None })
}

fn source(interp: Interp<'_>, given: &Options) -> Result<Given> {
    match (given.get("data"), given.get("file"), given.get("channel")) {
        (Some(data), None, None) => of_data(data),
        (None, Some(path), None) => of_file(interp, path),
        (None, None, Some(name)) => {
            let channel = Channel::take(interp, name, Direction::Read)?;
            Ok(of_channel(interp, channel, None))
        }
        (None, None, None) => {
            Err(Error::invalid("One of the options data, file and channel is required").into())
        }
        _ => Err(Error::invalid("-data, -file and -channel are mutually exclusive").into()),
    }
}

fn description(interp: Interp<'_>, name: String, given: &Options) -> Result<ObjectInfo> {
    let mut metadata = Vec::new();
    if let Some(dict) = given.get("metadata") {
        for (name, value) in dict.pairs(interp)? {
            metadata.push((name.string(), value.string()));
        }
    }
    let mut headers = Vec::new();
    if let Some(dict) = given.get("header") {
        for (name, values) in dict.pairs(interp)? {
            let values = values.elements(interp)?;
            headers.push((name.string(), values.iter().map(Obj::string).collect()));
        }
    }
    let description = given.string("description").unwrap_or_default();
    Ok(ObjectInfo { name, description, metadata, headers, nuid: new_token(), ..Default::default() })
}

/// How large chunks are, of which the server takes messages of so many bytes.
fn chunk_size(given: &Options, limit: usize) -> crate::error::Result<usize> {
    let most = limit.saturating_sub(CHUNK_HEADER).max(1);
    let Some(wanted) = given.int("chunk_size") else { return Ok(CHUNK_SIZE.min(most)) };
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
    if wanted == 0 || wanted > most {
        let text = format!(
            "Invalid value for the pos_int option chunk_size : {wanted}; allowed are 1 to {most}, as the \
             server takes messages of {limit} bytes"
        );
        return Err(Error::invalid(text));
    }
    Ok(wanted)
}

fn put_method(call: &Call<'_>) -> Result<Return> {
    let interp = call.interp;
    let this = call.data::<ObjectStore>()?;
    let name = call.arg(0)?.string();
    check_object(&name)?;
    let given = options::parse(interp, OPTIONS, call.args().get(1..).unwrap_or_default())?;
    let connection = &this.js.connection;
    connection.check_open()?;
    let limit = connection.server_info().map_or(usize::MAX, |info| info.max_payload);
    let chunk_size = chunk_size(&given, limit)?;
    let mut info = description(interp, name, &given)?;
    info.bucket.clone_from(&this.bucket.name);
    info.max_chunk_size = Some(chunk_size as u64);
    let store = this.store()?;
    // Numbers at their longest.
    let largest =
        ObjectInfo { size: u64::MAX, chunks: u64::MAX, digest: "x".repeat(64), ..info.clone() };
    let headers = [("Nats-Rollup", "sub"), ("Nats-Expected-Last-Subject-Sequence", LONGEST_NUMBER)];
    let described = Outgoing {
        headers: headers.into_iter().collect(),
        ..Outgoing::new(meta_of(&info.bucket, &info.name), largest.to_json().to_string())
    };
    store.api.link.check(&described)?;
    let (progress, reporter) = progress(interp, given.get("progress"))?;
    let Given { source, total, reader } = source(interp, &given)?;
    if let Some(total) = total {
        progress.total(total);
    }
    let job = Job { store, info, chunk_size, patience: patience(&this.js, &given) };
    let work = |_| async move { Ok(put(job, source, progress).await) };
    let (js, bound) = (this.js.clone(), this.clone());
    js.run(interp, work, move |interp, outcome| {
        drop(reader);
        let outcome: std::result::Result<ObjectInfo, Trouble> = outcome?;
        if let Some(reporter) = reporter {
            reporter.finish(interp, outcome.as_ref().ok().map(|info| info.size));
        }
        let ended = |trouble| match trouble {
            Trouble::Nats(error) => Trouble::Nats(bound.js.connection.ended(error)),
            other => other,
        };
        Ok(to_dict(&outcome.map_err(ended)?).into())
    })
}

const METHODS: &[Method] =
    &[Method { name: "put", usage: "name ?arg ...?", min: 1, max: ANY, body: put_method }];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::object_store", None, None, METHODS)
}
