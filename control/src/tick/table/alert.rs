//! Properties of `alert` (reference: nodes-alert-join-io §2.1).

use super::{INT, Kind, LAMBDA, Property, STRING, adding, fixed, flag, method, value, variadic};

/// What an alert node says of itself; its handlers are in [`super::handlers`].
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
    method("stateChangesOnly", variadic(&[], Kind::Duration), "only events whose level changed, or after an interval"),
    method("flapping", fixed(&[Kind::Float, Kind::Float]), "low and high threshold of flapping"),
    value("history", INT, "levels that flapping looks at"),
    value("levelTag", STRING, "tag for the level"),
    value("levelField", STRING, "field for the level"),
    value("idTag", STRING, "tag for the id"),
    value("idField", STRING, "field for the id"),
    value("messageField", STRING, "field for the message"),
    value("durationField", STRING, "field for the duration"),
];
