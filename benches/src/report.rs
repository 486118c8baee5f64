//! Results: a Markdown table with notes below it, or JSON.

use std::{fmt::Display, process::Command};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::{BenchError, arguments::Arguments};

/// Times of many of a kind, ms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Times {
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
    pub count: u64,
}

impl Times {
    /// Of a histogram in ns.
    pub fn of(histogram: &Histogram<u64>) -> Times {
        let milliseconds = |ns: u64| ns as f64 / 1e6;
        Times {
            p50: milliseconds(histogram.value_at_quantile(0.5)),
            p99: milliseconds(histogram.value_at_quantile(0.99)),
            max: milliseconds(histogram.max()),
            count: histogram.len(),
        }
    }
}

impl Display for Times {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:.2} / {:.2} / {:.1}", self.p50, self.p99, self.max)
    }
}

/// One scenario on one server.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub server: String,
    pub scenario: &'static str,
    pub lines_per_second: f64,
    pub bytes_per_second: f64,
    /// CPU time of all processes of the server.
    pub ns_per_line: f64,
    /// Cores' worth of time that the server used while it worked.
    pub busy: f64,
    pub peak_bytes: u64,
    /// From a write's first byte to its answer.
    pub writes: Option<Times>,
    /// From a probe's write to its alert at the receiver.
    pub alerts: Option<Times>,
    pub notes: Vec<String>,
    pub failed: bool,
}

impl Row {
    /// A scenario that could not be run.
    pub fn failed(server: &str, scenario: &'static str, error: impl Display) -> Row {
        Row {
            server: server.to_owned(),
            scenario,
            lines_per_second: 0.0,
            bytes_per_second: 0.0,
            ns_per_line: 0.0,
            busy: 0.0,
            peak_bytes: 0,
            writes: None,
            alerts: None,
            notes: vec![format!("failed: {error}")],
            failed: true,
        }
    }

    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    fn markdown(&self) -> String {
        if self.failed {
            return format!("| {} | {} | failed | | | | | |", self.scenario, self.server);
        }
        let times = |times: &Option<Times>| times.as_ref().map(Times::to_string).unwrap_or_default();
        format!(
            "| {} | {} | {} | {:.0} | {:.2} | {} | {} | {} |",
            self.scenario,
            self.server,
            grouped(self.lines_per_second),
            self.ns_per_line,
            self.busy,
            self.peak_bytes >> 20,
            times(&self.writes),
            times(&self.alerts),
        )
    }
}

const TABLE_HEAD: &str = "\
| scenario | server | lines/s | CPU ns/line | cores busy | peak MB | write p50 / p99 / max ms | alert p50 / p99 / max ms |
|---|---|---:|---:|---:|---:|---:|---:|";

/// Where the figures come from.
#[derive(Debug, Serialize)]
struct Machine {
    processor: String,
    cores: usize,
    kernel: String,
    commit: String,
}

impl Machine {
    fn read() -> Machine {
        let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Machine {
            processor: model.map_or_else(|| "unknown".to_owned(), |(_, model)| model.trim().to_owned()),
            cores: information.lines().filter(|line| line.starts_with("processor")).count(),
            kernel: kernel.trim().to_owned(),
            commit: commit().unwrap_or_else(|| "unknown".to_owned()),
        }
    }
}

/// The commit of the sources, and whether they differ from it.
fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(env!("CARGO_MANIFEST_DIR")).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let hash = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| !changes.is_empty());
    Some(if changed { format!("{hash} with uncommitted changes") } else { hash })
}

/// Prints as results come.
pub struct Report {
    json: bool,
    machine: Machine,
    settings: String,
    rows: Vec<Row>,
}

impl Report {
    pub fn new(arguments: &Arguments) -> Report {
        let settings = format!(
            "{} s a scenario, {} shards, server on cores {:?}, load on cores {:?}",
            arguments.seconds.as_secs_f64(),
            arguments.shards,
            arguments.server_cores.0,
            arguments.load_cores.0,
        );
        let report = Report { json: arguments.json, machine: Machine::read(), settings, rows: Vec::new() };
        if !report.json {
            let Machine { processor, cores, kernel, commit } = &report.machine;
            println!("{processor}, {cores} cores, Linux {kernel}, commit {commit}; {}\n", report.settings);
            println!("{TABLE_HEAD}");
        }
        report
    }

    pub fn add(&mut self, mut row: Row) {
        if let Some(farad) = self.rows.iter().rfind(|other| other.scenario == row.scenario && !other.failed)
            && !row.failed
        {
            let faster = farad.lines_per_second / row.lines_per_second.max(1e-9);
            let cheaper = row.ns_per_line / farad.ns_per_line.max(1e-9);
            row.note(format!("farad: {faster:.1} times the lines/s, {cheaper:.1} times less CPU time a line"));
        }
        if !self.json {
            println!("{}", row.markdown());
        }
        self.rows.push(row);
    }

    /// Prints what is left; an error where a scenario failed.
    pub fn finish(self) -> Result<(), BenchError> {
        if self.json {
            let document =
                serde_json::json!({ "machine": self.machine, "settings": self.settings, "results": self.rows });
            println!("{document:#}");
        } else {
            println!();
            for row in &self.rows {
                for note in &row.notes {
                    println!("- {} ({}): {note}", row.scenario, row.server);
                }
            }
        }
        match self.rows.iter().filter(|row| row.failed).count() {
            0 => Ok(()),
            failed => Err(BenchError::Failed(failed)),
        }
    }
}

/// A whole number with its thousands apart.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0.0, 999.4, 1_000.0, 7_654_321.0].map(grouped), ["0", "999", "1,000", "7,654,321"]);
    }

    #[test]
    fn rows_fill_the_table() {
        let mut row = Row::failed("farad", "none", "why");
        let columns = |text: &str| text.matches('|').count();
        let wanted = columns(TABLE_HEAD.lines().next().unwrap());
        assert_eq!(columns(&row.markdown()), wanted);
        row.failed = false;
        let mut writes = crate::load::histogram();
        writes.record(2_000_000).unwrap();
        row.writes = Some(Times::of(&writes));
        assert_eq!(columns(&row.markdown()), wanted);
        assert!(row.markdown().contains("2.00 / 2.00 / 2.0"));
    }
}
