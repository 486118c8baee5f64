//! What must hold when a process dies, a receiver hangs, or the server is told to end.

use std::{
    io,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use farad_tests::{
    http,
    server::{Server, signal, until},
    sink::Sink,
};

/// What writers saw, by kind of answer.
#[derive(Default)]
struct Seen {
    accepted: AtomicU64,
    unavailable: AtomicU64,
    without_retry_after: AtomicU64,
    other: AtomicU64,
    failed: AtomicU64,
}

/// Writers that do not stop, each on a connection a write.
struct Load {
    seen: Arc<Seen>,
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(server: &Server) -> Load {
        let (seen, stop) = (Arc::<Seen>::default(), Arc::<AtomicBool>::default());
        let writer = |writer: usize| {
            let (seen, stop, address) = (seen.clone(), stop.clone(), server.address);
            thread::spawn(move || {
                let body: String = (0..100).map(|host| format!("cpu,host=h{writer}-{host} v=1 \n")).collect();
                while !stop.load(Ordering::Relaxed) {
                    let answer = http::request(address, "POST", "/write?db=d&rp=r", &[], Some(body.as_bytes()));
                    match answer {
                        Ok(answer) if answer.status == 204 => &seen.accepted,
                        Ok(answer) if answer.status == 503 => {
                            if answer.header("retry-after").is_none() {
                                seen.without_retry_after.fetch_add(1, Ordering::Relaxed);
                            }
                            &seen.unavailable
                        }
                        Ok(_) => &seen.other,
                        Err(_) => &seen.failed,
                    }
                    .fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let writers = (0..2).map(writer).collect();
        Load { seen, stop, writers }
    }

    fn accepted(&self) -> u64 {
        self.seen.accepted.load(Ordering::Relaxed)
    }

    fn end(self) -> Arc<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        for writer in self.writers {
            let _ = writer.join();
        }
        self.seen
    }
}

/// A task that counts all points in groups and shows the last count.
const COUNTING: &str = "stream|from().measurement('cpu').groupBy('host')|stateCount(lambda: TRUE)|httpOut('counts')";

fn define(server: &Server, id: &str, script: &str) -> io::Result<u16> {
    let body = serde_json::json!({
        "id": id, "type": "stream", "script": script, "status": "enabled", "dbrps": [{"db": "d", "rp": "r"}],
    });
    Ok(server.call("POST", "/kapacitor/v1/tasks", Some(&body.to_string()))?.status)
}

fn is_executing(server: &Server, id: &str) -> bool {
    let answer = server.call("GET", &format!("/kapacitor/v1/tasks/{id}"), None);
    answer.is_ok_and(|answer| answer.status == 200 && answer.json()["executing"] == true)
}

/// The highest count that a task shows.
fn highest_count(server: &Server, id: &str) -> i64 {
    let Ok(answer) = server.call("GET", &format!("/kapacitor/v1/tasks/{id}/counts"), None) else { return 0 };
    let json = answer.json();
    let series = json["series"].as_array().cloned().unwrap_or_default();
    series.iter().filter_map(|row| row["values"][0][1].as_i64()).max().unwrap_or_default()
}

#[test]
fn a_killed_data_plane_is_back_within_two_seconds() {
    let server = Server::start(2, &[]).unwrap();
    for task in 0..20 {
        assert_eq!(define(&server, &format!("t{task}"), COUNTING).unwrap(), 200);
    }
    let load = Load::start(&server);
    assert!(until(Duration::from_secs(5), || highest_count(&server, "t7") > 3));
    let before = server.dataplane_pid().unwrap();
    let accepted = load.accepted();
    signal(before, "KILL");
    let killed = Instant::now();
    // The API never goes away for longer than a connection that was open.
    let answers_soon = until(Duration::from_millis(500), || {
        server.call("GET", "/kapacitor/v1/tasks/t7", None).is_ok_and(|answer| answer.status == 200)
    });
    assert!(answers_soon, "{}", server.log());
    let back = until(Duration::from_secs(2), || {
        load.accepted() > accepted + 10 && is_executing(&server, "t7") && highest_count(&server, "t7") > 0
    });
    assert!(back, "not back after {:?}\n{}", killed.elapsed(), server.log());
    assert!(server.dataplane_pid().is_some_and(|pid| pid != before));
    assert!((0..20).all(|task| is_executing(&server, &format!("t{task}"))));
    let seen = load.end();
    assert_eq!(seen.other.load(Ordering::Relaxed), 0);
    assert_eq!(seen.without_retry_after.load(Ordering::Relaxed), 0);
}

#[test]
fn writes_and_tasks_go_on_without_the_control_plane() {
    let mut server = Server::start(2, &[]).unwrap();
    assert_eq!(define(&server, "t", COUNTING).unwrap(), 200);
    let load = Load::start(&server);
    assert!(until(Duration::from_secs(5), || highest_count(&server, "t") > 3));
    let dataplane = server.dataplane_pid().unwrap();
    signal(server.control_pid(), "KILL");
    server.wait(Duration::from_secs(2)).unwrap();
    let accepted = load.accepted();
    let answer = server.call("GET", "/kapacitor/v1/tasks", None).unwrap();
    assert_eq!((answer.status, answer.json()["error"].is_string()), (503, true));
    assert!(until(Duration::from_secs(2), || load.accepted() > accepted + 50));
    server.restart_control().unwrap();
    assert!(until(Duration::from_secs(2), || is_executing(&server, "t")), "{}", server.log());
    // The same data plane, and its tasks never stopped: the counts are those of all points.
    assert_eq!(server.dataplane_pid(), Some(dataplane));
    let seen = load.end();
    let count = highest_count(&server, "t") as u64;
    let accepted = seen.accepted.load(Ordering::Relaxed);
    assert!(count >= accepted / 2 && count <= accepted, "{count} of {accepted}");
    let troubles = [&seen.failed, &seen.unavailable, &seen.other].map(|count| count.load(Ordering::Relaxed));
    assert_eq!(troubles, [0, 0, 0], "writes must not notice");
}

#[test]
fn acknowledged_definitions_survive_a_kill() {
    let mut server = Server::start(1, &[]).unwrap();
    for round in 0..3 {
        let pid = server.control_pid();
        let killer = thread::spawn(move || {
            thread::sleep(Duration::from_millis(150));
            signal(pid, "KILL");
        });
        let mut acknowledged = Vec::new();
        for number in 0.. {
            let id = format!("r{round}-{number}");
            match define(&server, &id, COUNTING) {
                Ok(200) => acknowledged.push(id),
                Ok(_) | Err(_) => break,
            }
        }
        killer.join().unwrap();
        server.wait(Duration::from_secs(2)).unwrap();
        server.restart_control().unwrap();
        assert!(
            until(Duration::from_secs(2), || acknowledged.iter().all(|id| is_executing(&server, id))),
            "{}",
            server.log()
        );
        assert!(!acknowledged.is_empty());
    }
}

#[test]
fn sigterm_drains() {
    let sink = Sink::start().unwrap();
    let mut server = Server::start(2, &[]).unwrap();
    let script = format!(
        "stream|from().measurement('cpu').groupBy('host')|alert().crit(lambda: TRUE).post('{}/drain/a')",
        sink.url()
    );
    assert_eq!(define(&server, "t", &script).unwrap(), 200);
    let lines: String = (0..500).map(|point| format!("cpu,host=h{} v={point} {point}\n", point % 7)).collect();
    assert_eq!(server.write("d", "r", &lines).unwrap().status, 204);
    let dataplane = server.dataplane_pid().unwrap();
    signal(server.control_pid(), "TERM");
    let status = server.wait(Duration::from_secs(10)).unwrap().expect("the server must end");
    assert!(status.success(), "{status}\n{}", server.log());
    assert_eq!(sink.count("/drain"), 500, "{}", server.log());
    assert!(until(Duration::from_secs(1), || !std::path::Path::new(&format!("/proc/{dataplane}")).exists()));
}

#[test]
fn a_hung_receiver_stalls_nothing() {
    // Accepts connections and never answers.
    let hung = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let server = Server::start(2, &[]).unwrap();
    let url = hung.local_addr().unwrap();
    let script = format!("stream|from().measurement('cpu')|alert().crit(lambda: TRUE).post('http://{url}')");
    assert_eq!(define(&server, "hung", &script).unwrap(), 200);
    assert_eq!(define(&server, "other", COUNTING).unwrap(), 200);
    let lines: String = (0..20_000).map(|point| format!("cpu,host=h v={point} {point}\n")).collect();
    let start = Instant::now();
    for _ in 0..5 {
        assert_eq!(server.write("d", "r", &lines).unwrap().status, 204);
    }
    assert!(until(Duration::from_secs(5), || highest_count(&server, "other") == 100_000));
    assert!(start.elapsed() < Duration::from_secs(15));
    let vars = server.call("GET", "/kapacitor/v1/debug/vars", None).unwrap();
    assert_eq!(vars.status, 200);
}
