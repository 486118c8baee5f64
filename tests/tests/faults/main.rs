//! What must hold when a process dies, a receiver hangs, the store is damaged, or the server is told to end; and that an
//! idle one is idle.

mod drain;
mod hang;
mod idle;
mod kill;
mod store;
