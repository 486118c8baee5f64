use std::path::Path;

use super::*;

fn load_text(text: &str, environment: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let environment: Vec<_> = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    load(Some(file.path()), &environment, Vec::new())
}

#[test]
fn without_a_file_everything_has_its_default() {
    let loaded = load(Some(Path::new("/dev/null")), &[("HOME".into(), "/home/x".into())], Vec::new()).unwrap();
    assert_eq!(loaded.config.http.bind_address, ":9092");
    assert_eq!(loaded.config.store_path(), Path::new("/home/x/.kapacitor/farad.store"));
    assert_eq!(loaded.config.influxdb[0].urls, ["http://localhost:8086"]);
    assert!(loaded.warnings.is_empty());
}

#[test]
fn a_file_of_the_original_is_read_and_what_is_odd_is_named() {
    let text = "hostname = \"h\"\nwhat = 1\n[HTTP]\nBind-Address = \"127.0.0.1:1234\"\nnope = 1\n[[influxdb]]\nenabled = true\n\
        default = true\nname = \"a\"\n[[influxdb]]\nname = \"b\"\nenabled = false\n[collectd]\nenabled = true\n[graphite]\nenabled = false\n[slack]\nnope = 2\n[reporting]\nenabled = true\n";
    let loaded = load_text(text, &[]).unwrap();
    assert_eq!(loaded.config.address().unwrap().port(), 1234);
    assert_eq!(loaded.config.influxdb[1].urls, ["http://localhost:8086"]);
    assert_eq!(loaded.warnings.len(), 4, "{:?}", loaded.warnings);
    let line = |number: usize, what: &str| format!("line {number}: {what}: unknown, has no effect");
    for (warning, expected) in loaded.warnings.iter().zip([
        line(2, "what"),
        line(5, "http.nope"),
        "line 13: collectd: this section is not built yet and has no effect".to_owned(),
        line(18, "slack.nope"),
    ]) {
        assert!(warning.ends_with(&expected), "{warning}");
    }
}

#[test]
fn unknown_keys_are_named_at_any_depth() {
    let text = "[[slack]]\nworkspace = \"a\"\n[[slack]]\nworkspace = \"b\"\nnope = 1\n[udf.functions.F]\nprog = \"/bin/f\"\n\
        timeout = \"1s\"\nnope = 1\n[[farad.lines]]\nnope = 1\n[[httppost]]\nendpoint = \"e\"\nurl = \"http://x\"\n\
        basic-auth = { username = \"u\", nope = 1 }\n";
    let loaded = load_text(text, &[("KAPACITOR_HTTP_NOPE", "1"), ("KAPACITOR_VERSION", "1.5.1")]).unwrap();
    let ends = [
        "line 5: slack.nope: unknown, has no effect",
        "line 9: udf.functions.F.nope: unknown, has no effect",
        "line 11: farad.lines.nope: unknown, has no effect",
        "line 15: httppost.basic-auth.nope: unknown, has no effect",
        "KAPACITOR_HTTP_NOPE: leads to nothing in the configuration, has no effect",
    ];
    assert_eq!(loaded.warnings.len(), ends.len(), "{:?}", loaded.warnings);
    for (warning, end) in loaded.warnings.iter().zip(ends) {
        assert!(warning.ends_with(end), "{warning}");
    }
    assert_eq!(loaded.config.udf.functions["F"].prog, "/bin/f");
    assert_eq!(loaded.config.httppost[0].basic_auth.username, "u");
}

#[test]
fn variables_come_before_the_file() {
    let environment = [
        ("KAPACITOR_HTTP_BIND_ADDRESS", ":1"),
        ("KAPACITOR_DATA_DIR", "/data"),
        ("KAPACITOR_INFLUXDB_0_URLS_0", "http://influx:8086"),
        ("KAPACITOR_INFLUXDB_0_EXCLUDED_SUBSCRIPTIONS__kapacitor_0", "x"),
        ("KAPACITOR_INFLUXDB_1_NAME", "ignored"),
        ("KAPACITOR_STATS_ENABLED", "F"),
        ("KAPACITOR_SMTP_TO_10", "k@x"),
        ("KAPACITOR_SMTP_TO_9", "j@x"),
    ];
    let recipients: Vec<_> = (0..9).map(|number| (format!("KAPACITOR_SMTP_TO_{number}"), "a@x")).collect();
    let recipients = recipients.iter().rev().map(|(name, value)| (name.as_str(), *value));
    let environment: Vec<_> = environment.into_iter().chain(recipients).collect();
    let config = load_text("[http]\nbind-address = \":2\"\n", &environment).unwrap().config;
    assert_eq!((config.http.bind_address.as_str(), config.data_dir.as_str()), (":1", "/data"));
    assert_eq!(config.influxdb[0].urls, ["http://influx:8086"]);
    assert_eq!(config.influxdb[0].excluded_subscriptions["_kapacitor"], ["x"]);
    assert!(!config.stats.enabled);
    let recipients = config.elements("smtp")[0]["to"].as_array().unwrap();
    assert_eq!((recipients.len(), recipients[10].as_str()), (11, Some("k@x")));
}

#[test]
fn bad_values_name_their_place() {
    let error = |text: &str| load_text(text, &[]).unwrap_err().to_string();
    assert!(error("\n[http]\nbind-address = 1\n").contains("line 3: http.bind-address wants a string, not an integer"));
    assert!(error("[http\n").contains("line 1"));
    assert!(error("[farad]\nreceive = \"kqueue\"\n").contains("auto, io_uring or epoll"));
    assert!(error("[http]\nshutdown-timeout = \"5x\"\n").contains("line 2: http.shutdown-timeout: time: unknown unit"));
    assert!(error("[http]\nshutdown-timeout = 5\n").contains("line 2: http.shutdown-timeout: time: missing unit"));
    assert!(load_text("[http]\nshutdown-timeout = 0\n", &[]).is_ok());
    assert!(error("[slack]\n\n[[influxdb]]\nurls = []\n").contains("line 3: influxdb: must specify at least one"));
    let slack = "[[slack]]\nurl = \"http://x\"\n[[slack]]\nworkspace = \"b\"\nenabled = true\n";
    assert!(error(slack).contains("line 3: slack: must specify url"), "{}", error(slack));
    assert!(error("[[influxdb]]\nhttp-port = 70000\n").contains("http-port"));
    let environment = [("KAPACITOR_HTTP_SHUTDOWN_TIMEOUT", "5x")];
    let variable = load_text("", &environment).unwrap_err().to_string();
    assert!(variable.contains("KAPACITOR_HTTP_SHUTDOWN_TIMEOUT: time: unknown unit"), "{variable}");
    assert!(
        load_text("", &[("KAPACITOR_STATS_ENABLED", "maybe")])
            .unwrap_err()
            .to_string()
            .contains("KAPACITOR_STATS_ENABLED")
    );
    let limit = error("[farad]\n\nring-blocks-max = 5000\n");
    assert!(limit.contains("line 3: farad.ring-blocks-max wants a number from 1 to 4096, not 5000"), "{limit}");
    assert!(error("[farad]\nbody-bytes-max = -1\n").contains("line 2: farad.body-bytes-max wants a number from 1024"));
    assert!(error("[farad]\nudf-bytes-max = \"1\"\n").contains("line 2: farad.udf-bytes-max wants an integer"));
    assert!(error("[farad]\ntask-groups-max = -1\n").contains("line 2: farad.task-groups-max wants a number from 0"));
    let variable = load_text("", &[("KAPACITOR_FARAD_OUTPUTS_MAX", "0")]).unwrap_err().to_string();
    assert!(variable.contains("KAPACITOR_FARAD_OUTPUTS_MAX: wants a number from 1"), "{variable}");
    assert!(error("[[influxdb]]\nname=\"a\"\n[[influxdb]]\nname=\"b\"\n").contains("marked as default"));
}

#[test]
fn limits_are_given_to_the_data_plane() {
    let environment = [("KAPACITOR_FARAD_BODY_BYTES_MAX", "4096"), ("KAPACITOR_FARAD_CONNECTIONS_MAX", "9")];
    let limits = load_text("[farad]\nring-blocks-max = 8\nbody-bytes-max = 2048\n", &environment);
    let limits = limits.unwrap().config.limits().unwrap();
    assert_eq!((limits.ring_blocks_max, limits.body_bytes_max, limits.connections_max), (8, 4096, 9));
    assert_eq!(limits.udf_bytes_max, 64 << 20);
}

#[test]
fn every_key_is_documented() {
    let document = include_str!("../../../docs/configuration.md");
    let names = |value: &toml::Value| -> Vec<String> {
        match value {
            toml::Value::Table(table) => table.keys().cloned().collect(),
            toml::Value::Array(elements) => {
                elements.iter().filter_map(toml::Value::as_table).flat_map(|table| table.keys().cloned()).collect()
            }
            _ => Vec::new(),
        }
    };
    for (section, value) in sections::defaults("/home/x") {
        let heads = [format!("`[{section}]`"), format!("`[[{section}]]`"), format!("`{section}`")];
        let names_it = |line: &str| {
            let place = match value {
                toml::Value::Table(_) | toml::Value::Array(_) => line.split('|').nth(1),
                _ => Some(line),
            };
            line.starts_with('|') && place.is_some_and(|place| heads.iter().any(|head| place.contains(head)))
        };
        let start = document.lines().position(names_it);
        let start = start.unwrap_or_else(|| panic!("{section} is missing in docs/configuration.md"));
        // The rows of a section: its own and those without a name that follow.
        let rows: Vec<&str> = document
            .lines()
            .skip(start)
            .enumerate()
            .take_while(|(at, line)| *at == 0 || line.starts_with("| |"))
            .map(|(_, line)| line)
            .collect();
        for key in names(&value) {
            assert!(
                rows.iter().any(|row| row.contains(&format!("`{key}`"))),
                "{section}.{key} is missing in docs/configuration.md"
            );
        }
    }
}

#[test]
fn the_texts_of_deadman_are_those_that_a_script_gets_without_a_configuration() {
    let loaded = load(Some(Path::new("/dev/null")), &[], Vec::new()).unwrap();
    let (texts, own) = (loaded.config.deadman.texts(), crate::tick::DeadmanTexts::default());
    assert_eq!((texts.id, texts.message), (own.id, own.message));
    assert_eq!(loaded.config.deadman.of_all(), None);
}

#[test]
fn queues_of_handlers_have_a_least_and_a_greatest_length() {
    let length = |length: &str| {
        let text = format!("[alert]\npersist-topics = false\ntopic-buffer-length = {length}\n");
        let config = load_text(&text, &[]).unwrap().config;
        (config.alert.persist_topics, config.alert.buffer_length())
    };
    assert_eq!([length("999"), length("-1"), length("1000")], [(false, 5_000), (false, 5_000), (false, 1_000)]);
    assert_eq!(length("9223372036854775807"), (false, 1_000_000));
}

#[test]
fn a_kubernetes_section_needs_no_list_and_no_index_and_discovers_nothing() {
    let text = "[kubernetes]\nenabled = true\napi-servers = [\"http://a\"]\nresource = \"pod\"\n";
    let environment = [("KAPACITOR_KUBERNETES_TOKEN", "one"), ("KAPACITOR_KUBERNETES_0_API_SERVERS_1", "http://b")];
    let loaded = load_text(text, &environment).unwrap();
    let access = loaded.config.kubernetes_access("").unwrap();
    assert_eq!((access.token.as_str(), access.urls.len()), ("one", 2));
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
    let warning = "line 4: kubernetes.resource: discovery is not built yet, this has no effect";
    assert!(loaded.warnings[0].ends_with(warning), "{:?}", loaded.warnings);
    let off = text.replace("true", "false");
    let loaded = load_text(&off, &[]).unwrap();
    assert!(loaded.warnings.is_empty());
    assert_eq!(loaded.config.kubernetes_access("").unwrap_err(), "service is not enabled");
    assert_eq!(
        loaded.config.kubernetes_access("x").unwrap_err(),
        "unknown kubernetes cluster \"x\", cannot get client"
    );
}
