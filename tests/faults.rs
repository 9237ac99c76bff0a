//! What is promised when things go wrong, each promise over real sockets.
//!
//! In-process proxies where that is enough, the binary as a child process where a signal, a limit or a figure is a
//! whole process's. Waits are for conditions. Tests that need more than a few seconds or thousands of sockets are
//! ignored: `cargo test --test faults -- --ignored`.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a panic here is a failed test
#![allow(unreachable_pub, missing_docs)]

mod support;

#[path = "support/child.rs"]
mod child;
#[path = "support/load.rs"]
mod load;
#[path = "support/mortal.rs"]
mod mortal;

#[path = "faults/backends.rs"]
mod backends;
#[path = "faults/blame.rs"]
mod blame;
#[path = "faults/checks.rs"]
mod checks;
#[path = "faults/clients.rs"]
mod clients;
#[path = "faults/closing.rs"]
mod closing;
#[path = "faults/connections.rs"]
mod connections;
#[path = "faults/leaving.rs"]
mod leaving;
#[path = "faults/limits.rs"]
mod limits;
#[path = "faults/logs.rs"]
mod logs;
#[path = "faults/mutations.rs"]
mod mutations;
#[path = "faults/names.rs"]
mod names;
#[path = "faults/network.rs"]
mod network;
#[path = "faults/panic.rs"]
mod panic;
#[path = "faults/redial.rs"]
mod redial;
#[path = "faults/signals.rs"]
mod signals;
#[path = "faults/start.rs"]
mod start;
