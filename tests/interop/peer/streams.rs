//! Streams and consumers.

use crate::Peer;
use crate::words::{Answer, Failure, Words, unknown};
use async_nats::jetstream::{consumer, stream};
use futures_util::StreamExt;
use std::time::Duration;

pub async fn run(peer: &mut Peer, op: &str, words: &mut Words) -> Result<Answer, Failure> {
    match op {
        "stream" => {
            let (name, subject) = (words.text()?, words.text()?);
            let config = stream::Config { name, subjects: vec![subject], ..Default::default() };
            peer.js.create_stream(config).await?;
            Ok(Answer::default())
        }
        "publish" => {
            let (subject, data, headers) = (words.text()?, words.bytes()?, words.headers()?);
            let ack = peer.js.publish_with_headers(subject, headers, data).await?.await?;
            Ok(Answer::default().word(ack.sequence).word(u8::from(ack.duplicate)))
        }
        "get" => {
            let stream = peer.js.get_stream(words.text()?).await?;
            let message = stream.get_raw_message(words.number()?).await?;
            let answer = Answer::default().word(&message.subject).bytes(&message.payload);
            Ok(answer.headers(Some(&message.headers)))
        }
        "consumer" => {
            let stream = peer.js.get_stream(words.text()?).await?;
            let config = consumer::pull::Config {
                durable_name: Some(words.text()?),
                ack_wait: Duration::from_secs(60),
                ..Default::default()
            };
            stream.create_consumer(config).await?;
            Ok(Answer::default())
        }
        "fetch" => fetch(peer, words).await,
        "consumer_state" => {
            let stream = peer.js.get_stream(words.text()?).await?;
            let name = words.text()?;
            let info = stream.consumer_info(&name).await?;
            let answer = Answer::default().word(info.ack_floor.stream_sequence);
            Ok(answer.word(info.num_ack_pending).word(info.num_pending))
        }
        _ => Err(unknown(op)),
    }
}

/// Sequence, deliveries and data of so many messages, each acknowledged.
async fn fetch(peer: &Peer, words: &mut Words) -> Result<Answer, Failure> {
    let stream = peer.js.get_stream(words.text()?).await?;
    let name = words.text()?;
    let consumer: consumer::PullConsumer =
        stream.get_consumer(&name).await.map_err(|error| Failure::other(&error))?;
    let most = usize::try_from(words.number()?)?;
    let mut batch =
        consumer.fetch().max_messages(most).expires(Duration::from_secs(5)).messages().await?;
    let mut answer = Answer::default();
    while let Some(message) = batch.next().await {
        let message = message.map_err(|error| Failure::other(&error))?;
        message.double_ack().await.map_err(|error| Failure::other(&error))?;
        let info = message.info().map_err(|error| Failure::other(&error))?;
        answer = answer.word(info.stream_sequence).word(info.delivered).bytes(&message.payload);
    }
    Ok(answer)
}
