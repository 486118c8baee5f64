//! Every route of the API with bodies that are none.

// What helps a test may panic as the test may.
#![allow(clippy::unwrap_used)]

use farad_tests::{http, server::Server};

/// Routes that pass a body over.
const BODILESS: [&str; 2] = ["/kapacitor/v1/subscriptions", "/kapacitor/v1/sideload/reload"];

/// Every route that reads a body, as the server lists them: method and a path, `x` exists nowhere.
fn routes(server: &Server) -> Vec<(String, String)> {
    let listed = server.call("GET", "/kapacitor/v1/:routes", None).unwrap().json();
    let mut routes = vec![
        ("PATCH".to_owned(), "/kapacitor/v1/tasks/t".to_owned()),
        ("POST".to_owned(), "/kapacitor/v1/config/influxdb".to_owned()),
    ];
    for (pattern, methods) in listed.as_object().unwrap() {
        let path = match pattern.as_str() {
            "/" | "/kapacitor/v1preview/" => continue,
            "/kapacitor/v1/alerts/topics/" => "/kapacitor/v1/alerts/topics/x/handlers/y".to_owned(),
            "/kapacitor/v1/config/" => "/kapacitor/v1/config/smtp/".to_owned(),
            "/kapacitor/v1/service-tests/" => "/kapacitor/v1/service-tests/smtp".to_owned(),
            "/kapacitor/v1/storage/" => "/kapacitor/v1/storage/stores/tasks".to_owned(),
            pattern if pattern.ends_with('/') => format!("{pattern}x"),
            pattern => pattern.to_owned(),
        };
        for method in methods.as_array().into_iter().flatten().filter_map(|method| method.as_str()) {
            if matches!(method, "POST" | "PUT" | "PATCH") && !BODILESS.contains(&&*path) {
                routes.push((method.to_owned(), path.clone()));
            }
        }
    }
    assert!(routes.len() > 20, "{routes:?}");
    routes
}

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
    for (method, path) in routes(&server) {
        for (name, body) in &bodies {
            match http::request(server.address, &method, &path, &[], Some(body)) {
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
    for (method, path) in routes(&server) {
        let answer = http::request(server.address, &method, &path, &[], Some(&body));
        // What is not there can be said without the body, and the connection may end while it is still sent.
        let refused = answer.as_ref().map_or(true, |answer| (400..500).contains(&answer.status));
        assert!(refused, "{method} {path}: {answer:?}");
    }
    assert!(server.call("GET", "/kapacitor/v1/ping", None).is_ok_and(|answer| answer.status == 204));
    assert!(!server.log().contains("panicked"), "{}", server.log());
}
