use super::*;
use crate::schema::{Version, testing};
use serde_json::Value;

/// Every option, in the order of the table, and the JSON of it.
const OPTIONS: &str = "name N durable_name N description d deliver_policy by_start_sequence \
    opt_start_seq 1 opt_start_time 2026-01-01T00:00:00Z ack_policy all ack_wait 2500.5 \
    max_deliver -1 backoff {100 2000} filter_subject f filter_subjects {a b.>} \
    replay_policy original rate_limit_bps 2 sample_freq 30% max_waiting 3 max_ack_pending 4 \
    max_batch 5 max_expires 6 max_bytes 7 flow_control true idle_heartbeat 8 headers_only yes \
    deliver_subject D deliver_group G inactive_threshold 9 num_replicas 0 mem_storage on \
    pause_until 2027-01-01T00:00:00Z priority_groups {g} priority_policy pinned_client \
    priority_timeout 10 metadata {k v} pedantic true";

pub const JSON: &str = concat!(
    r#"{"name":"N","durable_name":"N","description":"d","deliver_policy":"by_start_sequence","#,
    r#""opt_start_seq":1,"opt_start_time":"2026-01-01T00:00:00Z","ack_policy":"all","#,
    r#""ack_wait":2500500000,"max_deliver":-1,"backoff":[100000000,2000000000],"#,
    r#""filter_subject":"f","filter_subjects":["a","b.>"],"replay_policy":"original","#,
    r#""rate_limit_bps":2,"sample_freq":"30%","max_waiting":3,"max_ack_pending":4,"#,
    r#""max_batch":5,"max_expires":6000000,"max_bytes":7,"flow_control":true,"#,
    r#""idle_heartbeat":8000000,"headers_only":true,"deliver_subject":"D","deliver_group":"G","#,
    r#""inactive_threshold":9000000,"num_replicas":0,"mem_storage":true,"#,
    r#""pause_until":"2027-01-01T00:00:00Z","priority_groups":["g"],"#,
    r#""priority_policy":"pinned_client","priority_timeout":10000000,"metadata":{"k":"v"}}"#
);

/// The first server that knows a field.
const SINCE: &[(&str, Version)] = &[
    ("name N", (2, 9, 0)),
    ("description d", (2, 3, 3)),
    ("backoff 1", (2, 7, 1)),
    ("filter_subjects a", (2, 10, 0)),
    ("max_batch 1", (2, 7, 0)),
    ("max_expires 1", (2, 7, 0)),
    ("max_bytes 1", (2, 8, 3)),
    ("headers_only true", (2, 6, 2)),
    ("deliver_group G", (2, 4, 0)),
    ("inactive_threshold 1", (2, 7, 0)),
    ("num_replicas 1", (2, 8, 3)),
    ("mem_storage true", (2, 8, 3)),
    ("pause_until 2027-01-01T00:00:00Z", (2, 11, 0)),
    ("priority_groups g", (2, 11, 0)),
    ("priority_policy overflow", (2, 11, 0)),
    ("priority_timeout 1", (2, 11, 0)),
    ("metadata {k v}", (2, 10, 0)),
    ("pedantic true", (2, 11, 0)),
];

#[test]
fn every_option_becomes_json() {
    testing::strict(&TABLE, OPTIONS, JSON);
    let defaults = r#"{"deliver_policy":"all","ack_policy":"explicit","replay_policy":"instant"}"#;
    testing::strict(&TABLE, "", defaults);
}

#[test]
fn a_configuration_that_was_shown_can_be_sent_again() {
    testing::round_trip(&TABLE, &JSON.replace("2500500000", "2500000000"));
    let mut info: Value = serde_json::from_str(concat!(
        r#"{"type":"t","name":"N","config":{"ack_wait":30000000000,"backoff":[0,1500000],"#,
        r#""inactive_threshold":999999,"newer":5000000},"pause_remaining":3000000000}"#
    ))
    .expect("JSON");
    reply::TABLE.show(&mut info);
    assert_eq!(
        info.to_string(),
        concat!(
            r#"{"name":"N","config":{"ack_wait":30000,"backoff":[0,1],"#,
            r#""inactive_threshold":0,"newer":5000000},"pause_remaining":3000}"#
        )
    );
}

#[test]
fn bad_values() {
    testing::refuses(
        &TABLE,
        "durable_name N",
        &[
            (
                "deliver_policy x",
                "enum deliver_policy : x; allowed values: all last new by_start_sequence \
                    by_start_time last_per_subject",
            ),
            ("replay_policy {}", "enum replay_policy : ; allowed values: instant original"),
            ("description {}", "valid_str option description : "),
            ("max_deliver 1.5", "int option max_deliver : 1.5"),
            (
                "ack_wait long",
                "ms option ack_wait : long; allowed is a number of milliseconds, with a fraction if wanted",
            ),
            ("backoff {1 x}", "list option backoff : 1 x"),
            ("flow_control perhaps", "bool option flow_control : perhaps"),
            ("filter_subjects {}", "list option filter_subjects : "),
        ],
    );
}

#[test]
fn what_older_servers_lack() {
    testing::since(&TABLE, "durable_name N", SINCE);
}
