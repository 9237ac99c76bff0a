//! # How tidegate is built
//!
//! The kernel only marks, one switch advances, one pump moves bytes, and everything clever is a pure function beside
//! them.
#![cfg_attr(rustfmt, rustfmt_skip)] // `mod` lines stand in reading order

pub mod cli;
pub mod config;
pub mod run;
pub mod reactor;
pub mod proxy;
pub mod session;
pub mod fault;
pub mod http1;
pub mod net;
pub mod upstream;
pub mod balance;
pub mod record;
pub mod dashboard;
pub mod emulator;
pub mod report;
pub mod buffer;
pub mod slab;
pub mod timer;
pub mod clock;
