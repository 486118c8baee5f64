//! From a plan to running operators: what a task reads, where it runs, and how its nodes are wired.

pub mod build;
pub mod demand;
pub mod placement;
pub mod route;
pub mod task;
