use std::sync::Arc;

use proto::{
    message::AlertEvent,
    value::{Level, Value as FieldValue},
};
use serde_json::{Value, json};

use super::{Body, Deliver, Http, Message, Surroundings, check};
use crate::alert::event::test_event;

/// Sections as a file gives them.
struct Sections(toml::Table);

impl Surroundings for Sections {
    fn elements(&self, section: &str) -> Vec<toml::Table> {
        match self.0.get(section) {
            Some(toml::Value::Table(table)) => vec![table.clone()],
            Some(toml::Value::Array(list)) => list.iter().filter_map(|table| table.as_table().cloned()).collect(),
            _ => Vec::new(),
        }
    }

    fn api_url(&self) -> String {
        "http://here:9092/kapacitor/v1".to_owned()
    }
}

fn event(level: Level) -> AlertEvent {
    AlertEvent {
        id: "cpu:host=a".to_owned(),
        task: "t1".to_owned(),
        name: "cpu".to_owned(),
        group: "host=a".to_owned(),
        message: "M".to_owned(),
        details: "D".to_owned(),
        time: 1_600_000_000_500_000_000,
        level,
        tags: vec![("host".to_owned(), "a".to_owned())],
        fields: vec![("usage".to_owned(), FieldValue::Float(95.5))],
        ..test_event()
    }
}

fn message_at(level: Level, service: &str, section: &str, options: Value) -> Result<Message, String> {
    let sections = Arc::new(Sections(section.parse().unwrap()));
    let deliver = Deliver::new(service, options, sections, Arc::default())?;
    deliver.message(&event(level), Level::Ok).map_err(|error| error.to_string())
}

fn http(level: Level, service: &str, section: &str, options: Value) -> Http {
    match message_at(level, service, section, options) {
        Ok(Message::Http(http)) => http,
        other => panic!("{other:?}"),
    }
}

/// URL, headers and JSON of a message.
fn posted(level: Level, service: &str, section: &str, options: Value) -> (String, Vec<(&'static str, String)>, Value) {
    let Http { url, headers, body, .. } = http(level, service, section, options);
    let Body::Json(body) = body else { panic!("{body:?}") };
    (url, headers, body)
}

#[test]
fn slack_has_a_colour_by_level_and_its_own_options_before_those_of_the_section() {
    let section = "[[slack]]\nenabled=true\nurl='http://s/x'\nchannel='#c'\nusername='kapacitor'\nicon-emoji=''";
    let (url, headers, body) = posted(Level::Critical, "slack", section, json!({"channel": "#own"}));
    let attachment = json!({"fallback": "M", "color": "danger", "text": "M", "mrkdwn_in": ["text"]});
    let want = json!({
        "as_user": false, "attachments": [attachment], "channel": "#own", "icon_emoji": "", "text": "",
        "username": "kapacitor",
    });
    assert_eq!((url.as_str(), headers.len(), body), ("http://s/x", 0, want));
    let (_, _, body) = posted(Level::Ok, "slack", section, Value::Null);
    assert_eq!((&body["channel"], &body["attachments"][0]["color"]), (&json!("#c"), &json!("good")));
}

#[test]
fn whom_to_trust_is_said_by_the_section() {
    let section = "[[slack]]\nenabled=true\nurl='https://s/x'\nssl-ca='/ca'\nssl-cert='/own'\nssl-key='/key'";
    let trust = http(Level::Ok, "slack", section, Value::Null).trust;
    assert_eq!((&*trust.authorities, &*trust.certificate, &*trust.key, trust.insecure), ("/ca", "/own", "/key", false));
    let section = "[alerta]\nenabled=true\nurl='https://a'\ninsecure-skip-verify=true";
    assert!(http(Level::Ok, "alerta", section, Value::Null).trust.insecure);
}

#[test]
fn an_element_is_found_by_name_and_the_default_one_without() {
    let section = "[[slack]]\nenabled=true\nworkspace='a'\nurl='http://a'\n\
                   [[slack]]\nenabled=true\nworkspace='b'\ndefault=true\nurl='http://b'";
    let url = |options| http(Level::Ok, "slack", section, options).url;
    assert_eq!((url(json!({"workspace": "a"})), url(Value::Null)), ("http://a".into(), "http://b".into()));
    let unknown = message_at(Level::Ok, "slack", section, json!({"workspace": "c"})).unwrap_err();
    assert!(unknown.contains("workspace \"c\""), "{unknown}");
    let off = message_at(Level::Ok, "slack", "[[slack]]\nenabled=false\nurl='http://a'", Value::Null).unwrap_err();
    assert_eq!(off, "service is not enabled");
}

#[test]
fn hipchat_names_room_and_token_in_the_address() {
    let section = "[hipchat]\nenabled=true\nurl='http://h/v2/room'\nroom='r 1'\ntoken='t'";
    let (url, _, body) = posted(Level::Warning, "hipchat", section, Value::Null);
    assert_eq!(url, "http://h/v2/room/r%201/notification?auth_token=t");
    assert_eq!(body, json!({"color": "yellow", "from": "kapacitor", "message": "M", "notify": true}));
}

#[test]
fn alerta_fills_in_its_templates() {
    let section = "[alerta]\nenabled=true\nurl='http://a'\ntoken='t'\nenvironment='env'\norigin='o'\ntimeout='1h'";
    let options = json!({"resource": "{{ index .Tags \"host\" }}", "attributes": {"k": "{{ .TaskName }}"}});
    let (url, headers, body) = posted(Level::Info, "alerta", section, options);
    assert_eq!((url.as_str(), headers), ("http://a/alert", vec![("Authorization", "Bearer t".to_owned())]));
    let want = json!({
        "environment": "env", "event": "cpu:host=a", "group": "host=a", "origin": "o", "rawData": {"series": null},
        "resource": "a", "service": ["cpu"], "severity": "informational", "tags": ["host=a"], "text": "M",
        "timeout": 3600, "value": "", "attributes": {"k": "t1"},
    });
    assert_eq!(body, want);
    let wrong = check("alerta", json!({"event": "{{ .ID"})).unwrap_err();
    assert!(wrong.contains("invalid template"), "{wrong}");
}

#[test]
fn sensu_takes_only_words_as_ids() {
    let section = "[sensu]\nenabled=true\naddr='h:3030'\nsource='Kapacitor'\nhandlers=['x']";
    let refused = message_at(Level::Critical, "sensu", section, Value::Null).unwrap_err();
    assert!(refused.contains("cpu:host=a"), "{refused}");
    let sections = Arc::new(Sections(section.parse().unwrap()));
    let deliver = Deliver::new("sensu", json!({"metadata": {"m": 1, "name": "no"}}), sections, Arc::default()).unwrap();
    let message = deliver.message(&AlertEvent { id: "a-1".to_owned(), ..event(Level::Critical) }, Level::Ok).unwrap();
    let Message::Line(line) = message else { panic!("{message:?}") };
    let body: Value = serde_json::from_str(&line.line).unwrap();
    let want = json!({"handlers": ["x"], "name": "a-1", "output": "M", "source": "Kapacitor", "status": 2, "m": 1});
    assert_eq!((line.address.as_str(), line.answer, body), ("h:3030", "ok", want));
}

#[test]
fn pagerduty_resolves_and_refuses_information() {
    let section = "[pagerduty]\nenabled=true\nurl='http://p'\nservice-key='k'";
    let (_, _, body) = posted(Level::Ok, "pagerduty", section, Value::Null);
    let want = json!({
        "client": "kapacitor", "client_url": "http://here:9092/kapacitor/v1", "description": "M", "details": "D",
        "event_type": "resolve", "incident_key": "cpu:host=a", "service_key": "k",
    });
    assert_eq!(body, want);
    assert!(message_at(Level::Info, "pagerduty", section, Value::Null).is_err());
}

#[test]
fn pagerduty2_has_links_and_a_time_of_nine_digits() {
    let section = "[pagerduty2]\nenabled=true\nurl='http://p'\nrouting-key='k'";
    let options = json!({"links": [{"href": "http://x/{{ .ID }}", "text": "T"}, {"href": "h"}]});
    let (_, headers, body) = posted(Level::Critical, "pagerduty2", section, options);
    assert_eq!(headers, [("Accept", "application/vnd.pagerduty+json;version=2".to_owned())]);
    assert_eq!(body["payload"]["timestamp"], "2020-09-13T12:26:40.500000000Z");
    assert_eq!(body["payload"]["source"], "a");
    assert_eq!(body["links"], json!([{"href": "http://x/cpu:host=a", "text": "T"}, {"href": "h"}]));
    let (_, _, body) = posted(Level::Ok, "pagerduty2", section, json!({"routing-key": "own"}));
    assert_eq!(body, json!({"routing_key": "own", "dedup_key": "cpu:host=a", "event_action": "resolve"}));
}

#[test]
fn opsgenie_has_another_address_for_recoveries() {
    let section =
        "[opsgenie]\nenabled=true\nurl='http://o/alert'\nrecovery_url='http://o/note'\napi-key='k'\nteams=['t']";
    let (url, _, body) = posted(Level::Ok, "opsgenie", section, Value::Null);
    let want = json!({
        "alias": "cpu:host=a", "apiKey": "k", "description": "{\"series\":null}",
        "details": {"Level": "RECOVERY", "Monitoring Tool": "Kapacitor"}, "entity": "cpu:host=a", "message": "M",
        "monitoring_tool": "kapacitor", "note": "M", "teams": ["t"],
    });
    assert_eq!((url.as_str(), body), ("http://o/note/", want));
    assert_eq!(http(Level::Critical, "opsgenie", section, Value::Null).url, "http://o/alert/");
}

#[test]
fn opsgenie2_notes_recoveries_at_the_alias() {
    let section = "[opsgenie2]\nenabled=true\nurl='http://o/v2/alerts'\napi-key='k'\nrecovery_action='notes'";
    let (url, headers, body) = posted(Level::Ok, "opsgenie2", section, Value::Null);
    assert_eq!(url, "http://o/v2/alerts/Y3B1Omhvc3Q9YQ==/notes?identifierType=alias");
    assert_eq!((headers, body), (vec![("Authorization", "GenieKey k".to_owned())], json!({"note": "M"})));
    let (_, _, body) =
        posted(Level::Warning, "opsgenie2", section, json!({"teams-list": ["t"], "recipients-list": ["u"]}));
    assert_eq!((&body["priority"], &body["details"]["host"]), (&json!("P3"), &json!("a")));
    assert_eq!(body["responders"], json!([{"name": "t", "type": "team"}, {"type": "user", "username": "u"}]));
}

#[test]
fn victorops_has_keys_in_the_address_and_data_as_text_unless_told() {
    let section = "[victorops]\nenabled=true\nurl='http://v'\napi-key='k'\nrouting-key='r'";
    let (url, _, body) = posted(Level::Critical, "victorops", section, Value::Null);
    let want = json!({
        "data": "{\"series\":null}", "entity_id": "cpu:host=a", "message_type": "CRITICAL",
        "monitoring_tool": "kapacitor", "state_message": "M", "timestamp": 1_600_000_000,
    });
    assert_eq!((url.as_str(), body), ("http://v/k/r", want));
    let json = format!("{section}\njson-data=true");
    assert_eq!(posted(Level::Ok, "victorops", &json, Value::Null).2["data"], json!({"series": null}));
}

#[test]
fn pushover_leaves_out_what_is_empty() {
    let section = "[pushover]\nenabled=true\nurl='http://p'\ntoken='t'\nuser-key='u'";
    let pairs = |pairs: &[(&'static str, &str)]| Body::Form(pairs.iter().map(|(k, v)| (*k, (*v).to_owned())).collect());
    let body = http(Level::Warning, "pushover", section, json!({"title": "T"})).body;
    assert_eq!(body, pairs(&[("message", "M"), ("priority", "0"), ("title", "T"), ("token", "t"), ("user", "u")]));
}

#[test]
fn telegram_knows_two_parse_modes() {
    let section = "[telegram]\nenabled=true\nurl='http://t/bot'\ntoken='k'\nchat-id='c'\ndisable-notification=true";
    let (url, _, body) = posted(Level::Ok, "telegram", section, json!({"parse-mode": "HTML"}));
    assert_eq!(url, "http://t/botk/sendMessage");
    assert_eq!(body, json!({"chat_id": "c", "text": "M", "parse_mode": "HTML", "disable_notification": true}));
    assert!(message_at(Level::Ok, "telegram", section, json!({"parse-mode": "rtf"})).is_err());
}

#[test]
fn mail_goes_to_all_recipients_and_to_those_of_the_section_without_any() {
    let section = "[smtp]\nenabled=true\nhost='h'\nport=25\nfrom='f@x'\nto=['d@x']";
    let mail = |options| match message_at(Level::Ok, "smtp", section, options) {
        Ok(Message::Mail(mail)) => mail,
        other => panic!("{other:?}"),
    };
    let own = mail(json!({"to": ["a@x"], "to-templates": ["{{ index .Tags \"host\" }}@x"]}));
    assert_eq!(
        (own.to, own.subject, own.html, own.login),
        (vec!["a@x".into(), "a@x".into()], "M".into(), "D".into(), None)
    );
    assert_eq!(mail(Value::Null).to, ["d@x"]);
}

#[test]
fn the_services_of_later_versions_are_there() {
    let section = "[talk]\nenabled=true\nurl='http://t'\nauthor_name='A'\n[teams]\nenabled=true\nchannel-url='http://c'\n\
                   [servicenow]\nenabled=true\nurl='http://s'\nsource='S'\nusername='u'\npassword='p'\n\
                   [bigpanda]\nenabled=true\nurl='http://b'\napp-key='k'\ntoken='t'\nauto-attributes='tags,fields'\n\
                   [zenoss]\nenabled=true\nurl='http://z'\naction='A'\nmethod='m'\ntype='rpc'\ntid=1\ncollector='C'\n\
                   [[discord]]\nenabled=true\nurl='http://d'\nusername='U'\nembed-title='T'";
    let body = |service: &str, options| posted(Level::Critical, service, section, options).2;
    assert_eq!(body("talk", Value::Null), json!({"authorName": "A", "text": "M", "title": "cpu:host=a"}));
    let teams = body("teams", Value::Null);
    assert_eq!((&teams["title"], &teams["themeColor"]), (&json!("CRITICAL: [cpu:host=a]"), &json!("CC4A31")));
    let record =
        &body("servicenow", json!({"node": "{{ .Name }}", "additional-info": {"a": "{{ .ID }}"}}))["records"][0];
    assert_eq!((&record["severity"], &record["node"], &record["source"]), (&json!("1"), &json!("cpu"), &json!("S")));
    assert_eq!(record["additional_info"], r#"{"a":"cpu:host=a"}"#);
    let panda = body("bigpanda", json!({"attributes": {"x": "y"}}));
    assert_eq!((&panda["host"], &panda["usage"], &panda["x"]), (&json!("a"), &json!("95.5"), &json!("y")));
    let zenoss = body("zenoss", Value::Null);
    assert_eq!((&zenoss["tid"], &zenoss["data"][0]["severity"]), (&json!(1), &json!("Critical")));
    let discord = body("discord", Value::Null);
    assert_eq!(discord["embeds"][0]["color"], json!(0xF95F53));
}

#[test]
fn an_option_that_a_service_does_not_have_is_refused() {
    for kind in super::KINDS {
        let error = check(kind.name, json!({"nope": 1})).unwrap_err();
        assert!(error.contains("nope"), "{}: {error}", kind.name);
        let least = if kind.name == "kafka" { json!({"topic": "t"}) } else { Value::Null };
        check(kind.name, least).unwrap();
    }
}

#[test]
fn a_trap_holds_its_object_and_the_values_of_its_templates() {
    let section = "[snmptrap]\nenabled=true\naddr='h:162'\ncommunity='c'\nretries=2";
    let options = json!({"trap-oid": "1.1", "data-list": [
        {"oid": "1.2", "type": "s", "value": "{{ .ID }}"}, {"oid": "1.3", "type": "i", "value": "-1"},
        {"oid": "1.4", "type": "c", "value": "300"}, {"oid": "1.5", "type": "n", "value": ""},
        {"oid": "1.6", "type": "t", "value": "7"},
    ]});
    let message = message_at(Level::Critical, "snmptrap", section, options).unwrap();
    let Message::Datagram(datagram) = message else { panic!("{message:?}") };
    assert_eq!((datagram.address.as_str(), datagram.tries), ("h:162", 3));
    let bytes = &datagram.bytes;
    assert_eq!(usize::from(bytes[1]) + 2, bytes.len());
    assert!(bytes[2..].starts_with(b"\x02\x01\x01\x04\x01c\xa7"), "{bytes:02x?}");
    let bindings = [
        &b"\x30\x0e\x06\x08\x2b\x06\x01\x02\x01\x01\x03\x00\x43\x02\x03\xe8"[..],
        b"\x30\x0f\x06\x0a\x2b\x06\x01\x06\x03\x01\x01\x04\x01\x00\x06\x01\x29",
        b"\x30\x0f\x06\x01\x2a\x04\x0acpu:host=a",
        b"\x30\x06\x06\x01\x2b\x02\x01\xff",
        b"\x30\x07\x06\x01\x2c\x46\x02\x01\x2c",
        b"\x30\x05\x06\x01\x2d\x05\x00",
        b"\x30\x06\x06\x01\x2e\x43\x01\x07",
    ];
    assert!(bytes.ends_with(&bindings.concat()), "{bytes:02x?}");
    let wrong = check("snmptrap", json!({"trap-oid": "1.x"})).unwrap_err();
    assert!(wrong.contains("invalid object id"), "{wrong}");
}

#[test]
fn a_topic_may_depend_on_the_event() {
    let section = "[[mqtt]]\nenabled=true\nname='n'\nurl='tcp://h:1884'\nclient-id=''";
    let options = json!({"topic": "alerts/{{ index .Tags \"host\" }}", "qos": "at-least-once"});
    let message = message_at(Level::Critical, "mqtt", section, options).unwrap();
    let Message::Publication(publication) = message else { panic!("{message:?}") };
    assert_eq!((publication.topic.as_str(), publication.broker.client_id.as_str()), ("alerts/a", "n"));
    assert_eq!((&*publication.broker.address, publication.broker.trust), ("h:1884", None));
    assert!(check("mqtt", json!({"topic": "t", "qos": 3})).unwrap_err().contains("invalid qos"));
}
