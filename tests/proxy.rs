//! The whole proxy over real sockets, where time, order and amounts matter: tests/http1.rs has the messages.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a panic here is a failed test
#![allow(unreachable_pub, missing_docs)]

mod support;

#[path = "proxy/amounts.rs"]
mod amounts;
#[path = "proxy/duplex.rs"]
mod duplex;
#[path = "proxy/early.rs"]
mod early;
#[path = "proxy/explain.rs"]
mod explain;
#[path = "proxy/failures.rs"]
mod failures;
#[path = "proxy/heads.rs"]
mod heads;
#[path = "proxy/reuse.rs"]
mod reuse;
#[path = "proxy/stopping.rs"]
mod stopping;
#[path = "proxy/switches.rs"]
mod switches;
#[path = "proxy/timeouts.rs"]
mod timeouts;
#[path = "proxy/websocket.rs"]
mod websocket;
#[path = "proxy/weights.rs"]
mod weights;
