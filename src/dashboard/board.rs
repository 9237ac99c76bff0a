//! Where the proxy leaves its latest figures for whoever looks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::record::stats::Snapshot;

/// The latest figures, by value: a reader takes a reference and goes; it can never hold the proxy up.
#[derive(Debug, Default)]
pub struct Board {
    latest: Mutex<Option<Arc<Snapshot>>>,
    unready: AtomicBool,
}

impl Board {
    /// Replaces what is shown.
    pub fn publish(&self, snapshot: Snapshot) {
        let snapshot = Some(Arc::new(snapshot));
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = snapshot;
    }

    /// What is shown, once something is.
    pub fn latest(&self) -> Option<Arc<Snapshot>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether new clients are welcome.
    pub fn set_ready(&self, ready: bool) {
        self.unready.store(!ready, Ordering::SeqCst);
    }

    /// Whether new clients are welcome.
    pub fn is_ready(&self) -> bool {
        !self.unready.load(Ordering::SeqCst)
    }
}
