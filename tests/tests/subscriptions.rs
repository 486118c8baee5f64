//! What is said to something like an InfluxDB 1.x about subscriptions.

#![allow(clippy::unwrap_used)]

use std::{net::UdpSocket, sync::Mutex, time::Duration};

use farad_tests::{
    server::{Server, until},
    stand_in::{Reply, Request, StandIn},
};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(20);

/// One database with one retention policy; remembers the subscription that was made.
fn influxdb() -> StandIn {
    let made: Mutex<Option<(String, String)>> = Mutex::default();
    let answer = move |request: &Request| -> Reply {
        let query = request.query();
        let mut made = made.lock().unwrap();
        let values = |columns: &str, values: &str| {
            format!("{{\"results\":[{{\"series\":[{{\"name\":\"d\",\"columns\":{columns},\"values\":[{values}]}}]}}]}}")
                .into()
        };
        match query.split_whitespace().take(2).collect::<Vec<_>>().join(" ").as_str() {
            "SHOW DATABASES" => values(r#"["name"]"#, r#"["d"]"#),
            "SHOW RETENTION" => values(r#"["name"]"#, r#"["r"]"#),
            "SHOW SUBSCRIPTIONS" => match &*made {
                Some((name, to)) => values(
                    r#"["retention_policy","name","mode","destinations"]"#,
                    &format!(r#"["r","{name}","ANY",["{to}"]]"#),
                ),
                None => r#"{"results":[{}]}"#.into(),
            },
            "CREATE SUBSCRIPTION" => {
                let name = query.split('"').nth(1).unwrap().to_owned();
                let to = query.split('\'').nth(1).unwrap().to_owned();
                *made = Some((name, to));
                r#"{"results":[{}]}"#.into()
            }
            _ => {
                *made = None;
                r#"{"results":[{}]}"#.into()
            }
        }
    };
    StandIn::start(answer).unwrap()
}

/// Does not wait: with credentials the server does not answer just anybody.
fn start(influxdb: &StandIn, more: &[(&str, &str)]) -> Server {
    let url = influxdb.url();
    let environment = [
        ("KAPACITOR_INFLUXDB_0_ENABLED", "true"),
        ("KAPACITOR_INFLUXDB_0_URLS_0", &*url),
        ("KAPACITOR_INFLUXDB_0_SUBSCRIPTIONS_SYNC_INTERVAL", "1s"),
        ("KAPACITOR_HOSTNAME", "127.0.0.1"),
    ];
    Server::spawn(2, &[&environment, more].concat()).unwrap()
}

/// The destination of the subscription that is made.
fn destination(influxdb: &StandIn) -> Option<String> {
    let queries = influxdb.queries();
    let made = queries.iter().find(|query| query.starts_with("CREATE SUBSCRIPTION"))?;
    made.split('\'').nth(1).map(str::to_owned)
}

#[test]
fn points_come_by_udp() {
    let influxdb = influxdb();
    let server = start(&influxdb, &[("KAPACITOR_INFLUXDB_0_SUBSCRIPTION_PROTOCOL", "udp")]);
    let script = "stream|from().measurement('cpu').groupBy('host')|stateCount(lambda: TRUE)|httpOut('counts')";
    server.wait_until_up(LIMIT).unwrap();
    assert_eq!(server.define("t", script).unwrap(), 200);
    assert!(until(LIMIT, || destination(&influxdb).is_some()), "{}", server.log());
    let address = destination(&influxdb).unwrap();
    let address = address.strip_prefix("udp://").unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let arrived = || {
        socket.send_to(b"cpu,host=a v=1", address).unwrap();
        server.highest_count("t") > 0
    };
    assert!(until(LIMIT, arrived), "{}", server.log());
    // Right as it is: it stays at the next look.
    let looks = || influxdb.queries().iter().filter(|query| *query == "SHOW SUBSCRIPTIONS").count();
    let seen = looks();
    assert!(until(LIMIT, || looks() > seen + 1));
    assert!(!influxdb.queries().iter().any(|query| query.starts_with("DROP")), "{:?}", influxdb.queries());
}

#[test]
fn a_subscription_has_the_credentials_that_writers_need() {
    let influxdb = influxdb();
    let server = start(&influxdb, &[("KAPACITOR_HTTP_AUTH_ENABLED", "true")]);
    assert!(until(LIMIT, || destination(&influxdb).is_some()), "{}", server.log());
    let to = destination(&influxdb).unwrap();
    let (credentials, address) = to.strip_prefix("http://").unwrap().split_once('@').unwrap();
    assert_eq!(address, server.address.to_string());
    let (user, token) = credentials.split_once(':').unwrap();
    assert_eq!(user, "~subscriber");
    let write = |password: &str| {
        let basic = farad_tests::http::basic(user, password);
        let header = [("Authorization", basic.as_str())];
        farad_tests::http::request(server.address, "POST", "/write?db=d&rp=r", &header, Some(b"cpu v=1"))
            .unwrap()
            .status
    };
    assert_eq!((write(token), write("wrong")), (204, 401));
    assert!(!server.log().contains(token), "the log does not tell the token");
}

#[test]
fn a_section_that_is_switched_off_loses_its_subscriptions() {
    let influxdb = influxdb();
    let server = start(&influxdb, &[]);
    assert!(until(LIMIT, || destination(&influxdb).is_some()), "{}", server.log());
    let change = json!({ "set": { "disable-subscriptions": true } }).to_string();
    let answer = server.call("POST", "/kapacitor/v1/config/influxdb/default", Some(&change)).unwrap();
    assert_eq!(answer.status, 204, "{}", answer.text());
    let dropped = || influxdb.queries().iter().any(|query| query.starts_with("DROP SUBSCRIPTION \"kapacitor-"));
    assert!(until(LIMIT, dropped), "{:?}", influxdb.queries());
    let change = json!({ "delete": ["disable-subscriptions"] }).to_string();
    server.call("POST", "/kapacitor/v1/config/influxdb/default", Some(&change)).unwrap();
    let made = || influxdb.queries().iter().filter(|query| query.starts_with("CREATE")).count() == 2;
    assert!(until(LIMIT, made), "{:?}", influxdb.queries());
}
