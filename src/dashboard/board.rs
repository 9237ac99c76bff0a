//! Where the proxy shows its figures and events and finds the page's orders.
//!
//! Values change hands, nothing else: whoever reads cannot hold up whoever writes for longer than it takes to copy a
//! pointer or, of the events, some lines of text.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::decisions::{DecisionView, Decisions};
use crate::balance::explain::DECISIONS_KEPT;
use crate::proxy::Command;
use crate::reactor;
use crate::record::merge::merged;
use crate::record::snapshot::Snapshot;

/// Events kept.
const EVENTS_KEPT: usize = 500;
/// Between two sums of fresh figures: each worker makes its own about once a second, at about the same time.
const FRESH_APART: Duration = Duration::from_millis(750);
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
    ClientLimit,
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
            Kind::ClientLimit => "client_limit",
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

/// What several boards come to, and what it was made of.
#[derive(Debug, Default)]
struct Sum {
    of: Vec<Arc<Snapshot>>,
    sum: Option<Arc<Snapshot>>,
}

/// The boards of several workers.
#[derive(Debug)]
enum Group {
    /// This one shows these as well.
    Leads(Vec<Arc<Board>>),
    /// This one is shown on that one.
    Follows(Weak<Board>),
}

/// The latest figures, the last events, orders that wait, and whether the proxy takes new work.
#[derive(Debug)]
pub struct Board {
    shown: Mutex<Shown>,
    decisions: Mutex<Arc<Decisions>>,
    events: Mutex<Events>,
    commands: Mutex<Vec<Command>>,
    /// The other workers' boards; empty when there is one worker.
    group: OnceLock<Group>,
    latest_of_all: Mutex<Sum>,
    fresh_of_all: Mutex<Sum>,
    ready: AtomicBool,
    /// Whom to wake when there is something new.
    reader: OnceLock<reactor::Control>,
}

impl Board {
    /// A board that shows `first`, of a proxy that is ready.
    pub fn new(first: Snapshot) -> Board {
        let first = Arc::new(first);
        Board {
            shown: Mutex::new(Shown { latest: first.clone(), fresh: first }),
            decisions: Mutex::default(),
            events: Mutex::default(),
            commands: Mutex::default(),
            group: OnceLock::new(),
            latest_of_all: Mutex::default(),
            fresh_of_all: Mutex::default(),
            ready: AtomicBool::new(true),
            reader: OnceLock::new(),
        }
    }

    /// Shows what is on `others` as well from now on: figures added up by whoever looks, and what happened there alone.
    /// Orders go to all. Once, before anybody looks.
    pub fn lead(self: &Arc<Board>, others: Vec<Arc<Board>>) {
        for other in &others {
            let _ = other.group.set(Group::Follows(Arc::downgrade(self))); // set once: there is no second time
        }
        let _ = self.group.set(Group::Leads(others));
    }

    fn others(&self) -> &[Arc<Board>] {
        match self.group.get() {
            Some(Group::Leads(others)) => others,
            _ => &[],
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
        match self.group.get() {
            Some(Group::Follows(leader)) => {
                if let Some(leader) = leader.upgrade() {
                    leader.wake_reader();
                }
            }
            _ => self.wake_reader(),
        }
    }

    fn wake_reader(&self) {
        if let Some(reader) = self.reader.get() {
            reader.nudge();
        }
    }

    /// Wakes this loop from now on whenever something is published: at most twice a second, and never when idle.
    pub fn wake(&self, reader: reactor::Control) {
        // A board has one reader; a second one would only see things later.
        let _ = self.reader.set(reader);
    }

    /// What was shown last.
    pub fn latest(&self) -> Arc<Snapshot> {
        let own = lock(&self.shown).latest.clone();
        self.sum_up(own, &self.latest_of_all, Duration::ZERO, |shown| shown.latest.clone())
    }

    /// What was shown last with all its figures of one moment; of several workers, of about one.
    pub fn fresh(&self) -> Arc<Snapshot> {
        let own = lock(&self.shown).fresh.clone();
        self.sum_up(own, &self.fresh_of_all, FRESH_APART, |shown| shown.fresh.clone())
    }

    /// The same when no more is to be expected: whatever was published last counts, however soon after the others.
    pub fn fresh_at_rest(&self) -> Arc<Snapshot> {
        let own = lock(&self.shown).fresh.clone();
        self.sum_up(own, &self.fresh_of_all, Duration::ZERO, |shown| shown.fresh.clone())
    }

    /// Adds the others' to this one's, unless that was done of the same before, or for one less than `apart` older.
    fn sum_up(
        &self,
        own: Arc<Snapshot>,
        sum: &Mutex<Sum>,
        apart: Duration,
        of: impl Fn(&Shown) -> Arc<Snapshot>,
    ) -> Arc<Snapshot> {
        let others = self.others();
        if others.is_empty() {
            return own;
        }
        let all: Vec<Arc<Snapshot>> =
            std::iter::once(own.clone()).chain(others.iter().map(|other| of(&lock(&other.shown)))).collect();
        let mut known = lock(sum);
        if let Some(before) = &known.sum {
            let newest = all.iter().map(|one| one.wall.at).max().unwrap_or_default();
            let same = all.iter().zip(&known.of).all(|(one, before)| Arc::ptr_eq(one, before));
            if same || newest.since(before.wall.at) < apart {
                return before.clone();
            }
        }
        let merged = merged(&all).map_or(own, Arc::new);
        *known = Sum { of: all, sum: Some(merged.clone()) };
        merged
    }

    /// Keeps an event; the board numbers it.
    pub fn event(&self, event: Event) {
        if let Some(Group::Follows(leader)) = self.group.get() {
            // What is ordered of all workers is told by the first of them.
            let is_its_own = matches!(
                event.kind,
                Kind::Ejected | Kind::Readmitted | Kind::RetryBudget | Kind::ClientLimit
            );
            if is_its_own && let Some(leader) = leader.upgrade() {
                leader.event(event);
            }
            return;
        }
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

    /// Number of the last event; 0 before there is one.
    pub fn last_event(&self) -> u64 {
        lock(&self.events).seq
    }

    /// Leaves an order for the reactor, which must then be told; `false` when too many wait.
    pub fn order(&self, command: Command) -> bool {
        let mut commands = lock(&self.commands);
        let room = commands.len() < COMMANDS_MAX;
        if room {
            // The others have as many or fewer: all are told together.
            self.others().iter().for_each(|other| lock(&other.commands).push(command.clone()));
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
        let mut views = decisions.views();
        let boards = 1 + self.others().len() as u64;
        if boards > 1 {
            views.iter_mut().for_each(|view| view.seq *= boards); // each counts its own
            let shown = self.latest();
            let urls: Vec<&str> = shown.backends.iter().map(|backend| backend.url.as_str()).collect();
            for (at, other) in (1..).zip(self.others()) {
                let decisions = lock(&other.decisions).clone();
                let numbered = |view: DecisionView| DecisionView { seq: view.seq * boards + at, ..view };
                views.extend(decisions.views_among(&urls).into_iter().map(numbered));
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
}

/// No value here is ever left half changed, so a panic elsewhere does not matter.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Time, Wall};
    use crate::record::stats::Stats;

    fn figures(millis: u64, clients: u64) -> Snapshot {
        let mut stats = Stats::new(Time::ZERO, &["http://a".to_owned()]);
        stats.counters.clients_accepted = clients;
        let wall = Wall { at: Time::from_millis(millis), unix_ms: millis };
        stats.snapshot(wall, "round-robin", Vec::new(), true)
    }

    #[test]
    fn the_last_words_of_a_worker_are_heard_however_soon_they_follow() {
        let boards = [0, 0].map(|clients| Arc::new(Board::new(figures(0, clients))));
        let [leader, follower] = &boards;
        leader.lead(vec![follower.clone()]);
        leader.publish(figures(10_000, 1));
        assert_eq!(leader.fresh().counters.clients_accepted, 1);
        follower.publish(figures(10_300, 5));
        assert_eq!(leader.fresh().counters.clients_accepted, 1, "of about the same moment: not again");
        assert_eq!(leader.fresh_at_rest().counters.clients_accepted, 6);
        assert_eq!(leader.fresh().counters.clients_accepted, 6, "and not forgotten");
    }
}
