//! # How tidegate is built
//!
//! The kernel only marks, one switch advances, one pump moves bytes, and everything clever is a pure function beside
//! them.

pub mod balance;
pub mod buffer;
pub mod cli;
pub mod clock;
pub mod config;
pub mod http1;
pub mod run;
pub mod slab;
pub mod timer;
