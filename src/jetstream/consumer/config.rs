//! The configuration of a consumer, field by field, and the request and the replies that hold it.

use crate::options::TIME;
use crate::schema::{boolean, int, list, metadata, ms, ms_list, one_of, table, valid_str};

table! {
    NAME:               valid_str("name").since(2, 9, 0);
    DURABLE_NAME:       valid_str("durable_name");
    DESCRIPTION:        valid_str("description").since(2, 3, 3);
    DELIVER_POLICY:     one_of("deliver_policy", DELIVER_POLICIES).or("all");
    OPT_START_SEQ:      int("opt_start_seq");
    OPT_START_TIME:     valid_str("opt_start_time").typed(TIME);
    ACK_POLICY:         one_of("ack_policy", ACK_POLICIES).or("explicit");
    ACK_WAIT:           ms("ack_wait");
    MAX_DELIVER:        int("max_deliver");
    BACKOFF:            ms_list("backoff").since(2, 7, 1);
    FILTER_SUBJECT:     valid_str("filter_subject");
    FILTER_SUBJECTS:    list("filter_subjects").since(2, 10, 0);
    REPLAY_POLICY:      one_of("replay_policy", &["instant", "original"]).or("instant");
    RATE_LIMIT_BPS:     int("rate_limit_bps");
    SAMPLE_FREQ:        valid_str("sample_freq");
    MAX_WAITING:        int("max_waiting");
    MAX_ACK_PENDING:    int("max_ack_pending");
    MAX_BATCH:          int("max_batch").since(2, 7, 0);
    MAX_EXPIRES:        ms("max_expires").since(2, 7, 0);
    MAX_BYTES:          int("max_bytes").since(2, 8, 3);
    FLOW_CONTROL:       boolean("flow_control");
    IDLE_HEARTBEAT:     ms("idle_heartbeat");
    HEADERS_ONLY:       boolean("headers_only").since(2, 6, 2);
    DELIVER_SUBJECT:    valid_str("deliver_subject");
    DELIVER_GROUP:      valid_str("deliver_group").since(2, 4, 0);
    INACTIVE_THRESHOLD: ms("inactive_threshold").since(2, 7, 0);
    NUM_REPLICAS:       int("num_replicas").since(2, 8, 3);
    MEM_STORAGE:        boolean("mem_storage").since(2, 8, 3);
    PAUSE_UNTIL:        valid_str("pause_until").since(2, 11, 0);
    PRIORITY_GROUPS:    list("priority_groups").since(2, 11, 0);
    PRIORITY_POLICY:    one_of("priority_policy", PRIORITY_POLICIES).since(2, 11, 0);
    PRIORITY_TIMEOUT:   ms("priority_timeout").since(2, 11, 0);
    METADATA:           metadata("metadata").since(2, 10, 0);
    // Of the request around it: the server refuses what it would adjust.
    PEDANTIC:           boolean("pedantic").since(2, 11, 0).of_method();
}

const DELIVER_POLICIES: &[&str] =
    &["all", "last", "new", "by_start_sequence", "by_start_time", "last_per_subject"];
/// `flow_control` is that of consumers which sources of streams read by.
const ACK_POLICIES: &[&str] = &["none", "all", "explicit", "flow_control"];
const PRIORITY_POLICIES: &[&str] = &["none", "overflow", "pinned_client", "prioritized"];

/// The request that creates or updates a consumer.
pub mod request {
    use crate::schema::{boolean, object, one_of, table, valid_str};

    table! {
        STREAM_NAME: valid_str("stream_name").fixed();
        CONFIG:      object("config", &super::TABLE).fixed();
        ACTION:      one_of("action", &["create", "update"]).fixed().since(2, 10, 0);
        PEDANTIC:    boolean("pedantic").fixed();
    }
}

/// The replies that hold a configuration.
pub mod reply {
    use crate::schema::{hidden, ms, object, table};

    table! {
        TYPE:            hidden("type");
        CONFIG:          object("config", &super::TABLE);
        PAUSE_REMAINING: ms("pause_remaining");
    }
}

#[cfg(test)]
pub mod tests;
