//! What the verbs are and how they are called: the text of `help`, and of every wrong use.

/// A verb: its arguments and flags, and what it does in one line.
pub struct Verb {
    pub name: &'static str,
    pub arguments: &'static str,
    pub does: &'static str,
    /// One flag or remark a line.
    pub more: &'static [&'static str],
}

const fn verb(name: &'static str, arguments: &'static str, does: &'static str, more: &'static [&'static str]) -> Verb {
    Verb { name, arguments, does, more }
}

/// All verbs in the order in which `help` names them.
pub const VERBS: &[Verb] = &[
    verb(
        "serve",
        "[-config FILE] [-shards N] [-hostname H] [-log-file F] [-log-level L] [-pidfile F]",
        "run the server (both processes); `run` is the same",
        &["-shards N   threads that take and process points; 0 (the default): as many as cores"],
    ),
    verb(
        "config",
        "[-config FILE]",
        "print the effective configuration; what is wrong or unknown in the file goes to standard error",
        &[],
    ),
    verb(
        "define",
        "ID [-tick FILE] [-dbrp DB.RP]... [-type stream|batch] [-template ID] [-vars FILE] [-file FILE] [-no-reload]",
        "make or change a task",
        &[
            "-tick FILE       the script",
            "-dbrp DB.RP      a database and retention policy; each may be quoted; may be given again",
            "-template ID     take the script from a template",
            "-vars FILE       JSON: name to {\"type\", \"value\"}",
            "-file FILE       JSON or YAML with template-id, dbrps and vars",
            "-no-reload       a task that runs keeps its old definition until it is reloaded",
        ],
    ),
    verb("define-template", "ID [-tick FILE] [-type stream|batch]", "make or change a template", &[]),
    verb(
        "define-topic-handler",
        "FILE",
        "make or replace a topic handler (JSON or YAML)",
        &["the file holds topic, id, kind, match and options"],
    ),
    verb("enable", "PATTERN...", "start tasks", &[]),
    verb("disable", "PATTERN...", "stop tasks", &[]),
    verb("reload", "PATTERN...", "stop tasks and start them again", &[]),
    verb(
        "delete",
        "tasks|templates|recordings|replays|topics PATTERN... | topic-handlers TOPIC PATTERN...",
        "delete what matches",
        &[],
    ),
    verb(
        "list",
        "tasks|templates|recordings|replays|topics|topic-handlers|service-tests [PATTERN...]",
        "list what matches",
        &["of topic-handlers the first pattern is that of topics"],
    ),
    verb("show", "[-replay ID] ID", "show a task", &[]),
    verb("show-template", "ID", "show a template", &[]),
    verb("show-topic", "ID", "show a topic with its events", &[]),
    verb("show-topic-handler", "TOPIC ID", "show a topic handler", &[]),
    verb(
        "record",
        "stream|batch|query ...",
        "record points for later replays",
        &[
            "stream -task ID -duration D",
            "batch -task ID (-start TIME | -past D) [-stop TIME]",
            "query -query Q -type stream|batch [-cluster NAME]",
            "all: [-recording-id ID] [-no-wait]",
        ],
    ),
    verb(
        "replay",
        "-task ID -recording ID [-real-clock] [-rec-time] [-replay-id ID] [-no-wait]",
        "send a recording through a task",
        &["-real-clock   with the pauses of the recording", "-rec-time     with the times of the recording"],
    ),
    verb(
        "replay-live",
        "batch|query ...",
        "send what InfluxDB holds through a task",
        &[
            "batch -task ID (-start TIME | -past D) [-stop TIME]",
            "query -task ID -query Q [-cluster NAME]",
            "all: [-real-clock] [-rec-time] [-replay-id ID] [-no-wait]",
        ],
    ),
    verb("watch", "ID [KEY=VALUE...]", "follow the log of a task", &[]),
    verb(
        "logs",
        "[KEY=VALUE...]",
        "follow the log of the server",
        &["lvl=info+ is that level and above; a value must be equal otherwise"],
    ),
    verb("level", "debug|info|error", "set how much the server logs", &[]),
    verb("stats", "general|ingress", "statistics of the server", &[]),
    verb("vars", "", "all statistics in JSON", &[]),
    verb("service-tests", "PATTERN...", "send a test message through services", &[]),
    verb("backup", "FILE", "copy the server's store", &[]),
    verb(
        "export",
        "",
        "write all templates, tasks and topic handlers of a server (or Kapacitor) to standard output",
        &[],
    ),
    verb(
        "import",
        "[-overwrite] [-no-enable] FILE",
        "make what an export holds (on a Kapacitor, too)",
        &["-overwrite   replace what is there already", "-no-enable   leave all tasks disabled"],
    ),
    verb("check", "FILE...", "say what is wrong with TICKscripts, without a server", &[]),
    verb("fmt", "[-check] FILE...", "bring TICKscripts into their standard form", &[]),
    verb("version", "", "print the version", &[]),
    verb(
        "help",
        "[COMMAND|NODE|nodes]",
        "this, the usage of one command, or what one or all nodes of scripts take",
        &[],
    ),
];

/// Usage of everything.
pub fn general() -> String {
    let mut out = String::from("Usage: farad [-url URL] [-skipVerify] COMMAND [arguments]\n\n");
    for verb in VERBS {
        out.push_str(&format!("  {:22}{}\n", verb.name, verb.does));
    }
    out.push_str(
        "\nThe server is at -url, else KAPACITOR_URL, else http://localhost:9092. -skipVerify or KAPACITOR_UNSAFE_SSL=true\n\
         accept any certificate. Every verb but serve and help takes --json. `farad help COMMAND` says more.\n\
         Exit status: 0 done, 1 no such command, 2 wrong use, 3 failed, 4 bad address.\n",
    );
    out
}

/// Usage of one verb.
pub fn of(name: &str) -> Option<String> {
    let verb = VERBS.iter().find(|verb| verb.name == name)?;
    let mut out = format!("Usage: farad {} {}\n\n  {}\n", verb.name, verb.arguments, verb.does);
    for line in verb.more {
        out.push_str(&format!("  {line}\n"));
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_is_documented() {
        let document = include_str!("../../../docs/cli.md");
        for verb in VERBS {
            let named = |line: &str| line.starts_with("| `") && line.contains(&format!("`{}", verb.name));
            assert!(document.lines().any(named), "{} is missing in docs/cli.md", verb.name);
        }
    }
}
