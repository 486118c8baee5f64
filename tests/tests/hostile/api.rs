//! Every route of the API with bodies that are none.

use farad_tests::{http, server::Server};

/// Requests that read a body; `x` exists nowhere.
const ROUTES: [(&str, &str); 16] = [
    ("POST", "/kapacitor/v1/tasks"),
    ("PATCH", "/kapacitor/v1/tasks/t"),
    ("PATCH", "/kapacitor/v1/tasks/x"),
    ("POST", "/kapacitor/v1/templates"),
    ("PATCH", "/kapacitor/v1/templates/x"),
    ("POST", "/kapacitor/v1/alerts/topics/x/handlers"),
    ("PUT", "/kapacitor/v1/alerts/topics/x/handlers/y"),
    ("PATCH", "/kapacitor/v1/alerts/topics/x/handlers/y"),
    ("POST", "/kapacitor/v1/config/smtp/"),
    ("POST", "/kapacitor/v1/service-tests/smtp"),
    ("POST", "/kapacitor/v1/storage/stores/tasks"),
    ("POST", "/kapacitor/v1/loglevel"),
    ("POST", "/kapacitor/v1/recordings/stream"),
    ("POST", "/kapacitor/v1/recordings/batch"),
    ("POST", "/kapacitor/v1/recordings/query"),
    ("POST", "/kapacitor/v1/replays"),
];

#[test]
fn bodies_that_are_none_get_a_telling_4xx() {
    let server = Server::start(1, &[]).unwrap();
    assert_eq!(server.define("t", "stream|from()|log()").unwrap(), 200);
    let processes = (server.control_pid(), server.dataplane_pid());
    let bodies: [(&str, Vec<u8>); 10] = [
        ("nothing", Vec::new()),
        ("half an object", br#"{"id": "a", "script": "stream"#.to_vec()),
        ("a number", b"17".to_vec()),
        ("a list", b"[]".to_vec()),
        ("a string", b"\"text\"".to_vec()),
        (
            "wrong types",
            br#"{"id": [1], "script": {}, "dbrps": 3, "vars": "x", "level": 1, "options": [], "set": 7, "to": 7}"#
                .to_vec(),
        ),
        ("bytes that are no text", b"{\"id\": \"\xff\xfe\x80\", \"level\": \"\xc3\x28\"}".to_vec()),
        ("zeros", vec![0; 1000]),
        ("lists in lists", [b"{\"id\":".to_vec(), vec![b'['; 200_000]].concat()),
        ("objects in objects", b"{\"id\":".repeat(100_000)),
    ];
    let mut wrong = Vec::new();
    for (method, path) in ROUTES {
        for (name, body) in &bodies {
            match http::request(server.address, method, path, &[], Some(body)) {
                Ok(answer) if (400..500).contains(&answer.status) && answer.body.len() > 20 => {}
                // A change that changes nothing, and options that are all optional.
                Ok(answer) if answer.status < 300 && *name == "nothing" => {}
                Ok(answer) => wrong.push(format!("{method} {path} {name}: {} {}", answer.status, answer.text())),
                Err(error) => wrong.push(format!("{method} {path} {name}: {error}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!((server.control_pid(), server.dataplane_pid()), processes);
    assert!(!server.log().contains("panicked"), "{}", server.log());
    assert!(server.is_executing("t"));
}

#[test]
fn a_body_that_is_too_large_is_refused() {
    let server = Server::start(1, &[]).unwrap();
    let body = [b"{\"id\": \"".to_vec(), vec![b'a'; 40 << 20]].concat();
    for (method, path) in ROUTES {
        let answer = http::request(server.address, method, path, &[], Some(&body));
        // What is not there can be said without the body, and the connection may end while it is still sent.
        let refused = answer.as_ref().map_or(true, |answer| (400..500).contains(&answer.status));
        assert!(refused, "{method} {path}: {answer:?}");
    }
    assert!(server.call("GET", "/kapacitor/v1/ping", None).is_ok_and(|answer| answer.status == 204));
    assert!(!server.log().contains("panicked"), "{}", server.log());
}
