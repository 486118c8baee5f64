//! Properties of `alert` and its handlers (reference: nodes-alert-join-io §2.1, §4.3).

use super::{Kind, Parameters, Property, adding, fixed, flag, method, optional, value, variadic};

const STRING: &[Kind] = &[Kind::String];
const LAMBDA: &[Kind] = &[Kind::Lambda];

/// A method that adds a handler with properties of its own.
const fn handler(
    name: &'static str,
    parameters: Parameters,
    properties: &'static [Property],
    doc: &'static str,
) -> Property {
    Property { name, parameters, adds: true, plain: false, handler: Some(properties), doc }
}

pub(super) const PROPERTIES: &[Property] = &[
    value("info", LAMBDA, "when the level is INFO"),
    value("warn", LAMBDA, "when the level is WARNING"),
    value("crit", LAMBDA, "when the level is CRITICAL"),
    value("infoReset", LAMBDA, "when INFO may be left"),
    value("warnReset", LAMBDA, "when WARNING may be left"),
    value("critReset", LAMBDA, "when CRITICAL may be left"),
    value("id", STRING, "template of the event's id"),
    value("message", STRING, "template of the event's message"),
    value("details", STRING, "HTML template of the event's details"),
    value("topic", STRING, "topic that also gets the events"),
    value("category", STRING, "name by which the events can be inhibited"),
    adding("inhibit", variadic(STRING, Kind::String), "category and tags of events to inhibit"),
    flag("all", "a batch's level is that of all of its points"),
    flag("noRecoveries", "no events of level OK"),
    method("stateChangesOnly", optional(Kind::Duration), "only events whose level changed, or after an interval"),
    method("flapping", fixed(&[Kind::Float, Kind::Float]), "low and high threshold of flapping"),
    value("history", &[Kind::Int], "levels that flapping looks at"),
    value("levelTag", STRING, "tag for the level"),
    value("levelField", STRING, "field for the level"),
    value("idTag", STRING, "tag for the id"),
    value("idField", STRING, "field for the id"),
    value("messageField", STRING, "field for the message"),
    value("durationField", STRING, "field for the duration"),
    handler(
        "post",
        variadic(&[], Kind::String),
        &[
            adding("endpoint", fixed(STRING), "name of an [[httppost]] section"),
            adding("header", fixed(&[Kind::String, Kind::String]), "a header of the request"),
            flag("captureResponse", "log the body of answers that are no success"),
            value("timeout", &[Kind::Duration], "longest time of a request"),
            flag("skipSSLVerification", "trust any certificate"),
        ],
        "posts events to a URL",
    ),
    handler("tcp", fixed(STRING), &[], "sends events to an address"),
    handler("exec", variadic(STRING, Kind::String), &[], "runs a program for each event"),
    handler("log", fixed(STRING), &[value("mode", &[Kind::Int], "mode of the file")], "appends events to a file"),
];
