//! Who may do what, over the public port: every kind of route with no, wrong, limited and full credentials.

// What helps a test may panic as the test may.
#![allow(clippy::unwrap_used)]

use std::{
    io::{BufReader, Write},
    net::TcpStream,
    path::Path,
    sync::Arc,
    time::Duration,
};

use farad_tests::{
    http::{self, Answer, basic},
    server::{Server, binaries, until},
};
use serde_json::json;

fn call(server: &Server, method: &str, path: &str, authorization: Option<&str>, body: Option<&str>) -> Answer {
    let headers: Vec<(&str, &str)> = authorization.map(|value| ("Authorization", value)).into_iter().collect();
    http::request(server.address, method, path, &headers, body.map(str::as_bytes)).unwrap()
}

fn start() -> Server {
    let environment = [("KAPACITOR_HTTP_AUTH_ENABLED", "true"), ("KAPACITOR_AUTH_BCRYPT_COST", "4")];
    let server = Server::spawn(2, &environment).unwrap();
    let closed = || server.call("GET", "/kapacitor/v1/ping", None).is_ok_and(|answer| answer.status == 401);
    assert!(until(Duration::from_secs(20), closed), "{}", server.log());
    server
}

#[test]
fn routes_and_credentials() {
    let server = start();
    let user = |name: &str, kind: &str, permissions: &[&str]| {
        json!({ "name": name, "password": "pw", "type": kind, "permissions": permissions }).to_string()
    };
    let users = "/kapacitor/v1/users";
    // The first administrator is made by whoever comes; nobody else is.
    assert_eq!(call(&server, "POST", users, None, Some(&user("root", "admin", &[]))).status, 200);
    assert_eq!(call(&server, "POST", users, None, Some(&user("eve", "admin", &[]))).status, 401);
    let root = basic("root", "pw");
    for (name, permissions) in
        [("api", &["api"][..]), ("config", &["config_api"]), ("writer", &["write_points"]), ("nothing", &["none"])]
    {
        let body = user(name, "normal", permissions);
        assert_eq!(call(&server, "POST", users, Some(&root), Some(&body)).status, 200);
    }
    // What each of api, config, writer, nothing and root gets.
    let rows: &[(&str, &str, Option<&str>, [u16; 5])] = &[
        ("GET", "/kapacitor/v1/ping", None, [204, 204, 204, 204, 204]),
        ("GET", "/kapacitor/v1/tasks", None, [200, 403, 403, 403, 200]),
        ("GET", "/kapacitor/v1preview/tasks", None, [200, 403, 403, 403, 200]),
        ("POST", "/kapacitor/v1/tasks", Some("{}"), [400, 403, 403, 403, 400]),
        ("PATCH", "/kapacitor/v1/tasks/x", Some("{}"), [404, 403, 403, 403, 404]),
        ("DELETE", "/kapacitor/v1/tasks/x", None, [204, 403, 403, 403, 204]),
        ("GET", "/kapacitor/v1/templates", None, [200, 403, 403, 403, 200]),
        ("GET", "/kapacitor/v1/alerts/topics", None, [200, 403, 403, 403, 200]),
        ("DELETE", "/kapacitor/v1/alerts/topics/x", None, [204, 403, 403, 403, 204]),
        ("HEAD", "/kapacitor/v1/ping", None, [204, 204, 204, 204, 204]),
        ("GET", "/kapacitor/v1/tasks/x", None, [404, 403, 403, 403, 404]),
        ("POST", "/kapacitor/v1/templates", Some("{}"), [400, 403, 403, 403, 400]),
        ("GET", "/kapacitor/v1/templates/x", None, [404, 403, 403, 403, 404]),
        ("PATCH", "/kapacitor/v1/templates/x", Some("{}"), [404, 403, 403, 403, 404]),
        ("DELETE", "/kapacitor/v1/templates/x", None, [204, 403, 403, 403, 204]),
        ("GET", "/kapacitor/v1/recordings", None, [200, 403, 403, 403, 200]),
        ("GET", "/kapacitor/v1/recordings/x", None, [500, 403, 403, 403, 500]),
        ("DELETE", "/kapacitor/v1/recordings/x", None, [204, 403, 403, 403, 204]),
        ("POST", "/kapacitor/v1/recordings/stream", None, [400, 403, 403, 403, 400]),
        ("POST", "/kapacitor/v1/recordings/batch", None, [400, 403, 403, 403, 400]),
        ("POST", "/kapacitor/v1/recordings/query", None, [400, 403, 403, 403, 400]),
        ("GET", "/kapacitor/v1/replays", None, [200, 403, 403, 403, 200]),
        ("POST", "/kapacitor/v1/replays", None, [400, 403, 403, 403, 400]),
        ("GET", "/kapacitor/v1/replays/x", None, [404, 403, 403, 403, 404]),
        ("DELETE", "/kapacitor/v1/replays/x", None, [204, 403, 403, 403, 204]),
        ("POST", "/kapacitor/v1/replays/batch", None, [400, 403, 403, 403, 400]),
        ("POST", "/kapacitor/v1/replays/query", None, [400, 403, 403, 403, 400]),
        ("GET", "/kapacitor/v1/alerts/topics/x", None, [404, 403, 403, 403, 404]),
        ("POST", "/kapacitor/v1/alerts/topics/x/handlers", None, [400, 403, 403, 403, 400]),
        ("PUT", "/kapacitor/v1/alerts/topics/x/handlers/h", None, [404, 403, 403, 403, 404]),
        ("PATCH", "/kapacitor/v1/alerts/topics/x/handlers/h", None, [404, 403, 403, 403, 404]),
        ("GET", "/kapacitor/v1/config/smtp/", None, [403, 200, 403, 403, 200]),
        ("GET", "/kapacitor/v1/service-tests/slack", None, [200, 403, 403, 403, 200]),
        ("POST", "/kapacitor/v1/service-tests/slack", Some("{}"), [200, 403, 403, 403, 200]),
        ("GET", "/kapacitor/v1/storage/stores", None, [200, 403, 403, 403, 200]),
        ("POST", "/kapacitor/v1/storage/stores/x", Some("{}"), [404, 403, 403, 403, 404]),
        ("POST", "/kapacitor/v1/users", Some("{}"), [403, 403, 403, 403, 400]),
        ("GET", "/kapacitor/v1/users/x", None, [403, 403, 403, 403, 404]),
        ("PATCH", "/kapacitor/v1/users/x", Some("{}"), [403, 403, 403, 403, 404]),
        ("GET", "/kapacitor/v1/authorize?db=d", None, [401, 401, 204, 401, 204]),
        ("POST", "/kapacitor/v1/subscriptions", None, [204, 403, 403, 403, 204]),
        ("POST", "/kapacitor/v1/sideload/reload", None, [204, 403, 403, 403, 204]),
        ("GET", "/kapacitor/v1preview/logs?x=1&x=2", None, [400, 403, 403, 403, 400]),
        ("GET", "/", None, [404, 403, 403, 403, 404]),
        ("GET", "/kapacitor/v1/config", None, [403, 200, 403, 403, 200]),
        ("POST", "/kapacitor/v1/config/smtp/", Some("{}"), [403, 204, 403, 403, 204]),
        ("GET", "/kapacitor/v1/service-tests", None, [200, 403, 403, 403, 200]),
        ("GET", "/kapacitor/v1/storage/backup", None, [200, 403, 403, 403, 200]),
        ("POST", "/kapacitor/v1/loglevel", Some("{\"level\":\"info\"}"), [204, 403, 403, 403, 204]),
        ("GET", "/kapacitor/v1/debug/vars", None, [200, 403, 403, 403, 200]),
        ("GET", "/kapacitor/v1/debug/limits", None, [200, 403, 403, 403, 200]),
        ("GET", "/kapacitor/v1/debug/pprof/", None, [200, 403, 403, 403, 200]),
        ("GET", "/kapacitor/v1/debug/pprof/cmdline", None, [200, 403, 403, 403, 200]),
        ("GET", "/kapacitor/v1/debug/pprof/profile?seconds=x", None, [400, 403, 403, 403, 400]),
        ("GET", "/kapacitor/v1/debug/pprof/symbol", None, [200, 403, 403, 403, 200]),
        ("GET", "/kapacitor/v1/debug/pprof/trace", None, [404, 403, 403, 403, 404]),
        ("GET", "/kapacitor/v1/:routes", None, [200, 403, 403, 403, 200]),
        ("GET", "/metrics", None, [200, 403, 403, 403, 200]),
        ("GET", "/kapacitor/v1/nosuch", None, [404, 403, 403, 403, 404]),
        ("GET", "/kapacitor/v1/users", None, [403, 403, 403, 403, 200]),
        ("DELETE", "/kapacitor/v1/users/x", None, [403, 403, 403, 403, 204]),
        ("POST", "/write?db=d", Some("m v=1"), [401, 401, 204, 401, 204]),
        ("POST", "/kapacitor/v1/write?db=d", Some("bad"), [401, 401, 400, 401, 400]),
        ("OPTIONS", "/kapacitor/v1/tasks", None, [200, 200, 200, 200, 200]),
        ("GET", "//kapacitor/v1/ping", None, [301, 301, 301, 301, 301]),
    ];
    // Every route is in the table.
    let routes = call(&server, "GET", "/kapacitor/v1/:routes", Some(&root), None).json();
    for (pattern, methods) in routes.as_object().unwrap() {
        let is_of = |path: &str| {
            let path = path.split('?').next().unwrap();
            path == pattern || pattern.ends_with('/') && path.starts_with(pattern.as_str())
        };
        for method in methods.as_array().unwrap() {
            let anything = matches!(pattern.as_str(), "/" | "/kapacitor/v1preview/") || method == "OPTIONS";
            let found = rows.iter().any(|(known, path, ..)| (anything || *known == method) && is_of(path));
            assert!(anything || found, "{method} {pattern} is not in the table");
        }
    }
    for (method, path, body, expected) in rows {
        let open = matches!(expected[3], 200 | 301) && *path != "/kapacitor/v1/ping";
        let refused = if open { expected[3] } else { 401 };
        let without = call(&server, method, path, None, *body);
        assert_eq!(without.status, refused, "{method} {path} without credentials");
        for wrong in [basic("root", "x"), basic("nobody", "pw"), basic("~subscriber", "x"), "Bearer a.b.c".to_owned()] {
            assert_eq!(
                call(&server, method, path, Some(&wrong), *body).status,
                refused,
                "{method} {path} with {wrong}"
            );
        }
        for (name, status) in ["api", "config", "writer", "nothing", "root"].into_iter().zip(expected) {
            let answer = call(&server, method, path, Some(&basic(name, "pw")), *body);
            assert_eq!(answer.status, *status, "{method} {path} as {name}: {}", answer.text());
            // The same in the query.
            let mark = if path.contains('?') { '&' } else { '?' };
            let target = format!("{path}{mark}u={name}&p=pw");
            assert_eq!(call(&server, method, &target, None, *body).status, *status, "{method} {target}");
        }
    }
    let answer = call(&server, "GET", "/kapacitor/v1/tasks", None, None);
    assert_eq!(answer.text(), r#"{"error":"unable to parse authentication credentials"}"#);
    let answer = call(&server, "POST", "/write?db=d", Some(&basic("api", "pw")), Some("m v=1"));
    assert_eq!(answer.text(), "\"api\" user is not authorized to write to database \"d\"\n");
    // A user that is gone can do nothing more, not even on the data plane, which knew them.
    assert_eq!(call(&server, "DELETE", "/kapacitor/v1/users/writer", Some(&root), None).status, 204);
    assert_eq!(call(&server, "POST", "/write?db=d", Some(&basic("writer", "pw")), Some("m v=1")).status, 401);
}

/// Sends requests over one TLS connection and returns their answers.
fn over_tls(server: &Server, requests: &[String]) -> Vec<Answer> {
    try_over_tls(server, requests).unwrap()
}

fn try_over_tls(server: &Server, requests: &[String]) -> std::io::Result<Vec<Answer>> {
    use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let socket = TcpStream::connect(server.address)?;
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut stream = BufReader::new(rustls::StreamOwned::new(client, socket));
    let mut answers = Vec::new();
    for request in requests {
        stream.get_mut().write_all(request.as_bytes())?;
        answers.push(http::read_answer(&mut stream, false)?);
    }
    Ok(answers)
}

fn certificate() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tls/localhost.pem").to_string_lossy().into_owned()
}

/// While there is no data plane the control plane speaks TLS itself.
#[test]
fn without_a_data_plane_tls_clients_are_answered() {
    let environment = [
        ("KAPACITOR_HTTP_HTTPS_ENABLED", "true"),
        ("KAPACITOR_HTTP_HTTPS_CERTIFICATE", &certificate()),
        ("KAPACITOR_FARAD_DATAPLANE", "/bin/false"),
    ];
    let server = Server::spawn(1, &environment).unwrap();
    let requests = [
        "GET /kapacitor/v1/ping HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        "POST /write?db=d HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nm v=1".to_owned(),
    ];
    let answered = || {
        // A connection has one answer there.
        let answer = |request: &String| try_over_tls(&server, std::slice::from_ref(request)).ok()?.pop();
        let (Some(ping), Some(write)) = (answer(&requests[0]), answer(&requests[1])) else { return false };
        assert_eq!((ping.status, write.status, write.header("retry-after")), (204, 503, Some("1")));
        true
    };
    assert!(until(Duration::from_secs(20), answered), "{}", server.log());
}

/// The start of a server waits for an answer over plain HTTP; here TLS must be tried.
fn start_with_tls() -> Server {
    let environment = [("KAPACITOR_HTTP_HTTPS_ENABLED", "true"), ("KAPACITOR_HTTP_HTTPS_CERTIFICATE", &certificate())];
    let server = Server::spawn(2, &environment).unwrap();
    let up = || {
        let farad = std::process::Command::new(binaries().join("farad"))
            .args(["-url", &format!("https://{}", server.address), "-skipVerify", "list", "tasks"])
            .output()
            .unwrap();
        farad.status.success()
    };
    assert!(until(Duration::from_secs(20), up), "{}", server.log());
    server
}

#[test]
fn writes_and_requests_over_tls() {
    let server = start_with_tls();
    let script = "stream|from().measurement('m')|httpOut('o')";
    let task =
        json!({ "id": "t", "status": "enabled", "script": script, "dbrps": [{ "db": "d", "rp": "r" }] }).to_string();
    let request = |method: &str, path: &str, body: &str| {
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    let large: String = (0..20_000).map(|point| format!("m,host=h{} v={point} {point}\n", point % 100)).collect();
    let answers = over_tls(
        &server,
        &[
            request("POST", "/kapacitor/v1/tasks", &task),
            request("POST", "/write?db=d&rp=r", "m v=1 1"),
            request("POST", "/write?db=d&rp=r", &large),
            request("GET", "/kapacitor/v1/tasks/t", ""),
        ],
    );
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 204, 204, 200], "{}", server.log());
    let counted = || {
        let answer = over_tls(&server, &[request("GET", "/kapacitor/v1/tasks/t", "")]).remove(0);
        answer.json()["stats"]["node-stats"]["from1"]["collected"] == 20_001
    };
    assert!(until(Duration::from_secs(5), counted));
    // A client that does not speak TLS gets nothing.
    let plain = http::request(server.address, "GET", "/kapacitor/v1/ping", &[], None);
    assert!(plain.is_err(), "{plain:?}");
}
