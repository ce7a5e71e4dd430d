//! Services.

use crate::Peer;
use crate::words::{Answer, Failure, Words, unknown};
use async_nats::service::{Info, PingResponse, ServiceExt, Stats, error::Error};
use futures_util::StreamExt;
use std::collections::HashMap;

pub async fn run(peer: &mut Peer, op: &str, words: &mut Words) -> Result<Answer, Failure> {
    match op {
        "start" => start(peer, words).await,
        "ask" => ask(peer, words).await,
        "stop" => {
            for service in peer.services.drain(..) {
                service.stop().await.map_err(|error| Failure::other(&error))?;
            }
            Ok(Answer::default())
        }
        _ => Err(unknown(op)),
    }
}

/// An endpoint that answers with its input turned round; `fail` is answered with the error 409.
async fn start(peer: &mut Peer, words: &mut Words) -> Result<Answer, Failure> {
    let (name, version, description) = (words.text()?, words.text()?, words.text()?);
    let (group, endpoint) = (words.text()?, words.text()?);
    let service = peer
        .client
        .service_builder()
        .description(description)
        .metadata(HashMap::from([("peer".to_owned(), "async-nats".to_owned())]))
        .start(name, version)
        .await
        .map_err(|error| Failure::other(&error))?;
    let mut requests = service
        .group(group)
        .endpoint_builder()
        .name(&endpoint)
        .add(endpoint)
        .await
        .map_err(|error| Failure::other(&error))?;
    peer.settled().await?;
    tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            let response = if request.message.payload.as_ref() == b"fail" {
                Err(Error { code: 409, status: "as you wanted".to_owned() })
            } else {
                Ok(request.message.payload.iter().rev().copied().collect::<Vec<u8>>().into())
            };
            // It fails with the connection, which the test sees.
            let _ = request.respond(response).await;
        }
    });
    let id = service.info().await.id;
    peer.services.push(service);
    Ok(Answer::default().word(id))
}

/// What the first instance says, as this client understands it.
async fn ask(peer: &Peer, words: &mut Words) -> Result<Answer, Failure> {
    let (kind, name) = (words.text()?, words.text()?);
    let reply = peer.client.request(format!("$SRV.{kind}.{name}"), bytes::Bytes::new()).await?;
    let made =
        |metadata: &HashMap<String, String>| metadata.get("made").cloned().unwrap_or_default();
    let answer = Answer::default();
    match kind.as_str() {
        "PING" => {
            let said: PingResponse = serde_json::from_slice(&reply.payload)?;
            Ok(answer.word(said.kind).word(said.name).word(said.version).word(made(&said.metadata)))
        }
        "INFO" => {
            let said: Info = serde_json::from_slice(&reply.payload)?;
            let mut answer = answer.word(said.kind).word(said.name).word(said.version);
            answer = answer.word(made(&said.metadata)).word(said.description);
            for e in said.endpoints {
                let of = e.metadata.get("of").cloned().unwrap_or_default();
                answer = answer.word(e.name).word(e.subject).word(e.queue_group).word(of);
            }
            Ok(answer)
        }
        "STATS" => {
            let said: Stats = serde_json::from_slice(&reply.payload)?;
            let mut answer = answer.word(said.kind).word(said.name).word(said.version);
            for e in said.endpoints {
                answer = answer.word(e.name).word(e.subject).word(e.queue_group);
                answer = answer.word(e.requests).word(e.errors);
            }
            Ok(answer)
        }
        _ => Err(unknown(&kind)),
    }
}
