//! `stats general|ingress`: the server's statistics.

use serde_json::{Value, json};

use super::{
    CliError,
    client::Server,
    flags::Flags,
    look::{self, Column},
    text,
};

pub fn run(server: &Server, arguments: &[String]) -> Result<(), CliError> {
    let flags = Flags::read(arguments, &[], &["json"])?;
    let Some(category) = flags.words.first() else {
        return Err(CliError::Incomplete("must provide a stats category".to_owned()));
    };
    let vars = server.connect()?.get("/debug/vars")?;
    match category.as_str() {
        "general" => general(&flags, &vars),
        "ingress" => ingress(&flags, &vars),
        // The original prints nothing here and is content.
        _ => Ok(()),
    }
}

fn general(flags: &Flags, vars: &Value) -> Result<(), CliError> {
    let rows = [
        ("ClusterID:", "cluster_id"),
        ("ServerID:", "server_id"),
        ("Host:", "host"),
        ("Tasks:", "num_tasks"),
        ("Enabled Tasks:", "num_enabled_tasks"),
        ("Subscriptions:", "num_subscriptions"),
        ("Platform:", "platform"),
        ("Version:", "version"),
    ];
    if flags.is_set("json") {
        let shown = rows.into_iter().map(|(_, key)| (key.to_owned(), vars.get(key).cloned().unwrap_or_default()));
        return super::result(flags, &Value::Object(shown.collect()));
    }
    for (label, key) in rows {
        let value = match vars.get(key) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        };
        say!("{label:30}{value:30}");
    }
    Ok(())
}

fn ingress(flags: &Flags, vars: &Value) -> Result<(), CliError> {
    let mut rows: Vec<[String; 4]> = Vec::new();
    for statistic in vars.get("kapacitor").and_then(Value::as_object).into_iter().flat_map(|all| all.values()) {
        let tags = statistic.get("tags").cloned().unwrap_or_default();
        if text(statistic, "name") != "ingress" || text(&tags, "task_master") != "main" {
            continue;
        }
        let points = statistic["values"]["points_received"].as_i64().unwrap_or_default();
        let [db, rp, measurement] = ["database", "retention_policy", "measurement"].map(|key| text(&tags, key));
        rows.push([db, rp, measurement, points.to_string()]);
    }
    rows.sort();
    if flags.is_set("json") {
        let row = |[db, rp, measurement, points]: &[String; 4]| {
            let points: i64 = points.parse().unwrap_or_default();
            json!({ "database": db, "retention_policy": rp, "measurement": measurement, "points_received": points })
        };
        return super::result(flags, &Value::Array(rows.iter().map(row).collect()));
    }
    let columns = [
        ("Database", Column::Fit(8)),
        ("Retention Policy", Column::Fit(16)),
        ("Measurement", Column::Fit(11)),
        ("Points Received", Column::Right(15)),
    ];
    super::print(&look::table(&columns, &rows.iter().map(|row| row.to_vec()).collect::<Vec<_>>()));
    Ok(())
}
