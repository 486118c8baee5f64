//! Autoscale nodes against stand-ins for what they scale.

#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    io::Write,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use farad_tests::{
    server::{Server, until},
    stand_in::{Reply, Request, StandIn},
};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(10);

/// Copies by the path of what runs them.
type Copies = Arc<Mutex<BTreeMap<String, i64>>>;

fn copies(of: &[(&str, i64)]) -> Copies {
    Arc::new(Mutex::new(of.iter().map(|(path, copies)| ((*path).to_owned(), *copies)).collect()))
}

fn refusal(status: u16, body: impl Into<String>) -> Reply {
    Reply { status, ..Reply::from(body.into()) }
}

/// A server with these sections in its configuration.
fn server(shards: usize, sections: &str) -> (Server, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (server_in(folder.path(), shards, sections, &[]), folder)
}

/// The same, with its recordings in this folder.
fn server_in(folder: &Path, shards: usize, sections: &str, environment: &[(&str, &str)]) -> Server {
    let file = folder.join("farad.toml");
    std::fs::write(&file, format!("[replay]\ndir = {folder:?}\n{sections}")).unwrap();
    let path = file.display().to_string();
    Server::start(shards, &[&[("KAPACITOR_CONFIG_PATH", &*path)], environment].concat()).unwrap()
}

fn define(server: &Server, id: &str, script: &str, status: &str) -> (u16, String) {
    let definition = json!({
        "id": id, "type": "stream", "status": status, "script": script, "dbrps": [{"db": "d", "rp": "r"}],
    });
    let answer = server.call("POST", "/kapacitor/v1/tasks", Some(&definition.to_string())).unwrap();
    (answer.status, answer.text())
}

/// What a service test says; empty: all is well.
fn tested(server: &Server, service: &str, id: &str) -> String {
    let (path, body) = (format!("/kapacitor/v1/service-tests/{service}"), json!({ "id": id }).to_string());
    let answer = server.call("POST", &path, Some(&body)).unwrap().json();
    assert_eq!(answer["success"], answer["message"] == "", "{answer}");
    answer["message"].as_str().unwrap().to_owned()
}

fn task(server: &Server, id: &str) -> Value {
    server.call("GET", &format!("/kapacitor/v1/tasks/{id}"), None).unwrap().json()
}

/// Waits until the task's httpOut shows the text.
fn shows(server: &Server, id: &str, expected: &str) {
    let seen = || server.call("GET", &format!("/kapacitor/v1/tasks/{id}/o"), None).unwrap().text();
    assert!(until(LIMIT, || seen().contains(expected)), "{} lacks {expected}\n{}", seen(), server.log());
}

mod kubernetes {
    use super::*;

    /// An API server that lets `secret` in and knows the resources at these paths.
    fn api(copies: Copies) -> StandIn {
        StandIn::start(move |request: &Request| answer(request, &copies)).unwrap()
    }

    fn answer(request: &Request, copies: &Copies) -> Reply {
        let status =
            |code: u16, message: &str| refusal(code, json!({"kind": "Status", "message": message}).to_string());
        if request.header("authorization") != "Bearer secret" {
            return status(401, "Unauthorized");
        }
        let (method, path) = request.call.split_once(' ').unwrap();
        if path == "/api" {
            return Reply::from(r#"{"kind":"APIVersions","versions":["v1"]}"#);
        }
        let mut copies = copies.lock().unwrap();
        let Some(current) = path.strip_suffix("/scale").and_then(|path| copies.get_mut(path)) else {
            return status(404, "no such resource");
        };
        if method == "PATCH" {
            let patch: Value = serde_json::from_str(&request.body).unwrap();
            assert_eq!(request.header("content-type"), "application/json-patch+json");
            assert_eq!(patch[0]["path"], "/spec/replicas");
            assert_eq!(patch[0]["op"], if *current == 0 { "add" } else { "replace" });
            *current = patch[0]["value"].as_i64().unwrap();
        }
        // As the real one: no copies are left out.
        let spec = if *current == 0 { json!({}) } else { json!({ "replicas": *current }) };
        Reply::from(json!({ "kind": "Scale", "metadata": {"name": "x"}, "spec": spec }).to_string())
    }

    fn section(urls: &[&str]) -> String {
        format!("[[kubernetes]]\nenabled = true\nid = \"c\"\napi-servers = {urls:?}\ntoken = \"secret\"\n")
    }

    const WEB: &str = "/apis/apps/v1/namespaces/prod/deployments/web";
    const OLD: &str = "/apis/extensions/v1beta1/namespaces/prod/deployments/old";
    const SCRIPT: &str = "stream|from().measurement('m').groupBy('app', 'host')
        |k8sAutoscale().cluster('c').namespace('prod').resourceNameTag('app').replicas(lambda: int(\"v\"))
            .min(2).max(9).increaseCooldown(10s).kindTag('')
        |httpOut('o')";

    #[test]
    fn deployments_are_asked_for_and_set() {
        for shards in [1, 2] {
            let copies = copies(&[(WEB, 0), (OLD, 4)]);
            let api = api(copies.clone());
            let (server, _folder) = server(shards, &section(&["http://127.0.0.1:1", &api.url()]));
            assert_eq!(define(&server, "t", SCRIPT, "enabled").0, 200, "{}", server.log());
            // Two hosts of one deployment share its cooldown; what is out of bounds is brought in.
            let lines = "m,app=web,host=a v=3 1000000000\nm,app=web,host=b v=5 2000000000\n\
                         m,app=old,host=a v=-1 3000000000\nm,app=web,host=b v=100 12000000000\n\
                         m,app=none,host=a v=1 13000000000\n";
            server.write("d", "r", lines).unwrap();
            shows(
                &server,
                "t",
                r#"{"app":"web","host":"a","namespace":"prod","resource":"web"},"columns":["time","new","old"],"values":[["1970-01-01T00:00:01Z",3,0]]"#,
            );
            shows(
                &server,
                "t",
                r#"{"app":"old","host":"a","namespace":"prod","resource":"old"},"columns":["time","new","old"],"values":[["1970-01-01T00:00:03Z",2,4]]"#,
            );
            shows(&server, "t", r#""values":[["1970-01-01T00:00:12Z",9,3]]"#);
            assert_eq!(copies.lock().unwrap().values().copied().collect::<Vec<_>>(), [9, 2]);
            let node = || task(&server, "t")["stats"]["node-stats"]["k8s_autoscale2"].clone();
            assert!(until(LIMIT, || node()["errors"] == 1), "{}", node());
            let counted = ["increase_events", "decrease_events", "cooldown_drops"].map(|name| node()[name].as_u64());
            assert_eq!(counted, [Some(2), Some(1), Some(1)]);
            let said = "could not determine initial scale for \\\"prod/deployments/none\\\": \
                        failed to get scale prod/deployments/none: no such resource";
            assert!(server.log().contains(said), "{}", server.log());
            assert!(!server.log().contains("secret"));
            assert_eq!(tested(&server, "kubernetes", "c"), "");
            assert_eq!(tested(&server, "kubernetes", "x"), "unknown kubernetes cluster \"x\"");
        }
    }

    #[test]
    fn a_cluster_that_cannot_be_used_refuses_the_start() {
        let off = section(&["http://x"]).replace("true", "false").replace("\"c\"", "\"off\"");
        let (server, _folder) = server(1, &off);
        for (cluster, why) in
            [("c", "unknown kubernetes cluster \\\"c\\\", cannot get client"), ("off", "service is not enabled")]
        {
            let answer = define(&server, "t", &SCRIPT.replace("'c'", &format!("'{cluster}'")), "enabled");
            let text = format!("cannot use the k8sAutoscale node, could not create kubernetes client: {why}");
            assert!(answer.0 == 500 && answer.1.contains(&text), "{answer:?}");
            server.call("DELETE", "/kapacitor/v1/tasks/t", None).unwrap();
        }
        assert_eq!(tested(&server, "kubernetes", "off"), "failed to get client: service is not enabled");
    }

    /// Somebody who never answers holds up neither other tasks nor the end of the one that waits.
    #[test]
    fn a_service_that_hangs_keeps_points_of_its_task_alone() {
        let (copies, open) = (copies(&[(WEB, 1)]), Arc::new(AtomicBool::new(false)));
        let (kept, closed) = (copies.clone(), open.clone());
        let api = StandIn::start(move |request: &Request| {
            until(3 * LIMIT, || closed.load(Ordering::Relaxed));
            answer(request, &kept)
        });
        let api = api.unwrap();
        let (server, _folder) = server(2, &section(&[&api.url()]));
        for id in ["stays", "goes"] {
            assert_eq!(define(&server, id, SCRIPT, "enabled").0, 200, "{}", server.log());
        }
        assert_eq!(define(&server, "other", "stream|from().measurement('m')|httpOut('o')", "enabled").0, 200);
        server.write("d", "r", "m,app=web,host=a v=3 1000000000\nm,app=web,host=a v=5 20000000000\n").unwrap();
        shows(&server, "other", "1970-01-01T00:00:20Z");
        assert!(until(LIMIT, || api.requests().len() == 2), "{:?}", api.requests());
        assert_eq!(server.call("DELETE", "/kapacitor/v1/tasks/goes", None).unwrap().status, 204);
        assert!(until(LIMIT, || server.log().contains("the task ended before the answer")), "{}", server.log());
        assert_eq!(task(&server, "stays")["stats"]["node-stats"]["k8s_autoscale2"]["emitted"], 0);
        open.store(true, Ordering::Relaxed);
        shows(&server, "stays", r#""values":[["1970-01-01T00:00:20Z",5,3]]"#);
        assert_eq!(copies.lock().unwrap()[WEB], 5);
    }

    #[test]
    fn a_replay_scales_and_waits_for_each_answer() {
        let copies = copies(&[(WEB, 1)]);
        let api = api(copies.clone());
        let folder = tempfile::tempdir().unwrap();
        let mut file =
            GzEncoder::new(std::fs::File::create(folder.path().join("r.srpl")).unwrap(), Compression::fast());
        for number in 0..30_000 {
            writeln!(file, "d\nr\nm,app=web v={} {number}000000000", 2 + number / 5_000).unwrap();
        }
        file.finish().unwrap();
        let server = server_in(folder.path(), 2, &section(&[&api.url()]), &[]);
        assert_eq!(define(&server, "t", &SCRIPT.replace(".increaseCooldown(10s)", ""), "disabled").0, 200);
        let replay = json!({"id": "p", "task": "t", "recording": "r", "clock": "fast", "recording-time": true});
        let answer = server.call("POST", "/kapacitor/v1/replays", Some(&replay.to_string())).unwrap();
        assert_eq!(answer.status, 201, "{}", answer.text());
        let replay = || server.call("GET", "/kapacitor/v1/replays/p", None).unwrap();
        assert!(until(LIMIT, || replay().status == 200), "{}", server.log());
        assert_eq!(replay().json()["status"], "finished", "{}", replay().text());
        assert_eq!(
            replay().json()["stats"]["node-stats"]["k8s_autoscale2"]["increase_events"],
            6,
            "{}",
            replay().text()
        );
        assert_eq!(copies.lock().unwrap()[WEB], 7);
    }
}

mod swarm {
    use super::*;

    /// A manager that knows the services at these paths; with `too_old` it refuses the versions of old clients.
    fn manager(copies: Copies, too_old: bool) -> StandIn {
        StandIn::start(move |request: &Request| answer(request, &copies, too_old)).unwrap()
    }

    fn answer(request: &Request, copies: &Copies, too_old: bool) -> Reply {
        let message = |code: u16, message: &str| refusal(code, json!({ "message": message }).to_string());
        let (method, path) = request.call.split_once(' ').unwrap();
        if path == "/info" {
            return Reply::from(json!({ "ServerVersion": if too_old { "" } else { "17.06" } }).to_string());
        }
        let path = match (path.strip_prefix("/v1.30"), too_old) {
            (Some(_), true) => {
                return message(400, "client version 1.30 is too old. Minimum supported API version is 1.44");
            }
            (versioned, _) => versioned.unwrap_or(path),
        };
        let mut copies = copies.lock().unwrap();
        if method == "GET" {
            let Some(current) = copies.get(path) else { return message(404, "service not found") };
            let mode = if *current < 0 { json!({"Global": {}}) } else { json!({"Replicated": {"Replicas": current}}) };
            let spec = json!({"Name": "web", "Labels": {"a": "b"}, "Mode": mode});
            return Reply::from(json!({"ID": "x1", "Version": {"Index": 17}, "Spec": spec}).to_string());
        }
        assert_eq!((method, path, request.parameter("version")), ("POST", "/services/x1/update", "17"));
        let spec: Value = serde_json::from_str(&request.body).unwrap();
        // What it does not know goes back as it was.
        assert_eq!(spec["Labels"]["a"], "b");
        let wanted = spec["Mode"]["Replicated"]["Replicas"].as_i64().unwrap();
        if wanted > 8 {
            return message(500, "update out of sequence");
        }
        copies.insert("/services/web".to_owned(), wanted);
        Reply::from("{}")
    }

    const SCRIPT: &str = "stream|from().measurement('m')
        |swarmAutoscale().serviceNameTag('service').replicas(lambda: \"now\" + \"v\").currentField('now')
        |httpOut('o')";

    #[test]
    fn services_are_asked_for_and_set() {
        for (shards, too_old) in [(1, false), (2, true)] {
            let copies = copies(&[("/services/web", 2), ("/services/everywhere", -1)]);
            let manager = manager(copies.clone(), too_old);
            let urls = ["http://127.0.0.1:1", &manager.url()];
            let (server, _folder) = server(shards, &format!("[swarm]\nenabled = true\nservers = {urls:?}\n"));
            assert_eq!(define(&server, "t", SCRIPT, "enabled").0, 200, "{}", server.log());
            let lines = "m,service=web v=3i 1000000000\nm,service=web v=9i 2000000000\nm,service=web v=-1i 3000000000\n\
                         m,service=everywhere v=1i 4000000000\n";
            server.write("d", "r", lines).unwrap();
            shows(
                &server,
                "t",
                r#"{"name":"m","tags":{"service":"web"},"columns":["time","new","old"],"values":[["1970-01-01T00:00:03Z",4,5]]}"#,
            );
            assert_eq!(copies.lock().unwrap()["/services/web"], 4);
            let node = || task(&server, "t")["stats"]["node-stats"]["swarm_autoscale2"].clone();
            assert!(until(LIMIT, || node()["errors"] == 2), "{}", node());
            let counted = ["increase_events", "decrease_events", "cooldown_drops"].map(|name| node()[name].as_u64());
            assert_eq!(counted, [Some(1), Some(1), Some(0)]);
            assert_eq!(tested(&server, "swarm", ""), if too_old { "got empty version from server" } else { "" });
            assert!(server.log().contains("update service request failed for \\\"web\\\": update out of sequence"));
        }
    }

    #[test]
    fn a_cluster_that_is_not_there_refuses_the_start() {
        let (server, _folder) = server(1, "");
        let answer = define(&server, "t", SCRIPT, "enabled");
        let text = "cannot use the swarmAutoscale node, could not create swarm client: \
                    unknown swarm cluster \\\"\\\", cannot get client";
        assert!(answer.0 == 500 && answer.1.contains(text), "{answer:?}");
    }
}

mod ec2 {
    use super::*;

    /// Auto Scaling of one region, with these groups.
    fn region(copies: Copies) -> StandIn {
        StandIn::start(move |request: &Request| answer(request, &copies)).unwrap()
    }

    fn answer(request: &Request, copies: &Copies) -> Reply {
        let day = &request.header("x-amz-date")[..8];
        let signed = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{day}/eu-west-1/autoscaling/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, Signature="
        );
        let error = |code: &str, message: &str| {
            let error = format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>");
            refusal(400, format!("<ErrorResponse>{error}</ErrorResponse>"))
        };
        if !request.header("authorization").starts_with(&signed) {
            return error("SignatureDoesNotMatch", "who is it?");
        }
        assert_eq!(request.call, "POST /");
        let parameter = |name: &str| request.body.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
        assert_eq!(parameter("Version"), Some("2011-01-01"));
        let mut copies = copies.lock().unwrap();
        if parameter("Action") == Some("DescribeAutoScalingGroups") {
            let found = parameter("AutoScalingGroupNames.member.1").and_then(|name| copies.get(name));
            let member =
                |copies| format!("<member><MinSize>0</MinSize><DesiredCapacity>{copies}</DesiredCapacity></member>");
            let members = found.map(member).unwrap_or_default();
            let result = format!("<AutoScalingGroups>{members}</AutoScalingGroups>");
            return Reply::from(format!(
                "<DescribeAutoScalingGroupsResponse>{result}</DescribeAutoScalingGroupsResponse>"
            ));
        }
        assert_eq!((parameter("Action"), parameter("HonorCooldown")), (Some("SetDesiredCapacity"), Some("false")));
        let wanted: i64 = parameter("DesiredCapacity").unwrap().parse().unwrap();
        if wanted > 8 {
            return error(
                "ValidationError",
                "New SetDesiredCapacity value 9 is above max value 8 for the AutoScalingGroup.",
            );
        }
        copies.insert(parameter("AutoScalingGroupName").unwrap().to_owned(), wanted);
        Reply::from("<SetDesiredCapacityResponse/>")
    }

    const SECTION: &str = "[[ec2]]\nenabled = true\nid = \"e\"\nregion = \"eu-west-1\"\naccess-key = \"AKIDEXAMPLE\"\n\
                           secret-key = \"hidden\"\nport = 80\n";
    const SCRIPT: &str = "stream|from().measurement('m')
        |ec2Autoscale().cluster('e').groupNameTag('asg').outputGroupNameTag('group').replicas(lambda: \"v\")
        |httpOut('o')";

    #[test]
    fn groups_are_asked_for_and_set() {
        for shards in [1, 2] {
            let copies = copies(&[("web+1", 2)]);
            let region = region(copies.clone());
            let folder = tempfile::tempdir().unwrap();
            let environment = [("AWS_ENDPOINT_URL", &*region.url())];
            let server = server_in(folder.path(), shards, SECTION, &environment);
            assert_eq!(define(&server, "t", SCRIPT, "enabled").0, 200, "{}", server.log());
            let lines = "m,asg=web\\ 1 v=3i 1000000000\nm,asg=web\\ 1 v=9i 2000000000\nm,asg=web\\ 1 v=0i 3000000000\n\
                         m,asg=none v=1i 4000000000\n";
            server.write("d", "r", lines).unwrap();
            shows(
                &server,
                "t",
                r#"{"name":"m","tags":{"group":"web 1"},"columns":["time","new","old"],"values":[["1970-01-01T00:00:03Z",1,3]]}"#,
            );
            assert_eq!(copies.lock().unwrap()["web+1"], 1);
            let node = || task(&server, "t")["stats"]["node-stats"]["ec2_autoscale2"].clone();
            assert!(until(LIMIT, || node()["errors"] == 2), "{}", node());
            assert_eq!(tested(&server, "ec2", "e"), "");
            assert_eq!(tested(&server, "ec2", ""), "discoverer \"\" is not enabled or does not exist");
            let log = server.log();
            assert!(
                log.contains("Failed to set desired capacity ValidationError: New SetDesiredCapacity value 9"),
                "{log}"
            );
            assert!(
                log.contains("ec2.port: discovery is not built yet, this has no effect") && !log.contains("hidden")
            );
        }
    }

    #[test]
    fn a_section_that_is_not_there_refuses_the_start() {
        let (server, _folder) = server(1, SECTION);
        let answer = define(&server, "t", &SCRIPT.replace("'e'", "'x'"), "enabled");
        let text = "cannot use the EC2Autoscale node, could not create ec2 client: \
                    unknown ec2 region \\\"x\\\", cannot get client";
        assert!(answer.0 == 500 && answer.1.contains(text), "{answer:?}");
    }
}
