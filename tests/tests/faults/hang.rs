//! Receivers that hang.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use farad_tests::server::{COUNTING, Server, patience, until};

#[test]
fn a_hung_receiver_stalls_nothing() {
    // Accepts connections and never answers.
    let hung = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let server = Server::start(2, &[]).unwrap();
    let url = hung.local_addr().unwrap();
    let script = format!("stream|from().measurement('cpu')|alert().crit(lambda: TRUE).post('http://{url}')");
    assert_eq!(server.define("hung", &script).unwrap(), 200);
    assert_eq!(server.define("other", COUNTING).unwrap(), 200);
    let lines: String = (0..20_000).map(|point| format!("cpu,host=h v={point} {point}\n")).collect();
    let start = Instant::now();
    for _ in 0..5 {
        assert_eq!(server.write("d", "r", &lines).unwrap().status, 204);
    }
    assert!(until(Duration::from_secs(5), || server.highest_count("other") == 100_000));
    assert!(start.elapsed() < Duration::from_secs(15) * patience());
    let vars = server.call("GET", "/kapacitor/v1/debug/vars", None).unwrap();
    assert_eq!(vars.status, 200);
}

/// The same of httpPost: the graph behind it goes on, and with `codeField` what would wait too long is dropped and counted.
#[test]
fn a_hung_receiver_of_posts_stalls_no_graph() {
    const POINTS: u64 = 15_000;
    let hung = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let server = Server::start(2, &[]).unwrap();
    let url = format!("http://{}", hung.local_addr().unwrap());
    let from = "stream|from().measurement('cpu').groupBy('host')";
    let post = format!("{from}|httpPost('{url}')|stateCount(lambda: TRUE)|httpOut('counts')");
    let code = format!("{from}|httpPost('{url}').codeField('code')|log()");
    assert_eq!(server.define("post", &post).unwrap(), 200);
    assert_eq!(server.define("code", &code).unwrap(), 200);
    for start in (0..POINTS).step_by(3_000) {
        let lines: String = (start..start + 3_000).map(|point| format!("cpu,host=h v={point} {point}\n")).collect();
        assert_eq!(server.write("d", "r", &lines).unwrap().status, 204);
    }
    assert!(until(Duration::from_secs(10), || server.highest_count("post") == POINTS));
    let errors = || {
        let task = server.call("GET", "/kapacitor/v1/tasks/code", None).unwrap().json();
        task["stats"]["node-stats"]["http_post2"]["errors"].as_u64().unwrap_or_default()
    };
    assert!(until(Duration::from_secs(10), || errors() >= POINTS - 10_000), "{}", errors());
}
