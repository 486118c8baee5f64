//! Connections that do not keep to the protocol.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::Duration,
};

use crate::{SOON, beside_other_writers, noise};

#[test]
fn noise_ends_the_connection() {
    beside_other_writers(64 << 20, SOON, |server| {
        for start in 0..20 {
            let mut stream = TcpStream::connect(server.address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            // The other side may be gone before all is sent.
            let _ = stream.write_all(&noise(1 << 20)[start..]);
            let mut answer = Vec::new();
            let ended = stream.read_to_end(&mut answer);
            assert!(ended.is_ok() || !answer.is_empty() || ended.is_err_and(|error| error.raw_os_error() == Some(104)));
            assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
        }
    });
}

#[test]
fn half_requests_are_given_up_with_their_connections() {
    let halves = [
        "",
        "POST",
        "POST /write?db=d&rp=r HTTP/1.1\r\n",
        "POST /write?db=d&rp=r HTTP/1.1\r\nContent-Length: 30\r\n\r\ncpu,host=half v=1 1\n",
        "POST /write?db=d&rp=r HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n14\r\ncpu,host=half v=1 1\n\r\n",
        "POST /write?db=d&rp=r HTTP/1.1\r\nContent-Encoding: gzip\r\nContent-Length: 30\r\n\r\n\x1f",
        "POST /kapacitor/v1/tasks HTTP/1.1\r\nContent-Length: 100\r\n\r\n{\"id\":",
        "GET /kapacitor/v1/tasks HTTP/1.1\r\nHo",
    ];
    beside_other_writers(64 << 20, SOON, |server| {
        for half in halves.iter().cycle().take(halves.len() * 25) {
            let mut stream = TcpStream::connect(server.address).unwrap();
            stream.write_all(half.as_bytes()).unwrap();
        }
        let counts = server.call("GET", "/kapacitor/v1/tasks/t/counts", None).unwrap();
        assert!(!counts.text().contains("half"), "half a body is no body");
    });
}

#[test]
fn slow_heads_on_many_connections_hold_up_nobody() {
    beside_other_writers(64 << 20, SOON, |server| {
        raise_file_limit();
        let open = |_| TcpStream::connect(server.address).unwrap();
        let mut connections: Vec<_> = (0..2_000).map(open).collect();
        for byte in b"POS" {
            for connection in &mut connections {
                connection.write_all(&[*byte]).unwrap();
            }
            thread::sleep(Duration::from_secs(1));
        }
        let answer = server.call("GET", "/kapacitor/v1/tasks/t", None).unwrap();
        assert_eq!(answer.status, 200);
    });
}

/// A client's end of each connection is a descriptor of this process.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    assert!(setrlimit(Resource::Nofile, limit).is_ok());
}
