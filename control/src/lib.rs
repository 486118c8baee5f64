//! Farad control plane.
