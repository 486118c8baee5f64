//! The log of writes: `[http] log-enabled` and `write-tracing`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is the point of a test")]

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use farad_tests::{
    http,
    server::{Server, until},
};

fn lines(server: &Server, part: &str) -> Vec<String> {
    server.log().lines().filter(|line| line.contains(part)).map(str::to_owned).collect()
}

#[test]
fn a_write_is_a_line_with_who_and_what() {
    let server = Server::start(1, &[]).unwrap();
    let headers = [("user-agent", "pump/1"), ("referer", "http://r.example/")];
    let body = Some(&b"bad\n"[..]);
    let answer = http::request(server.address, "POST", "/write?db=logged&p=secret&u=eve", &headers, body).unwrap();
    assert_eq!(answer.status, 400);
    assert!(until(Duration::from_secs(5), || !lines(&server, "db=logged").is_empty()));
    let line = &lines(&server, "db=logged")[0];
    for part in [
        " lvl=info msg=\"http request\" service=http host=127.0.0.1 username=eve ",
        " method=POST uri=/write?db=logged&p=%5BREDACTED%5D&u=eve protocol=HTTP/1.1 status=400 ",
        " referer=http://r.example/ user-agent=pump/1 request-id=",
        " duration=",
    ] {
        assert!(line.contains(part), "{part:?} is not in {line}");
    }
    assert!(!server.log().contains("secret"));
}

#[test]
fn more_writes_than_may_be_logged_are_counted() {
    let server = Server::start(1, &[]).unwrap();
    let mut stream = TcpStream::connect(server.address).unwrap();
    let request = "POST /write?db=many HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nm v=1 1\n".repeat(400);
    stream.write_all(request.as_bytes()).unwrap();
    // An answer has no body, so each ends with an empty line.
    let (mut answers, mut buffer) = (String::new(), [0; 64 << 10]);
    while answers.matches("\r\n\r\n").count() < 400 {
        let bytes = stream.read(&mut buffer).unwrap();
        assert!(bytes > 0);
        answers.push_str(&String::from_utf8_lossy(&buffer[..bytes]));
    }
    // A later write opens the next second.
    let told = || {
        let _ = server.write("later", "", "m v=1 1\n");
        !lines(&server, "writes that were not logged").is_empty()
    };
    assert!(until(Duration::from_secs(10), told));
    let logged = lines(&server, "db=many").len();
    // Of the first second's lines some may be those of the server's start.
    assert!((50..400).contains(&logged), "{logged}");
}

#[test]
fn nothing_is_logged_where_it_is_off() {
    let server = Server::start(1, &[("KAPACITOR_HTTP_LOG_ENABLED", "false")]).unwrap();
    assert_eq!(server.write("quiet", "", "m v=1 1\n").unwrap().status, 204);
    assert_eq!(server.call("POST", "/kapacitor/v1/loglevel", Some("{\"level\":\"debug\"}")).unwrap().status, 204);
    assert_eq!(server.write("quiet", "", "m v=1 1\n").unwrap().status, 204);
    assert!(lines(&server, "quiet").is_empty(), "{}", server.log());
}

#[test]
fn what_writes_bring_is_traced() {
    let environment = [("KAPACITOR_HTTP_WRITE_TRACING", "true"), ("KAPACITOR_LOGGING_LEVEL", "DEBUG")];
    let server = Server::start(1, &environment).unwrap();
    assert_eq!(server.write("d", "", "m v=1 7\n").unwrap().status, 204);
    let traced = "lvl=debug msg=\"write body received by handler: %s\" service=http body=\"m v=1 7\\n\"";
    assert!(until(Duration::from_secs(5), || !lines(&server, traced).is_empty()), "{}", server.log());
    // A packed one is shown unpacked.
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all("packed v=1 7\n".repeat(10_000).as_bytes()).unwrap();
    let packed = packer.finish().unwrap();
    let headers = [("content-encoding", "gzip")];
    let answer = http::request(server.address, "POST", "/write?db=d", &headers, Some(&packed)).unwrap();
    assert_eq!(answer.status, 204);
    assert!(until(Duration::from_secs(5), || !lines(&server, "bytes=130000 shown=65536").is_empty()));
}
