//! Limits that an operator sets hold, and are shown with how often they were hit.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is the point of a test")]

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use farad_tests::server::{Server, until};
use serde_json::Value;

/// A limit as `/debug/limits` shows it.
fn limit(server: &Server, name: &str) -> Value {
    let answer = server.call("GET", "/kapacitor/v1/debug/limits", None).unwrap();
    assert_eq!(answer.status, 200);
    let shown = answer.json();
    let found = shown["limits"].as_array().unwrap().iter().find(|limit| limit["name"] == name);
    found.unwrap_or_else(|| panic!("{name} is missing in {shown}")).clone()
}

#[test]
fn a_body_is_refused_at_the_limit_of_the_configuration() {
    let server = Server::start(1, &[("KAPACITOR_FARAD_BODY_BYTES_MAX", "1024")]).unwrap();
    let shown = limit(&server, "body-bytes-max");
    assert_eq!((&shown["value"], &shown["hits"]), (&1024.into(), &0.into()), "{shown}");
    assert_eq!((&shown["key"], &shown["process"]), (&"farad.body-bytes-max".into(), &"dataplane".into()));
    assert_eq!(server.write("d", "r", "m v=1 1\n").unwrap().status, 204);
    let refused = server.write("d", "r", &"m v=1 1\n".repeat(200)).unwrap();
    assert_eq!((refused.status, refused.text().trim()), (413, "a body has 1024 bytes at most"));
    assert_eq!(limit(&server, "body-bytes-max")["hits"], 1);
    let metrics = server.call("GET", "/metrics", None).unwrap().text();
    assert!(metrics.contains("farad_limit{process=\"dataplane\",name=\"body-bytes-max\"} 1024\n"), "{metrics}");
    assert!(metrics.contains("farad_limit_hits_total{process=\"dataplane\",name=\"body-bytes-max\"} 1\n"), "{metrics}");
}

#[test]
fn clients_beyond_the_limit_are_told_and_places_come_back() {
    let server = Server::start(1, &[("KAPACITOR_FARAD_CONNECTIONS_MAX", "4")]).unwrap();
    let ping = |stream: &mut TcpStream| {
        let mut answer = [0; 12];
        let asked = stream.write_all(b"GET /kapacitor/v1/ping HTTP/1.1\r\nHost: x\r\n\r\n");
        asked
            .and_then(|()| stream.read_exact(&mut answer))
            .is_ok()
            .then(|| String::from_utf8_lossy(&answer).into_owned())
    };
    let mut clients: Vec<TcpStream> = Vec::new();
    // The connections of the start may still be closing.
    let filled = || limit(&server, "connections-max")["taken"].as_u64() == Some(1);
    assert!(until(Duration::from_secs(10), filled));
    for _ in 0..4 {
        let mut client = TcpStream::connect(server.address).unwrap();
        assert_eq!(ping(&mut client).as_deref(), Some("HTTP/1.1 204"));
        clients.push(client);
    }
    let refused = || {
        let mut answer = String::new();
        let mut client = TcpStream::connect(server.address).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let _ = client.read_to_string(&mut answer);
        answer
    };
    let answer = refused();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("too many connections"), "{answer}");
    clients.clear();
    let served =
        || ping(&mut TcpStream::connect(server.address).unwrap()).is_some_and(|answer| answer.ends_with("204"));
    assert!(until(Duration::from_secs(10), served));
    let hits = || limit(&server, "connections-max")["hits"].as_u64().is_some_and(|hits| hits >= 1);
    assert!(until(Duration::from_secs(10), hits));
}

#[test]
fn a_limit_that_cannot_be_stops_the_start_and_names_its_place() {
    let start = |environment: &[(&str, &str)]| {
        let mut server = Server::spawn(1, environment).unwrap();
        let status = server.wait(Duration::from_secs(20)).unwrap();
        assert!(status.is_some_and(|status| !status.success()));
        server.log()
    };
    let log = start(&[("KAPACITOR_FARAD_RING_BLOCKS_MAX", "0")]);
    assert!(log.contains("KAPACITOR_FARAD_RING_BLOCKS_MAX: wants a number from 1 to 4096, not 0"), "{log}");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[http]\nlog-enabled = true\n[farad]\nshards = 1\nbody-bytes-max = 12\n").unwrap();
    let path = file.path().to_string_lossy().into_owned();
    let log = start(&[("KAPACITOR_CONFIG_PATH", &path)]);
    let message = format!("{path}: line 5: farad.body-bytes-max wants a number from 1024 to 4294967296, not 12");
    assert!(log.contains(&message), "{log}");
}
