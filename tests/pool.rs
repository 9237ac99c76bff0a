//! Which connection to a backend may serve the next client: one small origin for each way in which real ones do not keep
//! to HTTP on a connection that is used again, and two clients that take turns in front of it.
//!
//! Each test counts what the clients were told wrongly, of a thousand requests unless it says otherwise, and prints it:
//! `cargo test --test pool -- --nocapture`. Each answer names the request it is for, so that another's is seen. When one
//! is wrong, what both sides did around it is told.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a panic here is a failed test
#![allow(unreachable_pub, missing_docs)]

#[allow(unused_imports)] // the origins here are of their own kind
mod support;

#[path = "pool/clients.rs"]
mod clients;
#[path = "pool/diary.rs"]
mod diary;
#[path = "pool/origin.rs"]
mod origin;

#[path = "pool/answers.rs"]
mod answers;
#[path = "pool/burst.rs"]
mod burst;
#[path = "pool/closes.rs"]
mod closes;
#[path = "pool/content.rs"]
mod content;
#[path = "pool/idle.rs"]
mod idle;
#[path = "pool/logins.rs"]
mod logins;
