//! What the API does beside the recorded cases, over the public port.

#![allow(clippy::unwrap_used)]

use std::{io::Read, time::Duration};

use dataplane::udf::wire::{Raw, Reader};
use farad_tests::{
    http, process,
    server::{Server, until},
};
use serde_json::json;

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

/// The fields of a message of Protocol Buffers by number, those that are bytes.
fn messages(bytes: &[u8], number: u32) -> Vec<&[u8]> {
    let field = |field| match field {
        Ok((found, Raw::Bytes(bytes))) if found == number => Some(bytes),
        Ok(_) => None,
        Err(error) => panic!("{error}"),
    };
    Reader(bytes).filter_map(field).collect()
}

#[test]
fn profiles_name_what_both_processes_do() {
    let server = Server::start(1, &[]).unwrap();
    let lines: String = (0..20_000).map(|point| format!("m,host=h{point} v={point} {point}\n")).collect();
    assert_eq!(server.define("t", "stream|from().groupBy('host')|window().periodCount(9).everyCount(9)").unwrap(), 200);
    let (taken, profile) = std::thread::scope(|scope| {
        let profile = scope.spawn(|| {
            server.call("GET", "/kapacitor/v1/debug/pprof/profile?seconds=2&process=dataplane", None).unwrap()
        });
        let mut taken = 0;
        while !profile.is_finished() {
            taken += u32::from(server.write("d", "r", &lines).unwrap().status == 204);
        }
        (taken, profile.join().unwrap())
    });
    assert!(taken > 0, "writes go on meanwhile");
    let heap = server.call("GET", "/kapacitor/v1/debug/pprof/heap", None).unwrap();
    for (name, answer, function) in [("cpu", profile, "dataplane::"), ("heap", heap, "dataplane::")] {
        assert_eq!(answer.status, 200, "{}", answer.text());
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&answer.body[..]).read_to_end(&mut plain).unwrap();
        let texts: Vec<_> = messages(&plain, 6).into_iter().map(String::from_utf8_lossy).collect();
        assert_eq!(texts[0], "");
        assert!(texts.iter().any(|text| text.contains(function)), "{name}: {texts:?}");
        let (samples, locations) = (messages(&plain, 2), messages(&plain, 4).len());
        assert!(!samples.is_empty() && locations > 0, "{name}");
        for sample in samples {
            let ints = |wanted: u32| {
                Reader(sample).filter_map(Result::ok).filter_map(move |(number, value)| match value {
                    Raw::Int(x) if number == wanted => Some(x),
                    _ => None,
                })
            };
            assert!(ints(1).all(|location| (1..=locations as i64).contains(&location)));
            assert_eq!(ints(2).count(), 2);
        }
    }
    let answer = server.call("GET", "/kapacitor/v1/debug/pprof/goroutine?debug=1", None).unwrap();
    assert!(answer.status == 404 && answer.text().contains("Unknown profile"), "{}", answer.text());
}

#[test]
fn statistics_are_points_of_the_servers_own_stream() {
    let server = Server::start(2, &[("KAPACITOR_STATS_STATS_INTERVAL", "200ms")]).unwrap();
    let define = |id: &str, script: &str| {
        let task = json!({ "id": id, "status": "enabled", "script": script });
        server.call("POST", "/kapacitor/v1/tasks", Some(&task.to_string())).unwrap()
    };
    let of = |measurement: &str| format!("dbrp \"_kapacitor\".\"autogen\"\nstream|from().measurement('{measurement}')");
    assert_eq!(define("k", &(of("kapacitor") + "|httpOut('o')")).status, 200);
    let nodes = of("nodes") + ".where(lambda: \"task\" == 'k' AND \"node\" == 'from1')|httpOut('o')";
    assert_eq!(define("n", &nodes).status, 200);
    let row = |id: &str| {
        let answer = server.call("GET", &format!("/kapacitor/v1/tasks/{id}/o"), None).unwrap().json();
        answer["series"][0].clone()
    };
    assert!(until(Duration::from_secs(10), || !row("k").is_null() && !row("n").is_null()), "{}", server.log());
    let kapacitor = row("k");
    assert_eq!(kapacitor["columns"], json!(["time", "num_enabled_tasks", "num_subscriptions", "num_tasks", "uptime"]));
    assert_eq!((&kapacitor["values"][0][1], kapacitor.get("tags")), (&json!(2), None));
    let nodes = row("n");
    assert_eq!(nodes["columns"], json!(["time", "avg_exec_time_ns", "errors", "working_cardinality"]));
    assert_eq!((&nodes["tags"]["kind"], &nodes["tags"]["host"]), (&json!("from"), &json!("localhost")));
}

#[test]
fn definitions_are_loaded_from_a_folder_and_go_with_their_files() {
    let folder = tempfile::tempdir().unwrap();
    let put = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    put("templates/lim.tick", "dbrp \"d\".\"r\"\nvar m string\nstream|from().measurement(m)|httpOut('o')");
    put("tasks/plain.tick", "dbrp \"d\".\"r\"\nstream|from().measurement('a')|httpOut('one')");
    put("tasks/made.yaml", "template-id: lim\nvars:\n  m: {type: string, value: b}\n");
    put("handlers/h.json", r#"{"topic":"loaded","id":"h","kind":"log","options":{"path":"/dev/null"}}"#);
    let path = folder.path().display().to_string();
    let server = Server::start(1, &[("KAPACITOR_LOAD_ENABLED", "true"), ("KAPACITOR_LOAD_DIR", &path)]).unwrap();
    let status = |path: &str| server.call("GET", &format!("/kapacitor/v1/{path}"), None).unwrap().status;
    let all = ["templates/lim", "tasks/plain/one", "tasks/made/o", "alerts/topics/loaded/handlers/h"];
    assert!(until(Duration::from_secs(10), || all.iter().all(|path| status(path) == 200)), "{}", server.log());
    // A task that changed, and files that are gone.
    put("tasks/plain.tick", "dbrp \"d\".\"r\"\nstream|from().measurement('a')|httpOut('two')");
    std::fs::remove_file(folder.path().join("tasks/made.yaml")).unwrap();
    std::fs::remove_file(folder.path().join("handlers/h.json")).unwrap();
    process::signal(server.control_pid(), "HUP");
    let changed = || {
        status("tasks/plain/two") == 200
            && status("tasks/made") == 404
            && status("alerts/topics/loaded/handlers/h") == 404
            && status("templates/lim") == 200
    };
    assert!(until(Duration::from_secs(10), changed), "{}", server.log());
    // A bad file is named and counted; everything else stays.
    put("tasks/bad.tick", "stream|nothing()");
    process::signal(server.control_pid(), "HUP");
    assert!(until(Duration::from_secs(10), || server.log().contains("bad.tick")), "{}", server.log());
    let vars = server.call("GET", "/kapacitor/v1/debug/vars", None).unwrap().json();
    let load = vars["kapacitor"].as_object().unwrap().values().find(|statistic| statistic["name"] == "load").cloned();
    assert_eq!(load.unwrap()["values"]["errors"], 1);
    assert_eq!((status("tasks/plain/two"), status("tasks/bad")), (200, 404));
}
