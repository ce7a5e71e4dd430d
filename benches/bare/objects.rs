//! The rows of `object_store.tcl`: an object from a file, and into one.

use super::{Failure, Meter};
use async_nats::{Client, jetstream};
use tokio::fs::File;
use tokio::io::{AsyncWriteExt, BufReader, copy_buf};

/// What a chunk has.
const CHUNK: usize = 128 * 1024;

pub async fn row(client: &Client, row: &str, bucket: &str, path: &str) -> Result<Meter, Failure> {
    let store = jetstream::new(client.clone()).get_object_store(bucket).await?;
    let mut meter = Meter::start();
    match row {
        "put" => {
            let mut file = File::open(path).await?;
            file.set_max_buf_size(CHUNK);
            store.put("bare", &mut file).await?;
        }
        "get" => {
            let mut file = File::create(path).await?;
            file.set_max_buf_size(CHUNK);
            let object = store.get("bare").await?;
            copy_buf(&mut BufReader::with_capacity(CHUNK, object), &mut file).await?;
            file.flush().await?;
        }
        _ => return Err(format!("no such row: {row}").into()),
    }
    meter.stop();
    Ok(meter)
}
