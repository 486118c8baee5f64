//! Line protocol without HTTP: datagrams and streams of lines.
#![allow(clippy::unwrap_used, reason = "a panic is the point of a test")]

use std::{
    io::Write,
    net::{TcpStream, UdpSocket},
    os::unix::net::UnixStream,
    time::Duration,
};

use farad_tests::server::{Server, until};

const LIMIT: Duration = Duration::from_secs(5);

/// A server with a UDP port, a TCP port and a unix socket (its path).
fn start() -> (Server, tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (file, socket) = (folder.path().join("farad.conf"), folder.path().join("lines.sock"));
    let target = "database = \"d\"\nretention-policy = \"r\"";
    let text = format!(
        "[[udp]]\nenabled = true\nbind-address = \"127.0.0.1:0\"\n{target}\n\
         [[farad.lines]]\nbind-address = \"127.0.0.1:0\"\n{target}\n\
         [[farad.lines]]\nbind-address = \"unix:{}\"\n{target}\n",
        socket.display()
    );
    std::fs::write(&file, text).unwrap();
    let server = Server::start(2, &[("KAPACITOR_CONFIG_PATH", &file.to_string_lossy())]).unwrap();
    (server, folder, socket)
}

/// Counters of a listener by name, and its address, which is part of their names.
fn counter(server: &Server, name: &str) -> (u64, String) {
    let vars = server.call("GET", "/kapacitor/v1/debug/vars", None).unwrap().json();
    let statistics = vars["kapacitor"].as_object().unwrap();
    let own = statistics.values().find(|statistic| statistic["name"] == "farad").unwrap();
    let (found, value) = own["values"].as_object().unwrap().iter().find(|(key, _)| key.starts_with(name)).unwrap();
    let address = found.split_once('[').unwrap().1.trim_end_matches(']').to_owned();
    (value.as_u64().unwrap(), address)
}

fn is_counted(server: &Server, name: &str, count: u64) -> bool {
    let seen = until(LIMIT, || counter(server, name).0 == count);
    assert!(seen, "{name}: {} instead of {count}\n{}", counter(server, name).0, server.log());
    seen
}

#[test]
fn a_datagram_is_a_body() {
    let (server, _folder, _) = start();
    let (_, address) = counter(&server, "udp_points_rx");
    let sender = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    sender.connect(&address).unwrap();
    for n in 0..200 {
        sender.send(format!("cpu,host=h{n} v=1 1\ncpu,host=h{n} v=2 2\n").as_bytes()).unwrap();
    }
    assert!(is_counted(&server, "udp_points_rx", 400));
    // A bad line costs its datagram, and nothing else.
    sender.send(b"cpu v=1 1\ncpu v=x\n").unwrap();
    sender.send(&[0xff; 2_000]).unwrap();
    sender.send(b"cpu v=3 3").unwrap();
    assert!(is_counted(&server, "udp_points_rx", 401));
    assert!(is_counted(&server, "udp_points_parse_fail", 2));
    assert!(server.log().contains("failed to parse points"), "{}", server.log());
}

#[test]
fn a_stream_of_lines_goes_on_behind_a_bad_one() {
    let (server, _folder, path) = start();
    let (_, address) = counter(&server, "tcp_points_rx");
    let mut tcp = TcpStream::connect(address).unwrap();
    let mut unix = UnixStream::connect(path).unwrap();
    for (stream, protocol) in [(&mut tcp as &mut dyn Write, "tcp"), (&mut unix, "unix")] {
        // Cut inside a line, inside a quoted newline, and with no newline at the end.
        for piece in ["cpu v=1 1\ncpu v", "=2 2\nbad\ncpu s=\"a", "\nb\" 3\ncpu v=4 4"] {
            stream.write_all(piece.as_bytes()).unwrap();
        }
        assert!(is_counted(&server, &format!("{protocol}_points_rx"), 3));
        assert!(is_counted(&server, &format!("{protocol}_points_parse_fail"), 1));
    }
    drop(tcp);
    assert!(is_counted(&server, "tcp_points_rx", 4));
    // A line without an end is not collected for ever.
    let endless = vec![b'x'; 8 << 20];
    assert!(unix.write_all(&endless).and_then(|()| unix.write_all(&endless)).is_err());
    assert_eq!(server.write("d", "r", "cpu v=1").unwrap().status, 204);
}
