//! What the admin address shows.

mod board;

pub use board::Board;
