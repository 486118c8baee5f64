//! A Kafka producer: texts with a key to a topic of a cluster.
//!
//! Of the protocol (kafka.apache.org/protocol) it has what a producer needs: ApiVersions, Metadata, Produce and SASL, each in
//! one version that every broker from 1.0 to 4 speaks ([`connection`]). No client library, because those written in Rust
//! alone bring twenty crates and more, hold a connection for each partition rather than for each broker, ask for the
//! metadata of all topics to learn of one, and never have a topic made; the others are bindings to one in C. TLS and SCRAM
//! rest on the rustls and ring that are here anyway.
//!
//! ```text
//! Writers ─ by cluster and topic ─► TopicWriter ─ by leader ─► Connection
//!                                   (partition, records)       (wire, sasl)
//! ```

mod connection;
mod error;
pub mod partition;
mod records;
pub mod sasl;
mod settings;
mod wire;
mod writer;
mod writers;

pub use error::KafkaError;
pub use partition::Partitioner;
pub use settings::Settings;
pub use writer::{Record, TopicWriter};
pub use writers::{Target, Writers};
