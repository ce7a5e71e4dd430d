//! The tables against a real server: from 2.12 on it refuses requests with a field that it does not
//! know, and every version refuses values of another type.

use super::api::reply;
use super::{consumer, stream};
use crate::error::Error;
use crate::transport::Outgoing;
use crate::transport::tests::support::{DEADLINE, Server, connect};
use std::sync::mpsc;
use std::time::Duration;

/// What a server answers that has the stream `T`.
fn answers(requests: &[(&str, &str)]) -> Vec<Error> {
    let store = std::env::temp_dir().join(format!("nats-tables-{}", std::process::id()));
    let server = Server::start(&["-js", "-sd", &store.to_string_lossy()]);
    let (link, _) = connect(&server);
    let ask = |op: &str, body: &str| {
        let (tell, told) = mpsc::channel();
        let out = Outgoing::new(format!("$JS.API.{op}"), body.to_owned());
        link.request(out, Some(DEADLINE), move |reply| drop(tell.send(reply))).expect("sent");
        reply::parse(told.recv_timeout(DEADLINE).expect("an answer").expect("a reply").payload())
    };
    ask("STREAM.CREATE.T", r#"{"name":"T","storage":"memory"}"#).expect("a stream");
    let errors = requests.iter().map(|(op, body)| ask(op, body).expect_err("an error")).collect();
    link.close(Duration::ZERO);
    server.kill();
    // Nothing depends on it being gone.
    let _ = std::fs::remove_dir_all(&store);
    errors
}

#[test]
fn the_server_knows_every_field_and_its_type() {
    const INVALID_JSON: u64 = 10025;
    let stream = stream::config::tests::JSON;
    let consumer = consumer::config::tests::JSON;
    let consumer = format!(r#"{{"stream_name":"T","config":{consumer}}}"#);
    let odd = stream.replace(r#""max_age":"#, r#""max_age":"1","first_seq":"#);
    let errors = answers(&[
        ("STREAM.CREATE.S", stream),
        ("CONSUMER.DURABLE.CREATE.T.N", &consumer),
        ("STREAM.CREATE.S", &odd),
    ]);
    let codes: Vec<u64> = errors.iter().filter_map(|error| Some(error.api?.1)).collect();
    // Not all of them together make sense: that is another error.
    let refused: Vec<bool> = codes.iter().map(|code| *code == INVALID_JSON).collect();
    assert_eq!(refused, [false, false, true], "{errors:?}");
}
