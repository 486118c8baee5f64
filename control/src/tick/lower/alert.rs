//! `alert` and its handlers.

use dataplane::template::duration_text;
use proto::plan::{Alert, AlertLevel, StateChangesOnly};

use super::{DeadmanTexts, Endpoint, LowerError, Lowering, NodeHandlers};
use crate::{
    alert::{
        service,
        spec::{HandlerSpec, Post},
    },
    tick::{
        pipeline::{Deadman, PipelineNode, Setting, first_string, strings},
        value::ScriptValue,
    },
};

/// Least and default number of levels that flapping looks at.
const HISTORY: (i64, i64) = (2, 21);

pub(super) fn lower(node: &PipelineNode, lowering: &Lowering<'_>) -> Result<(Alert, Option<NodeHandlers>), LowerError> {
    let named = node.settings.iter().filter(|setting| setting.property.handler.is_some());
    let mut handlers = named.map(|setting| handler(setting, lowering)).collect::<Result<Vec<_>, _>>()?;
    let mut state_changes_only = node.setting("stateChangesOnly").map(|arguments| StateChangesOnly {
        // Of several intervals none counts, as in the original.
        interval: match arguments {
            [ScriptValue::Duration(interval)] => *interval,
            _ => 0,
        },
    });
    for global in (lowering.globals)() {
        let names = |spec: &HandlerSpec| matches!(spec, HandlerSpec::Service { kind, .. } if kind == global.kind);
        if !handlers.iter().any(names) {
            handlers.push(HandlerSpec::Service { kind: global.kind.to_owned(), options: "{}".to_owned() });
        }
        if global.state_changes_only {
            state_changes_only.get_or_insert(StateChangesOnly { interval: 0 });
        }
    }
    let topic = format!("{}:{}:{}", lowering.master, lowering.task, node.name);
    let anonymous_topic = (!handlers.is_empty()).then(|| topic.clone());
    let some = |name| node.string(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let default = Defaults::of(node, &lowering.deadman);
    let template = |name, default: String| node.string(name).map_or(default, str::to_owned);
    let level = |set, reset| AlertLevel { set: node.lambda(set).cloned(), reset: node.lambda(reset).cloned() };
    let inhibit = |setting: &Setting| {
        let mut words = strings(&setting.arguments).into_iter();
        words.next().map(|category| (category, words.collect()))
    };
    let flapping = match node.setting("flapping") {
        Some([ScriptValue::Float(low), ScriptValue::Float(high)]) => {
            if *low > 1.0 || *high > 1.0 {
                return Err(LowerError::new("alert flap thresholds are percentages and should be between 0 and 1"));
            }
            Some((*low, *high))
        }
        _ => None,
    };
    let alert = Alert {
        info: level("info", "infoReset"),
        warn: level("warn", "warnReset"),
        crit: level("crit", "critReset"),
        id: template("id", default.id),
        message: template("message", default.message),
        details: template("details", "{{ json . }}".to_owned()),
        anonymous_topic,
        topic: some("topic"),
        category: some("category"),
        inhibits: node.settings("inhibit").filter_map(inhibit).collect(),
        all: node.is_set("all"),
        no_recoveries: node.is_set("noRecoveries"),
        state_changes_only,
        flapping,
        history: node.int("history").unwrap_or(HISTORY.1).clamp(HISTORY.0, 10_000) as u32,
        level_tag: some("levelTag"),
        level_field: some("levelField"),
        id_tag: some("idTag"),
        id_field: some("idField"),
        message_field: some("messageField"),
        duration_field: some("durationField"),
        server: lowering.server.clone(),
    };
    let own = (!handlers.is_empty()).then(|| NodeHandlers { node: node.name.clone(), topic, handlers });
    Ok((alert, own))
}

/// Templates of an alert that names none.
struct Defaults {
    id: String,
    message: String,
}

impl Defaults {
    /// A deadman speaks of the node that it watches (reference: nodes-alert-join-io §6.1).
    fn of(node: &PipelineNode, texts: &DeadmanTexts<'_>) -> Self {
        match &node.deadman {
            None => {
                Defaults { id: "{{ .Name }}:{{ .Group }}".to_owned(), message: "{{ .ID }} is {{ .Level }}".to_owned() }
            }
            Some(Deadman { node, interval }) => Defaults {
                id: texts.id.replacen("NODE_NAME", node, 1),
                message: texts.message.replacen("INTERVAL", &duration_text(*interval), 1),
            },
        }
    }
}

fn handler(setting: &Setting, lowering: &Lowering<'_>) -> Result<HandlerSpec, LowerError> {
    let first = first_string(&setting.arguments).unwrap_or_default().to_owned();
    let option = |name: &str| {
        setting.handler.iter().rev().find(|option| option.property.name == name).map(|option| &*option.arguments)
    };
    Ok(match setting.property.name {
        "post" => {
            let endpoint = match option("endpoint").and_then(first_string).filter(|name| !name.is_empty()) {
                Some(name) => {
                    (lowering.endpoint)(name).ok_or_else(|| LowerError(format!("endpoint '{name}' does not exist")))?
                }
                None => Endpoint { url: first, ..Endpoint::default() },
            };
            let header = |option: &Setting| match strings(&option.arguments).as_slice() {
                [name, value] if option.property.name == "header" => Some((name.clone(), value.clone())),
                _ => None,
            };
            let post = Post::new(endpoint.with_headers(setting.handler.iter().filter_map(header)));
            HandlerSpec::Post(Post {
                capture_response: option("captureResponse").is_some(),
                timeout: match option("timeout") {
                    Some([ScriptValue::Duration(timeout)]) => *timeout,
                    _ => 0,
                },
                skip_ssl_verification: option("skipSSLVerification").is_some(),
                ..post.map_err(LowerError)?
            })
        }
        "tcp" => HandlerSpec::Tcp { address: first },
        "exec" => HandlerSpec::Exec { program: first, arguments: strings(&setting.arguments).split_off(1) },
        "log" => {
            if !first.starts_with('/') {
                return Err(LowerError(format!("log path must be absolute: {first} is not absolute")));
            }
            let mode = match option("mode") {
                Some([ScriptValue::Int(mode)]) if *mode != 0 => *mode,
                _ => 0o600,
            };
            if mode & 0o200 == 0 || !(0..=0o7777).contains(&mode) {
                return Err(LowerError(format!("invalid file mode {mode:o}: the owner must be able to write")));
            }
            HandlerSpec::Log { path: first, mode: mode as u32 }
        }
        name => match service::of_script(setting) {
            Some(Ok((kind, options))) => HandlerSpec::Service { kind: kind.to_owned(), options: options.to_string() },
            Some(Err(error)) => return Err(LowerError(format!("alert handler {name}: {error}"))),
            None => return Err(LowerError(format!("alert handler {name} is not supported by this version"))),
        },
    })
}
