//! The case format of `cases/`: folders of plain files, read as they are.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;

/// What a case checks, told by its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A task fed by writes.
    Stream,
    /// A task fed by a recording of queries to a real InfluxDB.
    Batch,
    /// Requests in turn and the responses that they must get.
    Api,
}

/// The optional `case.toml`.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    #[serde(rename = "type")]
    kind: String,
    db: Option<String>,
    pub rp: String,
    /// That of the timestamps in `input.lp`.
    pub precision: String,
    pub vars: Option<Value>,
    /// Of the recording of a batch case: RFC 3339, `[start, stop)`.
    pub start: Option<String>,
    pub stop: Option<String>,
    /// Seconds to wait after the writes, where the passing of time is what is tested.
    settle: f64,
    /// Whether the order across groups counts, too; within a group it always does.
    pub ordered: bool,
    /// Relative.
    pub float_tolerance: f64,
    pub lines_per_write: usize,
    requires: Vec<String>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            kind: "stream".to_owned(),
            db: None,
            rp: "autogen".to_owned(),
            precision: "ns".to_owned(),
            vars: None,
            start: None,
            stop: None,
            settle: 0.0,
            ordered: false,
            float_tolerance: 1e-9,
            lines_per_write: 1000,
            requires: Vec::new(),
        }
    }
}

#[derive(Debug, Clone)]
pub struct Case {
    /// The folder below `cases/`, such as `window/tumbling_mean`.
    pub name: String,
    pub kind: Kind,
    pub options: Options,
    folder: PathBuf,
    writes_influxdb: bool,
}

/// The folder of the cases.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")
}

/// All cases below `root`, by name.
pub fn find(root: &Path) -> io::Result<Vec<Case>> {
    let mut cases = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else if ["task.tick", "steps.json"].iter().any(|mark| entry.file_name() == *mark) {
                cases.push(read(root, &folder, entry.file_name() == "steps.json")?);
            }
        }
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(cases)
}

fn read(root: &Path, folder: &Path, has_steps: bool) -> io::Result<Case> {
    let name = folder.strip_prefix(root).unwrap_or(folder).to_string_lossy().into_owned();
    let options = match fs::read_to_string(folder.join("case.toml")) {
        Ok(text) => toml::from_str(&text).map_err(|error| io::Error::other(format!("{name}/case.toml: {error}")))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Options::default(),
        Err(error) => return Err(error),
    };
    let kind = match options.kind.as_str() {
        _ if has_steps => Kind::Api,
        "stream" => Kind::Stream,
        "batch" => Kind::Batch,
        other => return Err(io::Error::other(format!("{name}/case.toml: unknown type {other}"))),
    };
    let script = if has_steps { "steps.json" } else { "task.tick" };
    let writes_influxdb = fs::read_to_string(folder.join(script))?.contains("influxDBOut");
    Ok(Case { name, kind, options, folder: folder.to_owned(), writes_influxdb })
}

impl Case {
    pub fn database(&self) -> String {
        self.options.db.clone().unwrap_or_else(|| self.name.replace('/', "_"))
    }

    pub fn task(&self) -> String {
        self.name.replace('/', ".")
    }

    pub fn settle(&self) -> Duration {
        Duration::from_secs_f64(self.options.settle)
    }

    /// Whether its result depends on what the clock says between its steps, which a machine with other work may draw apart.
    pub fn follows_the_clock(&self) -> bool {
        self.options.settle > 0.0
    }

    /// Whether the server must have a cluster: an influxDBOut does not start without one.
    pub fn needs_influxdb(&self) -> bool {
        self.kind == Kind::Batch
            || self.kind == Kind::Api && self.writes_influxdb
            || self.options.requires.iter().any(|word| word == "influxdb")
    }

    /// The file `task.tick` or `steps.json` with `$SINK` and `$DB` filled in.
    pub fn text(&self, file: &str, sink: &str) -> io::Result<String> {
        let text = fs::read_to_string(self.folder.join(file))?;
        Ok(text.replace("$SINK", &format!("{sink}/{}", self.name)).replace("$DB", &self.database()))
    }

    pub fn input(&self) -> io::Result<Vec<u8>> {
        fs::read(self.folder.join("input.lp"))
    }

    pub fn expected(&self) -> io::Result<Value> {
        Ok(serde_json::from_slice(&fs::read(self.folder.join("expected.json"))?)?)
    }
}
