//! The machine against a model of a stream and its consumers, in random runs: the network loses
//! messages, heartbeats, requests and whole connections, writers go on meanwhile. Whatever comes
//! to pass, nothing may be skipped, nothing may come twice, and the initial data ends once: not
//! before everything has come that was there at the start. As on a real server, the number of
//! pending messages lags behind what was written.
//!
//! | file | what of `World` it is |
//! |---|---|
//! | `stream` | the stream, and what is in it |
//! | `server` | consumers, requests and what is sent |
//! | `client` | the machine: what it is told, what it wants, what it must have delivered |
//! | `weather` | what goes on from step to step |

mod client;
mod server;
mod stream;
mod weather;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::machine::Machine;
use super::{ConsumerState, Resume};
use crate::error::{Error, Kind};
use crate::jetstream::ordered::create::DeliverPolicy;
use crate::jetstream::roll::Roll;
use crate::random::Random;

/// What travels to the client.
#[derive(Clone)]
enum Packet {
    Message {
        incarnation: u64,
        stream_seq: u64,
        consumer_seq: u64,
        pending: u64,
    },
    Heartbeat {
        incarnation: u64,
        last: u64,
        come_to: u64,
        stalled: Option<String>,
    },
    FlowControl {
        incarnation: u64,
        reply: String,
    },
    CreateReply {
        incarnation: u64,
        answer: Result<Value, Error>,
    },
    ConsumerInfo {
        token: u64,
        answer: Result<Value, Error>,
    },
    StreamInfo {
        token: u64,
        answer: Result<Value, Error>,
    },
    Roll {
        token: u64,
        answer: Result<Arc<Roll>, Error>,
    },
    /// The first message behind the last one delivered.
    NextMessage {
        token: u64,
        answer: Result<u64, Error>,
    },
}

/// A consumer on the server.
struct Consumer {
    incarnation: u64,
    /// The snapshot of `last_per_subject`, then everything behind it.
    snapshot: VecDeque<u64>,
    next: u64,
    /// The end of the stream when it was made.
    counted: u64,
    sent: u64,
    /// Sent since the last flow control request was answered.
    unanswered: u64,
    flow: Option<String>,
    /// So many messages and no more, without flow control.
    window: Option<u64>,
    quiet_ticks: u32,
}

struct World {
    random: Random,
    machine: Machine,
    now: Instant,
    timer: Option<Instant>,
    /// Percent of packets that get lost.
    loss: u64,
    connected: bool,
    generation: u64,
    /// Sequence → key.
    stream: BTreeMap<u64, u64>,
    last_seq: u64,
    consumer: Option<Consumer>,
    /// What the client listens to.
    subscribed: Option<u64>,
    wire: VecDeque<Packet>,
    /// What the client keeps back until it has an answer.
    kept_back: VecDeque<Packet>,
    /// The server is one before 2.10, which moves consumers over what they have not been sent.
    moves: bool,
    /// Messages that consumers were moved over.
    passed_over: usize,
    /// Consumers are on a replica that lags, and has what was stored up to here.
    replica: Option<u64>,
    /// How often the initial data was waited for because of that.
    waited: usize,
    delivered: Vec<u64>,
    consumed: u64,
    ends: usize,
    /// Like `stream`, with all that has been deleted.
    written: BTreeMap<u64, u64>,
    deletions: usize,
    /// Sequence → time, in ns since the model began.
    stored: BTreeMap<u64, i64>,
    clock: i64,
    /// Up to here consumers have been told of new messages.
    signalled: u64,
    /// What must have been delivered when the initial data ends, as far as it has been there throughout.
    keys_before: BTreeSet<u64>,
    revisions_before: BTreeSet<u64>,
    /// Key → its latest revision then.
    latest_before: BTreeMap<u64, u64>,
    seed: u64,
    policy: DeliverPolicy,
    resume: Resume,
    rolls: u32,
    roll_failed: bool,
    errors: Vec<Kind>,
    state: Option<ConsumerState>,
    history: bool,
    ticks: u64,
    started: bool,
    /// The first creation has not come to an end in time.
    failed: bool,
    /// The end of the stream when `new` was asked for.
    new_from: u64,
}

const TICK: Duration = Duration::from_millis(50);
/// Sequences before the start.
const EARLIER: u64 = 20;

fn subject(key: u64) -> String {
    format!("s.{key}")
}

fn check(seed: u64, policy: DeliverPolicy, resume: Resume) -> World {
    check_with(World::new(seed, policy, resume, false))
}

fn check_with(mut world: World) -> World {
    let (seed, policy, resume) = (world.seed, world.policy.clone(), world.resume);
    for _ in 0..world.random.below(600) {
        world.step(true);
    }
    world.calm_down();
    if world.failed {
        assert!(world.delivered.is_sorted_by(|a, b| a < b) && world.subscribed.is_none());
        return world;
    }

    let what = format!("seed {seed} {policy:?} {resume:?} {:?}", world.errors);
    assert_eq!(world.ends, 1, "{what}");
    assert_eq!(world.state, Some(ConsumerState::Live), "{what}");
    assert!(world.delivered.is_sorted_by(|a, b| a < b), "{what}: {:?}", world.delivered);
    let must = |seq: &u64| match policy {
        DeliverPolicy::All => true,
        DeliverPolicy::New => *seq > world.new_from,
        // Older revisions of a key need not appear, latest ones always do.
        _ => !world.written.iter().any(|(other, key)| other > seq && *key == world.stream[seq]),
    };
    for seq in world.stream.keys().filter(|seq| must(seq)) {
        assert!(world.delivered.binary_search(seq).is_ok(), "{what}: {seq} skipped");
    }
    if policy == DeliverPolicy::New {
        assert!(world.delivered.first().is_none_or(|first| *first > EARLIER), "{what}");
    }
    world
}

#[test]
fn nothing_skipped_nothing_twice() {
    let (mut resets, mut deletions, mut failures, mut rolls) = (0, 0, 0, 0);
    for seed in 0..1500 {
        for policy in [DeliverPolicy::All, DeliverPolicy::New, DeliverPolicy::LastPerSubject] {
            for resume in [Resume::BySequence, Resume::SnapshotThenSequence] {
                let world = check(seed, policy.clone(), resume);
                resets += world.errors.len();
                deletions += world.deletions;
                failures += u32::from(world.failed);
                rolls += world.rolls;
            }
        }
    }
    // The model has to be as nasty as it claims to be.
    assert!(resets > 9000 && deletions > 9000, "{resets} errors, {deletions} deletions");
    assert!(rolls > 1000, "{rolls} roll calls");
    assert!((1..90).contains(&failures), "{failures} of 9000 did not begin");
}

#[test]
fn what_a_server_passes_over_is_consumed_all_the_same() {
    let (mut passed_over, mut failures) = (0, 0);
    for seed in 0..1500 {
        for policy in [DeliverPolicy::All, DeliverPolicy::New, DeliverPolicy::LastPerSubject] {
            for resume in [Resume::BySequence, Resume::SnapshotThenSequence] {
                let world = check_with(World::new(seed, policy.clone(), resume, true));
                passed_over += world.passed_over;
                failures += u32::from(world.failed);
            }
        }
    }
    assert!(passed_over > 9000, "{passed_over} messages passed over");
    assert!((1..90).contains(&failures), "{failures} of 9000 did not begin");
}

#[test]
fn a_replica_that_lags_does_not_hide_what_was_there() {
    let (mut waited, mut failures) = (0, 0);
    for seed in 0..1500 {
        for policy in [DeliverPolicy::All, DeliverPolicy::LastPerSubject] {
            for resume in [Resume::BySequence, Resume::SnapshotThenSequence] {
                let world = check_with(World::lagging(seed, policy.clone(), resume));
                waited += world.waited;
                failures += u32::from(world.failed);
            }
        }
    }
    assert!(waited > 1000, "waited {waited} times");
    assert!((1..60).contains(&failures), "{failures} of 6000 did not begin");
}

#[test]
fn a_snapshot_never_shows_what_was_superseded_before_it() {
    for seed in 0..500 {
        let mut world =
            World::new(seed, DeliverPolicy::LastPerSubject, Resume::SnapshotThenSequence, false);
        // No writers: all that comes is the snapshot, however often it is taken.
        for _ in 0..400 {
            if world.random.percent(2) {
                let connected = world.random.percent(70);
                world.set_connected(connected);
            }
            world.step(false);
        }
        world.calm_down();
        if world.failed {
            continue;
        }
        let mut latest = BTreeMap::new();
        for (seq, key) in &world.stream {
            latest.insert(*key, *seq);
        }
        let mut latest: Vec<_> = latest.into_values().collect();
        latest.sort_unstable();
        assert_eq!(world.delivered, latest, "seed {seed}");
        assert_eq!(world.ends, 1, "seed {seed}");
    }
}
