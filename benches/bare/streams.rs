//! The rows of `jetstream.tcl`. Streams and consumers are there already; each row has to do with one of them.
//!
//! Where the typed layer of the engine could be slower than its raw requests there is a row for each (`…-raw`): the
//! package is measured against the faster one.

use std::collections::VecDeque;

use async_nats::Client;
use async_nats::jetstream::{self, consumer};
use bytes::Bytes;
use futures_util::stream::StreamExt;

use crate::{Failure, Meter};

/// As many publishes are unacknowledged at most; a server that is simply flooded drops messages.
const IN_FLIGHT: usize = 5000;
/// Of a fetch, and what a continuous pull may have outstanding.
const BATCH: usize = 500;

/// Does a row on a stream with the subjects `stream.>` and the consumer of that name, if it needs one.
pub async fn row(
    client: &Client,
    row: &str,
    stream: &str,
    consumer: &str,
    n: usize,
    value: &Bytes,
) -> Result<Meter, Failure> {
    // Each publish has its slot there until it is acknowledged.
    let js = jetstream::context::ContextBuilder::new()
        .max_ack_inflight(2 * IN_FLIGHT)
        .build(client.clone());
    let mut meter = Meter::start();
    match row {
        "publish" => {
            for _ in 0..n {
                js.publish(format!("{stream}.a"), value.clone()).await?.await?;
            }
        }
        "publish-raw" => {
            for _ in 0..n {
                client.request(format!("{stream}.a"), value.clone()).await?;
            }
        }
        "pipeline" => pipeline(&js, stream, n, value).await?,
        "fetch" => {
            let consumer: consumer::PullConsumer =
                js.get_consumer_from_stream(consumer, stream).await?;
            meter = Meter::start();
            let mut done = 0;
            while done < n {
                let mut messages = consumer.fetch().max_messages(BATCH).messages().await?;
                while let Some(message) = messages.next().await {
                    message?.ack().await?;
                    done += 1;
                }
            }
        }
        "fetch-raw" => fetch_raw(client, stream, consumer, n).await?,
        "pull" => {
            let consumer: consumer::PullConsumer =
                js.get_consumer_from_stream(consumer, stream).await?;
            meter = Meter::start();
            let mut messages = consumer.stream().max_messages_per_batch(BATCH).messages().await?;
            for _ in 0..n {
                messages.next().await.ok_or("the consumer ended")??.ack().await?;
            }
        }
        "ordered" => {
            let config = consumer::push::OrderedConfig {
                deliver_subject: client.new_inbox(),
                ..Default::default()
            };
            let consumer = js.get_stream(stream).await?.create_consumer(config).await?;
            let mut messages = consumer.messages().await?;
            for _ in 0..n {
                messages.next().await.ok_or("the consumer ended")??;
            }
        }
        "last" => last(client, stream, n).await?,
        other => return Err(format!("unknown row js-{other}").into()),
    }
    // What was published last, acknowledgements, is with the server.
    client.flush().await?;
    meter.stop();
    Ok(meter)
}

async fn pipeline(
    js: &jetstream::Context,
    stream: &str,
    n: usize,
    value: &Bytes,
) -> Result<(), Failure> {
    let mut waiting: VecDeque<jetstream::context::PublishAckFuture> = VecDeque::new();
    for _ in 0..n {
        if waiting.len() >= IN_FLIGHT
            && let Some(ack) = waiting.pop_front()
        {
            ack.await?;
        }
        waiting.push_back(js.publish(format!("{stream}.a"), value.clone()).await?);
    }
    for ack in waiting {
        ack.await?;
    }
    Ok(())
}

/// One inbox for all requests: each is over when its messages have come.
async fn fetch_raw(client: &Client, stream: &str, consumer: &str, n: usize) -> Result<(), Failure> {
    let inbox = client.new_inbox();
    let mut messages = client.subscribe(inbox.clone()).await?;
    let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}");
    let mut done = 0;
    while done < n {
        let batch = BATCH.min(n - done);
        let request = format!("{{\"batch\":{batch},\"expires\":5000000000}}");
        client.publish_with_reply(subject.clone(), inbox.clone(), request.into()).await?;
        for _ in 0..batch {
            let message = messages.next().await.ok_or("the subscription ended")?;
            client.publish(message.reply.ok_or("a status")?, Bytes::new()).await?;
        }
        done += batch;
    }
    Ok(())
}

/// The last message of each of a thousand subjects, by one request after the other; the engine has no more of it.
async fn last(client: &Client, stream: &str, n: usize) -> Result<(), Failure> {
    let inbox = client.new_inbox();
    let mut replies = client.subscribe(inbox.clone()).await?;
    let mut done = 0;
    while done < n {
        let request = format!("{{\"multi_last\":[\"{stream}.*\"]}}");
        let subject = format!("$JS.API.DIRECT.GET.{stream}");
        client.publish_with_reply(subject, inbox.clone(), request.into()).await?;
        loop {
            let reply = replies.next().await.ok_or("the subscription ended")?;
            match reply.status.map(|status| status.as_u16()) {
                None => done += 1,
                Some(204) => break,
                Some(status) => return Err(format!("status {status}").into()),
            }
        }
    }
    Ok(())
}
