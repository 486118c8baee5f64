//! `/service-tests`: one message through a configured service, to see whether it arrives (reference: http-api §20).

use axum::http::StatusCode;
use dataplane::http::Query;
use serde_json::{Map, Value, json};

use super::{Api, answer::Answer, body};
use crate::{config::services::Section, task::Pattern};

const PATH: &str = "/kapacitor/v1/service-tests";

/// Services with the options that a test has without a body, by name.
const SERVICES: [(&str, &str); 32] = [
    (
        "alerta",
        r#"{"resource":"testResource","event":"testEvent","environment":"","severity":"critical","group":"testGroup","value":"testValue","message":"test alerta message","origin":"","service":["testServiceA","testServiceB"],"timeout":"24h0m0s"}"#,
    ),
    ("azure", ID),
    ("consul", ID),
    ("dns", ID),
    ("ec2", ID),
    ("file-discovery", ID),
    ("gce", ID),
    ("hipchat", r#"{"room":"","message":"test hipchat message","level":"CRITICAL"}"#),
    ("httppost", r#"{"endpoint":"example","url":"http://localhost:3000/","headers":{"Auth":"secret"},"timeout":0}"#),
    ("influxdb", r#"{"cluster":""}"#),
    ("kafka", r#"{"cluster":"example","topic":"test","key":"key","message":"test kafka message"}"#),
    ("kubernetes", ID),
    ("marathon", ID),
    (
        "mqtt",
        r#"{"broker-name":"default","topic":"","message":"test MQTT message","qos":"at-most-once","retained":false}"#,
    ),
    ("nerve", ID),
    ("opsgenie", OPSGENIE),
    ("opsgenie2", OPSGENIE),
    (
        "pagerduty",
        r#"{"incident-key":"testIncidentKey","description":"test pagerduty message","details":"","level":"CRITICAL"}"#,
    ),
    (
        "pagerduty2",
        r#"{"alert_id":"testAlertID","description":"test pagerduty2 message","level":"CRITICAL","event_data":{"Name":"testPagerDuty2","TaskName":"","Category":"","Group":"","Tags":{},"Fields":{},"Recoverable":false,"Result":{"series":null}},"timestamp":"2014-11-12T11:45:26.371Z"}"#,
    ),
    (
        "pushover",
        r#"{"user-key":"","message":"test pushover message","device":"","title":"","url":"","url-title":"","sound":"","level":"CRITICAL"}"#,
    ),
    ("scraper", r#"{"name":""}"#),
    ("sensu", r#"{"name":"testName","source":"Kapacitor","output":"testOutput","handlers":[],"level":"CRITICAL"}"#),
    ("serverset", ID),
    (
        "slack",
        r#"{"workspace":"","channel":"","message":"test slack message","level":"CRITICAL","username":"","icon-emoji":""}"#,
    ),
    ("smtp", r#"{"to":null,"subject":"test subject","body":"test body"}"#),
    (
        "snmptrap",
        r#"{"trap-oid":"1.1.1.1","data-list":[{"oid":"1.1.1.1.2","type":"s","value":"test snmptrap message"}]}"#,
    ),
    ("static-discovery", ID),
    ("swarm", ID),
    ("talk", r#"{"title":"testTitle","text":"test talk text"}"#),
    (
        "telegram",
        r#"{"chat-id":"","parse-mode":"","message":"test telegram message","disable-web-page-preview":false,"disable-notification":false}"#,
    ),
    ("triton", ID),
    (
        "victorops",
        r#"{"routingKey":"","messageType":"CRITICAL","message":"test victorops message","entityID":"testEntityID"}"#,
    ),
];

const ID: &str = r#"{"id":""}"#;

const OPSGENIE: &str = r#"{"teams":null,"recipients":null,"message-type":"CRITICAL","message":"test opsgenie message","entity-id":"testEntityID"}"#;

/// The same of the services that came with 1.8, which are listed once something of them is configured.
const NEWER: [(&str, &str); 5] = [
    (
        "bigpanda",
        r#"{"app_key":"","message":"test bigpanda message","level":"CRITICAL","host":"serverA","primary_property":"","secondary_property":""}"#,
    ),
    (
        "discord",
        r#"{"workspace":"","message":"test discord message","level":"CRITICAL","username":"Kapacitor","avatar-url":"","embed-title":"Kapacitor Alert"}"#,
    ),
    (
        "servicenow",
        r#"{"alert_id":"1001","message":"test servicenow message","level":"CRITICAL","source":"Kapacitor","node":"","type":"","resource":"","metric_name":"","message_key":"","additional_info":{}}"#,
    ),
    (
        "teams",
        r#"{"channel_url":"","alert_topic":"test kapacitor alert topic","alert_id":"foo/bar/bat","message":"test teams message","level":"CRITICAL"}"#,
    ),
    (
        "zenoss",
        r#"{"alert_id":"1001","level":"CRITICAL","message":"test zenoss message","action":"","method":"","type":"","tid":0,"device":"","component":"","eventclasskey":"","eventclass":"","collector":"","custom_fields":{}}"#,
    ),
];

/// GET of the list.
pub fn list(api: &Api, query: Query<'_>) -> Answer {
    let pattern = query.get("pattern").unwrap_or_default();
    let pattern = match Pattern::new(&pattern) {
        Pattern::Nothing => {
            return Answer::error(StatusCode::BAD_REQUEST, "bad pattern: syntax error in pattern");
        }
        pattern => pattern,
    };
    let table = api.live.table();
    let is_listed = |name: &str| Section::find(name).is_some_and(|section| section.is_listed(&table));
    let newer = NEWER.iter().filter(|(name, _)| is_listed(name));
    let mut services: Vec<_> = SERVICES.iter().chain(newer).filter(|(name, _)| pattern.matches(name)).collect();
    services.sort();
    let services: Vec<Value> = services.into_iter().map(|(name, options)| service_json(name, options)).collect();
    let services = if services.is_empty() { Value::Null } else { Value::Array(services) };
    Answer::json_line(&json!({ "link": { "rel": "self", "href": PATH }, "services": services }))
}

/// GET of one.
pub fn get(rest: &str) -> Answer {
    match find(rest) {
        Ok((name, options)) => Answer::json_line(&service_json(name, options)),
        Err(answer) => answer,
    }
}

/// POST: runs the test. That the message did not arrive is no error of the request.
pub async fn run(api: &Api, rest: &str, given: &[u8]) -> Answer {
    let (name, defaults) = match find(rest) {
        Ok(found) => found,
        Err(answer) => return answer,
    };
    let options = match body::read::<Map<String, Value>>(given).map_err(|error| error.to_string()) {
        Ok(given) => over(parsed(defaults), given),
        Err(error) => Err(error),
    };
    let options = match options {
        Ok(options) => options,
        Err(error) => return Answer::error(StatusCode::BAD_REQUEST, &format!("failed to decode JSON body:{error}")),
    };
    let done = crate::alert::handlers::test(&api.live, name, &options).await;
    let message = done.as_ref().err().cloned().unwrap_or_default();
    Answer::json_line(&json!({ "success": done.is_ok(), "message": message }))
}

fn find(rest: &str) -> Result<(&'static str, &'static str), Answer> {
    let name = rest.strip_suffix('/').unwrap_or(rest);
    if name.is_empty() {
        return Err(Answer::error(StatusCode::BAD_REQUEST, "must provide service name"));
    }
    let found = SERVICES.iter().chain(&NEWER).find(|(service, _)| *service == name).copied();
    found.ok_or_else(|| Answer::error(StatusCode::NOT_FOUND, &format!("service {name:?} not found")))
}

fn service_json(name: &str, options: &str) -> Value {
    json!({
        "link": { "rel": "self", "href": format!("{PATH}/{name}") },
        "name": name,
        "options": parsed(options),
    })
}

fn parsed(options: &str) -> Map<String, Value> {
    serde_json::from_str(options).unwrap_or_default()
}

/// The given options over the defaults; unknown ones do not count, the types must be those of the defaults.
fn over(mut options: Map<String, Value>, given: Map<String, Value>) -> Result<Map<String, Value>, String> {
    for (name, old) in &mut options {
        let Some(new) = given.get(&name.to_lowercase()) else { continue };
        let fits = match old {
            // The lists that have no default.
            Value::Null => new.is_array(),
            Value::Bool(_) => new.is_boolean(),
            Value::Number(_) => new.is_i64(),
            Value::String(_) => new.is_string(),
            Value::Array(_) => new.is_array(),
            Value::Object(_) => new.is_object(),
        };
        if !fits {
            return Err(format!("json: cannot unmarshal {new} into option {name}"));
        }
        old.clone_from(new);
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_json_and_names_are_sorted() {
        for (name, options) in SERVICES.iter().chain(&NEWER) {
            assert!(serde_json::from_str::<Map<String, Value>>(options).is_ok(), "{name}");
        }
        assert!(NEWER.iter().all(|(name, _)| Section::find(name).is_some_and(|section| section.newer)));
        assert!(SERVICES.is_sorted_by_key(|(name, _)| *name));
    }

    #[test]
    fn given_options_lie_over_the_defaults() {
        let given = |text: &str| over(parsed(OPSGENIE), parsed(text));
        let options = given(r#"{"message":"m","teams":["a"],"nosuch":1}"#).unwrap();
        assert_eq!((&options["message"], &options["teams"]), (&json!("m"), &json!(["a"])));
        assert!(!options.contains_key("nosuch"));
        assert!(given(r#"{"message":1}"#).is_err());
        assert_eq!(over(parsed(r#"{"routingKey":""}"#), parsed(r#"{"routingkey":"r"}"#)).unwrap()["routingKey"], "r");
    }
}
