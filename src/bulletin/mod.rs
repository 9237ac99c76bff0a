//! What the workers of one proxy tell each other about their backends, without a lock and without waiting.
//!
//! Each worker is a loop of its own, with its own clients, connections and policy. Three things cross between them:
//!
//! * **samples**: a [`ring`] per worker holds what it learned, one entry per observation or verdict; the others read
//!   it once a turn, each with a cursor of its own, and feed their policy and failure rates. Who is too slow loses the
//!   oldest samples, which are old news by then, and counts them;
//! * **standing**: whether a backend is in, out or on trial is one word per backend (a [`gate`]), changed by
//!   compare-and-swap only. So two workers cannot both eject it, nor both try it, and a lost sample cannot matter;
//! * **in flight**: a counter per worker and backend, written by that worker alone, summed by the others once a turn.
//!
//! Backends are named across workers by an id per address, handed out under a lock that is taken at start and reload
//! only. Nobody is woken for news: who sleeps has no request to route, and reads the news before it routes the next.
//! Absent: sockets, clocks, and what any of it means for routing. One worker alone has no bulletin.

mod gate;
mod ring;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

pub use gate::{Place, Standing};
pub use ring::{CAPACITY, Entry, News};

use crate::clock::Time;
use ring::Ring;

/// A value on cache lines of its own: a neighbour that is written often would slow its readers down. Two lines, for
/// processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Padded<T>(pub(crate) T);

/// What all workers share.
#[derive(Debug)]
struct Bulletin {
    rings: Box<[Ring]>,
    /// Client connections of all workers.
    clients: Padded<AtomicUsize>,
    /// When one of them last said that clients are as many as there may be, in nanoseconds; 0 for never.
    said_full: AtomicU64,
    registry: Mutex<Registry>,
}

/// Who has which id. Forgets what no worker knows any more, so that a backend that comes back starts afresh.
#[derive(Debug, Default)]
struct Registry {
    notices: Vec<(SocketAddr, Weak<Notice>)>,
    next_id: u32,
}

/// What is known of one backend by all.
#[derive(Debug)]
struct Notice {
    id: u32,
    gate: Padded<AtomicU64>,
    /// It fails its active checks.
    down: Padded<AtomicBool>,
    /// Requests in flight, by worker.
    in_flight: Box<[Padded<AtomicU32>]>,
}

/// One worker's end.
#[derive(Debug)]
pub struct Member {
    bulletin: Arc<Bulletin>,
    worker: usize,
    /// How far each worker's ring was read; its own entry is unused.
    cursors: Box<[u64]>,
    /// By this worker's index of the backend.
    known: Vec<Known>,
    /// Ids and those indices, sorted by id.
    by_id: Vec<(u32, usize)>,
    lost: u64,
}

/// A backend as this worker knows it.
#[derive(Debug)]
struct Known {
    notice: Arc<Notice>,
    /// The gate's word when last looked at: what this worker goes by.
    seen: u64,
    /// The number of its own requests in flight that the others can see.
    told: u32,
}

/// The ends for this many workers, the first one's first.
pub fn members(workers: usize) -> Vec<Member> {
    let bulletin = Arc::new(Bulletin {
        rings: (0..workers).map(|_| Ring::default()).collect(),
        clients: Padded::default(),
        said_full: AtomicU64::new(0),
        registry: Mutex::default(),
    });
    let member = |worker| Member {
        bulletin: bulletin.clone(),
        worker,
        cursors: vec![0; workers].into(),
        known: Vec::new(),
        by_id: Vec::new(),
        lost: 0,
    };
    (0..workers).map(member).collect()
}

impl Member {
    /// Names the backends this worker has from now on, by its own index. What it knew of those that stay, stays.
    pub fn enrol(&mut self, addresses: impl Iterator<Item = SocketAddr>) {
        let workers = self.bulletin.rings.len();
        let mut registry = self.bulletin.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut self.known);
        for address in addresses {
            let notice = registry.notice(address, workers);
            let known = match before.iter().position(|known| known.notice.id == notice.id) {
                Some(at) => before.swap_remove(at),
                // What it does not know of yet, it will find changed.
                None => Known { notice, seen: Standing::default().pack(), told: 0 },
            };
            self.known.push(known);
        }
        drop(registry);
        self.by_id = self.known.iter().enumerate().map(|(index, known)| (known.notice.id, index)).collect();
        self.by_id.sort_unstable();
        for gone in before {
            gone.notice.in_flight[self.worker].0.store(0, Ordering::Relaxed);
        }
    }

    /// Tells the others. `backend` is this worker's index.
    pub fn post(&self, backend: usize, news: News, at: crate::clock::Time) {
        if let Some(known) = self.known.get(backend) {
            self.bulletin.rings[self.worker].push(&Entry { backend: known.notice.id, at, news });
        }
    }

    /// Hands over what the others have told since the last time: this worker's index of the backend, and the entry.
    /// News of backends it does not know are left out.
    pub fn hear(&mut self, mut each: impl FnMut(usize, Entry)) {
        let by_id = &self.by_id;
        for (worker, (ring, cursor)) in self.bulletin.rings.iter().zip(&mut self.cursors).enumerate() {
            if worker == self.worker {
                continue;
            }
            self.lost += ring.read(cursor, |entry| {
                if let Ok(at) = by_id.binary_search_by_key(&entry.backend, |(id, _)| *id) {
                    each(by_id[at].1, entry);
                }
            });
        }
    }

    /// Entries it came too late for.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Shows the others how many requests this worker has in flight on a backend.
    pub fn tell_in_flight(&mut self, backend: usize, in_flight: u32) {
        if let Some(known) = self.known.get_mut(backend)
            && known.told != in_flight
        {
            known.told = in_flight;
            known.notice.in_flight[self.worker].0.store(in_flight, Ordering::Relaxed);
        }
    }

    /// Requests the others have in flight on a backend, as far as they have told.
    pub fn in_flight_elsewhere(&self, backend: usize) -> u32 {
        let Some(known) = self.known.get(backend) else { return 0 };
        let others = known.notice.in_flight.iter().enumerate().filter(|(worker, _)| *worker != self.worker);
        others.map(|(_, count)| count.0.load(Ordering::Relaxed)).fold(0, u32::saturating_add)
    }

    /// Where a backend stands, if that has changed since this worker last agreed.
    pub fn changed(&mut self, backend: usize) -> Option<Standing> {
        let known = self.known.get_mut(backend)?;
        let word = known.notice.gate.0.load(Ordering::Acquire);
        (word != known.seen).then(|| {
            known.seen = word;
            Standing::unpack(word)
        })
    }

    /// Moves a backend from where this worker last saw it to `standing`, for everybody. `Err`: somebody else moved it
    /// first, and that counts.
    ///
    /// # Errors
    /// Where it stands instead.
    pub fn agree(&mut self, backend: usize, standing: Standing) -> Result<(), Standing> {
        let Some(known) = self.known.get_mut(backend) else { return Ok(()) };
        let wanted = standing.pack();
        let gate = &known.notice.gate.0;
        match gate.compare_exchange(known.seen, wanted, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                known.seen = wanted;
                Ok(())
            }
            Err(word) => {
                known.seen = word;
                Err(Standing::unpack(word))
            }
        }
    }

    /// Says whether a backend fails its active checks.
    pub fn tell_down(&self, backend: usize, down: bool) {
        if let Some(known) = self.known.get(backend) {
            known.notice.down.0.store(down, Ordering::Relaxed);
        }
    }

    /// Whether it does.
    pub fn is_down(&self, backend: usize) -> bool {
        self.known.get(backend).is_some_and(|known| known.notice.down.0.load(Ordering::Relaxed))
    }

    /// A client has come.
    pub fn client_came(&self) {
        self.bulletin.clients.0.fetch_add(1, Ordering::Relaxed);
    }

    /// A client has gone.
    pub fn client_left(&self) {
        self.bulletin.clients.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// Clients of all workers.
    pub fn clients(&self) -> usize {
        self.bulletin.clients.0.load(Ordering::Relaxed)
    }

    /// Whether none of the workers has said within `every` that clients are as many as there may be; then this one has.
    pub fn says_full(&self, now: Time, every: Duration) -> bool {
        let said = self.bulletin.said_full.load(Ordering::Relaxed);
        (said == 0 || now.since(Time::from_nanos(said)) >= every)
            && self
                .bulletin
                .said_full
                .compare_exchange(said, now.as_nanos().max(1), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// Which of the workers this is, from 0.
    pub fn worker(&self) -> usize {
        self.worker
    }
}

impl Registry {
    fn notice(&mut self, address: SocketAddr, workers: usize) -> Arc<Notice> {
        self.notices.retain(|(_, notice)| notice.strong_count() > 0);
        let known = self.notices.iter().find(|(of, _)| *of == address);
        if let Some(notice) = known.and_then(|(_, notice)| notice.upgrade()) {
            return notice;
        }
        let notice = Arc::new(Notice {
            id: self.next_id,
            gate: Padded(AtomicU64::new(Standing::default().pack())),
            down: Padded::default(),
            in_flight: (0..workers).map(|_| Padded::default()).collect(),
        });
        self.next_id = self.next_id.wrapping_add(1);
        self.notices.push((address, Arc::downgrade(&notice)));
        notice
    }
}
