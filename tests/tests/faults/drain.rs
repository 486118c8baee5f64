//! SIGTERM: what was accepted is worked off, what is handed on arrives, both processes end well.

use std::time::Duration;

use farad_tests::{
    load::{LINES, Load},
    process::{is_alive, signal},
    server::{Server, until},
    sink::Sink,
};

fn alerts_on_every_point(sink: &Sink) -> String {
    let url = sink.url();
    format!("stream|from().measurement('cpu').groupBy('host')|alert().crit(lambda: TRUE).post('{url}/drain/a')")
}

#[test]
fn every_alert_of_what_was_written_arrives() {
    let sink = Sink::start().unwrap();
    let mut server = Server::start(2, &[]).unwrap();
    assert_eq!(server.define("t", &alerts_on_every_point(&sink)).unwrap(), 200);
    let lines: String = (0..500).map(|point| format!("cpu,host=h{} v={point} {point}\n", point % 7)).collect();
    assert_eq!(server.write("d", "r", &lines).unwrap().status, 204);
    let dataplane = server.dataplane_pid().unwrap();
    signal(server.control_pid(), "TERM");
    let status = server.wait(Duration::from_secs(10)).unwrap().expect("the server must end");
    assert!(status.success(), "{status}\n{}", server.log());
    assert_eq!(sink.count("/drain"), 500, "{}", server.log());
    assert!(until(Duration::from_secs(1), || !is_alive(dataplane)));
}

#[test]
fn what_was_accepted_under_load_is_worked_off() {
    let sink = Sink::start().unwrap();
    let mut server = Server::start(2, &[]).unwrap();
    assert_eq!(server.define("t", &alerts_on_every_point(&sink)).unwrap(), 200);
    let load = Load::start(&server);
    assert!(until(Duration::from_secs(5), || load.seen().accepted > 5));
    let dataplane = server.dataplane_pid().unwrap();
    signal(server.control_pid(), "TERM");
    let status = server.wait(Duration::from_secs(20)).unwrap().expect("the server must end");
    assert!(status.success(), "{status}\n{}", server.log());
    assert!(until(Duration::from_secs(1), || !is_alive(dataplane)));
    let seen = load.end();
    assert_eq!((seen.other, seen.without_retry_after), (0, 0), "{seen:?}");
    // A body whose answer was lost with its connection may have been accepted.
    let arrived = sink.count("/drain") as u64;
    let bounds = seen.accepted * LINES..=(seen.accepted + seen.failed) * LINES;
    assert!(bounds.contains(&arrived), "{arrived} alerts, {seen:?}\n{}", server.log());
}
