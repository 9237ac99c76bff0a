//! One worker's news, in a ring of words that it alone writes and all others read.
//!
//! Writer and readers never wait. The writer overwrites the oldest entry; a reader copies what it has not read and then
//! looks again how far the writer has come: what may have been overwritten meanwhile is thrown away, unseen.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use super::Padded;
use crate::balance::{Observation, Outcome, Stage};
use crate::clock::Time;
use crate::upstream::health::Verdict;

/// Entries held. At 25,000 requests a second and three entries each, a reader may be 27 ms behind.
pub const CAPACITY: usize = 2048;
/// Entries copied between two looks at the writer's head.
const BATCH: usize = 32;
const WORDS: usize = 3;

/// What one worker has to say about a backend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum News {
    /// How a request is going. Its `backend` is meaningless: see [`Entry`].
    Seen(Observation),
    /// What an answer says about its health.
    Judged(Verdict),
}

/// One piece of news.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    /// The backend's id among all workers.
    pub backend: u32,
    /// When it happened.
    pub at: Time,
    /// What happened.
    pub news: News,
}

#[derive(Debug)]
pub(super) struct Ring {
    /// Entries written since the start; entry `i` is in slot `i % CAPACITY`.
    head: Padded<AtomicU64>,
    words: Box<[AtomicU64]>,
}

impl Default for Ring {
    fn default() -> Ring {
        Ring { head: Padded::default(), words: (0..CAPACITY * WORDS).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl Ring {
    /// Appends an entry. For one thread only.
    pub(super) fn push(&self, entry: &Entry) {
        let head = self.head.0.load(Ordering::Relaxed);
        // A reader that sees one of the words below sees at least this head too, and so knows the entry whose place
        // they take for lost (the fence in `read` is the other half).
        fence(Ordering::Release);
        for (word, value) in self.slot(head).iter().zip(pack(entry)) {
            word.store(value, Ordering::Relaxed);
        }
        self.head.0.store(head + 1, Ordering::Release);
    }

    /// Hands over the entries from `cursor` on, as far as they are there now, and moves it behind them. Returns how
    /// many were overwritten before they could be read.
    pub(super) fn read(&self, cursor: &mut u64, mut each: impl FnMut(Entry)) -> u64 {
        let head = self.head.0.load(Ordering::Acquire);
        let mut lost = skip_to(cursor, oldest_whole(head));
        let mut copied = [[0; WORDS]; BATCH];
        while *cursor < head {
            let count = (head - *cursor).min(BATCH as u64) as usize;
            for (offset, words) in copied[..count].iter_mut().enumerate() {
                let slot = self.slot(*cursor + offset as u64);
                *words = std::array::from_fn(|word| slot[word].load(Ordering::Relaxed));
            }
            fence(Ordering::Acquire);
            let first = oldest_whole(self.head.0.load(Ordering::Relaxed));
            let torn = first.saturating_sub(*cursor).min(count as u64);
            copied[torn as usize..count].iter().for_each(|words| each(unpack(words)));
            *cursor += count as u64;
            lost += torn + skip_to(cursor, first.min(head));
        }
        lost
    }

    fn slot(&self, entry: u64) -> &[AtomicU64] {
        let at = (entry % CAPACITY as u64) as usize * WORDS;
        &self.words[at..at + WORDS]
    }
}

/// The oldest entry not being overwritten when the writer is about to write number `head`.
fn oldest_whole(head: u64) -> u64 {
    (head + 1).saturating_sub(CAPACITY as u64)
}

fn skip_to(cursor: &mut u64, first: u64) -> u64 {
    let skipped = first.saturating_sub(*cursor);
    *cursor += skipped;
    skipped
}

const JUDGED: u64 = 1;
const END: u64 = 1 << 1;
const PROBE: u64 = 1 << 2;
const HEAD_SEEN: u64 = 1 << 3;
/// Two bits of outcome or verdict from here.
const KIND_SHIFT: u32 = 4;
/// Above the flags: nanoseconds, up to two years.
const LATENCY_SHIFT: u32 = 8;
const IN_FLIGHT_MAX: u32 = 0xffff;

fn pack(entry: &Entry) -> [u64; WORDS] {
    let id = u64::from(entry.backend) << 32;
    let at = entry.at.as_nanos();
    match &entry.news {
        News::Judged(verdict) => {
            let kind: u64 = match verdict {
                Verdict::Ok => 0,
                Verdict::Failure => 1,
                Verdict::Soft => 2,
                Verdict::Abandoned => 3,
            };
            [JUDGED | kind << KIND_SHIFT, id, at]
        }
        News::Seen(seen) => {
            let kind: u64 = match seen.outcome {
                Outcome::Success => 0,
                Outcome::Failure => 1,
                Outcome::Abandoned => 2,
            };
            let flag = |set: bool, bit: u64| if set { bit } else { 0 };
            let flags = flag(seen.stage == Stage::End, END)
                | flag(seen.probe, PROBE)
                | flag(seen.head_seen, HEAD_SEEN)
                | kind << KIND_SHIFT;
            let nanos = ((seen.latency_ms * 1e6).round() as u64).min(u64::MAX >> LATENCY_SHIFT);
            let count = |in_flight: u32| u64::from(in_flight.min(IN_FLIGHT_MAX));
            let in_flight = count(seen.in_flight_at_pick) << 16 | count(seen.in_flight_now);
            [flags | nanos << LATENCY_SHIFT, id | in_flight, at]
        }
    }
}

fn unpack(words: &[u64; WORDS]) -> Entry {
    let [first, second, at] = *words;
    let kind = first >> KIND_SHIFT & 3;
    let is = |bit: u64| first & bit != 0;
    let news = if is(JUDGED) {
        News::Judged(match kind {
            0 => Verdict::Ok,
            1 => Verdict::Failure,
            2 => Verdict::Soft,
            _ => Verdict::Abandoned,
        })
    } else {
        News::Seen(Observation {
            backend: usize::MAX,
            stage: if is(END) { Stage::End } else { Stage::Head },
            latency_ms: (first >> LATENCY_SHIFT) as f64 / 1e6,
            outcome: match kind {
                0 => Outcome::Success,
                1 => Outcome::Failure,
                _ => Outcome::Abandoned,
            },
            in_flight_at_pick: (second >> 16) as u32 & IN_FLIGHT_MAX,
            in_flight_now: second as u32 & IN_FLIGHT_MAX,
            probe: is(PROBE),
            head_seen: is(HEAD_SEEN),
        })
    };
    Entry { backend: (second >> 32) as u32, at: Time::from_nanos(at), news }
}
