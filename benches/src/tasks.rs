//! The tasks of a scenario: defined, checked and deleted over the API.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::{
    BenchError,
    http::{Answer, Client},
    scenario::{DATABASE, RETENTION_POLICY, Scenario, Tasks},
};

const PATH: &str = "/kapacitor/v1/tasks";

/// Tasks that were defined.
pub struct Defined {
    address: SocketAddr,
    ids: Vec<String>,
    /// They read the measurement that is written.
    reading: bool,
}

/// What the first task says of itself.
#[derive(Debug, Default, PartialEq)]
pub struct Statistics {
    /// Points that its first `from` let through.
    pub points: u64,
    /// Errors of all its nodes.
    pub errors: u64,
    /// Why it does not execute.
    pub failure: Option<String>,
}

/// Defines and enables the tasks; alerts go to `receiver`.
pub fn define(scenario: &Scenario, address: SocketAddr, receiver: &str) -> Result<Defined, BenchError> {
    let (count, script, reading) = match scenario.tasks {
        Tasks::None => (0, "", false),
        Tasks::Same(count, script) => (count, script, true),
        Tasks::Elsewhere(count, script) => (count, script, false),
    };
    let mut defined = Defined { address, ids: Vec::new(), reading };
    if count == 0 {
        return Ok(defined);
    }
    let mut client = Client::connect(address).map_err(BenchError::io("the API"))?;
    for number in 0..count {
        let id = format!("bench-{}-{number}", scenario.name);
        let measurement = if reading { "cpu".to_owned() } else { format!("other_{number}") };
        let task = json!({
            "id": id,
            "type": "stream",
            "dbrps": [{ "db": DATABASE, "rp": RETENTION_POLICY }],
            "script": script.replace("{measurement}", &measurement).replace("{receiver}", receiver),
            "status": "enabled",
        });
        let answer = client.call("POST", PATH, task.to_string().as_bytes()).map_err(BenchError::io("the API"))?;
        expect(&answer, 200, || format!("define {id}"))?;
        defined.ids.push(id);
    }
    Ok(defined)
}

impl Defined {
    pub fn count(&self) -> usize {
        self.ids.len()
    }

    /// Id of the first task.
    pub fn first(&self) -> Option<&str> {
        self.ids.first().map(String::as_str)
    }

    /// Statistics of the first task, where the tasks read what is written.
    pub fn statistics(&self) -> Result<Option<Statistics>, BenchError> {
        let Some(id) = self.ids.first().filter(|_| self.reading) else { return Ok(None) };
        let answer = Client::connect(self.address)
            .and_then(|mut client| client.call("GET", &format!("{PATH}/{id}"), b""))
            .map_err(BenchError::io("the API"))?;
        expect(&answer, 200, || format!("show {id}"))?;
        Ok(Some(read(&serde_json::from_slice(&answer.body).unwrap_or_default())))
    }

    /// Deletes all of them.
    pub fn delete(self) -> Result<(), BenchError> {
        if self.ids.is_empty() {
            return Ok(());
        }
        let mut client = Client::connect(self.address).map_err(BenchError::io("the API"))?;
        for id in &self.ids {
            let answer = client.call("DELETE", &format!("{PATH}/{id}"), b"").map_err(BenchError::io("the API"))?;
            expect(&answer, 204, || format!("delete {id}"))?;
        }
        Ok(())
    }
}

fn expect(answer: &Answer, status: u16, call: impl FnOnce() -> String) -> Result<(), BenchError> {
    if answer.status == status {
        return Ok(());
    }
    Err(BenchError::Refused { call: call(), status: answer.status, answer: answer.text() })
}

fn read(task: &Value) -> Statistics {
    let number = |value: &Value| value.as_u64().or_else(|| value.as_f64().map(|float| float as u64)).unwrap_or(0);
    let nodes = task["stats"]["node-stats"].as_object();
    let error = task["error"].as_str().unwrap_or_default();
    let stopped = task["executing"] == json!(false);
    Statistics {
        points: nodes.and_then(|nodes| nodes.get("from1")).map_or(0, |from| number(&from["emitted"])),
        errors: nodes.into_iter().flatten().map(|(_, node)| number(&node["errors"])).sum(),
        failure: (stopped || !error.is_empty()).then(|| format!("the task does not execute: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_those_of_the_first_from_and_all_errors() {
        let task = json!({
            "executing": true,
            "error": "",
            "stats": { "node-stats": {
                "stream0": { "emitted": 9, "errors": 0 },
                "from1": { "collected": 9, "emitted": 7, "errors": 1 },
                "alert2": { "errors": 2.0 },
            }},
        });
        assert_eq!(read(&task), Statistics { points: 7, errors: 3, failure: None });
        assert!(read(&json!({ "executing": false, "error": "why" })).failure.unwrap().ends_with("why"));
    }
}
