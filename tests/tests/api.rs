//! What the API does beside the recorded cases, over the public port.

#![allow(clippy::unwrap_used)]

use std::{io::Read, time::Duration};

use dataplane::udf::wire::{Raw, Reader};
use farad_tests::{
    http, process,
    server::{Server, until},
};
use flate2::read::GzDecoder;
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
    let windowed = "dbrp \"d\".\"r\"\nstream|from()|window().periodCount(1).everyCount(1)|log()";
    assert_eq!(define("w", windowed).status, 200);
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
    assert_eq!((&kapacitor["values"][0][1], kapacitor.get("tags")), (&json!(3), None));
    let vars = server.call("GET", "/kapacitor/v1/debug/vars", None).unwrap().json();
    let edge = |parent: &str| {
        let mut all = vars["kapacitor"].as_object().unwrap().values();
        let found =
            all.find(|one| one["name"] == "edges" && one["tags"]["task"] == "w" && one["tags"]["parent"] == parent);
        found.map(|edge| edge["tags"]["type"].clone())
    };
    assert_eq!((edge("from1"), edge("window2")), (Some(json!("stream")), Some(json!("batch"))));
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

#[test]
fn what_is_no_part_of_the_api_has_none_of_its_headers() {
    let server = Server::start(1, &[]).unwrap();
    for method in ["PURGE", "TRACE", "get"] {
        let answer = server.call(method, "/kapacitor/v1/ping", None).unwrap();
        assert_eq!((answer.status, answer.header("request-id")), (404, None), "{method}");
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(answer.text(), "{\n    \"error\": \"Not Found\"\n}");
    }
    let answer = server.call("GET", "/kapacitor//v1/ping?a&b", None).unwrap();
    assert_eq!((answer.status, answer.header("location")), (301, Some("/kapacitor/v1/ping?a&b")));
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(answer.text().contains("?a&amp;b"), "{}", answer.text());
    let answer = server.call("GET", &format!("/kapacitor/v1/tasks?pattern={}", "x".repeat(70_000)), None).unwrap();
    assert_eq!(answer.status, 414);
    assert!(answer.text().contains("65534 bytes at most"), "{}", answer.text());
}

/// `Accept-Encoding` with `gzip` in it: every route and status, also of the data plane, also without a body.
#[test]
fn answers_are_packed_for_whoever_accepts_them() {
    let server = Server::start(1, &[]).unwrap();
    let ask = |method: &str, path: &str, body: Option<&str>, headers: &[(&str, &str)]| {
        let answer = http::request(server.address, method, path, headers, body.map(str::as_bytes)).unwrap();
        (answer.status, answer.header("content-encoding").map(str::to_owned), answer.body)
    };
    for (method, path, body, status, bodiless, packs) in [
        ("POST", "/write?db=d&rp=r", Some("cpu v=1"), 204, true, true),
        ("POST", "/write?db=d&rp=r", Some("cpu v=1x"), 400, false, true),
        ("GET", "/kapacitor/v1/ping", None, 204, true, true),
        ("GET", "/kapacitor/v1/tasks", None, 200, false, true),
        ("GET", "/kapacitor/v1/tasks/none", None, 404, false, true),
        ("DELETE", "/kapacitor/v1/tasks/none", None, 204, true, true),
        ("OPTIONS", "/kapacitor/v1/tasks", None, 200, true, false),
        ("GET", "/kapacitor/v1/storage/backup", None, 200, false, false),
    ] {
        let (plain_status, plain_encoding, plain) = ask(method, path, body, &[]);
        assert_eq!((plain_status, plain_encoding, plain.is_empty()), (status, None, bodiless), "{method} {path}");
        let (packed_status, encoding, packed) = ask(method, path, body, &[("Accept-Encoding", "deflate, gzip;q=0")]);
        let expected = packs.then_some("gzip");
        assert_eq!((packed_status, encoding.as_deref()), (status, expected), "{method} {path}");
        if packs && !bodiless {
            let mut unpacked = Vec::new();
            GzDecoder::new(&*packed).read_to_end(&mut unpacked).unwrap();
            assert_eq!(String::from_utf8_lossy(&unpacked), String::from_utf8_lossy(&plain), "{method} {path}");
        } else {
            assert_eq!(packed.is_empty(), bodiless, "{method} {path}");
        }
    }
}

#[test]
fn endpoints_of_running_tasks_are_routes() {
    let server = Server::start(1, &[]).unwrap();
    assert_eq!(server.define("t", "stream|from()|httpOut('a b')\nstream|from()|httpOut('c')").unwrap(), 200);
    let routes = || server.call("GET", "/kapacitor/v1/:routes", None).unwrap().json();
    let listed = routes();
    assert_eq!(listed["/kapacitor/v1/tasks/t/a b"], json!(["GET"]));
    assert_eq!(listed["/kapacitor/v1/tasks/t/c"], json!(["GET"]));
    server.call("DELETE", "/kapacitor/v1/tasks/t", None).unwrap();
    assert_eq!(routes()["/kapacitor/v1/tasks/t/c"], json!(null));
}

#[test]
fn answers_say_the_first_base_whichever_was_asked() {
    let server = Server::start(1, &[]).unwrap();
    let href = |path: &str| {
        let answer = server.call("GET", &format!("/kapacitor/v1preview/alerts/topics{path}"), None).unwrap().json();
        answer["link"]["href"].clone()
    };
    assert_eq!(href("?pattern=*"), "/kapacitor/v1/alerts/topics?pattern=*");
    assert_eq!(href("/x/handlers?pattern=a"), "/kapacitor/v1/alerts/topics/x/handlers?pattern=a");
}

#[test]
fn the_beginning_of_a_level_is_enough_and_what_is_below_a_topic_has_an_id() {
    let server = Server::start(1, &[]).unwrap();
    let handler = json!({ "id": "h", "kind": "log", "options": { "path": "/dev/null" } }).to_string();
    let path = "/kapacitor/v1/alerts/topics";
    assert_eq!(server.call("POST", &format!("{path}/t/handlers"), Some(&handler)).unwrap().status, 200);
    let get = |below: &str| server.call("GET", &format!("{path}{below}"), None).unwrap();
    for (level, topics) in [("", 1), ("O", 1), ("ok", 1), ("Info", 0), ("WARN", 0), ("crit", 0)] {
        let listed = get(&format!("?min-level={level}")).json();
        assert_eq!(listed["topics"].as_array().map(Vec::len), Some(topics), "{level}: {listed}");
    }
    assert_eq!(get("?min-level=bad").json()["error"], "unknown alert level 'BAD'");
    assert_eq!((get("/t/events/").status, get("/t/handlers/").status, get("/t/other/").status), (404, 404, 200));
}

#[test]
fn there_are_three_log_levels() {
    let server = Server::start(1, &[]).unwrap();
    let level = |body: &str| {
        let answer = server.call("POST", "/kapacitor/v1/loglevel", Some(body)).unwrap();
        (answer.status, answer.json()["error"].as_str().unwrap_or_default().to_owned())
    };
    for word in ["DEBUG", "debug", "Info", "error"] {
        assert_eq!(level(&format!("{{\"Level\":\"{word}\"}}")).0, 204, "{word}");
    }
    for word in ["WARN", "OFF", ""] {
        assert_eq!(level(&format!("{{\"level\":\"{word}\"}}")), (400, "invalid log level".to_owned()));
    }
    assert_eq!(level(""), (400, "invalid json: EOF".to_owned()));
    assert!(level("[]").1.starts_with("invalid json: "));
}

/// Services that came after the clients that know 1.5 are listed once they are configured, and can be tried before.
#[test]
fn newer_services_are_listed_once_they_are_configured() {
    let server = Server::start(1, &[]).unwrap();
    let names = || {
        let all = server.call("GET", "/kapacitor/v1/service-tests?pattern=t*", None).unwrap().json();
        all["services"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(), ["talk", "telegram", "triton"]);
    let answer = server.call("POST", "/kapacitor/v1/service-tests/teams", Some("null")).unwrap();
    assert_eq!(answer.text(), "{\"success\":false,\"message\":\"service is not enabled\"}\n");
    let set = json!({ "set": { "channel-url": "http://127.0.0.1:1/", "enabled": true } }).to_string();
    assert_eq!(server.call("POST", "/kapacitor/v1/config/teams/", Some(&set)).unwrap().status, 204);
    assert_eq!(names(), ["talk", "teams", "telegram", "triton"]);
    let answer = server.call("POST", "/kapacitor/v1/service-tests/teams", Some("null")).unwrap();
    assert_eq!(answer.json()["success"], false);
    assert!(answer.text().contains("Connection refused"), "it was tried: {}", answer.text());
    // Options that 1.5 does not know stay out of sight, too.
    let influxdb = server.call("GET", "/kapacitor/v1/config/influxdb/default", None).unwrap().json();
    assert_eq!(influxdb["options"].get("compression"), None, "{influxdb}");
    let set = json!({ "set": { "compression": "gzip" } }).to_string();
    assert_eq!(server.call("POST", "/kapacitor/v1/config/influxdb/default", Some(&set)).unwrap().status, 204);
    let influxdb = server.call("GET", "/kapacitor/v1/config/influxdb/default", None).unwrap().json();
    assert_eq!(influxdb["options"]["compression"], "gzip");
}

/// A line of a log node has its message and its context where all lines have them.
#[test]
fn lines_of_log_nodes_are_ordered_as_others() {
    let server = Server::start(1, &[]).unwrap();
    assert_eq!(server.define("t", "stream|from()|log().prefix('a b')").unwrap(), 200);
    server.write("d", "r", "m,h=x v=1,s=\"y=z\" 5").unwrap();
    let line = || server.log().lines().find(|line| line.contains("msg=point")).map(str::to_owned);
    assert!(until(Duration::from_secs(5), || line().is_some()), "{}", server.log());
    let expected = " lvl=info msg=point service=kapacitor task_master=main task=t node=log2 prefix=\"a b\" name=m db=d rp=r \
                    group= tag_h=x field_v=1 field_s=y=z time=1970-01-01T00:00:00.000000005Z";
    assert!(line().unwrap().ends_with(expected), "{}", line().unwrap());
}
