//! The whole proxy over real sockets, message by message: what the client sees and what reached the origin.
//!
//! The rows are in tests/http1/, a file per subject; how one is run is in row.rs.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a panic here is a failed test
#![allow(unreachable_pub, missing_docs)]

mod support;

#[path = "http1/exchange.rs"]
mod exchange;
#[path = "http1/request_bodies.rs"]
mod request_bodies;
#[path = "http1/requests.rs"]
mod requests;
#[path = "http1/response_bodies.rs"]
mod response_bodies;
#[path = "http1/responses.rs"]
mod responses;
#[path = "http1/rewriting.rs"]
mod rewriting;
#[path = "http1/row.rs"]
mod row;
#[path = "http1/text.rs"]
mod text;
#[path = "http1/upgrades.rs"]
mod upgrades;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use row::{Manner, Row};

/// Enough to keep the cores busy while others wait for their sockets.
const THREADS: usize = 8;

fn all() -> Vec<(&'static str, Vec<Row>)> {
    vec![
        ("requests", requests::rows()),
        ("request bodies", request_bodies::rows()),
        ("response bodies", response_bodies::rows()),
        ("responses", responses::rows()),
        ("rewriting", rewriting::rows()),
        ("exchange", exchange::rows()),
        ("upgrades", upgrades::rows()),
    ]
}

/// `ROW=words cargo test --test http1` runs the rows with these words in their names.
fn check(rows: &[Row]) {
    let wanted = std::env::var("ROW").unwrap_or_default();
    let rows: Vec<&Row> = rows.iter().filter(|row| row.name.contains(&wanted)).collect();
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                    for manner in [Manner::Whole, Manner::Bytewise, Manner::Pipelined] {
                        if let Err(what) = row.run(manner) {
                            failures.lock().unwrap().push(format!("{} ({manner:?}): {what}", row.name));
                        }
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} failures\n\n{}\n", failures.len(), failures.join("\n\n"));
}

#[test]
fn requests_are_accepted_or_refused() {
    check(&requests::rows());
}

#[test]
fn request_bodies_end_where_they_say() {
    check(&request_bodies::rows());
}

#[test]
fn response_bodies_end_where_they_say() {
    check(&response_bodies::rows());
}

#[test]
fn responses_are_forwarded_or_replaced() {
    check(&responses::rows());
}

#[test]
fn heads_are_rewritten() {
    check(&rewriting::rows());
}

#[test]
fn exchanges_keep_their_order_and_their_connections() {
    check(&exchange::rows());
}

#[test]
fn upgrades_become_tunnels_or_do_not() {
    check(&upgrades::rows());
}

#[test]
fn the_table_is_of_three_hundred_different_rows() {
    let mut names: Vec<String> = all()
        .iter()
        .flat_map(|(file, rows)| rows.iter().map(move |row| format!("{file}: {}", row.name)))
        .collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count, "two rows have one name");
    println!("{count} rows");
    assert!(count >= 300, "{count} rows");
}
