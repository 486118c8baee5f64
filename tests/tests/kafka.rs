//! Alert events on their way to Kafka.
#![allow(clippy::unwrap_used, reason = "a panic is the point of a test")]

use std::time::Duration;

use farad_tests::{
    kafka::{Cluster, Record},
    server::{Server, until},
};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(20);

/// A server that knows a cluster as `main`, besides what is given.
fn server(cluster: &Cluster, more: &[(&str, &str)]) -> Server {
    // The first of the environment's lists is the first broker.
    let broker = cluster.address(0);
    let environment = [
        ("KAPACITOR_KAFKA_0_ENABLED", "true"),
        ("KAPACITOR_KAFKA_0_ID", "main"),
        ("KAPACITOR_KAFKA_0_BROKERS_0", &*broker),
        ("KAPACITOR_KAFKA_0_TIMEOUT", "2s"),
    ];
    Server::start(2, &[&environment[..], more].concat()).unwrap()
}

fn script(handler: &str) -> String {
    format!(
        "stream|from().measurement('cpu').groupBy('host')|alert().crit(lambda: \"v\" > 90.0).message('{{{{ .ID }}}} is hot')\
         .details('').id('{{{{ index .Tags \"host\" }}}}'){handler}"
    )
}

fn define(server: &Server, id: &str, handler: &str) {
    assert_eq!(server.define(id, &script(handler)).unwrap(), 200, "{}", server.log());
}

fn call(server: &Server, method: &str, path: &str, body: &Value) -> (u16, String) {
    let answer = server.call(method, &format!("/kapacitor/v1/{path}"), Some(&body.to_string())).unwrap();
    (answer.status, answer.text())
}

fn write(server: &Server, lines: &str) {
    assert_eq!(server.write("d", "r", lines).unwrap().status, 204);
}

fn expect(cluster: &Cluster, server: &Server, count: usize) -> Vec<Record> {
    assert!(until(LIMIT, || cluster.records().len() >= count), "{:#?}\n{}", cluster.records(), server.log());
    cluster.records()
}

/// The values of a statistic of `debug/vars` by its name and a tag.
fn statistic(server: &Server, name: &str, tag: (&str, &str)) -> Value {
    let all = server.call("GET", "/kapacitor/v1/debug/vars", None).unwrap().json();
    let all = all["kapacitor"].as_object().cloned().unwrap_or_default();
    let found = all.values().find(|one| one["name"] == name && one["tags"][tag.0] == tag.1);
    found.map_or(Value::Null, |one| one["values"].clone())
}

#[test]
fn an_event_is_a_record_under_its_id_in_the_partition_that_its_hash_says() {
    let cluster = Cluster::start(2, 7).unwrap();
    let server = server(&cluster, &[]);
    define(&server, "json", ".kafka().cluster('main').kafkaTopic('alerts')");
    let template = ".template('{{ .Level }} {{ .ID }} {{ index (index .Data.Series 0).Values 0 1 }}')";
    define(
        &server,
        "text",
        &format!(".kafka().cluster('main').kafkaTopic('texts'){template}.partitionHashAlgorithm('murmur2')"),
    );
    let handler = json!({"id": "h", "kind": "kafka", "options": {"cluster": "main", "topic": "of-topic"}});
    assert_eq!(call(&server, "POST", "alerts/topics/main:json:alert2/handlers", &handler).0, 200);

    write(&server, "cpu,host=hello v=95.5 1600000000000000000\n");
    let records = expect(&cluster, &server, 3);
    let find = |topic: &str| records.iter().find(|record| record.topic == topic).unwrap();
    let json = find("alerts");
    let event: Value = serde_json::from_str(json.value.strip_suffix('\n').unwrap()).unwrap();
    let row = json!({
        "name": "cpu", "tags": {"host": "hello"}, "columns": ["time", "v"], "values": [["2020-09-13T12:26:40Z", 95.5]]
    });
    let expected = json!({
        "id": "hello", "message": "hello is hot", "details": "", "time": "2020-09-13T12:26:40Z", "duration": 0,
        "level": "CRITICAL", "data": {"series": [row]}, "previousLevel": "OK", "recoverable": true,
    });
    assert_eq!(event, expected);
    // CRC-32 of "hello" is 907060870, the positive part of its murmur2 2132663229.
    assert_eq!((&*json.key, json.partition), ("hello", 907_060_870 % 7));
    let text = find("texts");
    assert_eq!((&*text.key, &*text.value, text.partition), ("hello", "CRITICAL hello 95.5", 2_132_663_229 % 7));
    assert_eq!(find("of-topic").value, json.value);
    let counted =
        || statistic(&server, "kafka", ("topic", "alerts")) == json!({"write_errors": 0, "write_messages": 1});
    assert!(until(LIMIT, counted), "{}", statistic(&server, "kafka", ("topic", "alerts")));
    let metrics = server.call("GET", "/metrics", None).unwrap().text();
    let line = r#"farad_kafka_records_total{cluster="main",topic="alerts",result="written"} 1"#;
    assert!(metrics.lines().any(|found| found == line), "{metrics}");
}

#[test]
fn what_cannot_be_written_anywhere_is_refused_when_it_is_defined() {
    let cluster = Cluster::start(1, 1).unwrap();
    let server = server(&cluster, &[]);
    for (options, message) in [
        (".cluster('nope').kafkaTopic('t')", "failed to create kafka handler: unknown cluster \"nope\""),
        (".kafkaTopic('t')", "failed to create kafka handler: unknown cluster \"\""),
        (".cluster('main')", "topic must not be empty"),
        (".cluster('main').kafkaTopic('t').template('{{ nope }}')", "failed to parse template"),
        (".cluster('main').kafkaTopic('t').partitionHashAlgorithm('md5')", "invalid partition algorithm: \"md5\""),
    ] {
        let task = json!({
            "id": "t", "type": "stream", "script": script(&format!(".kafka(){options}")), "status": "enabled",
            "dbrps": [{"db": "d", "rp": "r"}],
        });
        let (status, text) = call(&server, "POST", "tasks", &task);
        let error: Value = serde_json::from_str(&text).unwrap();
        let shown = error["error"].as_str().unwrap_or_default();
        assert!(status == 500 && shown.contains(message), "{options}: {status} {text}");
        call(&server, "DELETE", "tasks/t", &Value::Null);
    }
    let handler = json!({"id": "h", "kind": "kafka", "options": {"cluster": "nope", "topic": "t"}});
    let (status, text) = call(&server, "POST", "alerts/topics/x/handlers", &handler);
    assert!(status == 500 && text.contains(r#"unknown cluster \"nope\""#), "{status} {text}");
    // A mechanism that is not there is no configuration.
    let set = json!({"set": {"sasl-mechanism": "GSSAPI"}});
    let (status, text) = call(&server, "POST", "config/kafka/main", &set);
    assert!(status >= 400 && text.contains("GSSAPI is not supported by this version"), "{status} {text}");
}

#[test]
fn a_broker_that_is_away_gets_its_records_when_it_is_back_and_leaders_may_change() {
    let cluster = Cluster::start(2, 3).unwrap();
    let server = server(&cluster, &[]);
    define(&server, "t", ".kafka().cluster('main').kafkaTopic('alerts')");
    write(&server, "cpu,host=a v=95 1\n");
    expect(&cluster, &server, 1);
    // Both brokers go; what comes meanwhile waits.
    cluster.stop(0);
    cluster.stop(1);
    for host in ["b", "c", "d", "e"] {
        write(&server, &format!("cpu,host={host} v=95 1\n"));
    }
    cluster.restart(0).unwrap();
    // Partitions that the other one led have another leader.
    cluster.lead(0);
    let records = expect(&cluster, &server, 5);
    let mut keys: Vec<_> = records.iter().map(|record| &*record.key).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["a", "b", "c", "d", "e"]);
    // Nobody hung up: the broker that is asked leads no more.
    cluster.restart(1).unwrap();
    cluster.lead(1);
    write(&server, "cpu,host=f v=95 1\n");
    assert_eq!(expect(&cluster, &server, 6)[5].key, "f");
    assert!(cluster.asked().iter().all(|topic| topic == "alerts"));
}

#[test]
fn events_that_wait_go_together() {
    let cluster = Cluster::start(1, 1).unwrap();
    let more = [("KAPACITOR_KAFKA_0_BATCH_SIZE", "3"), ("KAPACITOR_KAFKA_0_BATCH_TIMEOUT", "1h")];
    let server = server(&cluster, &more);
    define(&server, "t", ".kafka().cluster('main').kafkaTopic('alerts').disablePartitionById()");
    write(&server, "cpu,host=a v=95 1\ncpu,host=b v=95 1\n");
    write(&server, "cpu,host=c v=95 1\ncpu,host=d v=95 1\ncpu,host=e v=95 1\ncpu,host=f v=95 1\n");
    expect(&cluster, &server, 6);
    assert_eq!(cluster.requests(), [3, 3]);
    // Three of them are too much for the topic, one is not.
    cluster.allow(500);
    write(&server, "cpu,host=g v=95 1\ncpu,host=h v=95 1\ncpu,host=i v=95 1\n");
    expect(&cluster, &server, 9);
    assert_eq!(cluster.requests(), [3, 3, 1, 1, 1]);
}

#[test]
fn a_test_message_says_what_is_wrong_and_the_configuration_may_change() {
    let cluster = Cluster::start(1, 1).unwrap();
    cluster.require("farad", "secret");
    let server = server(&cluster, &[]);
    let test = |options: Value| {
        let (status, text) = call(&server, "POST", "service-tests/kafka", &options);
        assert_eq!(status, 200, "{text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        (answer["success"] == true, answer["message"].as_str().unwrap().to_owned())
    };
    let message = json!({"cluster": "main", "topic": "tests", "key": "k", "message": "{{ m }}"});
    // The broker hangs up on those that do not say who they are.
    assert!(!test(message.clone()).0);
    let set = json!({"set": {"sasl-username": "farad", "sasl-password": "wrong"}});
    assert_eq!(call(&server, "POST", "config/kafka/main", &set).0, 204);
    let (done, error) = test(message.clone());
    assert!(!done && error.contains("refuses the credentials: invalid credentials"), "{error}");
    let set = json!({"set": {"sasl-password": "secret"}});
    assert_eq!(call(&server, "POST", "config/kafka/main", &set).0, 204);
    assert_eq!(test(message), (true, String::new()));
    let record = &cluster.records()[0];
    assert_eq!((&*record.topic, &*record.key, &*record.value), ("tests", "k", "{{ m }}"));
    let (done, error) = test(json!({"cluster": "other"}));
    assert!(!done && error.starts_with("unknown cluster \"other\""), "{error}");
    // A broker that is not there.
    cluster.stop(0);
    let (done, error) = test(json!({"cluster": "main"}));
    assert!(!done && error.contains(&cluster.address(0)), "{error}");
}
