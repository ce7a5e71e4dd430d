//! The trace of the engine: each of its nine places, from real connections.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use async_nats::ConnectOptions;
use tokio::runtime::Builder;

use super::support::{DEADLINE, Server};
use crate::transport::trace::{self, Traced, Verdict};

type Places = Rc<RefCell<Vec<&'static str>>>;

/// Listens while it runs on this thread.
fn listening<F: Future<Output = ()>>(scene: impl FnOnce(Places) -> F) {
    let places = Places::default();
    let noted = places.clone();
    let _listening = trace::listen_to_all(move |line| {
        let place = match line {
            Traced::Dial => "dial",
            // Before each of the others that the server has caused.
            Traced::Read => return Verdict::Continue(()),
            Traced::Info(info) => {
                assert!(!info.server_id.is_empty() && info.max_payload > 0, "{info:?}");
                "info"
            }
            Traced::ServerError(text) => {
                assert_eq!(text, "Authorization Violation");
                "server error"
            }
            Traced::Ping => "ping",
            Traced::Pong => "pong",
            Traced::ReadFailed => "read failed",
            Traced::Stale => "stale",
            Traced::Lost(reason) => {
                assert!(reason == "None" || reason.starts_with("Some("), "{reason}");
                "lost"
            }
        };
        let mut noted = noted.borrow_mut();
        // The engine's keep-alive begins at once.
        let again = place.starts_with('p') && noted.contains(&place);
        if noted.last() != Some(&place) && !again {
            noted.push(place);
        }
        Verdict::Continue(())
    });
    let runtime = Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(scene(places));
}

async fn wait_for(places: &Places, place: &str) {
    let deadline = Instant::now() + DEADLINE;
    while !places.borrow().contains(&place) {
        assert!(Instant::now() < deadline, "{place} is not traced, only {:?}", places.borrow());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn an_attempt_its_info_and_an_error_of_the_server() {
    let server = Server::start(&["--user", "u", "--pass", "p"]);
    listening(async |places: Places| {
        assert!(async_nats::connect(server.url()).await.is_err());
        assert_eq!(*places.borrow(), ["dial", "info", "ping", "server error"]);
    });
}

#[test]
fn a_connection_that_the_server_ends() {
    let server = Server::start(&[]);
    listening(async |places: Places| {
        let _client = async_nats::connect(server.url()).await.expect("connect");
        wait_for(&places, "pong").await;
        server.kill();
        wait_for(&places, "lost").await;
        // Some servers say their INFO again once they know who we are.
        places.borrow_mut().retain(|place| *place != "info");
        assert_eq!(places.borrow()[..4], ["dial", "ping", "pong", "lost"]);
    });
}

#[test]
fn what_is_read_can_stop_the_engine() {
    let server = Server::start(&[]);
    let reads = Rc::new(RefCell::new(0));
    let seen = reads.clone();
    let _listening = trace::listen_to_all(move |line| {
        if matches!(line, Traced::Read) {
            *seen.borrow_mut() += 1;
            if *seen.borrow() > 3 {
                return Verdict::Break(());
            }
        }
        Verdict::Continue(())
    });
    let runtime = Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(async {
        let client = async_nats::connect(server.url()).await.expect("connect");
        assert!(*reads.borrow() >= 2);
        let deadline = Instant::now() + DEADLINE;
        // It is gone when it takes nothing any more.
        while client.publish("a", "".into()).await.is_ok() {
            assert!(Instant::now() < deadline, "it goes on");
            let _ = tokio::time::timeout(Duration::from_millis(50), client.request("b", "".into()))
                .await;
        }
        assert_eq!(*reads.borrow(), 4);
    });
}

#[test]
fn pings_that_nobody_answers() {
    let server = Server::start(&[]);
    listening(async |places: Places| {
        let options = ConnectOptions::new().ping_interval(Duration::from_millis(10));
        let _client = options.connect(server.url()).await.expect("connect");
        server.pause();
        wait_for(&places, "lost").await;
        // The next attempt may have begun.
        let places = places.borrow();
        let lost = places.iter().position(|place| *place == "lost").expect("lost");
        assert_eq!(places[lost - 1], "stale", "{places:?}");
    });
}

#[test]
fn a_socket_that_cannot_be_read() {
    // A server that dies with something unread resets the connection. Whether it has read it before
    // it was stopped cannot be seen from here.
    let deadline = Instant::now() + DEADLINE;
    let mut reset = false;
    while !reset {
        assert!(Instant::now() < deadline, "no connection is reset");
        let server = Server::start(&[]);
        listening(async |places: Places| {
            let client = async_nats::connect(server.url()).await.expect("connect");
            server.pause();
            client.publish("a", "unread".into()).await.expect("publish");
            client.flush().await.expect("flush");
            server.kill();
            wait_for(&places, "lost").await;
            reset = places.borrow().contains(&"read failed");
            let places = places.borrow();
            let lost = places.iter().position(|place| *place == "lost").expect("lost");
            assert_eq!(places[lost - 1] == "read failed", reset, "{places:?}");
        });
    }
}

/// What the listener of one engine has heard.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    fn note(&self, text: String) {
        self.0.lock().expect("lock").push(text);
    }

    fn has(&self, text: &str) -> bool {
        self.0.lock().expect("lock").iter().any(|heard| heard == text)
    }

    async fn wait_for(&self, text: &str) {
        let deadline = Instant::now() + DEADLINE;
        while !self.has(text) {
            assert!(Instant::now() < deadline, "{text} is not heard, only {:?}", self.0);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// As links do that share a thread: each listens in the task of its engine.
#[test]
fn each_engine_of_a_thread_has_its_own_listener() {
    let servers = [Server::start(&[]), Server::start(&[])];
    let heard = [Heard::default(), Heard::default()];
    let runtime = Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(async {
        let mut clients = Vec::new();
        for (server, heard) in servers.iter().zip(&heard) {
            let (heard, listening) = (heard.clone(), OnceLock::new());
            let options = ConnectOptions::new().retry_on_initial_connect();
            let options = options.reconnect_to_server_callback(move |_, _| {
                let heard = heard.clone();
                listening.get_or_init(|| {
                    trace::listen(Arc::default(), move |line| {
                        match line {
                            Traced::Info(info) => heard.note(info.server_id),
                            Traced::Pong => heard.note("pong".to_owned()),
                            Traced::Lost(_) => heard.note("lost".to_owned()),
                            _ => {}
                        }
                        Verdict::Continue(())
                    })
                });
                std::future::ready(None)
            });
            clients.push(options.connect(server.url()).await.expect("address"));
        }
        for (client, heard) in clients.iter().zip(&heard) {
            heard.wait_for("pong").await;
            client.flush().await.expect("flush");
            assert!(heard.has(&client.server_info().server_id));
        }
        let [first, second] = &heard;
        assert!(!first.has(&clients[1].server_info().server_id));
        assert!(!second.has(&clients[0].server_info().server_id));
        let [server, _other] = servers;
        server.kill();
        first.wait_for("lost").await;
        assert!(!second.has("lost"));
    });
}
