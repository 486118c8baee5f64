//! Alert handlers as scripts and topics name them.

use serde::{Deserialize, Serialize};

/// One handler (reference: nodes-alert-join-io §4.3). Durations are nanoseconds, 0 for none.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HandlerSpec {
    Post {
        url: String,
        headers: Vec<(String, String)>,
        basic_auth: Option<(String, String)>,
        capture_response: bool,
        timeout: i64,
        skip_ssl_verification: bool,
    },
    Tcp {
        address: String,
    },
    Exec {
        program: String,
        arguments: Vec<String>,
    },
    Log {
        path: String,
        mode: u32,
    },
}
