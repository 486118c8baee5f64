//! The inputs of line protocol beside the API's port.

use proto::message::{Endpoint, Listener};

use super::Config;

impl Config {
    /// `[[udp]]` sections that are on, and `[[farad.lines]]`.
    pub fn listeners(&self) -> Vec<Listener> {
        let udp = self.udp.iter().filter(|section| section.enabled).map(|section| Listener {
            endpoint: Endpoint::Udp {
                address: section.bind_address.clone(),
                buffer_bytes: u64::try_from(section.read_buffer).unwrap_or_default(),
            },
            database: section.database.clone(),
            retention_policy: self.policy(&section.retention_policy),
        });
        let lines = self.farad.lines.iter().map(|section| Listener {
            endpoint: match section.bind_address.strip_prefix("unix:") {
                Some(path) => Endpoint::Unix { path: path.to_owned() },
                None => Endpoint::Tcp { address: section.bind_address.clone() },
            },
            database: section.database.clone(),
            retention_policy: self.policy(&section.retention_policy),
        });
        udp.chain(lines).collect()
    }

    /// The default where none is named, as for writes.
    fn policy(&self, named: &str) -> String {
        if named.is_empty() { self.default_retention_policy.clone() } else { named.to_owned() }
    }
}
