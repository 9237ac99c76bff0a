//! The latency-emulating backends.

pub mod profile;
