//! Subscriptions: what makes an InfluxDB 1.x send its points here (reference: batch-and-replay §10).
//!
//! At the start and then at intervals the subscriptions of each enabled cluster are brought to what is configured: missing
//! ones are created, own stale ones dropped, those of others left alone. A server that cannot be reached, or has no
//! subscriptions, is named in the log and asked again later; nothing here keeps Farad from starting.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{Client, Clusters, InfluxError, result};
use crate::{
    config::Influxdb,
    influxql::{identifier, string},
};

/// How often sections are looked at for one whose time has come.
const LOOK: Duration = Duration::from_secs(1);

/// Longest pause between tries of a server that does not answer.
const RETRY: Duration = Duration::from_secs(30);

/// What names this server in subscriptions and where writes go.
#[derive(Clone, Debug)]
pub struct Subscriptions {
    pub cluster_id: String,
    pub server_id: String,
    pub hostname: String,
    pub port: u16,
}

/// A subscription as SHOW SUBSCRIPTIONS lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Listed {
    database: String,
    retention_policy: String,
    name: String,
    destinations: Vec<String>,
}

/// A database and a retention policy.
type Place = (String, String);

impl Subscriptions {
    /// Keeps the subscriptions of all clusters. Never ends.
    pub async fn run(self, clusters: Clusters) {
        let mut next: std::collections::HashMap<String, Instant> = std::collections::HashMap::new();
        loop {
            for section in clusters.sections() {
                let due = next.get(&section.name).is_none_or(|next| Instant::now() >= *next);
                if !section.enabled || section.disable_subscriptions || !due {
                    continue;
                }
                let pause = match self.sync(&clusters, &section).await {
                    Ok(()) => section.subscriptions_sync_interval.0.max(LOOK),
                    Err(error) => {
                        let cluster = &section.name;
                        tracing::error!(service = "influxdb", cluster, err = %error, "failed to link subscriptions");
                        section.subscriptions_sync_interval.0.clamp(LOOK, RETRY)
                    }
                };
                next.insert(section.name.clone(), Instant::now() + pause);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Brings the subscriptions of one cluster to what its section says.
    pub async fn sync(&self, clusters: &Clusters, section: &Influxdb) -> Result<(), InfluxError> {
        let client = clusters.get(&section.name)?;
        let version = client.ping().await?;
        if !version.lacks().is_empty() {
            let (cluster, lacks) = (&section.name, version.lacks());
            tracing::warn!(
                service = "influxdb",
                cluster,
                version = version.0,
                lacks,
                "this InfluxDB lacks what tasks may want"
            );
            return Ok(());
        }
        let mut existing = Vec::new();
        for database in
            rows(&client, "SHOW DATABASES").await?.into_iter().filter_map(|(_, mut row)| row.drain(..).next())
        {
            let query = format!("SHOW RETENTION POLICIES ON {}", identifier(&database));
            let policies = rows(&client, &query).await?;
            existing.extend(
                policies.into_iter().filter_map(|(_, mut row)| Some((database.clone(), row.drain(..).next()?))),
            );
        }
        let listed = listed(rows(&client, "SHOW SUBSCRIPTIONS").await?);
        for statement in self.statements(section, &existing, &listed) {
            tracing::info!(service = "influxdb", cluster = section.name, "{statement}");
            result::series(&client.query(&statement).await?).map_err(|error| InfluxError::Server(error.to_string()))?;
        }
        Ok(())
    }

    /// The statements that lead from what is listed to what is wanted, drops first.
    fn statements(&self, section: &Influxdb, existing: &[Place], listed: &[Listed]) -> Vec<String> {
        let id = if section.subscription_mode == "server" { &self.server_id } else { &self.cluster_id };
        let name = format!("kapacitor-{id}");
        let host = if section.kapacitor_hostname.is_empty() { &self.hostname } else { &section.kapacitor_hostname };
        let port = if section.http_port == 0 { self.port } else { section.http_port };
        let destination = format!("{}://{host}:{port}", section.subscription_protocol);
        let place = |listed: &Listed| (listed.database.clone(), listed.retention_policy.clone());
        let mut statements = Vec::new();
        let mut kept: BTreeSet<Place> = BTreeSet::new();
        for found in listed {
            let stale_name = found.name == "kapacitor" || found.name == *id;
            if found.name != name && !stale_name {
                continue;
            }
            let right = found.destinations == [destination.clone()];
            if found.name == name && right && wanted(section, &place(found)) {
                kept.insert(place(found));
                continue;
            }
            statements.push(format!(
                "DROP SUBSCRIPTION {} ON {}.{}",
                quoted(&found.name),
                identifier(&found.database),
                identifier(&found.retention_policy)
            ));
        }
        for (database, policy) in existing {
            let place = (database.clone(), policy.clone());
            if wanted(section, &place) && !kept.contains(&place) {
                statements.push(format!(
                    "CREATE SUBSCRIPTION {} ON {}.{} DESTINATIONS ANY {}",
                    quoted(&name),
                    identifier(database),
                    identifier(policy),
                    string(&destination)
                ));
            }
        }
        statements
    }
}

/// Excluded ones never; otherwise those that are listed, or all if none are.
fn wanted(section: &Influxdb, (database, policy): &Place) -> bool {
    let lists = |list: &std::collections::BTreeMap<String, Vec<String>>| {
        list.get(database).is_some_and(|policies| policies.is_empty() || policies.contains(policy))
    };
    !lists(&section.excluded_subscriptions) && (section.subscriptions.is_empty() || lists(&section.subscriptions))
}

/// Names of subscriptions are always quoted.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Series and cells of an answer, cells that are no strings as JSON.
async fn rows(client: &Client, query: &str) -> Result<Vec<(String, Vec<String>)>, InfluxError> {
    let body = client.query(query).await?;
    let all = result::series(&body).map_err(|error| InfluxError::Server(error.to_string()))?;
    let cell = |value: &&serde_json::value::RawValue| {
        serde_json::from_str::<String>(value.get()).unwrap_or_else(|_| value.get().to_owned())
    };
    let rows = |series: result::Series<'_>| {
        let name = series.name.clone().into_owned();
        series.values.iter().map(|row| (name.clone(), row.iter().map(cell).collect())).collect::<Vec<_>>()
    };
    Ok(all.into_iter().flat_map(rows).collect())
}

/// Columns of SHOW SUBSCRIPTIONS: retention policy, name, mode, destinations; a series a database.
fn listed(rows: Vec<(String, Vec<String>)>) -> Vec<Listed> {
    let one = |(database, row): (String, Vec<String>)| {
        let mut row = row.into_iter();
        let (retention_policy, name, _mode) = (row.next()?, row.next()?, row.next()?);
        let destinations = serde_json::from_str(&row.next()?).unwrap_or_default();
        Some(Listed { database, retention_policy, name, destinations })
    };
    rows.into_iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscriptions() -> Subscriptions {
        Subscriptions { cluster_id: "c".into(), server_id: "s".into(), hostname: "localhost".into(), port: 9092 }
    }

    fn place(database: &str, policy: &str) -> Place {
        (database.to_owned(), policy.to_owned())
    }

    fn found(database: &str, name: &str, destination: &str) -> Listed {
        Listed {
            database: database.into(),
            retention_policy: "autogen".into(),
            name: name.into(),
            destinations: vec![destination.into()],
        }
    }

    #[test]
    fn missing_ones_are_created_and_names_quoted_only_if_needed() {
        let existing = [place("telegraf", "autogen"), place("my db", "week one"), place("_kapacitor", "autogen")];
        assert_eq!(
            subscriptions().statements(&Influxdb::default(), &existing, &[]),
            [
                "CREATE SUBSCRIPTION \"kapacitor-c\" ON telegraf.autogen DESTINATIONS ANY 'http://localhost:9092'",
                "CREATE SUBSCRIPTION \"kapacitor-c\" ON \"my db\".\"week one\" DESTINATIONS ANY 'http://localhost:9092'",
            ]
        );
    }

    #[test]
    fn own_stale_ones_are_dropped_and_those_of_others_stay() {
        let existing = [place("a", "autogen"), place("b", "autogen"), place("c", "autogen")];
        let listed = [
            found("a", "kapacitor-c", "http://localhost:9092"),
            found("b", "kapacitor-c", "http://old:9092"),
            found("c", "kapacitor", "http://localhost:9092"),
            found("c", "kapacitor-other", "http://localhost:1"),
            found("gone", "kapacitor-c", "http://localhost:9092"),
        ];
        let statements = subscriptions().statements(&Influxdb::default(), &existing, &listed);
        assert_eq!(
            statements[..2],
            ["DROP SUBSCRIPTION \"kapacitor-c\" ON b.autogen", "DROP SUBSCRIPTION \"kapacitor\" ON c.autogen"]
        );
        assert_eq!(statements.len(), 4, "{statements:?}");
    }

    #[test]
    fn only_what_is_configured_is_subscribed() {
        let mut section = Influxdb { subscription_mode: "server".into(), ..Influxdb::default() };
        section.subscriptions.insert("a".into(), vec!["autogen".into()]);
        let existing = [place("a", "autogen"), place("a", "other"), place("b", "autogen")];
        let listed = [found("b", "kapacitor-s", "http://localhost:9092")];
        let statements = subscriptions().statements(&section, &existing, &listed);
        assert_eq!(
            statements,
            [
                "DROP SUBSCRIPTION \"kapacitor-s\" ON b.autogen",
                "CREATE SUBSCRIPTION \"kapacitor-s\" ON a.autogen DESTINATIONS ANY 'http://localhost:9092'",
            ]
        );
    }
}
