//! Subscriptions: what makes an InfluxDB 1.x send its points here (reference: batch-and-replay §10).
//!
//! At the start, when its section changes and then at intervals the subscriptions of each enabled cluster are brought to
//! what is configured: missing ones are created, own stale ones dropped, those of others left alone. Those of a section
//! that is switched off while the server runs are dropped. A server that cannot be reached, or has no subscriptions, is
//! named in the log and asked again later; nothing here keeps Farad from starting.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use proto::message::{Endpoint, Listener};

use super::{Client, Clusters, InfluxError, result};
use crate::{
    auth::Auth,
    config::Influxdb,
    engine::Engine,
    influxql::{identifier, string},
};

/// How often sections are looked at for one whose time has come.
const LOOK: Duration = Duration::from_secs(1);

/// Longest pause between tries of a server that does not answer.
const RETRY: Duration = Duration::from_secs(30);

/// What names this server in subscriptions and where writes go.
#[derive(Clone)]
pub struct Subscriptions {
    pub cluster_id: String,
    pub server_id: String,
    pub hostname: String,
    pub port: u16,
    /// Opens the ports of subscriptions by UDP.
    pub engine: Engine,
    /// Has the token that subscriptions write with where writers need credentials.
    pub auth: Auth,
    /// How many each cluster has of this server, by its name.
    pub held: Arc<Mutex<BTreeMap<String, usize>>>,
}

/// A section whose subscriptions were made, or are to be dropped.
struct Linked {
    section: Influxdb,
    next: Instant,
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
    /// Number of subscriptions that this server holds now.
    pub fn count(&self) -> usize {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }

    fn holds(&self, cluster: &str, count: usize) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(cluster.to_owned(), count);
    }

    /// Brings all clusters to what is configured, now.
    pub async fn sync_all(&self, clusters: &Clusters) -> Result<(), String> {
        for section in clusters.sections().iter().filter(|section| section.enabled && !section.disable_subscriptions) {
            let linked = self.sync(clusters, section).await;
            linked.map_err(|error| format!("linking cluster {}: {error}", section.name))?;
        }
        Ok(())
    }

    /// Keeps the subscriptions of all clusters. Never ends.
    pub async fn run(self, clusters: Clusters) {
        let mut linked: HashMap<String, Linked> = HashMap::new();
        loop {
            let wanted: Vec<Influxdb> = clusters
                .sections()
                .into_iter()
                .filter(|section| section.enabled && !section.disable_subscriptions)
                .collect();
            self.unlink(&wanted, &mut linked).await;
            for section in wanted {
                let known = linked.get(&section.name);
                if known.is_some_and(|known| known.section == section && Instant::now() < known.next) {
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
                let next = Instant::now() + pause;
                linked.insert(section.name.clone(), Linked { section, next });
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Drops the subscriptions of sections that are wanted no more, or are now found under another name.
    async fn unlink(&self, wanted: &[Influxdb], linked: &mut HashMap<String, Linked>) {
        let stays = |name: &String, section: &Influxdb| {
            wanted.iter().any(|now| {
                now.name == *name && now.urls == section.urls && now.subscription_mode == section.subscription_mode
            })
        };
        for (name, Linked { section, .. }) in linked.extract_if(|name, linked| !stays(name, &linked.section)) {
            self.holds(&name, 0);
            // A server that cannot be reached keeps its subscriptions: their writes fail until somebody drops them.
            if let Err(error) = self.drop_own(&section).await {
                tracing::error!(service = "influxdb", cluster = name, err = %error, "failed to unlink subscriptions");
            }
        }
    }

    async fn drop_own(&self, section: &Influxdb) -> Result<(), InfluxError> {
        let client = Client::new(section)?;
        let own = self.name(section);
        for found in listed(rows(&client, "SHOW SUBSCRIPTIONS").await?).into_iter().filter(|found| found.name == own) {
            execute(&client, section, &found.drop_statement()).await?;
        }
        Ok(())
    }

    /// Of own subscriptions.
    fn name(&self, section: &Influxdb) -> String {
        format!("kapacitor-{}", self.id(section))
    }

    fn id(&self, section: &Influxdb) -> &str {
        if section.subscription_mode == "server" { &self.server_id } else { &self.cluster_id }
    }

    /// Where the points of a place go.
    async fn destination(&self, section: &Influxdb, (database, policy): &Place) -> Result<String, InfluxError> {
        let host = if section.kapacitor_hostname.is_empty() { &self.hostname } else { &section.kapacitor_hostname };
        let protocol = &section.subscription_protocol;
        if protocol == "udp" {
            let listener = Listener {
                endpoint: Endpoint::Udp {
                    address: format!("{}:0", section.udp_bind),
                    buffer_bytes: u64::try_from(section.udp_read_buffer).unwrap_or_default(),
                },
                database: database.clone(),
                retention_policy: policy.clone(),
            };
            let address = self.engine.listen(listener).await;
            let address = address.map_err(|error| InfluxError::Listen(error.to_string()))?;
            let port = address.rsplit(':').next().unwrap_or_default();
            return Ok(format!("udp://{host}:{port}"));
        }
        let port = if section.http_port == 0 { self.port } else { section.http_port };
        let token = match self.auth.enabled() {
            true => format!("~subscriber:{}@", self.auth.subscription_token()),
            false => String::new(),
        };
        Ok(format!("{protocol}://{token}{host}:{port}"))
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
        let name = self.name(section);
        let own = listed.iter().filter(|found| found.name == name).map(Listed::place);
        let mut destinations = BTreeMap::new();
        for place in existing.iter().cloned().chain(own).filter(|place| wanted(section, place)) {
            let destination = self.destination(section, &place).await?;
            destinations.insert(place, destination);
        }
        for statement in self.statements(section, &existing, &listed, &destinations) {
            execute(&client, section, &statement).await?;
        }
        self.holds(&section.name, existing.iter().filter(|place| wanted(section, place)).count());
        Ok(())
    }

    /// The statements that lead from what is listed to what is wanted, drops first.
    fn statements(
        &self,
        section: &Influxdb,
        existing: &[Place],
        listed: &[Listed],
        destinations: &BTreeMap<Place, String>,
    ) -> Vec<String> {
        let (id, name) = (self.id(section), self.name(section));
        let mut statements = Vec::new();
        let mut kept: BTreeSet<Place> = BTreeSet::new();
        for found in listed {
            let stale_name = found.name == "kapacitor" || found.name == id;
            if found.name != name && !stale_name {
                continue;
            }
            let right = destinations.get(&found.place()).is_some_and(|wanted| found.destinations == [wanted.as_str()]);
            if found.name == name && right {
                kept.insert(found.place());
                continue;
            }
            statements.push(found.drop_statement());
        }
        for place in existing.iter().filter(|place| !kept.contains(*place)) {
            let (database, policy) = place;
            if let Some(destination) = destinations.get(place) {
                statements.push(format!(
                    "CREATE SUBSCRIPTION {} ON {}.{} DESTINATIONS ANY {}",
                    quoted(&name),
                    identifier(database),
                    identifier(policy),
                    string(destination)
                ));
            }
        }
        statements
    }
}

impl Listed {
    fn place(&self) -> Place {
        (self.database.clone(), self.retention_policy.clone())
    }

    fn drop_statement(&self) -> String {
        let (database, policy) = (identifier(&self.database), identifier(&self.retention_policy));
        format!("DROP SUBSCRIPTION {} ON {database}.{policy}", quoted(&self.name))
    }
}

async fn execute(client: &Client, section: &Influxdb, statement: &str) -> Result<(), InfluxError> {
    // Without what stands between the protocol and the host: it may be a token.
    let shown = statement.rsplit('@').next().unwrap_or_default();
    tracing::info!(service = "influxdb", cluster = section.name, "{shown}");
    result::series(&client.query(statement).await?).map_err(|error| InfluxError::Server(error.to_string()))?;
    Ok(())
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
    let mut rows = Vec::new();
    for series in &all {
        let read = series.each_row(|row| {
            rows.push((series.name.clone().into_owned(), row.iter().map(cell).collect()));
            Ok(())
        });
        read.map_err(|error| InfluxError::Server(error.to_string()))?;
    }
    Ok(rows)
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

    fn subscriptions() -> (Subscriptions, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let store = crate::store::Store::open(folder.path()).unwrap();
        let config = crate::config::load(Some(std::path::Path::new("/dev/null")), &[], Vec::new()).unwrap();
        let live = crate::config::Live::open(config.config, config.table, store.overrides()).unwrap();
        let subscriptions = Subscriptions {
            cluster_id: "c".into(),
            server_id: "s".into(),
            hostname: "localhost".into(),
            port: 9092,
            engine: Engine::detached(),
            auth: Auth::open(live, store.users()).unwrap(),
            held: Arc::default(),
        };
        (subscriptions, folder)
    }

    /// What leads from what is listed to what is wanted.
    fn statements(section: &Influxdb, existing: &[Place], listed: &[Listed]) -> Vec<String> {
        let (subscriptions, _folder) = subscriptions();
        let places = existing.iter().cloned().chain(listed.iter().map(Listed::place));
        let to = |place: Place| (place, "http://localhost:9092".to_owned());
        let destinations = places.filter(|place| wanted(section, place)).map(to).collect();
        subscriptions.statements(section, existing, listed, &destinations)
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
            statements(&Influxdb::default(), &existing, &[]),
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
        let statements = statements(&Influxdb::default(), &existing, &listed);
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
        let statements = statements(&section, &existing, &listed);
        assert_eq!(
            statements,
            [
                "DROP SUBSCRIPTION \"kapacitor-s\" ON b.autogen",
                "CREATE SUBSCRIPTION \"kapacitor-s\" ON a.autogen DESTINATIONS ANY 'http://localhost:9092'",
            ]
        );
    }
}
