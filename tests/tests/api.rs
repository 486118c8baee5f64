//! What the API does beside the recorded cases, over the public port.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use farad_tests::{
    http,
    server::{Server, until},
};

#[test]
fn sideload_files_are_read_anew_without_losing_state() {
    let server = Server::start(2, &[]).unwrap();
    let files = tempfile::tempdir().unwrap();
    let rack = |name: &str| std::fs::write(files.path().join("a.json"), format!("{{\"rack\":\"{name}\"}}")).unwrap();
    rack("one");
    let folder = files.path().display();
    let script = format!(
        "stream|from().groupBy('host')|stateCount(lambda: \"v\" > 0.0)\
         |sideload().source('file://{folder}').order('{{{{.host}}}}.json').field('rack', 'none')|httpOut('o')"
    );
    assert_eq!(server.define("t", &script).unwrap(), 200);
    let shows = |expected: &str| {
        let seen = || server.call("GET", "/kapacitor/v1/tasks/t/o", None).unwrap().text();
        assert!(until(Duration::from_secs(5), || seen().contains(expected)), "{}\n{}", seen(), server.log());
    };
    server.write("d", "r", "m,host=a v=1 1").unwrap();
    shows(r#""columns":["time","rack","state_count","v"],"values":[["1970-01-01T00:00:00.000000001Z","one",1,1]]"#);
    rack("two");
    let reload = || server.call("POST", "/kapacitor/v1/sideload/reload", None).unwrap();
    assert_eq!(reload().status, 204);
    server.write("d", "r", "m,host=a v=1 2").unwrap();
    shows(r#"["1970-01-01T00:00:00.000000002Z","two",2,1]"#);
    // Files that cannot be read leave everything as it was.
    std::fs::write(files.path().join("a.json"), "{").unwrap();
    let answer = reload();
    assert!(answer.status == 500 && answer.text().contains("a.json"), "{}", answer.text());
    server.write("d", "r", "m,host=a v=1 3").unwrap();
    shows(r#"["1970-01-01T00:00:00.000000003Z","two",3,1]"#);
}

#[test]
fn the_access_log_says_who_asked_for_what() {
    let server = Server::start(1, &[]).unwrap();
    let headers = [("User-Agent", "probe/1"), ("Referer", "http://x/y"), ("Authorization", "Basic YWxpY2U6c2VjcmV0")];
    let target = "/kapacitor/v1/tasks?limit=3&p=hidden";
    assert_eq!(http::request(server.address, "GET", target, &headers, None).unwrap().status, 200);
    let line = || server.log().lines().find(|line| line.contains("limit=3")).map(str::to_owned);
    assert!(until(Duration::from_secs(5), || line().is_some()), "{}", server.log());
    let line = line().unwrap();
    for pair in [
        "msg=\"http request\" service=http host=127.0.0.1 username=alice start=20",
        " method=GET uri=/kapacitor/v1/tasks?limit=3&p=%5BREDACTED%5D protocol=HTTP/1.1 status=200 \
         referer=http://x/y user-agent=probe/1 request-id=",
        " duration=",
    ] {
        assert!(line.contains(pair), "{pair}: {line}");
    }
}
