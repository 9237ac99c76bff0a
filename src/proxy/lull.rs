//! What a burst has taken from the system is given back when it is over.
//!
//! Free blocks and exchanges are kept for whoever comes next. After a burst they are far more than anybody needs: what has
//! lain unused through a few looks, some seconds apart, is freed. Looks are taken only from a growth until all is calm, so
//! an idle process sleeps, and a request pays nothing. Absent: asking the allocator to let go of it, which is a call of
//! the system (service.rs).

use std::time::Duration;

use super::World;
use crate::clock::Time;
use crate::net::Net;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// So many looks in a row without growth end it.
const CALM_LOOKS: u32 = 4;
/// Growth beyond this, in bytes, is worth asking the allocator, who holds on to what lies between what is still in use.
const GROWN_MUCH: usize = 4 * 1024 * 1024;
/// Exchanges kept however long they lie unused.
const EXCHANGES_AT_REST: usize = 64;

/// How the looks stand.
#[derive(Debug)]
pub(super) struct Lull {
    /// When the next one is due.
    due: Time,
    calm: u32,
    /// Bytes by which memory has grown since all was calm.
    grown: usize,
    /// Exchanges that nobody has needed since the last growth.
    spare: usize,
    /// The allocator should let go of what is free.
    is_over: bool,
}

impl Default for Lull {
    fn default() -> Lull {
        Lull { due: Time::NEVER, calm: 0, grown: 0, spare: 0, is_over: false }
    }
}

impl Lull {
    /// When to look, if ever.
    pub(super) fn deadline(&self) -> Option<Time> {
        (self.due != Time::NEVER).then_some(self.due)
    }

    /// Whether a burst has just ended; asked once.
    pub(super) fn take_end(&mut self) -> bool {
        std::mem::take(&mut self.is_over)
    }
}

impl<N: Net> World<N> {
    /// Looks from now on if memory has grown.
    pub(super) fn watch_growth(&mut self, now: Time) {
        if self.lull.due == Time::NEVER && self.buffers.has_grown() {
            self.lull.due = now.plus(LOOK_EVERY);
        }
    }

    /// Takes a look if one is due.
    pub(super) fn look_for_lull(&mut self, now: Time) {
        if self.lull.due <= now {
            self.seek_lull(now);
        }
    }

    #[cold]
    fn seek_lull(&mut self, now: Time) {
        let lull = &mut self.lull;
        lull.due = now.plus(LOOK_EVERY);
        let grown = self.buffers.take_growth();
        if grown > 0 {
            lull.grown += grown;
            lull.calm = 0;
        }
        if lull.calm == 0 {
            lull.spare = usize::MAX;
            self.buffers.count_spare_anew();
        }
        lull.spare = lull.spare.min(self.exchanges.len());
        self.buffers.count_spare();
        lull.calm += 1;
        if lull.calm < CALM_LOOKS {
            return;
        }
        let spare = lull.spare.min(self.exchanges.len().saturating_sub(EXCHANGES_AT_REST));
        self.exchanges.drain(..spare);
        self.buffers.free_spare();
        lull.is_over = lull.grown >= GROWN_MUCH;
        (lull.due, lull.calm, lull.grown) = (Time::NEVER, 0, 0);
    }
}
