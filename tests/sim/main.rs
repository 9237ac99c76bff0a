//! The real proxy on a network, a clock and peers that are all played from one seed.
//!
//! `TIDEGATE_SIM_SEEDS` says how many seeds (300 unless told), `TIDEGATE_SIM_SEED` names one alone, and with
//! `TIDEGATE_SIM_TRACE=1` it tells what happens. Half of the worlds are fair: nothing fails there, so every request must
//! get its answer. In the others anything may fail, and every rule about what may not be seen must still hold. What peers
//! do in both that strains HTTP is listed in `manners.rs`, each with a switch; `TIDEGATE_SIM_QUIRKS=late,login` plays
//! only these.
#![allow(unreachable_pub)] // modules of one test program: nothing here is reached from outside
#![allow(clippy::expect_used, clippy::unwrap_used)] // a panic is a verdict

mod client;
mod config;
mod ledger;
mod manners;
mod message;
mod net;
mod origin;
mod traffic;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use manners::Met;

/// Seeds in which everything there is can be expected to have happened.
const SEEDS_OF_ALL: u64 = 300;
/// Failing seeds worth telling of.
const FAILURES_MAX: u32 = 20;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn every_seed_keeps_the_promises() {
    if let Some(seed) = number("TIDEGATE_SIM_SEED") {
        world::run(seed);
        return;
    }
    let first = number("TIDEGATE_SIM_FIRST").unwrap_or(0);
    let seeds = number("TIDEGATE_SIM_SEEDS").unwrap_or(300);
    let (mut failed, mut met) = (0, Met::default());
    for seed in first..first + seeds {
        match catch_unwind(AssertUnwindSafe(|| world::run(seed))) {
            Ok((_, more)) => met.iter_mut().zip(more).for_each(|(sum, more)| *sum += more),
            Err(_) => {
                eprintln!("seed {seed} failed; replay: TIDEGATE_SIM_SEED={seed} cargo test --test sim");
                failed += 1;
                assert!(failed < FAILURES_MAX, "giving up after {failed} failing seeds");
            }
        }
    }
    assert_eq!(failed, 0, "failing seeds");
    if seeds >= SEEDS_OF_ALL {
        manners::check_met(&met);
    }
}

#[test]
fn two_workers_keep_the_promises_together() {
    if let Some(seed) = number("TIDEGATE_SIM_SEED") {
        world::run_together(seed);
        return;
    }
    let mut trials = 0;
    for seed in 0..number("TIDEGATE_SIM_SEEDS").unwrap_or(300) / 3 {
        match catch_unwind(AssertUnwindSafe(|| world::run_together(seed))) {
            Ok((_, more)) => trials += more,
            Err(_) => {
                panic!("seed {seed} failed; replay: TIDEGATE_SIM_SEED={seed} cargo test --test sim together")
            }
        }
    }
    assert!(trials > 100, "only {trials} trials seen");
    assert_eq!(world::run_together(3), world::run_together(3));
}

#[test]
fn a_seed_is_the_whole_world() {
    for seed in [1, 2] {
        assert_eq!(world::run(seed), world::run(seed));
    }
}
