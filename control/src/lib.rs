//! Farad's control plane.

pub mod alert;
pub mod tick;
