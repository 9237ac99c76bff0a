//! Where the proxy shows its figures and events and finds the page's orders.
//!
//! Values change hands, nothing else: whoever reads cannot hold up whoever writes for longer than it takes to copy a
//! pointer or a line of text.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Serialize, Serializer};

use super::decisions::{DecisionView, Decisions};

use crate::proxy::Command;
use crate::record::snapshot::Snapshot;

/// Events kept.
const EVENTS_KEPT: usize = 500;
/// Orders that may wait; the reactor takes them at once.
const COMMANDS_MAX: usize = 64;

/// What kind of thing has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // their names say it
pub enum Kind {
    Start,
    Ejected,
    Readmitted,
    Down,
    Up,
    Reload,
    Drain,
    RetryBudget,
    LogDrop,
    Control,
    Unready,
}

impl Kind {
    /// As the JSON spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Start => "start",
            Kind::Ejected => "ejected",
            Kind::Readmitted => "readmitted",
            Kind::Down => "down",
            Kind::Up => "up",
            Kind::Reload => "reload",
            Kind::Drain => "drain",
            Kind::RetryBudget => "retry_budget",
            Kind::LogDrop => "log_drop",
            Kind::Control => "control",
            Kind::Unready => "unready",
        }
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Something worth a mark on the time axis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Counts from 1; given by the board.
    pub seq: u64,
    /// Unix milliseconds.
    #[serde(rename = "t")]
    pub at_ms: u64,
    /// What.
    pub kind: Kind,
    /// URL of the backend it happened to, if to one.
    pub backend: Option<String>,
    /// In words.
    pub text: String,
}

#[derive(Debug, Default)]
struct Events {
    ring: VecDeque<Event>,
    seq: u64,
}

#[derive(Debug)]
struct Shown {
    latest: Arc<Snapshot>,
    fresh: Arc<Snapshot>,
}

/// The latest figures, the last events, orders that wait, and whether the proxy takes new work.
#[derive(Debug)]
pub struct Board {
    shown: Mutex<Shown>,
    events: Mutex<Events>,
    commands: Mutex<Vec<Command>>,
    decisions: Mutex<Arc<Decisions>>,
    ready: AtomicBool,
}

impl Board {
    /// A board that shows `first`, of a proxy that is ready.
    pub fn new(first: Snapshot) -> Board {
        let first = Arc::new(first);
        Board {
            shown: Mutex::new(Shown { latest: first.clone(), fresh: first }),
            events: Mutex::default(),
            commands: Mutex::default(),
            decisions: Mutex::default(),
            ready: AtomicBool::new(true),
        }
    }

    /// Shows `snapshot` from now on.
    pub fn publish(&self, snapshot: Snapshot) {
        let snapshot = Arc::new(snapshot);
        let mut shown = lock(&self.shown);
        let before = std::mem::replace(&mut shown.latest, snapshot.clone());
        let fresh_before = snapshot.fresh.then(|| std::mem::replace(&mut shown.fresh, snapshot));
        drop(shown);
        drop((before, fresh_before)); // after the lock is given up
    }

    /// What was shown last.
    pub fn latest(&self) -> Arc<Snapshot> {
        lock(&self.shown).latest.clone()
    }

    /// What was shown last with all its figures of one moment.
    pub fn fresh(&self) -> Arc<Snapshot> {
        lock(&self.shown).fresh.clone()
    }

    /// Keeps an event; the board numbers it.
    pub fn event(&self, event: Event) {
        let mut events = lock(&self.events);
        events.seq += 1;
        let seq = events.seq;
        if events.ring.len() == EVENTS_KEPT {
            events.ring.pop_front();
        }
        events.ring.push_back(Event { seq, ..event });
    }

    /// The events kept that came after `seq`, oldest first.
    pub fn events_after(&self, seq: u64) -> Vec<Event> {
        lock(&self.events).ring.iter().filter(|event| event.seq > seq).cloned().collect()
    }

    /// Leaves an order for the reactor, which must then be told; `false` when too many wait.
    pub fn order(&self, command: Command) -> bool {
        let mut commands = lock(&self.commands);
        let room = commands.len() < COMMANDS_MAX;
        if room {
            commands.push(command);
        }
        room
    }

    /// Takes the orders that wait.
    pub fn take_commands(&self) -> Vec<Command> {
        std::mem::take(&mut *lock(&self.commands))
    }

    /// Shows these decisions from now on.
    pub fn set_decisions(&self, decisions: Decisions) {
        let before = std::mem::replace(&mut *lock(&self.decisions), Arc::new(decisions));
        drop(before); // after the lock is given up
    }

    /// The decisions shown last, newest first, put into words by whoever asks.
    pub fn decisions(&self) -> Vec<DecisionView> {
        let decisions = lock(&self.decisions).clone();
        decisions.views()
    }

    /// Says whether new work is welcome.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// Whether new work is welcome.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }
}

/// No value here is ever left half changed, so a panic elsewhere does not matter.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
