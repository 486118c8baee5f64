//! Bodies of writes.

use std::io::{BufReader, Write};

use farad_tests::http::{self, read_answer};
use flate2::{Compression, write::GzEncoder};

use crate::{SOON, beside_other_writers, noise};

const MB: usize = 1 << 20;

#[test]
fn noise_is_refused() {
    beside_other_writers(64 << 20, SOON, |server| {
        let noise = noise(MB);
        for headers in [&[][..], &[("Content-Encoding", "gzip")], &[("Content-Type", "application/json")]] {
            let answer = http::request(server.address, "POST", "/write?db=x&rp=y", headers, Some(&noise)).unwrap();
            assert_eq!(answer.status, 400, "{}", answer.text());
        }
    });
}

#[test]
fn a_million_bad_lines_get_a_short_answer() {
    beside_other_writers(64 << 20, SOON, |server| {
        let lines = "bad\n".repeat(1_000_000);
        let answer = server.write("x", "y", &lines).unwrap();
        assert_eq!(answer.status, 400);
        assert!(answer.body.len() < 64 << 10, "{} bytes", answer.body.len());
        // Good lines among bad ones leave nothing behind.
        let mixed = format!("cpu,host=mixed v=1 1\n{}", "bad\n".repeat(10_000));
        assert_eq!(server.write("d", "r", &mixed).unwrap().status, 400);
    });
}

#[test]
fn a_body_of_a_gigabyte_is_refused() {
    beside_other_writers(64 << 20, SOON, |server| {
        let mut stream = std::net::TcpStream::connect(server.address).unwrap();
        write!(stream, "POST /write?db=x&rp=y HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", 1 << 30).unwrap();
        // It is sent all the same, for as long as there is somebody at the other end.
        let lines = b"cpu,host=h v=1\n".repeat(MB / 15);
        for _ in 0..(1 << 30) / lines.len() {
            if stream.write_all(&lines).is_err() {
                break;
            }
        }
        let answer = read_answer(&mut BufReader::new(stream), false).unwrap();
        assert_eq!(answer.status, 413, "{}", answer.text());
    });
}

#[test]
fn a_chunked_body_without_end_is_refused() {
    // What is held of it is given back, but not at once all of it to the system.
    beside_other_writers(512 << 20, SOON, |server| {
        let mut stream = std::net::TcpStream::connect(server.address).unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let head = "POST /write?db=x&rp=y HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let chunk = [format!("{MB:x}\r\n").as_bytes(), &vec![b'#'; MB], b"\r\n"].concat();
        // The answer comes before the end; whether the rest is taken and thrown away or the connection ends is left open.
        let refused_early = (0..400).any(|_| stream.write_all(&chunk).is_err());
        let answer = read_answer(&mut reader, false);
        assert!(answer.as_ref().map_or(refused_early, |answer| answer.status == 413), "{answer:?}");
    });
}

#[test]
fn a_bomb_of_gzip_is_refused() {
    beside_other_writers(512 << 20, SOON, |server| {
        // What was flushed stands alone, so it can stand there again and again.
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.flush().unwrap();
        let head = encoder.get_ref().len();
        // Long lines: unpacking is what is to take its time, in builds without optimization, too.
        encoder.write_all(&[vec![b'#'; 4095], vec![b'\n']].concat().repeat(4 * MB / 4096)).unwrap();
        encoder.flush().unwrap();
        let flushed = encoder.get_ref().clone();
        let bomb = [&flushed[..head], &flushed[head..].repeat(100)].concat();
        assert!(bomb.len() < 2 * MB);
        let headers = [("Content-Encoding", "gzip")];
        let answer = http::request(server.address, "POST", "/write?db=x&rp=y", &headers, Some(&bomb)).unwrap();
        assert_eq!(answer.status, 413, "{}", answer.text());
    });
}
