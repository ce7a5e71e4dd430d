//! Services.

use crate::Peer;
use crate::words::{Answer, Failure, Words, unknown};
use async_nats::service::{ServiceExt, error::Error};
use futures_util::StreamExt;
use std::collections::HashMap;

pub async fn run(peer: &mut Peer, op: &str, words: &mut Words) -> Result<Answer, Failure> {
    match op {
        "start" => start(peer, words).await,
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
    let mut requests =
        service.group(group).endpoint(endpoint).await.map_err(|error| Failure::other(&error))?;
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
