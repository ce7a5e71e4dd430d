//! The configuration of object stores, and the streams behind them.

use super::names::{all_metas, chunks_of, stream_of};
use crate::jetstream::stream::config as stream;
use crate::options::Type;
use crate::schema::{Record, table};
use serde_json::Value;

// Options first, then what is the same for every object store. What a Key-Value bucket has, too, is called the same.
table! {
    DESCRIPTION:       stream::DESCRIPTION;
    TTL:               stream::MAX_AGE.called("ttl").typed(Type::PosInt);
    MAX_BUCKET_SIZE:   stream::MAX_BYTES.called("max_bucket_size").typed(Type::PosInt);
    STORAGE:           stream::STORAGE;
    NUM_REPLICAS:      stream::NUM_REPLICAS.or_int(1);
    COMPRESSION:       stream::COMPRESSION;
    METADATA:          stream::METADATA;
    PLACEMENT:         stream::PLACEMENT;

    RETENTION:         stream::RETENTION.fixed().or("limits");
    DISCARD:           stream::DISCARD.fixed().or("new");
    ALLOW_ROLLUP_HDRS: stream::ALLOW_ROLLUP_HDRS.fixed().or_flag(true);
    ALLOW_DIRECT:      stream::ALLOW_DIRECT.fixed().or_flag(true);
}

/// The stream of an object store.
pub fn bucket_stream(bucket: &str, mut options: Record) -> Value {
    if options.get(TTL).and_then(Value::as_i64) == Some(0) {
        // For ever: it limits nothing.
        options.remove(TTL);
    }
    let mut config = Record::new(&stream::TABLE);
    config.set(stream::NAME, stream_of(bucket));
    config.set(stream::SUBJECTS, vec![chunks_of(bucket, ">"), all_metas(bucket)]);
    config.merge(options);
    config.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_of_a_bucket() {
        let mut options = Record::new(&TABLE);
        options.set(TTL, 0);
        options.set(DESCRIPTION, "d");
        assert_eq!(
            bucket_stream("b", options).to_string(),
            concat!(
                r#"{"name":"OBJ_b","description":"d","subjects":["$O.b.C.>","$O.b.M.>"],"#,
                r#""retention":"limits","discard":"new","storage":"file","num_replicas":1,"#,
                r#""allow_rollup_hdrs":true,"allow_direct":true}"#
            )
        );
    }
}
