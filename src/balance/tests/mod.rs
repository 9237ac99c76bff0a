//! Tests of all policies together.

mod golden;
