//! The fuzz targets' bodies over their checked-in corpora, so that what was found once stays found.
//!
//! The targets themselves are a package of their own in `tests/fuzz`, in cargo-fuzz's layout.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a panic is a verdict

mod bodies;

use std::path::Path;

fn run_corpus(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        body(&bytes);
        // And its relatives: cut anywhere, and with any byte changed.
        for at in 0..bytes.len().min(600) {
            body(&bytes[..at]);
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            body(&changed);
        }
        count += 1;
    }
    assert!(count > 0, "no corpus in {}", folder.display());
}

#[test]
fn request_heads() {
    run_corpus("request_head", bodies::request_head);
}

#[test]
fn response_heads() {
    run_corpus("response_head", bodies::response_head);
}

#[test]
fn chunked_bodies() {
    run_corpus("chunks", bodies::chunks);
}

#[test]
fn exchanges() {
    run_corpus("exchange", bodies::exchange);
}
