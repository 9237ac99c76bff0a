//! See `tests/fuzz_bodies/main.rs`. Run: `cargo +nightly fuzz run --fuzz-dir tests/fuzz chunks`.
#![no_main]

#[path = "../../fuzz_bodies/bodies.rs"]
#[allow(dead_code)] // each target runs one of the bodies
mod bodies;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bodies::chunks(bytes));
