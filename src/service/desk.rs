//! The requests that were handed to the program and not yet answered.
//!
//! They are known by numbers, which stand in the dicts that callbacks get. One table for a thread, so that
//! an answer finds its service; numbers are unique in the process, since another thread has another table.

use super::endpoint::Endpoint;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

/// Of requests that the program never answers, the oldest are forgotten when there are so many.
const MOST: usize = 65_536;

struct InHand {
    /// Values of Tcl must not be kept by the thread.
    endpoint: Weak<Endpoint>,
    /// Empty if nobody waits for an answer.
    reply: String,
    /// Since when its time has not been counted.
    since: Instant,
    /// Whether it was counted, because its callback has returned.
    counted: bool,
    /// Whether its callback runs and is below whatever runs now on the stack.
    running: bool,
}

thread_local!(static DESK: RefCell<BTreeMap<i64, InHand>> = const { RefCell::new(BTreeMap::new()) });
static NUMBERS: AtomicI64 = AtomicI64::new(1);

/// What its time has been, which is to be counted.
pub enum Time {
    First(Duration),
    More(Duration),
}

/// Takes a request whose callback is about to be called.
pub fn take(endpoint: &Rc<Endpoint>, reply: String) -> i64 {
    let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
    let endpoint = Rc::downgrade(endpoint);
    let since = Instant::now();
    DESK.with_borrow_mut(|desk| {
        if desk.len() >= MOST {
            // Not one of those that run: these come to their ends by themselves.
            let oldest =
                desk.iter().find(|(_, request)| !request.running).map(|(number, _)| *number);
            oldest.and_then(|oldest| desk.remove(&oldest));
        }
        desk.insert(number, InHand { endpoint, reply, since, counted: false, running: true });
    });
    number
}

/// Its callback has returned: it stays in hand if somebody still waits for the answer. The time to count,
/// if it was not answered yet.
pub fn returned(number: i64) -> Option<Duration> {
    DESK.with_borrow_mut(|desk| {
        let request = desk.get_mut(&number)?;
        let now = Instant::now();
        let time = now - request.since;
        (request.since, request.counted, request.running) = (now, true, false);
        if request.reply.is_empty() {
            desk.remove(&number);
        }
        Some(time)
    })
}

/// The endpoint of a request in hand, and where the answer goes to.
pub fn find(number: i64) -> Option<(Rc<Endpoint>, String)> {
    DESK.with_borrow(|desk| {
        let request = desk.get(&number)?;
        Some((request.endpoint.upgrade()?, request.reply.clone()))
    })
}

/// It was answered.
pub fn answered(number: i64) -> Option<Time> {
    let request = DESK.with_borrow_mut(|desk| desk.remove(&number))?;
    let time = request.since.elapsed();
    Some(if request.counted { Time::More(time) } else { Time::First(time) })
}

/// The number that the next request will have.
pub fn next_number() -> i64 {
    NUMBERS.load(Ordering::Relaxed)
}

/// Whether requests of endpoints for which `ours` holds are in hand. Those whose callbacks are on the stack count from
/// this number on.
pub fn has(ours: impl Fn(&Endpoint) -> bool, running_from: i64) -> bool {
    let counts = |(number, request): (&i64, &InHand)| {
        (!request.running || *number >= running_from)
            && request.endpoint.upgrade().is_some_and(|endpoint| ours(&endpoint))
    };
    DESK.with_borrow(|desk| desk.iter().any(counts))
}

/// Takes the requests of these endpoints away: where answers to them would have gone.
pub fn take_all(ours: impl Fn(&Endpoint) -> bool) -> Vec<String> {
    let theirs =
        |request: &InHand| request.endpoint.upgrade().is_none_or(|endpoint| ours(&endpoint));
    DESK.with_borrow_mut(|desk| {
        let taken: Vec<i64> =
            desk.iter().filter(|(_, request)| theirs(request)).map(|(number, _)| *number).collect();
        let replies = taken.into_iter().filter_map(|number| desk.remove(&number));
        replies.map(|request| request.reply).filter(|reply| !reply.is_empty()).collect()
    })
}
