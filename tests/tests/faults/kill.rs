//! kill -9 of either process under load: the other goes on, and the dead one is back soon with all that was acknowledged.

use std::{
    thread,
    time::{Duration, Instant},
};

use farad_tests::{
    load::{LINES, Load},
    process::signal,
    server::{COUNTING, Server, until},
};

#[test]
fn a_killed_data_plane_is_back_within_two_seconds() {
    let server = Server::start(2, &[]).unwrap();
    for task in 0..20 {
        assert_eq!(server.define(&format!("t{task}"), COUNTING).unwrap(), 200);
    }
    let load = Load::start(&server);
    assert!(until(Duration::from_secs(5), || server.highest_count("t7") > 3));
    let before = server.dataplane_pid().unwrap();
    let accepted = load.seen().accepted;
    signal(before, "KILL");
    let killed = Instant::now();
    // The API never goes away for longer than a connection that was open.
    let answers_soon = until(Duration::from_millis(500), || {
        server.call("GET", "/kapacitor/v1/tasks/t7", None).is_ok_and(|answer| answer.status == 200)
    });
    assert!(answers_soon, "{}", server.log());
    let back = until(Duration::from_secs(2), || {
        load.seen().accepted > accepted + 10 && server.is_executing("t7") && server.highest_count("t7") > 0
    });
    assert!(back, "not back after {:?}\n{}", killed.elapsed(), server.log());
    assert!(server.dataplane_pid().is_some_and(|pid| pid != before));
    assert!((0..20).all(|task| server.is_executing(&format!("t{task}"))));
    let seen = load.end();
    assert_eq!((seen.other, seen.without_retry_after), (0, 0));
}

#[test]
fn without_a_data_plane_the_api_answers_and_writers_are_told_to_come_back() {
    let server = Server::start(2, &[]).unwrap();
    assert_eq!(server.define("before", COUNTING).unwrap(), 200);
    let load = Load::start(&server);
    let (mut answered, mut acknowledged) = (0, vec!["before".to_owned()]);
    // A data plane that dies again and again is started with growing pauses; that is long enough to look around.
    for round in 0..4 {
        let found = until(Duration::from_secs(5), || server.dataplane_pid().is_some());
        assert!(found, "{}", server.log());
        signal(server.dataplane_pid().unwrap(), "KILL");
        let end = Instant::now() + Duration::from_millis(300);
        while Instant::now() < end {
            // Connections to the process that was killed end with it.
            let Ok(tasks) = server.call("GET", "/kapacitor/v1/tasks", None) else { continue };
            assert_eq!(tasks.status, 200, "{}", tasks.text());
            answered += 1;
            let id = format!("r{round}-{answered}");
            match server.define(&id, COUNTING) {
                Ok(200) => acknowledged.push(id),
                Ok(status) => assert_eq!(status, 503),
                Err(_) => {}
            }
        }
    }
    let back = until(Duration::from_secs(2), || acknowledged.iter().all(|id| server.is_executing(id)));
    assert!(back, "{acknowledged:?}\n{}", server.log());
    let before = server.highest_count("before");
    assert!(until(Duration::from_secs(2), || server.highest_count("before") > before));
    let seen = load.end();
    assert!(seen.unavailable > 0 && answered > 0, "{seen:?}, {answered}");
    assert_eq!((seen.other, seen.without_retry_after), (0, 0), "{seen:?}");
}

#[test]
fn writes_and_tasks_go_on_without_the_control_plane() {
    let mut server = Server::start(2, &[]).unwrap();
    assert_eq!(server.define("t", COUNTING).unwrap(), 200);
    let load = Load::start(&server);
    assert!(until(Duration::from_secs(5), || server.highest_count("t") > 3));
    let dataplane = server.dataplane_pid().unwrap();
    signal(server.control_pid(), "KILL");
    server.wait(Duration::from_secs(2)).unwrap();
    let accepted = load.seen().accepted;
    let answer = server.call("GET", "/kapacitor/v1/tasks", None).unwrap();
    assert_eq!((answer.status, answer.json()["error"].is_string()), (503, true));
    assert!(until(Duration::from_secs(2), || load.seen().accepted > accepted + 50));
    server.restart_control().unwrap();
    assert!(until(Duration::from_secs(2), || server.is_executing("t")), "{}", server.log());
    // The same data plane, and its tasks never stopped: the counts are those of all points.
    assert_eq!(server.dataplane_pid(), Some(dataplane));
    let seen = load.end();
    let written = |count: u64| count >= seen.accepted / 2 && count <= seen.accepted;
    assert!(until(Duration::from_secs(2), || written(server.highest_count("t"))), "{seen:?}");
    assert_eq!((seen.failed, seen.unavailable, seen.without_retry_after, seen.other), (0, 0, 0, 0));
}

#[test]
fn acknowledged_definitions_survive_a_kill() {
    let mut server = Server::start(1, &[]).unwrap();
    for round in 0..4 {
        let (control, dataplane) = (server.control_pid(), server.dataplane_pid().unwrap());
        let killer = thread::spawn(move || {
            thread::sleep(Duration::from_millis(150));
            signal(control, "KILL");
            // As when the machine goes down, in every second round.
            if round % 2 == 1 {
                signal(dataplane, "KILL");
            }
        });
        let mut acknowledged = Vec::new();
        for number in 0.. {
            let id = format!("r{round}-{number}");
            match server.define(&id, COUNTING) {
                Ok(200) => acknowledged.push(id),
                Ok(_) | Err(_) => break,
            }
        }
        killer.join().unwrap();
        server.wait(Duration::from_secs(2)).unwrap();
        server.restart_control().unwrap();
        let back = until(Duration::from_secs(2), || acknowledged.iter().all(|id| server.is_executing(id)));
        assert!(back, "{acknowledged:?}\n{}", server.log());
        assert!(!acknowledged.is_empty());
        // Until the new data plane accepts, writers are asked to try again.
        let written = || server.write("d", "r", "cpu,host=h v=1\n").is_ok_and(|answer| answer.status == 204);
        assert!(until(Duration::from_secs(2), written), "{}", server.log());
        assert!(until(Duration::from_secs(2), || server.highest_count(&acknowledged[0]) > 0));
    }
}

#[test]
fn points_are_counted_once() {
    // That the figures of the load mean what the tests above take them for.
    let server = Server::start(2, &[]).unwrap();
    assert_eq!(server.define("t", COUNTING).unwrap(), 200);
    let load = Load::start(&server);
    assert!(until(Duration::from_secs(5), || load.seen().accepted > 20));
    let seen = load.end();
    let total = || server.counts("t").iter().sum::<u64>();
    assert!(until(Duration::from_secs(2), || total() == seen.accepted * LINES), "{} {seen:?}", total());
}
