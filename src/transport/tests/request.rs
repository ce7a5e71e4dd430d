//! Requests and barriers.

use std::ops::ControlFlow;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::support::{
    DEADLINE, FnSink, Server, barrier, channel_sink, connect, free_port, open, out, serve_echo,
    settings, wait,
};
use crate::transport::requests::RequestResult;
use crate::transport::{Message, Outgoing, RequestError, Settings};

/// A short word for what a request got.
fn word(reply: &RequestResult) -> String {
    match reply {
        Ok(message) => String::from_utf8_lossy(message.payload()).into_owned(),
        Err(RequestError::Timeout) => "timeout".into(),
        Err(RequestError::Stalled) => "stalled".into(),
        Err(RequestError::NoResponders(_)) => "nobody".into(),
        Err(RequestError::Closed) => "closed".into(),
        Err(RequestError::Lost) => "lost".into(),
        Err(RequestError::Denied(error)) => format!("denied {}", error.kind.code()),
        Err(RequestError::Refused(error)) => format!("refused {}", error.kind.code()),
    }
}

fn ask(link: &crate::transport::Link, message: Outgoing, timeout: Duration) -> String {
    let (tell, told) = mpsc::channel();
    link.request(message, Some(timeout), move |reply| drop(tell.send(word(&reply))))
        .expect("request");
    told.recv_timeout(DEADLINE).expect("answer")
}

#[test]
fn answers_timeouts_and_nobody() {
    let server = Server::start(&[]);
    let (link, _) = connect(&server);
    serve_echo(&link, "echo");
    assert_eq!(ask(&link, out("echo", "hello"), DEADLINE), "hello");
    assert_eq!(ask(&link, out("nobody", ""), DEADLINE), "nobody");
    let (sink, _seen) = channel_sink("silent");
    link.subscribe("silent", None, None, sink).expect("subscribe");
    let start = Instant::now();
    assert_eq!(ask(&link, out("silent", ""), Duration::from_millis(30)), "timeout");
    assert!(start.elapsed() >= Duration::from_millis(30));
    assert_eq!(link.core().requests.sizes(), (0, 0));
}

#[test]
fn timeouts_come_in_the_order_of_their_deadlines() {
    let server = Server::start(&[]);
    let (link, _) = connect(&server);
    let (sink, _seen) = channel_sink("silent");
    link.subscribe("silent", None, None, sink).expect("subscribe");
    let (tell, told) = mpsc::channel();
    for ms in [60, 20, 40, 5] {
        let tell = tell.clone();
        let timeout = Some(Duration::from_millis(ms));
        link.request(out("silent", ""), timeout, move |_| tell.send(ms).unwrap()).expect("request");
    }
    drop(tell);
    assert_eq!(told.iter().collect::<Vec<_>>(), [5, 20, 40, 60]);
}

#[test]
fn an_aborted_task_takes_its_requests_with_it() {
    let server = Server::start(&[]);
    let (link, _) = connect(&server);
    let (sink, seen) = channel_sink("silent");
    link.subscribe("silent", None, None, sink).expect("subscribe");
    let (ended, end) = mpsc::channel::<()>();
    let asking = link.clone();
    let task = link.spawn(async move {
        let _ended = ended;
        let first = asking.ask(out("silent", "1"), None);
        let second = asking.ask(out("silent", "2"), Some(DEADLINE));
        drop(tokio::join!(first, second));
    });
    for _ in 0..2 {
        seen.recv_timeout(DEADLINE).expect("asked");
    }
    assert_eq!(link.core().requests.sizes(), (2, 1));
    task.abort();
    assert_eq!(end.recv_timeout(DEADLINE), Err(mpsc::RecvTimeoutError::Disconnected));
    assert_eq!(link.core().requests.sizes(), (0, 0));
    task.abort();
}

#[test]
fn many_replies_until_break_or_timeout() {
    let server = Server::start(&[]);
    let (link, _) = connect(&server);
    let answering = link.clone();
    let sink = FnSink(move |message: Message| {
        for i in 0..5 {
            let reply = message.reply().expect("reply");
            answering.publish(out(reply, &i.to_string())).expect("answer");
        }
    });
    link.subscribe("many", None, None, Box::new(sink)).expect("subscribe");
    for (limit, timeout, wanted) in [
        (3, DEADLINE, vec!["0", "1", "2"]),
        (9, Duration::from_millis(50), vec!["0", "1", "2", "3", "4", "timeout"]),
    ] {
        let (tell, told) = mpsc::channel();
        let mut count = 0;
        link.request_many(out("many", ""), Some(timeout), move |reply| {
            count += 1;
            let _ = tell.send(word(&reply));
            if count == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .expect("request");
        assert_eq!(told.iter().collect::<Vec<_>>(), wanted);
    }
    assert_eq!(link.core().requests.sizes(), (0, 0));
}

#[test]
fn a_handler_may_cancel_itself_and_ask_again() {
    let server = Server::start(&[]);
    let (link, _) = connect(&server);
    serve_echo(&link, "echo");
    let (tell, told) = mpsc::channel();
    let inner = link.clone();
    let id = std::sync::Arc::new(std::sync::OnceLock::new());
    let own = id.clone();
    let asked = link.request_many(out("echo", "1"), None, move |_| {
        assert!(inner.cancel(*own.wait()));
        let tell = tell.clone();
        inner
            .request(out("echo", "2"), None, move |reply| drop(tell.send(word(&reply))))
            .expect("request");
        ControlFlow::Continue(())
    });
    id.set(asked.expect("request")).expect("once");
    assert_eq!(told.recv_timeout(DEADLINE).as_deref(), Ok("2"));
    wait("the requests to go", || link.core().requests.sizes() == (0, 0));
}

#[test]
fn cancelled_and_expired_requests_leave_nothing() {
    let server = Server::start(&[]);
    let (link, _) = connect(&server);
    let (sink, _seen) = channel_sink("silent");
    link.subscribe("silent", None, None, sink).expect("subscribe");
    let (tell, told) = mpsc::channel();
    const COUNT: usize = 10_000;
    for i in 0..COUNT {
        let tell = tell.clone();
        let timeout = Some(if i % 2 == 0 { Duration::from_millis(20) } else { DEADLINE });
        let id = link
            .request(out("silent", ""), timeout, move |reply| drop(tell.send(word(&reply))))
            .expect("request");
        if i % 2 == 1 {
            assert!(link.cancel(id));
            assert!(!link.cancel(id));
        }
    }
    drop(tell);
    let answers: Vec<String> = told.iter().collect();
    assert_eq!(answers.len(), COUNT / 2);
    assert!(answers.iter().all(|a| a == "timeout"));
    assert_eq!(link.core().requests.sizes(), (0, 0));
}

#[test]
fn requests_survive_a_restart_and_time_goes_on() {
    let server = Server::start(&[]);
    let (link, recorder) = connect(&server);
    let (sink, _seen) = channel_sink("silent");
    link.subscribe("silent", None, None, sink).expect("subscribe");
    let (tell, told) = mpsc::channel();
    let request = |subject: &str, timeout| {
        let tell = tell.clone();
        let name = subject.to_owned();
        let done = move |reply: RequestResult| drop(tell.send(format!("{name} {}", word(&reply))));
        link.request(out(subject, "x"), Some(timeout), done).expect("request")
    };
    request("silent", Duration::from_millis(300));
    barrier(&link);
    let port = server.kill();
    recorder.wait("lost");
    request("late", DEADLINE);
    assert_eq!(told.recv_timeout(DEADLINE).as_deref(), Ok("silent timeout"));
    let _server = Server::start_at(port, &[]);
    recorder.wait_nth("connected", 2);
    assert_eq!(told.recv_timeout(DEADLINE).as_deref(), Ok("late nobody"));
    assert_eq!(link.core().requests.sizes(), (0, 0));
}

#[test]
fn requests_end_when_the_link_does() {
    for (limit, wanted) in [(60, "closed"), (0, "lost")] {
        let server = Server::start(&[]);
        let (link, recorder) =
            open(Settings { max_reconnect_attempts: limit, ..settings(&[&server.url()]) });
        recorder.wait("connected");
        let (sink, _seen) = channel_sink("silent");
        link.subscribe("silent", None, None, sink).expect("subscribe");
        let (tell, told) = mpsc::channel();
        for _ in 0..3 {
            let tell = tell.clone();
            link.request(out("silent", ""), None, move |reply| drop(tell.send(word(&reply))))
                .expect("request");
        }
        barrier(&link);
        drop(tell);
        if limit == 0 {
            server.kill();
        } else {
            link.close(DEADLINE);
        }
        assert_eq!(told.iter().collect::<Vec<_>>(), [wanted; 3]);
        wait("the end", || link.request(out("a", ""), None, |_| ()).is_err());
    }
}

#[test]
fn ask_is_a_future_that_cancels_when_dropped() {
    let server = Server::start(&[]);
    let (link, _) = connect(&server);
    serve_echo(&link, "echo");
    let (sink, _seen) = channel_sink("silent");
    link.subscribe("silent", None, None, sink).expect("subscribe");
    drop(link.ask(out("silent", ""), None));
    assert_eq!(link.core().requests.sizes(), (0, 0));
    let (tell, told) = mpsc::channel();
    let inner = link.clone();
    link.spawn(async move {
        let first = inner.ask(out("echo", "1"), Some(DEADLINE));
        let second = inner.ask(out("echo", "2"), Some(DEADLINE));
        let _ = tell.send((word(&second.await), word(&first.await)));
        let _ = tell.send((word(&inner.ask(out("a b", ""), None).await), String::new()));
    });
    assert_eq!(told.recv_timeout(DEADLINE), Ok(("2".into(), "1".into())));
    assert_eq!(told.recv_timeout(DEADLINE).expect("second").0, "refused ErrBadSubject");
}

#[test]
fn a_barrier_passes_everything_before_it() {
    let server = Server::start(&[]);
    let (link, _) = connect(&server);
    // Someone who listens to everything must not swallow it, and does not see it.
    let (other, _) = connect(&server);
    let (sink, _everything) = channel_sink("everything");
    other.subscribe(">", None, None, sink).expect("subscribe");
    barrier(&other);
    let (sink, seen) = channel_sink("own");
    link.subscribe(">", None, None, sink).expect("subscribe");
    for i in 0..1000 {
        link.publish(out("a", &i.to_string())).expect("publish");
    }
    barrier(&link);
    assert_eq!(seen.try_iter().count(), 1000);
}

#[test]
fn a_barrier_without_echo_is_answered_too() {
    let server = Server::start(&[]);
    let (link, recorder) = open(Settings { echo: false, ..settings(&[&server.url()]) });
    recorder.wait("connected");
    barrier(&link);
    barrier(&link);
}

#[test]
fn a_barrier_needs_no_permission() {
    let config = std::env::temp_dir().join(format!("nats-barrier-{}.conf", std::process::id()));
    let text = r#"authorization { users = [
        { user: u, password: p, permissions: { publish: "allowed", subscribe: "allowed" } } ] }"#;
    std::fs::write(&config, text).expect("write");
    let server = Server::start(&["-c", &config.display().to_string()]);
    std::fs::remove_file(&config).expect("remove");
    let url = format!("u:p@{}", server.url());
    let (link, recorder) = open(settings(&[&url]));
    recorder.wait("connected");
    barrier(&link);
    assert_eq!(recorder.count("error"), 0);
    link.publish(out("forbidden", "")).expect("publish");
    recorder.wait("error ErrPermissions");
    barrier(&link);
    assert_eq!(recorder.count("lost"), 0);
}

#[test]
fn barriers_time_out_alone_and_pass_with_a_new_connection() {
    let port = free_port();
    let place = format!("127.0.0.1:{port}");
    let server = Server::start_at(port, &[]);
    let (link, recorder) = open(settings(&[&place]));
    recorder.wait("connected");
    server.kill();
    recorder.wait("lost");
    let (tell, told) = mpsc::channel();
    for timeout in [Duration::from_millis(20), DEADLINE] {
        let tell = tell.clone();
        link.barrier(Some(timeout), move |r| tell.send((timeout, r.is_ok())).unwrap())
            .expect("barrier");
    }
    let short = told.recv_timeout(DEADLINE).expect("short");
    assert_eq!(short, (Duration::from_millis(20), false));
    let _server = Server::start_at(port, &[]);
    assert_eq!(told.recv_timeout(DEADLINE), Ok((DEADLINE, true)));
}
