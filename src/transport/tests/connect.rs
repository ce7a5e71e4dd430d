//! Connecting, failing to, losing the connection, giving up.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::support::{
    DEADLINE, Server, barrier, channel_sink, connect, free_port, open, out, settings,
};
use crate::error::Kind;
use crate::transport::tests::support::Seen;
use crate::transport::{ConnState, Event, LoginSettings, Settings};

#[test]
fn connects_and_tells_about_the_server() {
    let server = Server::start(&[]);
    let (link, recorder) = connect(&server);
    // Another INFO may follow.
    let words = &recorder.words()[..2];
    assert_eq!(words, [format!("attempt {}", server.url()), "connected".into()]);
    let info = link.core().info().expect("info");
    assert!(info.headers && info.max_payload > 0);
    assert!(info.version.chars().all(|c| c.is_ascii_digit() || c == '.'));
    assert_eq!(info.fields["port"], server.port);
    assert_eq!(link.current().expect("current").address(), server.url());
    assert_eq!(*link.connected().borrow(), ConnState::Connected(1));
    link.close(DEADLINE);
    assert_eq!(*link.connected().borrow(), ConnState::Closed);
    assert!(link.publish(out("a", "b")).is_err());
}

#[test]
fn first_pass_tries_each_server_once_without_delay() {
    let ports = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
    let start = Instant::now();
    let (link, recorder) =
        open(Settings { reconnect_time_wait: DEADLINE, ..settings(&[&ports[0], &ports[1]]) });
    recorder.wait("gave up");
    assert!(start.elapsed() < DEADLINE / 2);
    let wanted = [
        format!("attempt {}", ports[0]),
        "failed ErrConnectionRefused".into(),
        format!("attempt {}", ports[1]),
        "failed ErrConnectionRefused".into(),
        "gave up No servers available for connection".into(),
    ];
    assert_eq!(recorder.words(), wanted);
    let text = format!("Failed to connect to {}: connection refused", ports[0]);
    assert_eq!(recorder.failure(1), (Kind::ConnectionRefused, text));
    assert_eq!(link.servers().len(), 2);
}

#[test]
fn an_empty_pool_gives_up() {
    let (_link, recorder) = open(settings(&[]));
    recorder.wait("gave up Server pool is empty");
}

#[test]
fn a_port_that_is_none_and_a_name_that_is_none_fail() {
    let (_link, recorder) = open(settings(&["127.0.0.1:99999", "no-such-host.invalid"]));
    recorder.wait("gave up");
    assert_eq!(recorder.failure(1).0, Kind::ConnectionRefused);
    let (kind, text) = recorder.failure(2);
    assert!(matches!(kind, Kind::ConnectionRefused | Kind::ConnectionTimeout), "{text}");
}

#[test]
fn a_server_that_never_speaks_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let place = format!("127.0.0.1:{}", listener.local_addr().expect("address").port());
    let (_link, recorder) =
        open(Settings { connect_timeout: Duration::from_millis(50), ..settings(&[&place]) });
    recorder.wait("gave up");
    let text = format!("Connection timeout for {place}");
    assert_eq!(recorder.failure(1), (Kind::ConnectionTimeout, text));
}

#[test]
fn credentials_of_the_url_win_and_missing_ones_are_told() {
    let server = Server::start(&["--user", "u", "--pass", "p"]);
    let place = server.url();
    let half =
        format!("No credentials known for NATS server at {place}: -user is set without -password");
    for (url, user, password, wanted) in [
        (format!("u:p@{place}"), "", "", None),
        (format!("u:p@{place}"), "x", "y", None),
        (place.clone(), "u", "p", None),
        (format!("u:wrong@{place}"), "u", "p", Some("authorization violation".to_owned())),
        (place.clone(), "u", "wrong", Some("authorization violation".to_owned())),
        (place.clone(), "", "", Some(format!("No credentials known for NATS server at {place}"))),
        // Both are needed.
        (place.clone(), "u", "", Some(half)),
    ] {
        let (user, password) = (user.into(), password.into());
        let login = LoginSettings { user, password, ..LoginSettings::default() };
        let (link, recorder) = open(Settings { login, ..settings(&[&url]) });
        match wanted {
            None => drop(recorder.wait("connected")),
            Some(text) => assert_eq!(recorder.failure(1), (Kind::Authorization, text), "{url}"),
        }
        link.close(DEADLINE);
    }
}

#[test]
fn a_token_of_the_settings_is_used_and_another_server_follows_a_refusal() {
    let closed = Server::start(&["--auth", "secret"]);
    let opened = Server::start(&[]);
    let (link, recorder) = open(settings(&[&closed.url(), &opened.url()]));
    recorder.wait("connected");
    assert_eq!(recorder.count("failed ErrAuthorization"), 1);
    assert_eq!(link.current().expect("current").address(), opened.url());
    let login = LoginSettings { token: "secret".into(), ..LoginSettings::default() };
    let (_link, recorder) = open(Settings { login, ..settings(&[&closed.url()]) });
    recorder.wait("connected");
}

#[test]
fn tls_is_missed_at_a_plain_server() {
    let server = Server::start(&[]);
    let url = format!("tls://{}", server.url());
    let (_link, recorder) = open(settings(&[&url]));
    let text = format!("Server {} does not provide TLS", server.url());
    assert_eq!(recorder.failure(1), (Kind::SecureConnWanted, text));
}

/// A server that greets each client, then says this after the handshake and keeps the connection.
fn says(line: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let place = format!("127.0.0.1:{}", listener.local_addr().expect("address").port());
    thread::spawn(move || {
        let mut clients = Vec::new();
        for client in listener.incoming() {
            let mut client = BufReader::new(client.expect("client"));
            let info = b"INFO {\"max_payload\":1000,\"headers\":true}\r\n";
            client.get_mut().write_all(info).expect("write");
            let mut text = String::new();
            while text.trim() != "PING" {
                text.clear();
                client.read_line(&mut text).expect("read");
            }
            let answer = format!("PONG\r\n{line}\r\n");
            client.get_mut().write_all(answer.as_bytes()).expect("write");
            clients.push(client);
        }
    });
    place
}

#[test]
fn a_fatal_error_of_the_server_is_told_and_the_connection_left() {
    let place = says("-ERR 'Stale Connection'");
    let (_link, recorder) = open(settings(&[&place]));
    let Event::Lost { error, .. } = recorder.wait("lost") else { panic!() };
    assert_eq!((error.kind, &*error.message), (Kind::StaleConnection, "stale connection"));
    recorder.wait_nth("lost", 3);
    assert_eq!(recorder.count("failed"), 0);
}

#[test]
fn other_errors_and_lame_duck_mode_end_nothing() {
    let place = says("-ERR 'Permissions Violation for Publish to \"Foo\"'");
    let (_link, recorder) = open(settings(&[&place]));
    let Event::AsyncError(error) = recorder.wait("error") else { panic!() };
    let text = "permissions violation for publish to \"Foo\"";
    assert_eq!((error.kind, &*error.message), (Kind::Permissions, text));
    let place = says("INFO {\"ldm\":true}");
    let (link, ducked) = open(settings(&[&place]));
    ducked.wait("lame duck");
    assert_eq!(link.core().info().expect("info").fields["ldm"], true);
    assert_eq!(recorder.count("lost") + ducked.count("lost"), 0);
}

#[test]
fn a_line_that_is_no_protocol_loses_the_connection() {
    let place = says("HELLO there");
    let (_link, recorder) = open(settings(&[&place]));
    let Event::Lost { error, .. } = recorder.wait("lost") else { panic!() };
    assert_eq!((error.kind, &*error.message), (Kind::Protocol, "Invalid protocol HELLO there"));
}

#[test]
fn reconnects_and_keeps_what_was_published_meanwhile() {
    let server = Server::start(&[]);
    let (link, recorder) = connect(&server);
    let (sink, seen) = channel_sink("a");
    link.subscribe("a", None, None, sink).expect("subscribe");
    barrier(&link);
    let port = server.kill();
    let Event::Lost { error, .. } = recorder.wait("lost") else { panic!() };
    assert_eq!(error.kind, Kind::BrokenSocket);
    assert_eq!(error.message, format!("Server 127.0.0.1:{port} closed the connection"));
    recorder.wait("failed ErrConnectionRefused");
    recorder.wait("waiting");
    assert_eq!(link.servers().len(), 1);
    assert!(link.current().is_some());
    const COUNT: usize = 150_000;
    let start = Instant::now();
    for i in 0..COUNT {
        link.publish(out("a", &i.to_string())).expect("publish");
    }
    assert!(start.elapsed() < DEADLINE / 2, "publishing must not wait");
    let _server = Server::start_at(port, &[]);
    recorder.wait_nth("connected", 2);
    assert_eq!(*link.connected().borrow(), ConnState::Connected(2));
    for i in 0..COUNT {
        let next = seen.recv_timeout(DEADLINE).expect("message");
        assert_eq!(next, Seen::Message("a", i.to_string()));
    }
}

#[test]
fn gives_up_after_the_limit_and_counts_what_is_lost() {
    let server = Server::start(&[]);
    let (link, recorder) =
        open(Settings { max_reconnect_attempts: 2, ..settings(&[&server.url()]) });
    recorder.wait("connected");
    for _ in 0..5 {
        link.publish(out("a", "sent")).expect("publish");
    }
    barrier(&link);
    server.kill();
    recorder.wait("lost");
    let mut accepted = 0;
    while accepted < 7 && link.publish(out("a", "unsent")).is_ok() {
        accepted += 1;
    }
    recorder.wait("gave up Server pool is empty");
    assert_eq!(link.unsent(), accepted);
    assert_eq!(recorder.count("failed"), 2);
    assert_eq!(recorder.count("waiting"), 1);
    assert_eq!(recorder.count("removed"), 1);
    assert!(link.servers().is_empty());
}

#[test]
fn limit_zero_connects_and_never_reconnects() {
    let server = Server::start(&[]);
    let (_link, recorder) =
        open(Settings { max_reconnect_attempts: 0, ..settings(&[&server.url()]) });
    recorder.wait("connected");
    server.kill();
    recorder.wait("gave up Server pool is empty");
    assert_eq!(recorder.count("attempt"), 1);
}

#[test]
fn a_cleared_pool_ends_the_reconnecting() {
    let server = Server::start(&[]);
    let (link, recorder) = connect(&server);
    link.clear_pool();
    assert!(link.current().is_none());
    barrier(&link);
    server.kill();
    recorder.wait("gave up Server pool is empty");
}

#[test]
fn the_delay_callback_is_asked_and_may_fail() {
    let server = Server::start(&[]);
    let (link, recorder) = connect(&server);
    let (tell, told) = std::sync::mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    link.update(|settings| {
        settings.reconnect_time_wait = Duration::from_millis(2);
        settings.delay_callback = Some(std::sync::Arc::new(move |server| {
            let (answer, answered) = oneshot::channel();
            let reconnects = server.reconnects;
            if reconnects == 1 {
                let _ = answer.send(Some(Duration::from_millis(1)));
            }
            let _ = tell.lock().expect("tell").send(reconnects);
            answered
        }));
    });
    let port = server.kill();
    // The second time the answer is dropped, and the usual wait is taken.
    assert_eq!(told.recv_timeout(DEADLINE), Ok(1));
    assert_eq!(told.recv_timeout(DEADLINE), Ok(2));
    let _server = Server::start_at(port, &[]);
    recorder.wait_nth("connected", 2);
}

#[test]
fn servers_of_a_cluster_are_discovered() {
    let cluster = free_port();
    let routes = format!("nats://127.0.0.1:{cluster}");
    let listen = format!("nats://127.0.0.1:{cluster}");
    let first = Server::start(&["--cluster_name", "c", "--cluster", &listen]);
    let own = format!("nats://127.0.0.1:{}", free_port());
    let second = Server::start(&["--cluster_name", "c", "--cluster", &own, "--routes", &routes]);
    // The first server tells about the second as soon as their route is up.
    let deadline = Instant::now() + DEADLINE;
    loop {
        let (link, recorder) = connect(&first);
        let told = link.core().info().is_some_and(|i| {
            i.fields
                .get("connect_urls")
                .is_some_and(|urls| urls.to_string().contains(&second.url()))
        });
        if told {
            recorder.wait(&format!("added {}", second.url()));
            assert!(link.servers()[0].discovered);
            first.kill();
            recorder.wait_nth("connected", 2);
            assert_eq!(link.current().expect("current").address(), second.url());
            return;
        }
        link.close(DEADLINE);
        assert!(Instant::now() < deadline, "the servers do not find each other");
    }
}
