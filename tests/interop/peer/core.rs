//! Messages and requests without JetStream.

use crate::Peer;
use crate::words::{Answer, Failure, Words, next, unknown};
use futures_util::StreamExt;

pub async fn run(peer: &mut Peer, op: &str, words: &mut Words) -> Result<Answer, Failure> {
    match op {
        "respond" => respond(peer, words.text()?).await,
        "request" => {
            let (subject, data, headers) = (words.text()?, words.bytes()?, words.headers()?);
            let message = if headers.is_empty() {
                peer.client.request(subject, data).await?
            } else {
                peer.client.request_with_headers(subject, headers, data).await?
            };
            Ok(Answer::default().bytes(&message.payload).headers(message.headers.as_ref()))
        }
        "subscribe" => {
            let subscription = peer.client.subscribe(words.text()?).await?;
            peer.settled().await?;
            let number = peer.number();
            peer.subscriptions.insert(number, subscription);
            Ok(Answer::default().word(number))
        }
        "next" => {
            let number = words.number()?;
            let subscription = peer.subscriptions.get_mut(&number).ok_or_else(|| unknown(op))?;
            let message = next(subscription.next()).await?;
            let reply = message.reply.map(|reply| reply.to_string()).unwrap_or_default();
            let answer = Answer::default().word(&message.subject).word(reply);
            Ok(answer.bytes(&message.payload).headers(message.headers.as_ref()))
        }
        "publish" => publish(peer, words).await,
        _ => Err(unknown(op)),
    }
}

/// Requests are answered with their data turned round, their headers and one more.
async fn respond(peer: &Peer, subject: String) -> Result<Answer, Failure> {
    let mut requests = peer.client.subscribe(subject).await?;
    peer.settled().await?;
    let client = peer.client.clone();
    tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            let Some(reply) = request.reply else { continue };
            let mut headers = request.headers.unwrap_or_default();
            headers.insert("Peer", "async-nats");
            let data: Vec<u8> = request.payload.iter().rev().copied().collect();
            // It fails with the connection, which the test sees.
            let _ = client.publish_with_headers(reply, headers, data.into()).await;
        }
    });
    Ok(Answer::default())
}

async fn publish(peer: &Peer, words: &mut Words) -> Result<Answer, Failure> {
    let (subject, reply, data) = (words.text()?, words.text()?, words.bytes()?);
    let (client, headers) = (&peer.client, words.headers()?);
    match (reply.is_empty(), headers.is_empty()) {
        (true, true) => client.publish(subject, data).await?,
        (true, false) => client.publish_with_headers(subject, headers, data).await?,
        (false, true) => client.publish_with_reply(subject, reply, data).await?,
        (false, false) => {
            client.publish_with_reply_and_headers(subject, reply, headers, data).await?;
        }
    }
    peer.settled().await?;
    Ok(Answer::default())
}
