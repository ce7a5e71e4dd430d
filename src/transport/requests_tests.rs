//! The wait for further replies, in a time of its own.

use super::*;
use std::sync::Arc;

fn message(subject: Subject) -> Message {
    Message::new(async_nats::Message {
        subject,
        reply: None,
        payload: Default::default(),
        headers: None,
        status: None,
        description: None,
        length: 0,
    })
}

const STALL: Duration = Duration::from_secs(1000);
const TIMEOUT: Duration = Duration::from_secs(3000);

/// A request that waits for further replies; how often it was told of one, and of what end.
fn ask(table: &RequestTable) -> (RequestId, Arc<Mutex<(u32, &'static str)>>) {
    let told = Arc::new(Mutex::new((0, "")));
    let tell = told.clone();
    let handler = ReplyHandler::Many(Box::new(move |result| {
        let mut told = lock(&tell);
        match result {
            Ok(_) => told.0 += 1,
            Err(RequestError::Stalled) => told.1 = "stalled",
            Err(RequestError::Timeout) => told.1 = "timeout",
            Err(_) => told.1 = "else",
        }
        ControlFlow::Continue(())
    }));
    let (timeout, stall) = (Some(TIMEOUT), Some(STALL));
    let id = table.add(Question { timeout, stall, ..Question::nothing() }, handler);
    (id.unwrap_or_else(|_| panic!("no request")), told)
}

fn go_on(_: RequestId) {
    panic!("it does not pause");
}

#[test]
fn silence_counts_from_the_last_reply() {
    let table = RequestTable::new("in");
    let begun = Instant::now();
    let (id, told) = ask(&table);
    let subject = table.reply_subject(id);
    // Before the first one there is only the timeout.
    let next = table.expire(begun + STALL * 2, go_on).expect("a deadline");
    assert!(next >= begun + TIMEOUT);
    assert!(table.reply(message(subject.clone())).is_none());
    let first = Instant::now();
    let next = table.expire(first, go_on).expect("silence");
    assert!(next >= begun + STALL && next <= first + STALL);
    assert!(table.reply(message(subject)).is_none());
    // The timer goes off for the first reply, and waits on for the second.
    let later = table.expire(next, go_on).expect("silence");
    assert!(later > next && *lock(&told) == (2, ""));
    assert_eq!(table.expire(later, go_on), None);
    assert_eq!((*lock(&told), table.sizes()), ((2, "stalled"), (0, 0)));
}

#[test]
fn the_timeout_comes_before_silence() {
    let table = RequestTable::new("in");
    let (id, told) = ask(&table);
    assert!(table.reply(message(table.reply_subject(id))).is_none());
    let late = Instant::now() + TIMEOUT;
    assert_eq!(table.expire(late, go_on), None);
    assert_eq!((*lock(&told), table.sizes()), ((1, "timeout"), (0, 0)));
}
