//! Orders to a reactor from other threads: a bit each, and a waker.
//!
//! Absent: what they mean, which is the loop's to know.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use mio::Waker;

pub(super) const STOP: u8 = 1;
pub(super) const DRAIN: u8 = 2;
pub(super) const REOPEN_LOG: u8 = 4;
pub(super) const RELOAD: u8 = 8;
pub(super) const NUDGE: u8 = 16; // asks for nothing but to be taken
pub(super) const COMMANDS: u8 = 32;
pub(super) const MAKE_ROOM: u8 = 64;
pub(super) const ENDED: u8 = 128; // no order: left behind by a loop that takes none any more

/// Carries orders to a reactor from any thread, or to several at once.
#[derive(Clone, Debug)]
pub struct Control {
    ends: Vec<End>,
}

/// One reactor's letter box.
#[derive(Clone, Debug)]
struct End {
    orders: Arc<AtomicU8>,
    waker: Arc<Waker>,
}

impl Control {
    /// For the reactor that looks here and is woken by this.
    pub(super) fn of(orders: Arc<AtomicU8>, waker: Arc<Waker>) -> Control {
        Control { ends: vec![End { orders, waker }] }
    }

    /// Asks for a drain; asked a second time, for a stop.
    pub fn drain_or_stop(&self) {
        for end in &self.ends {
            let before = end.orders.fetch_or(DRAIN, Ordering::SeqCst);
            end.give(if before & DRAIN != 0 { STOP } else { 0 });
        }
    }

    /// Asks for a stop.
    pub fn stop(&self) {
        self.give(STOP);
    }

    /// Asks for the log to be reopened.
    pub fn reopen_log(&self) {
        self.give(REOPEN_LOG);
    }

    /// Says that a new configuration lies ready where the service looks for it.
    pub fn reload(&self) {
        self.give(RELOAD);
    }

    /// Asks for idle clients to be let go.
    pub fn make_room(&self) {
        self.give(MAKE_ROOM);
    }

    /// Whether every loop has turned since this was last asked, or has come to its end; wakes them so that they can.
    pub fn turns(&self) -> bool {
        let is_taken = self.ends.iter().all(|end| {
            let orders = end.orders.load(Ordering::SeqCst);
            orders & NUDGE == 0 || orders & ENDED != 0
        });
        self.give(NUDGE);
        is_taken
    }

    /// Has every loop turn once.
    pub fn nudge(&self) {
        self.give(NUDGE);
    }

    /// Says that commands lie ready where the service looks for them.
    pub fn commands(&self) {
        self.give(COMMANDS);
    }

    /// One that reaches all that these reach.
    pub fn all(controls: impl IntoIterator<Item = Control>) -> Control {
        Control { ends: controls.into_iter().flat_map(|control| control.ends).collect() }
    }

    fn give(&self, order: u8) {
        self.ends.iter().for_each(|end| end.give(order));
    }
}

impl End {
    fn give(&self, order: u8) {
        self.orders.fetch_or(order, Ordering::SeqCst);
        // The only failure is a full eventfd, and then the reactor is about to wake anyway.
        let _ = self.waker.wake();
    }
}
