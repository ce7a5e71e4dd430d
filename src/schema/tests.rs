use super::*;
use crate::tcl::testing::{interp, refused, words};
use crate::tcl::{Interp, Obj, Result};
use serde_json::json;

mod inner {
    use crate::schema::*;

    table! {
        NAME:  valid_str("name").required();
        LIMIT: ms("limit");
        DEEP:  object("deep", &deep::TABLE).since(2, 11, 0);
    }

    pub mod deep {
        use crate::schema::*;

        table! {
            A: int("a");
        }
    }
}

table! {
    TEXT:     valid_str("text").required();
    ANY:      any_str("any");
    FLAG:     boolean("flag");
    NUMBER:   int("number");
    COUNT:    pos_int("count").or_int(7);
    TIME:     ms("time");
    WHOLE:    ms("whole").typed(Type::PosInt);
    LIMIT:    ms("expires").typed(Type::Timeout).called("limit");
    TIMES:    ms_list("times").since(2, 10, 3);
    CHOICE:   one_of("choice", &["one", "two"]).or("one");
    NAMES:    list("names").since(2, 9, 0);
    EXTRA:    metadata("extra");
    PART:     object("part", &inner::TABLE);
    PARTS:    objects("parts", &inner::TABLE);
    CALLBACK: valid_str("callback").of_method();
    ALWAYS:   boolean("always").fixed().or_flag(true);
}

const NEW: &dyn Fn(Version) -> bool = &|_| true;

fn made(interp: Interp<'_>, given: Result<Given>) -> Result<String> {
    Ok(Value::from(given?.record(interp, NEW)?).to_string())
}

fn strictly(interp: Interp<'_>, text: &str) -> Result<String> {
    made(interp, strict(interp, &TABLE, &words(interp, text)))
}

fn leniently(interp: Interp<'_>, text: &str) -> Result<String> {
    made(interp, lenient(&TABLE, &words(interp, text)))
}

#[test]
fn the_order_is_that_of_the_table_and_units_are_converted() {
    interp(|interp| {
        let options = "-callback cb -extra {b 2 a 1} -names {x {y z}} -choice two -times {1 2.5} \
            -limit 3 -whole 0x10 -time 1.5 -count +5 -number -1 -flag on -any {} -text t \
            -part {name p limit 2 other 3} -parts {{name q} {{\"raw\": [1.50]}}}";
        let expected = concat!(
            r#"{"text":"t","any":"","flag":true,"number":-1,"count":5,"time":1500000,"#,
            r#""whole":16000000,"expires":3000000,"times":[1000000,2500000],"choice":"two","#,
            r#""names":["x","y z"],"extra":{"b":"2","a":"1"},"part":{"name":"p","limit":2000000},"#,
            r#""parts":[{"name":"q"},{"raw":[1.50]}],"always":true}"#
        );
        assert_eq!(strictly(interp, options).expect("JSON"), expected);
        assert_eq!(leniently(interp, options).expect("JSON"), expected);
        // Dashes do not matter, the last value wins, and what is not given has its default.
        let text = strictly(interp, "text a --text b part {}").expect("JSON");
        assert_eq!(text, r#"{"text":"b","count":7,"choice":"one","always":true}"#);
        for (given, expected) in [
            ("18446744073709551615", "18446744073709551615"),
            ("99999999999999999999", "9223372036854775807"),
            ("{ 9223372036854775807 }", "9223372036854775807"),
            ("-99999999999999999999", "-9223372036854775808"),
            ("0x10", "16"),
        ] {
            let text = strictly(interp, &format!("text a number {given}")).expect("JSON");
            assert!(text.contains(&format!(r#""number":{expected},"#)), "{given}: {text}");
        }
    });
}

#[test]
fn the_two_modes() {
    interp(|interp| {
        let unknown = "text t -new 1 number null";
        assert_eq!(refused(strictly(interp, unknown)).1, "Unknown option new");
        let text = leniently(interp, unknown).expect("JSON");
        assert_eq!(text, r#"{"text":"t","count":7,"choice":"one","always":true}"#);
        assert_eq!(refused(leniently(interp, "text t text null")).1, "Option text is required");
        assert!(strictly(interp, "text null").is_ok_and(|text| text.contains("null")));
        // Without any option there is neither a default nor a check.
        assert_eq!(leniently(interp, "").expect("JSON"), "{}");
        assert_eq!(refused(strictly(interp, "")).1, "Option text is required");
        assert_eq!(refused(leniently(interp, "number 1")).1, "Option text is required");
        for odd in [strictly(interp, "text t -flag"), leniently(interp, "text t -flag")] {
            assert_eq!(refused(odd), ("ErrInvalidArg", "Missing value for option -flag".into()));
        }
        let dict = Obj::new("text t other 1 number {} any null");
        let text = made(interp, super::dict(interp, &TABLE, &dict)).expect("JSON");
        assert!(text.starts_with(r#"{"text":"t","any":"null","count""#), "{text}");
        assert!(super::dict(interp, &TABLE, &Obj::new("odd")).is_err());
    });
}

#[test]
fn bad_values() {
    interp(|interp| {
        let invalid = |word: &str, name: &str, value: &str| {
            format!("Invalid value for the {word} option {name} : {value}")
        };
        for (word, name, value) in [
            ("valid_str", "text", ""),
            ("bool", "flag", "2"),
            ("int", "number", "1.5"),
            ("pos_int", "count", "-1"),
            ("pos_int", "whole", "9223372036854775807"),
            ("list", "names", ""),
            ("list", "times", ""),
            ("list", "times", "1 x"),
            ("metadata", "extra", ""),
            ("json", "part", "odd"),
            ("json_list", "parts", ""),
            ("json_list", "parts", "{name x} odd"),
        ] {
            let options = format!("text t {name} {{{value}}}");
            let expected = ("ErrInvalidArg", invalid(word, name, value));
            assert_eq!(refused(strictly(interp, &options)), expected);
            assert_eq!(refused(leniently(interp, &options)), expected);
        }
        let expected = "Invalid value for the ms option time : soon; allowed is a number of";
        assert!(refused(strictly(interp, "text t time soon")).1.starts_with(expected));
        let expected = ("ErrBadTimeout", invalid("timeout", "limit", "1.5"));
        assert_eq!(refused(strictly(interp, "text t limit 1.5")), expected);
        let expected = "Invalid value for the enum choice : x; allowed values: one two";
        assert_eq!(refused(strictly(interp, "text t choice x")).1, expected);
        let expected = "Option name is required";
        assert_eq!(refused(strictly(interp, "text t part {limit 1}")).1, expected);
        assert_eq!(
            refused(strictly(interp, "text t part {name {}}")).1,
            invalid("valid_str", "name", "")
        );
    });
}

#[test]
fn the_order_of_checks() {
    interp(|interp| {
        // Some types come first, then unknown options, what is required, and the other types.
        let text = refused(strictly(interp, "new 1 choice x count -1")).1;
        assert!(text.contains("pos_int option count"), "{text}");
        assert_eq!(refused(strictly(interp, "new 1 choice x")).1, "Unknown option new");
        assert_eq!(refused(strictly(interp, "choice x")).1, "Option text is required");
        assert_eq!(refused(leniently(interp, "choice x count -1")).1, "Option text is required");
        let text = refused(leniently(interp, "text t choice x count -1")).1;
        assert!(text.contains("pos_int option count"), "{text}");
    });
}

#[test]
fn what_an_old_server_lacks() {
    interp(|interp| {
        let ask = |options: &str, server: Version| {
            let given = strict(interp, &TABLE, &words(interp, options)).expect("options");
            given.record(interp, &|since| server >= since)
        };
        let too_old = |options, server| refused(ask(options, server));
        let expected = ("ErrNotSupported", "names needs nats-server 2.9".to_owned());
        assert_eq!(too_old("text t names a", (2, 8, 4)), expected);
        assert!(ask("text t names a", (2, 9, 0)).is_ok());
        assert_eq!(too_old("text t times 1", (2, 10, 2)).1, "times needs nats-server 2.10.3");
        assert!(ask("text t times 1", (2, 10, 3)).is_ok());
        assert_eq!(
            too_old("text t part {name n deep {a 1}}", (2, 10, 9)).1,
            "deep needs nats-server 2.11"
        );
        // What is not sent needs no server, and a bad value is the first to be said.
        assert!(ask("text t part {name n deep {}}", (2, 10, 9)).is_ok());
        assert!(too_old("text t names {}", (2, 8, 0)).1.contains("list option names"));
    });
}

#[test]
fn records() {
    let mut record = Record::new(&TABLE);
    record.set(CALLBACK, "cb");
    record.set(NAMES, vec!["a"]);
    record.set(TEXT, "t");
    assert_eq!((record.text(CALLBACK), record.text(NAMES)), (Some("cb"), None));
    record.remove(COUNT);
    let mut other = Record::new(&TABLE);
    other.merge(record);
    assert!(other.get(CALLBACK).is_none());
    assert_eq!(
        Value::from(other).to_string(),
        r#"{"text":"t","count":7,"choice":"one","names":["a"],"always":true}"#
    );
}

#[test]
fn replies() {
    table! {
        TYPE:   hidden("type");
        CONFIG: object("config", &super::tests::TABLE);
        LEFT:   ms("left");
    }
    let text = r#"{"type":"t","new":{"time":5000000},"config":{"z":1.50,"time":1999999,"whole":0,"expires":-1,"times":[1000000,0],"names":[3000000],"part":{"limit":2000000,"deep":null},"parts":[{"limit":1}],"flag":null},"time":3000000,"left":4000000}"#;
    let mut reply = serde_json::from_str(text).expect("JSON");
    TABLE.show(&mut reply);
    assert_eq!(
        reply.to_string(),
        r#"{"new":{"time":5000000},"config":{"z":1.50,"time":1,"whole":0,"expires":-1,"times":[1,0],"names":[3000000],"part":{"limit":2,"deep":null},"parts":[{"limit":0}],"flag":null},"time":3000000,"left":4}"#
    );
    // What has another form than expected stays as it is.
    let odd =
        json!({"config": {"time": "x", "times": 5_000_000, "part": [1], "parts": {"limit": 1}}});
    let mut shown = odd.clone();
    TABLE.show(&mut shown);
    assert_eq!(shown, odd);
    for mut other in [json!([1]), Value::Null] {
        TABLE.show(&mut other);
    }
}
