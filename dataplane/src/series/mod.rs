//! Series as a receiver knows them: raw key bytes to a number, so that tags are parsed at first sight only.

mod cache;
mod ingress;
mod lookahead;
mod table;

pub use cache::Cache;
pub use ingress::{BodyIngress, IngressTable};
pub use lookahead::{Lookahead, key_of_line};
pub use table::{Ingress, NONE, Series, Space, Table};
