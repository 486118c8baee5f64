//! `/metrics` as a scraper reads it: the text format is read strictly, and what must add up does.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is the point of a test")]

use std::collections::BTreeMap;

use farad_tests::server::{COUNTING, Server};

struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// Type of each family, and all samples; panics at what a strict reader would refuse.
fn read(text: &str) -> (BTreeMap<String, String>, Vec<Sample>) {
    assert!(text.ends_with('\n'));
    let (mut types, mut samples): (BTreeMap<String, String>, Vec<Sample>) = Default::default();
    let mut family = String::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let (keyword, rest) = comment.split_once(' ').unwrap();
            let (name, rest) = rest.split_once(' ').unwrap();
            match keyword {
                "HELP" => assert!(!rest.is_empty(), "{line}"),
                "TYPE" => {
                    assert!(["counter", "gauge", "histogram", "summary"].contains(&rest), "{line}");
                    let before = types.insert(name.to_owned(), rest.to_owned());
                    assert!(before.is_none(), "two types of {name}");
                    name.clone_into(&mut family);
                }
                _ => panic!("{line}"),
            }
            continue;
        }
        let sample = sample(line);
        let suffix = sample.name.strip_prefix(&*family).unwrap_or_else(|| panic!("{line} is not of {family}"));
        let suffixes: &[&str] = match &*types[&family] {
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        assert!(suffixes.contains(&suffix), "{line} in a {}", types[&family]);
        let again = samples.iter().any(|other| other.name == sample.name && other.labels == sample.labels);
        assert!(!again, "{line} stands twice");
        samples.push(sample);
    }
    (types, samples)
}

fn sample(line: &str) -> Sample {
    let end = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(end);
    let is_name = |name: &str| {
        let mut chars = name.chars();
        chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    assert!(is_name(name), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (key, behind) = rest.split_once("=\"").unwrap();
            assert!(is_name(key), "{line}");
            let (mut value, mut chars) = (String::new(), behind.char_indices());
            let close = loop {
                match chars.next().unwrap() {
                    (at, '"') => break at,
                    (_, '\\') => value.push(match chars.next().unwrap().1 {
                        'n' => '\n',
                        c @ ('\\' | '"') => c,
                        c => panic!("\\{c} in {line}"),
                    }),
                    (_, c) => value.push(c),
                }
            };
            assert!(labels.insert(key.to_owned(), value).is_none(), "{line}");
            rest = &behind[close + 1..];
            match rest.split_at(1) {
                (",", more) => rest = more,
                ("}", more) => {
                    rest = more;
                    break;
                }
                _ => panic!("{line}"),
            }
        }
    }
    let value = rest.strip_prefix(' ').unwrap().parse().unwrap();
    Sample { name: name.to_owned(), labels, value }
}

#[test]
fn a_strict_reader_takes_the_metrics_and_they_add_up() {
    let server = Server::start(2, &[]).unwrap();
    assert_eq!(server.define("counting", COUNTING).unwrap(), 200);
    let odd = "m\\\"\\\\,x=y v=1 1\n";
    for n in 0..20 {
        let written = server.write("d", "r", &format!("cpu,host=h{n} v=1 1\n{odd}")).unwrap();
        assert_eq!(written.status, 204);
    }
    let answer = server.call("GET", "/metrics", None).unwrap();
    let (types, samples) = read(&answer.text());
    let named = |name: &str| samples.iter().filter(|sample| sample.name == name).collect::<Vec<_>>();

    assert_eq!(types["farad_write_duration_seconds"], "histogram");
    let mut writes = 0.0;
    for shard in ["0", "1"] {
        let of = |name: &str| {
            let found = named(name).into_iter().filter(|sample| sample.labels["shard"] == shard);
            found.collect::<Vec<_>>()
        };
        let buckets = of("farad_write_duration_seconds_bucket");
        let bounds: Vec<f64> = buckets.iter().map(|bucket| bucket.labels["le"].parse().unwrap()).collect();
        assert!(bounds.is_sorted() && bounds.last() == Some(&f64::INFINITY), "{bounds:?}");
        assert!(buckets.is_sorted_by_key(|bucket| bucket.value));
        let count = of("farad_write_duration_seconds_count")[0].value;
        assert_eq!(buckets.last().unwrap().value, count);
        let sum = of("farad_write_duration_seconds_sum")[0].value;
        assert!(sum >= 0.0 && (count == 0.0 || sum > 0.0), "{sum} of {count}");
        writes += count;
    }
    // The start writes an empty body or more.
    assert!(writes >= 21.0, "{writes}");

    let measurements: Vec<&str> =
        named("farad_ingress_points_total").iter().map(|sample| &*sample.labels["measurement"]).collect();
    assert!(measurements.contains(&"cpu"), "{measurements:?}");
    assert!(measurements.iter().any(|name| name.contains('"') && name.contains('\\')), "{measurements:?}");
    let collected = named("farad_node_collected_total");
    let stream = collected.iter().find(|node| node.labels["task"] == "counting" && node.labels["node"] == "stream0");
    assert_eq!(stream.unwrap().value, 20.0);
    assert!(named("farad_node_execution_seconds").iter().any(|node| node.value > 0.0));
    assert_eq!(types["farad_api_request_duration_seconds"], "histogram");
    assert_eq!(types["farad_limit"], "gauge");
}
