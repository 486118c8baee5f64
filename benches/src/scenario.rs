//! The scenarios, as data.
//!
//! Unless said: Telegraf-like lines of 166 bytes, 1,000 series in stable order, bodies of 5,000 lines over 4
//! connections. A pass over all series advances the time by a second.

use crate::{BenchError, lines::Shape};

/// Database and retention policy of all writes and tasks.
pub const DATABASE: &str = "bench";
pub const RETENTION_POLICY: &str = "autogen";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As pollers send: every pass alike.
    Stable,
    /// Every pass in another order.
    Shuffled,
}

/// What is defined over the API before the load starts.
#[derive(Clone, Copy, Debug)]
pub enum Tasks {
    None,
    /// So many tasks of this script on the measurement `cpu`.
    Same(usize, &'static str),
    /// So many tasks of this script, each on a measurement of its own that nobody writes to.
    Elsewhere(usize, &'static str),
}

#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub about: &'static str,
    /// In scripts `{measurement}` and `{receiver}` (a URL) are filled in.
    pub tasks: Tasks,
    pub shape: Shape,
    pub series: usize,
    pub order: Order,
    /// Advance of time from one pass over the series to the next, seconds.
    pub interval: i64,
    /// Lines in a body.
    pub body_lines: usize,
    pub connections: usize,
    pub gzip: bool,
    /// Passes over all series before the measured time, at least: until everything that is made at first sight is there.
    pub warm_passes: usize,
    /// One series in a hundred has `usage_idle` below 1.
    pub firing: bool,
    /// Finds the highest rate, then sends at half of it and times the way from a write to its alert.
    pub latency: bool,
    /// Requests a second to the API, in a second measurement beside the same load.
    pub requests: u32,
}

const WINDOW_MEAN_ALERT: &str = "\
stream
    |from().measurement('{measurement}')
    |groupBy('host')
    |window().period(10s).every(10s)
    |mean('usage_idle')
    |alert().crit(lambda: \"mean\" < 0.0).post('{receiver}')
";

const ALERT_LAMBDAS: &str = "\
stream
    |from().measurement('{measurement}')
    |groupBy(*)
    |alert()
        .warn(lambda: \"usage_idle\" < 0.0)
        .crit(lambda: \"host\" =~ /^db-[0-9]+$/ AND \"usage_idle\" < 5.0)
        .post('{receiver}')
";

const ALERT_FIRING: &str = "\
stream
    |from().measurement('{measurement}')
    |groupBy('host')
    |alert()
        .id('{{ .Name }}/{{ index .Tags \"host\" }}')
        .message('{{ .ID }} is {{ .Level }}: {{ index .Fields \"usage_idle\" }} idle')
        .details('{{ .TaskName }} at {{ .Time }}')
        .crit(lambda: \"usage_idle\" < 1.0)
        .post('{receiver}')
";

const PERCENTILE: &str = "\
stream
    |from().measurement('{measurement}')
    |groupBy('host')
    |where(lambda: \"usage_idle\" > 1.0)
    |eval(lambda: 100.0 - \"usage_idle\", lambda: \"user\" + \"system\").as('busy', 'work')
    |window().period(1m).every(10s)
    |percentile('busy', 95.0)
    |where(lambda: \"percentile\" > 101.0)
";

const HTTP_OUT: &str = "\
var windows = stream
    |from().measurement('{measurement}')
    |groupBy('dc')
    |window().period(10s).every(10s).align()
windows
    |max('usage_idle').as('max')
    |httpOut('max')
windows
    |count('usage_idle').as('count')
    |httpOut('count')
";

/// Twelve nodes with the source: two windows, two functions, a join, and a filter that lets nothing through.
const TWELVE_NODES: &str = "\
var cpu = stream
    |from().measurement('{measurement}')
    |groupBy('host')
    |default().field('nice', 0.0)
var idle = cpu
    |window().period(10s).every(10s)
    |mean('usage_idle').as('value')
var work = cpu
    |eval(lambda: \"user\" + \"system\").as('work')
    |window().period(1m).every(10s)
    |percentile('work', 95.0).as('value')
idle
    |join(work).as('idle', 'work')
    |eval(lambda: \"idle.value\" + \"work.value\").as('sum')
    |where(lambda: \"sum\" < 0.0)
";

const LATENCY: &str = "\
stream
    |from().measurement('{measurement}')
    |groupBy('host')
    |alert()
        .message('{{ index .Fields \"probe\" }}')
        .crit(lambda: \"usage_idle\" < 0.0)
        .post('{receiver}')
";

/// What most scenarios are but for a few things.
pub const INGEST: Scenario = Scenario {
    name: "none",
    about: "no task: receive, frame, validate, find the series",
    tasks: Tasks::None,
    shape: Shape::Telegraf,
    series: 1_000,
    order: Order::Stable,
    interval: 1,
    body_lines: 5_000,
    connections: 4,
    gzip: false,
    warm_passes: 1,
    firing: false,
    latency: false,
    requests: 0,
};

const WINDOW: Scenario = Scenario {
    name: "window-mean-alert",
    about: "groupBy host, 10 s windows, mean, an alert that never fires",
    tasks: Tasks::Same(1, WINDOW_MEAN_ALERT),
    ..INGEST
};

/// All of them, in the order in which they run.
pub const SCENARIOS: [Scenario; 24] = [
    INGEST,
    Scenario { name: "small", about: "no task, 65-byte lines", shape: Shape::Small, ..INGEST },
    Scenario { name: "wide", about: "no task, 352-byte lines", shape: Shape::Wide, ..INGEST },
    WINDOW,
    Scenario { name: "window-mean-alert-100k", about: "the same, 100,000 series", series: 100_000, ..WINDOW },
    Scenario {
        name: "window-mean-alert-100k-shuffled",
        about: "the same, 100,000 series in another order every pass",
        series: 100_000,
        order: Order::Shuffled,
        ..WINDOW
    },
    Scenario {
        name: "window-mean-alert-1m-shuffled",
        about: "the same, 1,000,000 series in another order every pass, 10 s a pass: every pass closes every window",
        series: 1_000_000,
        order: Order::Shuffled,
        interval: 10,
        // The second one is the first that closes windows.
        warm_passes: 3,
        ..WINDOW
    },
    Scenario {
        name: "window-mean-alert-1m-shuffled-1s",
        about: "the same, a second a pass: one pass in ten closes every window (measure 10 s at least)",
        series: 1_000_000,
        order: Order::Shuffled,
        // The eleventh one is the first that closes windows.
        warm_passes: 12,
        ..WINDOW
    },
    Scenario {
        name: "first-sight-1m-shuffled",
        about: "1,000,000 series in shuffled order that nobody has seen, with window-mean-alert: one pass is measured",
        series: 1_000_000,
        order: Order::Shuffled,
        interval: 10,
        warm_passes: 0,
        ..WINDOW
    },
    Scenario {
        name: "alert-lambdas",
        about: "groupBy *, an alert of two levels, one with a regex on a tag, never true",
        tasks: Tasks::Same(1, ALERT_LAMBDAS),
        ..INGEST
    },
    Scenario {
        name: "alert-firing",
        about: "an alert with templates, posted for one point in a hundred",
        tasks: Tasks::Same(1, ALERT_FIRING),
        firing: true,
        ..INGEST
    },
    Scenario {
        name: "percentile",
        about: "where, eval of two lambdas, window 1m every 10s, percentile, where",
        tasks: Tasks::Same(1, PERCENTILE),
        ..INGEST
    },
    Scenario {
        name: "nodes-12",
        about: "12 nodes: two windows of the same points, mean and percentile, a join, eval and where around them",
        tasks: Tasks::Same(1, TWELVE_NODES),
        ..INGEST
    },
    Scenario {
        name: "http-out",
        about: "groupBy dc, aligned 10 s windows, max and count, each to httpOut",
        tasks: Tasks::Same(1, HTTP_OUT),
        ..INGEST
    },
    Scenario {
        name: "api",
        about: "the same with 1,000 requests a second to the API: ping, a task, the list, httpOut",
        tasks: Tasks::Same(1, HTTP_OUT),
        requests: 1_000,
        ..INGEST
    },
    Scenario {
        name: "mixed",
        about: "window-mean-alert; cpu, mem, disk and net lines, strings in one of twelve",
        shape: Shape::Mixed,
        ..WINDOW
    },
    Scenario { name: "gzip", about: "window-mean-alert; bodies compressed", gzip: true, ..WINDOW },
    Scenario {
        name: "bodies-100",
        about: "window-mean-alert; bodies of 100 lines, 1,200 series",
        series: 1_200,
        body_lines: 100,
        ..WINDOW
    },
    Scenario {
        name: "connections-256",
        about: "window-mean-alert; 256 connections, 1,024 series",
        series: 1_024,
        connections: 256,
        ..WINDOW
    },
    Scenario {
        name: "tasks-100",
        about: "100 tasks of window-mean-alert on the measurement",
        tasks: Tasks::Same(100, WINDOW_MEAN_ALERT),
        ..INGEST
    },
    Scenario {
        name: "tasks-1000-elsewhere",
        about: "1,000 tasks of window-mean-alert on other measurements",
        tasks: Tasks::Elsewhere(1_000, WINDOW_MEAN_ALERT),
        ..INGEST
    },
    Scenario {
        name: "latency",
        about: "half load on an alert that never fires for it; from a probe's write to its alert at the receiver",
        tasks: Tasks::Same(1, LATENCY),
        latency: true,
        ..INGEST
    },
    Scenario {
        name: "latency-100k",
        about: "the same, 100,000 series",
        tasks: Tasks::Same(1, LATENCY),
        series: 100_000,
        latency: true,
        ..INGEST
    },
    Scenario {
        name: "latency-bodies-100",
        about: "the same, bodies of 100 lines, 1,200 series",
        tasks: Tasks::Same(1, LATENCY),
        series: 1_200,
        body_lines: 100,
        latency: true,
        ..INGEST
    },
];

/// The scenarios that are meant by `names`: by whole name, else by a part of it; all where none is named.
pub fn choose(names: &[String]) -> Result<Vec<Scenario>, BenchError> {
    if names.is_empty() {
        return Ok(SCENARIOS.to_vec());
    }
    let mut chosen: Vec<Scenario> = Vec::new();
    for name in names {
        let exact = SCENARIOS.iter().any(|scenario| scenario.name == name);
        let meant = |scenario: &&Scenario| if exact { scenario.name == name } else { scenario.name.contains(&**name) };
        let before = chosen.len();
        chosen.extend(SCENARIOS.iter().filter(meant));
        if chosen.len() == before {
            return Err(BenchError::Usage(format!("no scenario is named {name:?}; --list shows them")));
        }
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(given: &[&str]) -> Vec<&'static str> {
        let given: Vec<_> = given.iter().map(|name| (*name).to_owned()).collect();
        choose(&given).unwrap().iter().map(|scenario| scenario.name).collect()
    }

    #[test]
    fn a_whole_name_means_itself_alone() {
        assert_eq!(names(&["latency"]), ["latency"]);
        assert_eq!(
            names(&["1m"]),
            ["window-mean-alert-1m-shuffled", "window-mean-alert-1m-shuffled-1s", "first-sight-1m-shuffled"]
        );
        assert_eq!(names(&[]).len(), SCENARIOS.len());
        assert!(choose(&["nothing".to_owned()]).is_err());
    }

    #[test]
    fn names_are_unique() {
        let mut sorted: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), SCENARIOS.len());
    }
}
