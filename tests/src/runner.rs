//! Runs a case against a server and tells what differs.

use std::{
    io,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use regex::Regex;
use serde_json::{Map, Value, json};

use crate::{
    case::{Case, Kind},
    compare::{by_group, differences},
    http::{self, Answer, encode},
    influxdb::InfluxDb,
    server::{patience, until},
    sink::Sink,
};

/// How long everything must be as wanted before a case has passed: what comes too much comes within this time.
const STILL: Duration = Duration::from_millis(200);

/// Between two looks at what came.
const STEP: Duration = Duration::from_millis(50);

const BASE: &str = "/kapacitor/v1";

/// One server and what a case needs beside it.
pub struct Runner<'a> {
    pub server: SocketAddr,
    /// Gets what the case's task or topic posts.
    pub sink: &'a Sink,
    /// The server's default cluster.
    pub influxdb: Option<&'a InfluxDb>,
    /// How long a case waits at most for what it wants.
    pub limit: Duration,
}

impl Runner<'_> {
    /// What differs, a line each; nothing when the case passes.
    pub fn run(&self, case: &Case) -> Vec<String> {
        self.sink.forget(&format!("/{}", case.name));
        let found = match case.kind {
            Kind::Api => self.run_steps(case),
            Kind::Stream | Kind::Batch => self.run_task(case),
        };
        // A case that cannot be run is one that fails.
        found.unwrap_or_else(|error| vec![error.to_string()])
    }

    fn call(&self, method: &str, path: &str, body: Option<Value>) -> io::Result<Answer> {
        let body = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
        let headers = [("content-type", "application/json")];
        http::request(self.server, method, &format!("{BASE}{path}"), &headers, Some(&body))
    }

    fn run_task(&self, case: &Case) -> io::Result<Vec<String>> {
        let task = format!("/tasks/{}", case.task());
        self.call("DELETE", &task, None)?;
        let found = self.run_defined_task(case, &task);
        self.call("DELETE", &task, None)?;
        found
    }

    fn run_defined_task(&self, case: &Case, task: &str) -> io::Result<Vec<String>> {
        let mut want = case.expected()?;
        any_words_for_errors(&mut want);
        let bodies = |result: &Value| -> usize {
            let sinks = result.get("sinks").and_then(Value::as_object);
            sinks.into_iter().flat_map(Map::values).filter_map(Value::as_array).map(Vec::len).sum()
        };
        let (expected, ordered) = (bodies(&want), case.options.ordered);
        let want = if ordered { want } else { by_group(want) };
        let compare = |got: Value| {
            let got = if ordered { got } else { by_group(got) };
            differences(&want, &got, case.options.float_tolerance)
        };

        if case.kind == Kind::Batch {
            self.load_influxdb(case)?;
        }
        let answer = self.define(case)?;
        if answer.status >= 400 {
            return Ok(compare(json!({"define": {"status": answer.status, "error": answer.json()["error"]}})));
        }
        let fed = match case.kind {
            Kind::Batch => self.record_and_replay(case)?,
            Kind::Stream | Kind::Api => self.write(case)?,
        };
        thread::sleep(case.settle());

        let prefix = format!("/{}", case.name);
        let deadline = Instant::now() + self.limit;
        let mut was_good = false;
        loop {
            until(deadline - Instant::now(), || self.sink.count(&prefix) >= expected);
            let found = compare(self.results(case, task, &fed)?);
            match (found.is_empty(), was_good) {
                (true, true) => return Ok(found),
                (true, false) => thread::sleep(STILL),
                (false, _) if self.sink.count(&prefix) > expected || Instant::now() > deadline => return Ok(found),
                (false, _) => thread::sleep(STEP),
            }
            was_good = found.is_empty();
        }
    }

    fn define(&self, case: &Case) -> io::Result<Answer> {
        let (kind, status) = match case.kind {
            Kind::Batch => ("batch", "disabled"),
            Kind::Stream | Kind::Api => ("stream", "enabled"),
        };
        let mut definition = json!({
            "id": case.task(),
            "type": kind,
            "status": status,
            "dbrps": [{"db": case.database(), "rp": case.options.rp}],
            "script": case.text("task.tick", &self.sink.url())?,
        });
        if let Some(vars) = &case.options.vars {
            definition["vars"] = vars.clone();
        }
        self.call("POST", "/tasks", Some(definition))
    }

    /// Writes the points; gives the answers that were not 204.
    fn write(&self, case: &Case) -> io::Result<Map<String, Value>> {
        let options = &case.options;
        let (database, rp) = (encode(&case.database()), encode(&options.rp));
        let path = format!("/write?db={database}&rp={rp}&precision={}", options.precision);
        let input = case.input()?;
        let lines: Vec<_> = input.split_inclusive(|byte| *byte == b'\n').collect();
        let mut refused = Vec::new();
        for lines in lines.chunks(options.lines_per_write) {
            let answer = http::request(self.server, "POST", &path, &[], Some(&lines.concat()))?;
            if answer.status != 204 {
                refused.push(json!({"status": answer.status, "body": answer.json()}));
            }
        }
        let mut result = Map::new();
        if !refused.is_empty() {
            result.insert("writes".to_owned(), refused.into());
        }
        Ok(result)
    }

    fn load_influxdb(&self, case: &Case) -> io::Result<()> {
        let influxdb = self.influxdb.ok_or_else(|| io::Error::other("the case needs InfluxDB"))?;
        let database = case.database();
        influxdb.query(&format!("DROP DATABASE \"{database}\""))?;
        influxdb.query(&format!("CREATE DATABASE \"{database}\""))?;
        influxdb.write(&database, &case.options.precision, &case.input()?)?;
        Ok(())
    }

    /// Records the task's queries and replays them into it; gives what went wrong.
    fn record_and_replay(&self, case: &Case) -> io::Result<Map<String, Value>> {
        let recording = json!({"task": case.task(), "start": case.options.start, "stop": case.options.stop});
        let recording = match self.finish("/recordings/batch", recording)? {
            Ok(recording) => recording,
            Err(trouble) => return Ok(Map::from_iter([("recording".to_owned(), trouble)])),
        };
        let replay = json!({
            "task": case.task(), "recording": recording["id"], "recording-time": true, "clock": "fast",
        });
        let replay = self.finish("/replays", replay)?;
        if let Ok(replay) = &replay {
            self.call("DELETE", &path_of(replay), None)?;
        }
        self.call("DELETE", &path_of(&recording), None)?;
        Ok(replay.err().into_iter().map(|trouble| ("replay".to_owned(), trouble)).collect())
    }

    /// Asks for something that takes its time and waits for its end.
    fn finish(&self, path: &str, body: Value) -> io::Result<Result<Value, Value>> {
        let made = self.call("POST", path, Some(body))?;
        if made.status != 201 {
            return Ok(Err(json!({"status": made.status, "error": made.json()["error"]})));
        }
        let path = path_of(&made.json());
        let deadline = Instant::now() + self.limit;
        loop {
            let answer = self.call("GET", &path, None)?;
            let state = answer.json();
            if answer.status != 202 && state["status"] == "finished" {
                return Ok(Ok(state));
            }
            if answer.status != 202 || Instant::now() > deadline {
                return Ok(Err(json!({"status": state["status"], "error": state["error"]})));
            }
            thread::sleep(STEP);
        }
    }

    /// What has come out of the task until now.
    fn results(&self, case: &Case, task: &str, fed: &Map<String, Value>) -> io::Result<Value> {
        let mut result = fed.clone();
        result.insert("sinks".to_owned(), json!(self.sink.take(&format!("/{}", case.name))));
        let outs = if case.kind == Kind::Stream { self.outs(case, task)? } else { Map::new() };
        if !outs.is_empty() {
            result.insert("outs".to_owned(), outs.into());
        }
        let state = self.call("GET", task, None)?.json();
        if state["error"].as_str().is_some_and(|error| !error.is_empty()) {
            result.insert("task_error".to_owned(), state["error"].clone());
        }
        let sink = format!("{}/{}", self.sink.url(), case.name);
        let mut result = Value::Object(result);
        replace(&mut result, &sink, "$SINK");
        Ok(result)
    }

    /// The contents of the task's `httpOut` nodes.
    fn outs(&self, case: &Case, task: &str) -> io::Result<Map<String, Value>> {
        let names = Regex::new(r"\|\s*httpOut\(\s*'([^']+)'\s*\)").map_err(io::Error::other)?;
        let mut outs = Map::new();
        for name in names.captures_iter(&case.text("task.tick", "")?) {
            let answer = self.call("GET", &format!("{task}/{}", &name[1]), None)?;
            let out = if answer.status == 200 { answer.json() } else { json!({"status": answer.status}) };
            outs.insert(name[1].to_owned(), out);
        }
        Ok(outs)
    }

    fn run_steps(&self, case: &Case) -> io::Result<Vec<String>> {
        let steps: Vec<Step> = serde_json::from_str(&case.text("steps.json", &self.sink.url())?)?;
        let mut found = Vec::new();
        for (number, step) in steps.iter().enumerate() {
            let deadline = Instant::now() + (Duration::from_secs_f64(step.until) * patience()).min(self.limit);
            let differences = loop {
                let differences = differences(&step.response, &self.seen(case, step)?, 1e-9);
                if differences.is_empty() || Instant::now() >= deadline {
                    break differences;
                }
                thread::sleep(STEP);
            };
            let Request { method, path, .. } = &step.request;
            found.extend(differences.iter().map(|line| format!("step {} {method} {path}: {line}", number + 1)));
        }
        Ok(found)
    }

    /// The response to a step, with those of its headers that the step looks at.
    fn seen(&self, case: &Case, step: &Step) -> io::Result<Value> {
        let Request { method, path, headers, body } = &step.request;
        if method == "SINK" {
            let bodies = self.sink.take(&format!("/{}", case.name)).remove(path).unwrap_or_default();
            return Ok(json!({"status": 200, "body": bodies}));
        }
        let mut headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let body = match body {
            Some(Value::String(text)) => Some(text.clone()),
            Some(json) => {
                if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
                    headers.push(("content-type", "application/json"));
                }
                Some(json.to_string())
            }
            None if matches!(method.as_str(), "POST" | "PUT" | "PATCH") => Some(String::new()),
            None => None,
        };
        let answer = http::request(self.server, method, path, &headers, body.as_deref().map(str::as_bytes))?;
        let mut seen = json!({"status": answer.status, "body": answer.json()});
        if let Some(wanted) = step.response["headers"].as_object() {
            let header = |name: &String| (name.clone(), json!(answer.header(&name.to_ascii_lowercase())));
            seen["headers"] = wanted.keys().map(header).collect::<Map<_, _>>().into();
        }
        Ok(seen)
    }
}

/// One entry of `steps.json`.
#[derive(serde::Deserialize)]
struct Step {
    request: Request,
    /// `status`, `body` and those `headers` that count.
    response: Value,
    /// Seconds for which the request is repeated until its response is as wanted.
    #[serde(default)]
    until: f64,
}

#[derive(serde::Deserialize)]
struct Request {
    /// An HTTP method, or `SINK`: what arrived there below the case's own address.
    method: String,
    path: String,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
    /// A string is sent as it is, anything else as JSON.
    body: Option<Value>,
}

/// The words of an error are the server's own; that there are some is what counts.
fn any_words_for_errors(want: &mut Value) {
    let any = |error: &mut Value| {
        if error.as_str().is_some_and(|words| !words.is_empty()) {
            *error = json!("<re:.+>");
        }
    };
    for place in ["define", "recording", "replay"] {
        want.pointer_mut(&format!("/{place}/error")).map(any);
    }
    want.pointer_mut("/task_error").map(any);
}

/// The path below the API's base at which a recording or a replay is found.
fn path_of(object: &Value) -> String {
    object["link"]["href"].as_str().unwrap_or_default().trim_start_matches(BASE).to_owned()
}

fn replace(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::String(text) if text.contains(from) => *text = text.replace(from, to),
        Value::Array(values) => values.iter_mut().for_each(|value| replace(value, from, to)),
        Value::Object(map) => map.values_mut().for_each(|value| replace(value, from, to)),
        _ => {}
    }
}
