//! Object stores.

use crate::Peer;
use crate::words::{Answer, Failure, Words, next, sorted, unknown};
use async_nats::jetstream::object_store::{
    AddLinkError, Config, GetErrorKind, InfoErrorKind, ObjectInfo, ObjectMetadata, ObjectStore,
    UpdateMetadata,
};
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;

pub async fn run(peer: &mut Peer, op: &str, words: &mut Words) -> Result<Answer, Failure> {
    match op {
        "create_store" => {
            let config = Config { bucket: words.text()?, ..Default::default() };
            peer.js.create_object_store(config).await?;
            return Ok(Answer::default());
        }
        "next" => {
            let number = words.number()?;
            let watch = peer.object_watches.get_mut(&number).ok_or_else(|| unknown(op))?;
            let info = next(watch.next()).await?.map_err(|error| Failure::other(&error))?;
            let answer = Answer::default().word(&info.name);
            return Ok(answer.word(u8::from(info.deleted)).word(info.size));
        }
        _ => {}
    }
    let store = peer.js.get_object_store(words.text()?).await?;
    if op == "watch" {
        let watch = store.watch().await?;
        let number = peer.number();
        peer.object_watches.insert(number, watch);
        return Ok(Answer::default().word(number));
    }
    with_store(store, op, words).await
}

async fn with_store(
    mut store: ObjectStore,
    op: &str,
    words: &mut Words,
) -> Result<Answer, Failure> {
    match op {
        "put" => {
            let (name, path) = (words.text()?, words.text()?);
            let (description, chunk) = (words.text()?, usize::try_from(words.number()?)?);
            let mut meta = ObjectMetadata {
                name,
                description: (!description.is_empty()).then_some(description),
                chunk_size: (chunk > 0).then_some(chunk),
                ..Default::default()
            };
            while !words.is_empty() {
                let (kind, name, value) = (words.text()?, words.text()?, words.text()?);
                if kind == "h" {
                    meta.headers.get_or_insert_default().append(name, value);
                } else {
                    meta.metadata.insert(name, value);
                }
            }
            let mut file = tokio::fs::File::open(path).await?;
            Ok(told(&store.put(meta, &mut file).await?))
        }
        "get" => {
            let mut object = match store.get(words.text()?).await {
                Ok(object) => object,
                Err(error) if error.kind() == GetErrorKind::NotFound => {
                    return Err(Failure::not_found());
                }
                Err(error) => return Err(Failure::other(&error)),
            };
            let mut file = tokio::fs::File::create(words.text()?).await?;
            tokio::io::copy(&mut object, &mut file).await?;
            file.flush().await?;
            Ok(told(object.info()))
        }
        "info" => match store.info(words.text()?).await {
            Ok(info) => Ok(told(&info)),
            Err(error) if error.kind() == InfoErrorKind::NotFound => Err(Failure::not_found()),
            Err(error) => Err(Failure::other(&error)),
        },
        "list" => {
            let mut names = Vec::new();
            let mut list = store.list().await?;
            while let Some(info) = list.next().await {
                names.push(info.map_err(|error| Failure::other(&error))?.name);
            }
            names.sort();
            Ok(names.iter().fold(Answer::default(), Answer::word))
        }
        "delete" => {
            store.delete(words.text()?).await?;
            Ok(Answer::default())
        }
        "link" => {
            let (name, target) = (words.text()?, words.text()?);
            let target = store.get(target).await?;
            linked(store.add_link(name, &target).await)
        }
        "bucket_link" => linked(store.add_bucket_link(words.text()?, words.text()?).await),
        "rename" => {
            let (old, name) = (words.text()?, words.text()?);
            let info = store.info(&old).await?;
            let meta = UpdateMetadata { name, description: info.description, ..Default::default() };
            Ok(told(&store.update_metadata(old, meta).await?))
        }
        "seal" => {
            store.seal().await?;
            Ok(Answer::default())
        }
        _ => Err(unknown(op)),
    }
}

fn linked(outcome: Result<ObjectInfo, AddLinkError>) -> Result<Answer, Failure> {
    Ok(told(&outcome?))
}

/// Size, chunks, digest, deleted, description, size of a chunk, bucket and name of a link; triples of headers and metadata.
fn told(info: &ObjectInfo) -> Answer {
    let options = info.options.as_ref();
    let link = options.and_then(|options| options.link.as_ref());
    let mut answer = Answer::default()
        .word(info.size)
        .word(info.chunks)
        .word(info.digest.as_deref().unwrap_or_default())
        .word(u8::from(info.deleted))
        .word(info.description.as_deref().unwrap_or_default())
        .word(options.and_then(|options| options.max_chunk_size).unwrap_or_default())
        .word(link.map(|link| link.bucket.as_str()).unwrap_or_default())
        .word(link.and_then(|link| link.name.as_deref()).unwrap_or_default());
    for (name, value) in sorted(info.headers.as_ref()) {
        answer = answer.word("h").word(name).word(value);
    }
    let mut metadata: Vec<_> = info.metadata.iter().collect();
    metadata.sort();
    for (name, value) in metadata {
        answer = answer.word("m").word(name).word(value);
    }
    answer
}
