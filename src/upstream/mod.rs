//! The backends as the proxy sees them.

pub mod health;
