//! Where the proxy shows its figures and the admin page reads them.
//!
//! A value changes hands, nothing else: whoever reads cannot hold up whoever writes for longer than it takes to copy a
//! pointer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::decisions::{DecisionView, Decisions};
use crate::balance::explain::DECISIONS_KEPT;
use crate::record::merge::merged;
use crate::record::stats::Snapshot;

/// The latest figures, and whether the proxy takes new work.
#[derive(Debug)]
pub struct Board {
    latest: Mutex<Arc<Snapshot>>,
    decisions: Mutex<Arc<Decisions>>,
    /// Boards of the other workers, whose figures are shown as one with these.
    others: OnceLock<Vec<Arc<Board>>>,
    ready: AtomicBool,
}

impl Board {
    /// A board that shows `first`, of a proxy that is ready.
    pub fn new(first: Snapshot) -> Board {
        Board {
            latest: Mutex::new(Arc::new(first)),
            decisions: Mutex::default(),
            others: OnceLock::new(),
            ready: AtomicBool::new(true),
        }
    }

    /// Shows `snapshot` from now on.
    pub fn publish(&self, snapshot: Snapshot) {
        let before = std::mem::replace(&mut *self.lock(), Arc::new(snapshot));
        drop(before); // after the lock is given up
    }

    /// Shows what is on `others` as well from now on, added up by whoever looks. Once, before anybody does.
    pub fn lead(&self, others: Vec<Arc<Board>>) {
        let _ = self.others.set(others); // a second time would be a mistake, and is none that matters
    }

    /// What was shown last.
    pub fn latest(&self) -> Arc<Snapshot> {
        let own = self.lock().clone();
        match self.others.get() {
            None => own,
            Some(others) => Arc::new(merged(&own, others.iter().map(|other| other.latest()))),
        }
    }

    /// Shows these decisions from now on.
    pub fn set_decisions(&self, decisions: Decisions) {
        let before = std::mem::replace(&mut *self.lock_decisions(), Arc::new(decisions));
        drop(before); // after the lock is given up
    }

    /// The decisions shown last, newest first, put into words by whoever asks.
    pub fn decisions(&self) -> Vec<DecisionView> {
        let decisions = self.lock_decisions().clone();
        let mut views = decisions.views();
        if let Some(others) = self.others.get() {
            let boards = 1 + others.len() as u64;
            views.iter_mut().for_each(|view| view.seq *= boards); // numbers of several, told apart
            for (at, other) in (1..).zip(others) {
                views.extend(
                    other
                        .decisions()
                        .into_iter()
                        .map(|view| DecisionView { seq: view.seq * boards + at, ..view }),
                );
            }
            views.sort_by_key(|view| std::cmp::Reverse(view.t));
            views.truncate(DECISIONS_KEPT);
        }
        views
    }

    /// Says whether new work is welcome.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// Whether new work is welcome.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    fn lock_decisions(&self) -> MutexGuard<'_, Arc<Decisions>> {
        self.decisions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Snapshot>> {
        // The value is replaced whole, so a panic elsewhere cannot have left half of one.
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
