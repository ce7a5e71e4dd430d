//! The request that creates an ordered consumer.

use std::time::Duration;

use serde_json::Value;

use crate::jetstream::api::LONGEST_FILTER;
use crate::jetstream::consumer::config::{self as consumer, request};
use crate::schema::{Record, table};
use crate::subject;

/// Where a consumer begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliverPolicy {
    All,
    Last,
    LastPerSubject,
    New,
    ByStartSequence(u64),
    /// An RFC 3339 time. Without one it is the server who refuses it.
    ByStartTime(Option<String>),
}

impl DeliverPolicy {
    fn name(&self) -> &'static str {
        match self {
            DeliverPolicy::All => "all",
            DeliverPolicy::Last => "last",
            DeliverPolicy::LastPerSubject => "last_per_subject",
            DeliverPolicy::New => "new",
            DeliverPolicy::ByStartSequence(_) => "by_start_sequence",
            DeliverPolicy::ByStartTime(_) => "by_start_time",
        }
    }
}

/// What stays the same for every consumer that an ordered consumer makes one after the other.
#[derive(Clone, Debug)]
pub struct ConsumerConfig {
    pub stream: String,
    /// None: the whole stream; one: `filter_subject`; several: `filter_subjects`.
    pub filters: Vec<String>,
    pub description: Option<String>,
    /// Not sent when `None`.
    pub headers_only: Option<bool>,
    pub idle_heartbeat: Duration,
    /// What names of consumers begin with; `None` lets the server choose them.
    pub name_prefix: Option<String>,
    /// Servers before 2.10 do not know the field `action`.
    pub action: bool,
}

/// What may have to be left out where a server, an account or a user has no use of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// The subject of the request names the consumer and its filter, and permissions can be given
    /// by that.
    pub named: bool,
    /// Where answers to flow control do not get through: so many messages and no more, which the
    /// server counts as not acknowledged. Nothing has to be sent to it.
    pub window: Option<u64>,
}

/// A create request: what its subject says, and its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateRequest {
    pub name: Option<String>,
    pub filter: Option<String>,
    pub body: Vec<u8>,
}

/// In ns.
const SECOND: i64 = 1_000_000_000;

// What every ordered consumer is.
table! {
    ACK_POLICY:         consumer::ACK_POLICY.fixed().or("none");
    ACK_WAIT:           consumer::ACK_WAIT.fixed().or_int(22 * 3600 * SECOND);
    MAX_DELIVER:        consumer::MAX_DELIVER.fixed().or_int(1);
    INACTIVE_THRESHOLD: consumer::INACTIVE_THRESHOLD.fixed().or_int(2 * SECOND);
    NUM_REPLICAS:       consumer::NUM_REPLICAS.fixed().or_int(1);
    MEM_STORAGE:        consumer::MEM_STORAGE.fixed().or_flag(true);
}

impl ConsumerConfig {
    /// The request for a consumer that starts by `policy` and delivers to `inbox`.
    pub fn create_request(&self, policy: &DeliverPolicy, inbox: &str, form: Form) -> CreateRequest {
        let mut config = Record::new(&consumer::TABLE);
        config.merge(Record::new(&TABLE));
        match form.window {
            None => config.set(consumer::FLOW_CONTROL, true),
            Some(messages) => {
                config.set(consumer::ACK_POLICY, "explicit");
                config.set(consumer::MAX_ACK_PENDING, messages);
            }
        }
        let prefix = self.name_prefix.as_ref().filter(|_| form.named && self.fits_a_subject());
        let name = prefix.map(|prefix| format!("{prefix}_{}", tail(inbox)));
        if let Some(name) = &name {
            config.set(consumer::NAME, name.as_str());
        }
        if let Some(description) = &self.description {
            config.set(consumer::DESCRIPTION, description.as_str());
        }
        config.set(consumer::DELIVER_POLICY, policy.name());
        match policy {
            DeliverPolicy::ByStartSequence(seq) => config.set(consumer::OPT_START_SEQ, *seq),
            DeliverPolicy::ByStartTime(Some(time)) => {
                config.set(consumer::OPT_START_TIME, time.as_str());
            }
            _ => {}
        }
        match self.filters.as_slice() {
            [] => {}
            [one] => config.set(consumer::FILTER_SUBJECT, one.as_str()),
            several => config.set(consumer::FILTER_SUBJECTS, several),
        }
        if let Some(headers_only) = self.headers_only {
            config.set(consumer::HEADERS_ONLY, headers_only);
        }
        config.set(consumer::IDLE_HEARTBEAT, nanoseconds(self.idle_heartbeat));
        config.set(consumer::DELIVER_SUBJECT, inbox);

        let mut request = Record::new(&request::TABLE);
        request.set(request::STREAM_NAME, self.stream.as_str());
        request.set(request::CONFIG, config);
        if self.action {
            request.set(request::ACTION, "create");
        }
        // The subject names a filter only together with a name, and only one.
        let filter = match (&name, self.filters.as_slice()) {
            (Some(_), [filter]) if filter != ">" => Some(filter.clone()),
            _ => None,
        };
        CreateRequest { name, filter, body: Value::from(request).to_string().into_bytes() }
    }

    /// Whether the request can name the filter. A bad one the server has to see, and to refuse.
    fn fits_a_subject(&self) -> bool {
        let fits = |filter: &String| {
            filter.len() <= LONGEST_FILTER && subject::check_subscribe(filter).is_ok()
        };
        self.filters.len() != 1 || self.filters.iter().all(fits)
    }
}

/// What names of consumers begin with that belong to a connection of this name. Names are one token
/// of a subject and a file name of the server.
pub fn name_prefix(connection: &str) -> String {
    const LONGEST: usize = 40;
    let legal = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let name: String = connection.chars().take(LONGEST).map(legal).collect();
    if name.is_empty() { "tcl".to_owned() } else { name }
}

/// An inbox is unique, and so is a name made from its end.
fn tail(inbox: &str) -> &str {
    let start = inbox.len().saturating_sub(12);
    inbox.get(start..).unwrap_or(inbox)
}

fn nanoseconds(duration: Duration) -> Value {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Form = Form { named: true, window: None };

    fn watcher() -> ConsumerConfig {
        ConsumerConfig {
            stream: "KV_B".into(),
            filters: vec!["$KV.B.>".into()],
            description: Some("KV watcher".into()),
            headers_only: Some(true),
            idle_heartbeat: Duration::from_secs(5),
            name_prefix: None,
            action: true,
        }
    }

    fn body(config: &ConsumerConfig, policy: &DeliverPolicy) -> String {
        String::from_utf8(config.create_request(policy, "_INBOX.abcdefghijklmn", FULL).body)
            .expect("text")
    }

    #[test]
    fn the_request_of_keys() {
        assert_eq!(
            body(&watcher(), &DeliverPolicy::LastPerSubject),
            concat!(
                r#"{"stream_name":"KV_B","config":{"description":"KV watcher","deliver_policy":"#,
                r#""last_per_subject","ack_policy":"none","ack_wait":79200000000000,"max_deliver":1,"#,
                r#""filter_subject":"$KV.B.>","replay_policy":"instant","flow_control":true,"#,
                r#""idle_heartbeat":5000000000,"headers_only":true,"#,
                r#""deliver_subject":"_INBOX.abcdefghijklmn","inactive_threshold":2000000000,"#,
                r#""num_replicas":1,"mem_storage":true},"action":"create"}"#
            )
        );
        let request = watcher().create_request(&DeliverPolicy::All, "_INBOX.x", FULL);
        assert_eq!((request.name, request.filter), (None, None));
    }

    #[test]
    fn policies_filters_and_old_servers() {
        let mut config = watcher();
        config.headers_only = None;
        config.description = None;
        config.action = false;
        config.filters.clear();
        let text = body(&config, &DeliverPolicy::ByStartSequence(7));
        assert!(text.contains(r#""deliver_policy":"by_start_sequence","opt_start_seq":7,"ack"#));
        assert!(!text.contains("filter") && !text.contains("action"));
        assert!(!text.contains("headers_only") && !text.contains("description"));
        config.filters = vec!["a".into(), "b.>".into()];
        let text = body(&config, &DeliverPolicy::ByStartTime(Some("2026-01-01T00:00:00Z".into())));
        assert!(text.contains(r#""opt_start_time":"2026-01-01T00:00:00Z""#));
        assert!(text.contains(r#""filter_subjects":["a","b.>"]"#));
    }

    #[test]
    fn a_chosen_name_goes_into_the_subject() {
        let mut config = watcher();
        config.name_prefix = Some("w".into());
        let request = config.create_request(&DeliverPolicy::New, "_INBOX.abcdefghijklmn", FULL);
        assert_eq!(request.name.as_deref(), Some("w_cdefghijklmn"));
        assert_eq!(request.filter.as_deref(), Some("$KV.B.>"));
        let text = String::from_utf8(request.body).expect("text");
        assert!(text.contains(r#""config":{"name":"w_cdefghijklmn","#));
        config.filters = vec![">".into()];
        let request = config.create_request(&DeliverPolicy::New, "_INBOX.abcdefghijklmn", FULL);
        assert_eq!((request.name.as_deref(), request.filter), (Some("w_cdefghijklmn"), None));
        config.filters = vec!["a".into(), "b".into()];
        let request = config.create_request(&DeliverPolicy::New, "_INBOX.abcdefghijklmn", FULL);
        assert_eq!((request.name.as_deref(), request.filter), (Some("w_cdefghijklmn"), None));
        let plain = Form { named: false, window: Some(7) };
        config.filters = vec!["a".into()];
        let request = config.create_request(&DeliverPolicy::New, "_INBOX.abcdefghijklmn", plain);
        assert_eq!((request.name, request.filter), (None, None));
        let text = String::from_utf8(request.body).expect("text");
        assert!(!text.contains(r#""name""#) && !text.contains("flow_control"));
        assert!(
            text.contains(r#""ack_policy":"explicit""#) && text.contains(r#""max_ack_pending":7"#)
        );
        // Too long for the line of a subject, or no subject at all.
        for filter in ["a".repeat(3001), "a..b".into(), "a b".into()] {
            config.filters = vec![filter];
            let request = config.create_request(&DeliverPolicy::New, "_INBOX.abcdefghijklmn", FULL);
            assert_eq!((request.name, request.filter), (None, None));
        }
    }

    #[test]
    fn names_say_whose_they_are() {
        for (connection, prefix) in [
            ("", "tcl"),
            ("billing", "billing"),
            ("a.b c>*/\u{e9}-1", "a_b_c____-1"),
            (&"x".repeat(50), &"x".repeat(40)),
        ] {
            assert_eq!(name_prefix(connection), prefix);
        }
    }
}
