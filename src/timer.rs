//! Deadlines that move without touching the heap.
//!
//! A proxy moves a deadline several times per request and almost never lets one pass. So the owner keeps the deadline
//! as a field and this heap keeps at most one live entry per owner, possibly too early: when it pops, the owner is
//! asked again. [`Timers::arm`] pushes only when the wanted time is *earlier* than the entry already queued.
//! Nothing here knows the time; `now` is an argument.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::clock::Time;
use crate::slab::Key;

/// What the owner stores beside its deadline: when its live heap entry is due ([`Time::NEVER`]: none is queued).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Armed(Time);

impl Armed {
    /// No entry is queued.
    pub const NO: Armed = Armed(Time::NEVER);
}

/// Entries kept per owner before those that mean nothing any more are swept out.
const DEAD_PER_OWNER_MAX: usize = 4;

/// A heap of wake-up times.
#[derive(Debug, Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<(Time, Key)>>,
}

impl Timers {
    /// Makes sure `owner` is woken no later than `deadline`. A field write when an earlier entry is queued already.
    pub fn arm(&mut self, owner: Key, armed: &mut Armed, deadline: Time) {
        if deadline < armed.0 {
            self.heap.push(Reverse((deadline, owner)));
            armed.0 = deadline;
        }
    }

    /// Whether an owner with this entry queued is woken by `deadline`, for the tests' sweep.
    pub fn covers(armed: Armed, deadline: Time) -> bool {
        armed.0 <= deadline
    }

    /// When the loop must wake next, if ever.
    pub fn next(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((due, _))| *due)
    }

    /// The first entry, if it is due by `horizon`.
    pub fn first_until(&self, horizon: Time) -> Option<(Time, Key)> {
        self.heap.peek().map(|Reverse(first)| *first).filter(|(due, _)| *due <= horizon)
    }

    /// Takes the first entry. The caller looks the owner up, confirms with [`Timers::is_live`] that this entry
    /// is the owner's current one, compares the owner's real deadline with `now`, and arms it again if that is later.
    pub fn pop_first(&mut self) -> Option<(Time, Key)> {
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    /// Takes the first entry if it is due.
    pub fn pop_due(&mut self, now: Time) -> Option<(Time, Key)> {
        self.first_until(now).and_then(|_| self.pop_first())
    }

    /// Forgets the entries in front that nobody waits for any more, so that they wake nobody and do not pile up;
    /// `armed_of` says what an owner waits for, or that there is no such owner.
    pub fn forget_stale(&mut self, mut armed_of: impl FnMut(Key) -> Option<Armed>) {
        while let Some(Reverse((due, owner))) = self.heap.peek() {
            if armed_of(*owner).is_some_and(|armed| armed.0 == *due) {
                return;
            }
            self.heap.pop();
        }
    }

    /// Whether an entry that popped with `due` is the owner's live one; if so the owner has none queued any more.
    /// A superseded entry (the deadline had moved earlier, so a second one was pushed) is to be ignored.
    pub fn is_live(due: Time, armed: &mut Armed) -> bool {
        let live = armed.0 == due;
        if live {
            *armed = Armed::NO;
        }
        live
    }

    /// Forgets superseded entries once there are many more than owners: connections that come and go leave theirs
    /// behind, due in a minute. `armed` says what an owner's live entry is, if it still exists.
    pub fn prune(&mut self, owners: usize, armed: impl Fn(Key) -> Option<Armed>) {
        if self.heap.len() > owners * DEAD_PER_OWNER_MAX + 1024 {
            self.heap.retain(|Reverse((due, owner))| armed(*owner) == Some(Armed(*due)));
        }
    }

    /// Entries queued, live and superseded, for the tests' leak sweep.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether nothing is queued.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slab::Slab;
    use proptest::prelude::*;

    #[test]
    fn entries_in_front_that_nobody_waits_for_are_forgotten() {
        let (mut timers, mut slab) = (Timers::default(), Slab::new());
        let mut armed = [Armed::NO; 3];
        let owners: Vec<Key> = (0..3).map(|_| slab.insert(())).collect();
        for (index, (owner, armed)) in owners.iter().zip(&mut armed).enumerate() {
            timers.arm(*owner, armed, Time::from_millis(20 + index as u64));
        }
        timers.arm(owners[1], &mut armed[1], Time::from_millis(10)); // its first entry is superseded
        let of = |gone: &[usize]| {
            let left: Vec<_> = (0..3).filter(|index| !gone.contains(index)).collect();
            let (owners, armed) = (owners.clone(), armed);
            move |key| left.iter().find(|index| owners[**index] == key).map(|index| armed[*index])
        };
        timers.forget_stale(of(&[0]));
        assert_eq!((timers.len(), timers.next()), (4, Some(Time::from_millis(10))));
        timers.forget_stale(of(&[0, 1]));
        assert_eq!((timers.len(), timers.next()), (1, Some(Time::from_millis(22))));
        timers.forget_stale(of(&[0, 1, 2]));
        assert!(timers.is_empty());
    }

    #[test]
    fn moving_a_deadline_later_costs_no_entry() {
        let (mut timers, mut armed) = (Timers::default(), Armed::NO);
        let owner = Slab::new().insert(());
        timers.arm(owner, &mut armed, Time::from_millis(10));
        timers.arm(owner, &mut armed, Time::from_millis(20));
        timers.arm(owner, &mut armed, Time::from_millis(30));
        assert_eq!(timers.len(), 1);
        assert_eq!(timers.next(), Some(Time::from_millis(10)));
        assert_eq!(timers.pop_due(Time::from_millis(9)), None);
        let (due, _) = timers.pop_due(Time::from_millis(10)).unwrap();
        assert!(Timers::is_live(due, &mut armed));
        timers.arm(owner, &mut armed, Time::from_millis(30));
        assert_eq!(timers.next(), Some(Time::from_millis(30)));
    }

    proptest! {
        /// Whatever the moves, an owner wakes at the first turn at or after its final deadline, exactly once.
        #[test]
        fn every_deadline_fires_once_and_on_time(moves in prop::collection::vec((0u64..100, 0usize..4), 1..60)) {
            let mut timers = Timers::default();
            let mut slab = Slab::new();
            let owners: Vec<Key> = (0..4).map(|_| slab.insert(())).collect();
            let mut deadline = [Time::NEVER; 4];
            let mut armed = [Armed::NO; 4];
            for (at, who) in moves {
                deadline[who] = Time::from_millis(at);
                timers.arm(owners[who], &mut armed[who], deadline[who]);
            }
            let mut fired = [None; 4];
            for tick in 0..=100 {
                let now = Time::from_millis(tick);
                while let Some((due, owner)) = timers.pop_due(now) {
                    let who = owners.iter().position(|key| *key == owner).unwrap();
                    if !Timers::is_live(due, &mut armed[who]) || fired[who].is_some() {
                        continue;
                    }
                    if deadline[who] <= now {
                        fired[who] = Some(now);
                    } else {
                        timers.arm(owner, &mut armed[who], deadline[who]);
                    }
                }
            }
            for who in 0..4 {
                let expected = (deadline[who] != Time::NEVER).then_some(deadline[who]);
                prop_assert_eq!(fired[who], expected);
            }
            prop_assert!(timers.is_empty());
        }
    }
}
