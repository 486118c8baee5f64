//! InfluxDB servers: the clusters of the configuration and their clients.
//!
//! reference: batch-and-replay §4, §10; configuration `[[influxdb]]`. Queries in InfluxQL go to 1.x (and to the
//! compatibility endpoints of 2.x and 3.x), Flux goes to 2.x. What a version lacks its own answers say; they are passed
//! on, and never keep the server from starting.

mod client;
pub mod flux;
pub mod result;
mod subscriptions;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

pub use client::{Client, InfluxError};
pub use subscriptions::Subscriptions;

use crate::config::{Influxdb, Live};

/// The clusters by name; cheap to clone. A changed section makes a new client.
#[derive(Clone)]
pub struct Clusters {
    config: Live,
    clients: Arc<Mutex<HashMap<String, (Influxdb, Client)>>>,
}

impl Clusters {
    pub fn new(config: Live) -> Clusters {
        Clusters { config, clients: Arc::default() }
    }

    /// The client of an enabled cluster; an empty name is the default one.
    pub fn get(&self, name: &str) -> Result<Client, InfluxError> {
        let config = self.config.get();
        let enabled = || config.influxdb.iter().filter(|section| section.enabled);
        let section = match name {
            "" => enabled().find(|section| section.default).or_else(|| enabled().next()),
            name => enabled().find(|section| section.name == name),
        };
        let section = section.ok_or_else(|| match name {
            "" => InfluxError::NoDefault,
            name => InfluxError::NoCluster(name.to_owned()),
        })?;
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, client)) = clients.get(&section.name)
            && known == section
        {
            return Ok(client.clone());
        }
        let client = Client::new(section)?;
        clients.insert(section.name.clone(), (section.clone(), client.clone()));
        Ok(client)
    }

    /// The sections as they are now.
    pub fn sections(&self) -> Vec<Influxdb> {
        self.config.get().influxdb.clone()
    }
}
