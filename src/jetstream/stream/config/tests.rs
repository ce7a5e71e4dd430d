use super::*;
use crate::schema::{Version, testing};
use serde_json::Value;

/// Every option, in the order of the table, and the JSON of it.
const OPTIONS: &str = "name S description d subjects {a b.>} retention workqueue max_consumers 1 \
    max_msgs 2 max_bytes -1 discard new discard_new_per_subject yes max_age 60000 \
    max_msgs_per_subject 3 max_msg_size 4 storage memory num_replicas 5 no_ack 1 \
    duplicate_window 1500 placement {cluster c tags {x y}} \
    mirror {name M opt_start_seq 6 opt_start_time 2026-01-01T00:00:00Z filter_subject f \
        external {api A deliver {}} subject_transforms {{src s dest {}}} \
        consumer {name C deliver_subject D}} \
    sources {{name M1} {name M2 external {api B}}} \
    sealed off deny_delete true deny_purge false allow_rollup_hdrs true compression s2 \
    first_seq 7 subject_transform {src a dest b} republish {src a dest b headers_only true} \
    allow_direct true mirror_direct true \
    consumer_limits {inactive_threshold 8 max_ack_pending 9} allow_msg_ttl true \
    subject_delete_marker_ttl 1000 allow_msg_counter true allow_atomic true \
    allow_msg_schedules true persist_mode async allow_batched true metadata {k v} pedantic true";

pub const JSON: &str = concat!(
    r#"{"name":"S","description":"d","subjects":["a","b.>"],"retention":"workqueue","#,
    r#""max_consumers":1,"max_msgs":2,"max_bytes":-1,"discard":"new","#,
    r#""discard_new_per_subject":true,"max_age":60000000000,"max_msgs_per_subject":3,"#,
    r#""max_msg_size":4,"storage":"memory","num_replicas":5,"no_ack":true,"#,
    r#""duplicate_window":1500000000,"placement":{"cluster":"c","tags":["x","y"]},"#,
    r#""mirror":{"name":"M","opt_start_seq":6,"opt_start_time":"2026-01-01T00:00:00Z","#,
    r#""filter_subject":"f","external":{"api":"A","deliver":""},"#,
    r#""subject_transforms":[{"src":"s","dest":""}],"#,
    r#""consumer":{"name":"C","deliver_subject":"D"}},"#,
    r#""sources":[{"name":"M1"},{"name":"M2","external":{"api":"B"}}],"#,
    r#""sealed":false,"deny_delete":true,"deny_purge":false,"allow_rollup_hdrs":true,"#,
    r#""compression":"s2","first_seq":7,"subject_transform":{"src":"a","dest":"b"},"#,
    r#""republish":{"src":"a","dest":"b","headers_only":true},"allow_direct":true,"#,
    r#""mirror_direct":true,"#,
    r#""consumer_limits":{"inactive_threshold":8000000,"max_ack_pending":9},"#,
    r#""allow_msg_ttl":true,"subject_delete_marker_ttl":1000000000,"allow_msg_counter":true,"#,
    r#""allow_atomic":true,"allow_msg_schedules":true,"persist_mode":"async","#,
    r#""allow_batched":true,"metadata":{"k":"v"},"pedantic":true}"#
);

/// The first server that knows a field.
const SINCE: &[(&str, Version)] = &[
    ("description d", (2, 3, 3)),
    ("discard_new_per_subject true", (2, 9, 1)),
    ("max_msgs_per_subject 1", (2, 3, 0)),
    ("sealed true", (2, 6, 2)),
    ("deny_delete true", (2, 6, 2)),
    ("deny_purge true", (2, 6, 2)),
    ("allow_rollup_hdrs true", (2, 6, 2)),
    ("compression none", (2, 10, 0)),
    ("first_seq 1", (2, 10, 0)),
    ("subject_transform {src a dest b}", (2, 10, 0)),
    ("republish {src a dest b}", (2, 8, 3)),
    ("allow_direct true", (2, 9, 0)),
    ("mirror_direct true", (2, 9, 0)),
    ("consumer_limits {max_ack_pending 1}", (2, 10, 0)),
    ("allow_msg_ttl true", (2, 11, 0)),
    ("subject_delete_marker_ttl 1000", (2, 11, 0)),
    ("allow_msg_counter true", (2, 12, 0)),
    ("allow_atomic true", (2, 12, 0)),
    ("allow_msg_schedules true", (2, 12, 0)),
    ("persist_mode async", (2, 12, 0)),
    ("allow_batched true", (2, 14, 0)),
    ("metadata {k v}", (2, 10, 0)),
    ("pedantic true", (2, 11, 0)),
];

#[test]
fn every_option_becomes_json() {
    testing::lenient(&TABLE, OPTIONS, JSON);
    let defaults = r#"{"name":"S","retention":"limits","storage":"file"}"#;
    testing::lenient(&TABLE, "name S", defaults);
    // What replies show of a stream without limits for its consumers, and options of others.
    testing::lenient(&TABLE, "name S consumer_limits {} mirror {} discard null new 1", defaults);
}

#[test]
fn nested_objects_may_be_json() {
    for options in [
        r#"mirror {{"name":"M","external":{"api":"A","deliver":"D"}}}"#,
        "mirror {name M external {api A deliver D}}",
    ] {
        let json = concat!(
            r#"{"name":"S","retention":"limits","storage":"file","#,
            r#""mirror":{"name":"M","external":{"api":"A","deliver":"D"}}}"#
        );
        testing::lenient(&TABLE, &format!("name S {options}"), json);
    }
    let republish = r#"{"src":"a","dest":"b","headers_only":false}"#;
    let json =
        format!(r#"{{"name":"S","retention":"limits","storage":"file","republish":{republish}}}"#);
    testing::lenient(&TABLE, "name S republish {src a dest b}", &json);
}

#[test]
fn a_configuration_that_was_shown_can_be_sent_again() {
    testing::round_trip(&TABLE, JSON);
    let mut info: Value = serde_json::from_str(concat!(
        r#"{"type":"t","total":1,"offset":0,"limit":1,"config":{"max_age":0,"max_bytes":-1,"#,
        r#""duplicate_window":120000000000,"consumer_limits":{},"newer":5000000},"state":{}}"#
    ))
    .expect("JSON");
    reply::TABLE.show(&mut info);
    assert_eq!(
        info.to_string(),
        concat!(
            r#"{"config":{"max_age":0,"max_bytes":-1,"duplicate_window":120000,"#,
            r#""consumer_limits":{},"newer":5000000},"state":{}}"#
        )
    );
}

#[test]
fn bad_values() {
    testing::refuses(
        &TABLE,
        "name S",
        &[
            ("retention x", "enum retention : x; allowed values: limits interest workqueue"),
            ("storage disk", "enum storage : disk; allowed values: memory file"),
            ("discard {}", "enum discard : ; allowed values: new old"),
            ("subjects {}", "list option subjects : "),
            ("max_msgs many", "int option max_msgs : many"),
            (
                "max_age old",
                "ms option max_age : old; allowed is a number of milliseconds, with a fraction if wanted",
            ),
            ("no_ack 2", "bool option no_ack : 2"),
            ("metadata {}", "metadata option metadata : "),
            ("mirror odd", "json option mirror : odd"),
            ("sources {}", "json_list option sources : "),
            ("mirror {name M opt_start_seq x}", "pos_int option opt_start_seq : x"),
        ],
    );
    testing::requires(&TABLE, "max_age 1", "name");
    testing::requires(&TABLE, "name S mirror {filter_subject f}", "name");
    testing::requires(&TABLE, "name S subject_transform {src a}", "dest");
    testing::requires(&TABLE, "name S sources {{name M external {deliver D}}}", "api");
}

#[test]
fn what_older_servers_lack() {
    testing::since(&TABLE, "name S", SINCE);
    let nested = [
        ("mirror {name M subject_transforms {{src a dest b}}}", "subject_transforms", (2, 10, 0)),
        ("sources {{name M consumer {name C}}}", "consumer", (2, 14, 0)),
    ];
    for (option, name, version) in nested {
        testing::lacks(&TABLE, &format!("name S {option}"), name, version);
    }
}
