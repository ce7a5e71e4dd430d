//! The configuration of a stream, field by field, and the objects in it.

use crate::schema::{boolean, int, list, metadata, ms, object, objects, one_of, table, valid_str};

table! {
    NAME:                      valid_str("name").required();
    DESCRIPTION:               valid_str("description").since(2, 3, 3);
    SUBJECTS:                  list("subjects");
    RETENTION:                 one_of("retention", &["limits", "interest", "workqueue"]).or("limits");
    MAX_CONSUMERS:             int("max_consumers");
    MAX_MSGS:                  int("max_msgs");
    MAX_BYTES:                 int("max_bytes");
    DISCARD:                   one_of("discard", &["new", "old"]);
    DISCARD_NEW_PER_SUBJECT:   boolean("discard_new_per_subject").since(2, 9, 1);
    MAX_AGE:                   ms("max_age");
    MAX_MSGS_PER_SUBJECT:      int("max_msgs_per_subject").since(2, 3, 0);
    MAX_MSG_SIZE:              int("max_msg_size");
    STORAGE:                   one_of("storage", &["memory", "file"]).or("file");
    NUM_REPLICAS:              int("num_replicas");
    NO_ACK:                    boolean("no_ack");
    DUPLICATE_WINDOW:          ms("duplicate_window");
    PLACEMENT:                 object("placement", &placement::TABLE);
    MIRROR:                    object("mirror", &source::TABLE);
    SOURCES:                   objects("sources", &source::TABLE);
    SEALED:                    boolean("sealed").since(2, 6, 2);
    DENY_DELETE:               boolean("deny_delete").since(2, 6, 2);
    DENY_PURGE:                boolean("deny_purge").since(2, 6, 2);
    ALLOW_ROLLUP_HDRS:         boolean("allow_rollup_hdrs").since(2, 6, 2);
    COMPRESSION:               one_of("compression", &["none", "s2"]).since(2, 10, 0);
    FIRST_SEQ:                 int("first_seq").since(2, 10, 0);
    SUBJECT_TRANSFORM:         object("subject_transform", &transform::TABLE).since(2, 10, 0);
    REPUBLISH:                 object("republish", &republish::TABLE).since(2, 8, 3);
    ALLOW_DIRECT:              boolean("allow_direct").since(2, 9, 0);
    MIRROR_DIRECT:             boolean("mirror_direct").since(2, 9, 0);
    CONSUMER_LIMITS:           object("consumer_limits", &consumer_limits::TABLE).since(2, 10, 0);
    ALLOW_MSG_TTL:             boolean("allow_msg_ttl").since(2, 11, 0);
    SUBJECT_DELETE_MARKER_TTL: ms("subject_delete_marker_ttl").since(2, 11, 0);
    ALLOW_MSG_COUNTER:         boolean("allow_msg_counter").since(2, 12, 0);
    ALLOW_ATOMIC:              boolean("allow_atomic").since(2, 12, 0);
    ALLOW_MSG_SCHEDULES:       boolean("allow_msg_schedules").since(2, 12, 0);
    PERSIST_MODE:              one_of("persist_mode", &["default", "async"]).since(2, 12, 0);
    ALLOW_BATCHED:             boolean("allow_batched").since(2, 14, 0);
    METADATA:                  metadata("metadata").since(2, 10, 0);
    // Of the request, not of the configuration: the server refuses what it would adjust.
    PEDANTIC:                  boolean("pedantic").since(2, 11, 0);
}

/// Where messages are mirrored or collected from.
pub mod source {
    use super::{source_consumer, transform};
    use crate::options::TIME;
    use crate::schema::{object, objects, pos_int, table, valid_str};

    table! {
        NAME:               valid_str("name").required();
        OPT_START_SEQ:      pos_int("opt_start_seq");
        OPT_START_TIME:     valid_str("opt_start_time").typed(TIME);
        FILTER_SUBJECT:     valid_str("filter_subject");
        EXTERNAL:           object("external", &super::external::TABLE);
        SUBJECT_TRANSFORMS: objects("subject_transforms", &transform::TABLE).since(2, 10, 0);
        CONSUMER:           object("consumer", &source_consumer::TABLE).since(2, 14, 0);
    }
}

/// Another domain or account.
pub mod external {
    use crate::schema::{any_str, table, valid_str};

    table! {
        API:     valid_str("api").required();
        DELIVER: any_str("deliver");
    }
}

/// The consumer that a source reads by, if it was made beforehand.
pub mod source_consumer {
    use crate::schema::{table, valid_str};

    table! {
        NAME:            valid_str("name").required();
        DELIVER_SUBJECT: valid_str("deliver_subject");
    }
}

/// An empty destination only filters.
pub mod transform {
    use crate::schema::{any_str, table};

    table! {
        SRC:  any_str("src").required();
        DEST: any_str("dest").required();
    }
}

pub mod republish {
    use crate::schema::{any_str, boolean, table, valid_str};

    table! {
        SRC:          any_str("src").required();
        DEST:         valid_str("dest").required();
        HEADERS_ONLY: boolean("headers_only").or_flag(false);
    }
}

pub mod placement {
    use crate::schema::{any_str, list, table};

    table! {
        CLUSTER: any_str("cluster");
        TAGS:    list("tags");
    }
}

pub mod consumer_limits {
    use crate::schema::{int, ms, table};

    table! {
        INACTIVE_THRESHOLD: ms("inactive_threshold");
        MAX_ACK_PENDING:    int("max_ack_pending");
    }
}

/// The replies that hold a configuration.
pub mod reply {
    use crate::schema::{hidden, object, table};

    table! {
        TYPE:   hidden("type");
        TOTAL:  hidden("total");
        OFFSET: hidden("offset");
        LIMIT:  hidden("limit");
        CONFIG: object("config", &super::TABLE);
    }
}

#[cfg(test)]
pub mod tests;
