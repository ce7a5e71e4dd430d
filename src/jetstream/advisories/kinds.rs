//! The kinds of advisories. Which one a message is, and of what, is in its subject already: what is not
//! wanted costs no reading, and never comes to the Tcl thread.

/// What the subject of a kind ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum About {
    Nothing,
    Stream,
    Consumer,
}

/// A subject, and the kind of what comes under it.
#[derive(Debug)]
pub struct Place {
    kind: &'static str,
    /// Behind [`ROOT`].
    subject: &'static str,
    about: About,
}

const ROOT: &str = "$JS.EVENT.";

const fn place(kind: &'static str, subject: &'static str, about: About) -> Place {
    Place { kind, subject, about }
}

static PLACES: &[Place] = &[
    place("stream_action", "ADVISORY.STREAM.CREATED", About::Stream),
    place("stream_action", "ADVISORY.STREAM.UPDATED", About::Stream),
    place("stream_action", "ADVISORY.STREAM.DELETED", About::Stream),
    place("stream_leader_elected", "ADVISORY.STREAM.LEADER_ELECTED", About::Stream),
    place("stream_quorum_lost", "ADVISORY.STREAM.QUORUM_LOST", About::Stream),
    place("stream_batch_abandoned", "ADVISORY.STREAM.BATCH_ABANDONED", About::Stream),
    place("snapshot_create", "ADVISORY.STREAM.SNAPSHOT_CREATE", About::Stream),
    place("snapshot_complete", "ADVISORY.STREAM.SNAPSHOT_COMPLETE", About::Stream),
    place("restore_create", "ADVISORY.STREAM.RESTORE_CREATE", About::Stream),
    place("restore_complete", "ADVISORY.STREAM.RESTORE_COMPLETE", About::Stream),
    place("consumer_action", "ADVISORY.CONSUMER.CREATED", About::Consumer),
    place("consumer_action", "ADVISORY.CONSUMER.DELETED", About::Consumer),
    place("consumer_pause", "ADVISORY.CONSUMER.PAUSE", About::Consumer),
    place("consumer_group_pinned", "ADVISORY.CONSUMER.PINNED", About::Consumer),
    place("consumer_group_unpinned", "ADVISORY.CONSUMER.UNPINNED", About::Consumer),
    place("consumer_leader_elected", "ADVISORY.CONSUMER.LEADER_ELECTED", About::Consumer),
    place("consumer_quorum_lost", "ADVISORY.CONSUMER.QUORUM_LOST", About::Consumer),
    place("max_deliver", "ADVISORY.CONSUMER.MAX_DELIVERIES", About::Consumer),
    place("nak", "ADVISORY.CONSUMER.MSG_NAKED", About::Consumer),
    place("terminated", "ADVISORY.CONSUMER.MSG_TERMINATED", About::Consumer),
    place("ack_metric", "METRIC.CONSUMER.ACK", About::Consumer),
    place("api_audit", "ADVISORY.API", About::Nothing),
    place("api_limit_reached", "ADVISORY.API.LIMIT_REACHED", About::Nothing),
    place("server_out_of_space", "ADVISORY.SERVER.OUT_OF_STORAGE", About::Nothing),
    place("server_removed", "ADVISORY.SERVER.REMOVED", About::Nothing),
    place("domain_leader_elected", "ADVISORY.DOMAIN.LEADER_ELECTED", About::Nothing),
];

/// All kinds, once each.
pub fn names() -> Vec<&'static str> {
    let mut names: Vec<&str> = PLACES.iter().map(|place| place.kind).collect();
    names.dedup();
    names
}

/// The name of a kind, from the type that an advisory says it has.
pub fn of_type(text: &str) -> &str {
    match text.rsplit('.').next().unwrap_or_default() {
        // A metric, as its subject says.
        "consumer_ack" => "ack_metric",
        kind => kind,
    }
}

/// What is wanted.
pub struct Wanted {
    places: Vec<&'static Place>,
    stream: Option<String>,
    consumer: Option<String>,
    /// Also kinds that are not known here.
    all: bool,
}

impl Wanted {
    /// These kinds, or all, of this stream and this consumer. What is about no stream is none of a
    /// stream's.
    pub fn new(
        kinds: Option<&[String]>,
        stream: Option<String>,
        consumer: Option<String>,
    ) -> Wanted {
        let least = match (&stream, &consumer) {
            (_, Some(_)) => About::Consumer,
            (Some(_), None) => About::Stream,
            (None, None) => About::Nothing,
        };
        let named = |place: &Place| kinds.is_none_or(|kinds| kinds.iter().any(|k| k == place.kind));
        let places = PLACES.iter().filter(|place| named(place) && place.about >= least).collect();
        Wanted { places, all: kinds.is_none() && least == About::Nothing, stream, consumer }
    }

    /// The one subject under which all of it comes; `None` if there is nothing that could come.
    pub fn subject(&self) -> Option<String> {
        if self.all {
            return Some(format!("{ROOT}>"));
        }
        let (stream, consumer) = (self.stream.as_deref(), self.consumer.as_deref());
        let patterns = self.places.iter().map(|place| {
            let mut tokens: Vec<&str> = ROOT.split_terminator('.').collect();
            tokens.extend(place.subject.split('.'));
            if place.about >= About::Stream {
                tokens.push(stream.unwrap_or("*"));
            }
            if place.about >= About::Consumer {
                tokens.push(consumer.unwrap_or("*"));
            }
            tokens
        });
        patterns.reduce(|a, b| merged(&a, &b)).map(|tokens| tokens.join("."))
    }

    /// Whether this is one of them.
    pub fn has(&self, subject: &str) -> bool {
        self.all || self.places.iter().any(|place| self.is_of(place, subject))
    }

    fn is_of(&self, place: &Place, subject: &str) -> bool {
        let rest = subject.strip_prefix(ROOT).and_then(|rest| rest.strip_prefix(place.subject));
        let Some(rest) = rest else { return false };
        let mut tokens = match rest.strip_prefix('.') {
            Some(rest) => rest.split('.'),
            None => return rest.is_empty() && place.about == About::Nothing,
        };
        let mut fits = |wanted: &Option<String>| {
            tokens.next().is_some_and(|token| wanted.as_ref().is_none_or(|wanted| wanted == token))
        };
        match place.about {
            About::Nothing => false,
            About::Stream => fits(&self.stream),
            About::Consumer => fits(&self.stream) && fits(&self.consumer),
        }
    }
}

/// The narrowest pattern that has both in it.
fn merged<'a>(a: &[&'a str], b: &[&'a str]) -> Vec<&'a str> {
    let open = |tokens: &[&str]| tokens.last() == Some(&">");
    let ends = a.len() == b.len() && !open(a) && !open(b);
    let shortest = a.len().min(b.len());
    let common = if ends { shortest } else { shortest - 1 };
    let mut tokens: Vec<&str> =
        a.iter().zip(b).take(common).map(|(a, b)| if a == b { *a } else { "*" }).collect();
    if !ends {
        tokens.push(">");
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(kinds: &[&str], stream: Option<&str>, consumer: Option<&str>) -> Wanted {
        let kinds: Vec<String> = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        let kinds = (!kinds.is_empty()).then_some(kinds.as_slice());
        Wanted::new(kinds, stream.map(str::to_owned), consumer.map(str::to_owned))
    }

    #[test]
    fn one_subject_for_all_of_it() {
        for (kinds, stream, consumer, subject) in [
            (&[][..], None, None, "$JS.EVENT.>"),
            (&["nak"], None, None, "$JS.EVENT.ADVISORY.CONSUMER.MSG_NAKED.*.*"),
            (&["nak"], Some("S"), Some("C"), "$JS.EVENT.ADVISORY.CONSUMER.MSG_NAKED.S.C"),
            (&["nak", "terminated"], Some("S"), None, "$JS.EVENT.ADVISORY.CONSUMER.*.S.*"),
            (&["stream_action"], Some("S"), None, "$JS.EVENT.ADVISORY.STREAM.*.S"),
            (&["stream_action", "nak"], Some("S"), None, "$JS.EVENT.ADVISORY.*.*.>"),
            (&["ack_metric"], None, Some("C"), "$JS.EVENT.METRIC.CONSUMER.ACK.*.C"),
            (&["api_audit"], None, None, "$JS.EVENT.ADVISORY.API"),
            (&["api_audit", "api_limit_reached"], None, None, "$JS.EVENT.ADVISORY.>"),
            (&["ack_metric", "nak"], None, None, "$JS.EVENT.*.CONSUMER.*.*.*"),
        ] {
            let wanted = wanted(kinds, stream, consumer);
            assert_eq!(
                wanted.subject().as_deref(),
                Some(subject),
                "{kinds:?} {stream:?} {consumer:?}"
            );
        }
        assert_eq!(wanted(&["api_audit"], Some("S"), None).subject(), None);
        assert_eq!(wanted(&["stream_action"], None, Some("C")).subject(), None);
    }

    #[test]
    fn what_comes_under_it() {
        let naks = wanted(&["nak", "api_audit"], None, None);
        let of_s = wanted(&[], Some("S"), None);
        let of_c = wanted(&[], Some("S"), Some("C"));
        let all = wanted(&[], None, None);
        for (subject, expected) in [
            ("ADVISORY.CONSUMER.MSG_NAKED.S.C", [true, true, true, true]),
            ("ADVISORY.CONSUMER.MSG_NAKED.T.C", [true, false, false, true]),
            ("ADVISORY.CONSUMER.MSG_NAKED.S.D", [true, true, false, true]),
            ("ADVISORY.CONSUMER.MSG_NAKED.S", [false, false, false, true]),
            ("ADVISORY.CONSUMER.MSG_NAKEDX.S.C", [false, false, false, true]),
            ("ADVISORY.STREAM.CREATED.S", [false, true, false, true]),
            ("ADVISORY.API", [true, false, false, true]),
            ("ADVISORY.API.LIMIT_REACHED", [false, false, false, true]),
            ("ADVISORY.NEW.KIND", [false, false, false, true]),
        ] {
            let subject = format!("$JS.EVENT.{subject}");
            let has = [&naks, &of_s, &of_c, &all].map(|wanted| wanted.has(&subject));
            assert_eq!(has, expected, "{subject}");
        }
        assert!(!naks.has("elsewhere"));
    }
}
