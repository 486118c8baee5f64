//! A connection is served by the I/O thread or by a shard, whichever its requests need.
#![allow(clippy::unwrap_used, reason = "a panic is the point of a test")]

use std::{
    io::{BufReader, Write},
    net::TcpStream,
    time::Duration,
};

use farad_tests::{
    http::{encode, read_answer},
    server::{Server, until},
};

const LIMIT: Duration = Duration::from_secs(5);

/// A counter over all shards.
fn counter(server: &Server, name: &str) -> u64 {
    let vars = server.call("GET", "/kapacitor/v1/debug/vars", None).unwrap().json();
    let statistics = vars["kapacitor"].as_object().unwrap();
    let own = statistics.values().find(|statistic| statistic["name"] == "farad").unwrap();
    own["values"][name].as_u64().unwrap()
}

#[test]
fn writes_behind_a_created_database_are_on_a_shard() {
    let server = Server::start(2, &[]).unwrap();
    let mut connection = TcpStream::connect(server.address).unwrap();
    connection.set_read_timeout(Some(LIMIT)).unwrap();
    let mut answers = BufReader::new(connection.try_clone().unwrap());
    let mut status = |target: &str, body: &str| {
        let length = body.len();
        let request = format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}");
        connection.write_all(request.as_bytes()).unwrap();
        read_answer(&mut answers, false).unwrap().status
    };
    let on_shards = |count| until(LIMIT, || counter(&server, "connections_open") == count);
    let create = format!("/query?q={}", encode("CREATE DATABASE \"x\""));
    for round in 0..2 {
        assert_eq!(status(&create, ""), 404);
        assert!(on_shards(0), "a request that is no write leaves its shard ({round})");
        let before = counter(&server, "bodies_accepted");
        for n in 0..3 {
            assert_eq!(status("/write?db=x", &format!("cpu v={n}\n")), 204);
        }
        assert!(on_shards(1), "the connection is back on a shard with its first write ({round})");
        assert_eq!(counter(&server, "bodies_accepted"), before + 3);
    }
}
