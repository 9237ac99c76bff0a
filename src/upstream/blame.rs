//! Whether a run of failures says something of the backend, or only of who asks and for what.
//!
//! A cookie that is too long for a server, a method it answers by closing, a path behind which something is broken: five of
//! those in a row would put a backend out that serves everybody else well, and then the next one. So when a run is about
//! to do that, and all of it has one mark in common (the client, the method, the path or the size of the head), and the
//! backend has lately been fine for others without that mark and was not seen to be fine with it, it stays in, one failure
//! from being put out: the next failure without that mark in common does it.
//!
//! A backend that stops working fails what it was fine with a moment ago, so a single client that asks for a single thing
//! has it put out as ever. What it was fine with is a sample, one answer in a tenth of a second, of which each mark's last
//! few values are kept: an ordinary answer costs one comparison of times.
//!
//! Absent: what else a verdict does (health.rs), and failures to connect, which no request is to blame for.

use std::time::Duration;

use crate::clock::Time;

/// A good answer is looked at no more often.
const SAMPLE_EVERY: Duration = Duration::from_millis(100);
/// A good answer tells nothing any more after this long.
const LATELY: Duration = Duration::from_secs(10);
/// Values of one mark that are remembered.
const VALUES_MAX: usize = 8;
/// Marks of a request.
const MARKS: usize = 4;

/// What may make a request fail where others do not, each as a number that stands for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks([u32; MARKS]);

impl Marks {
    /// Of a request by `client`, a number for it, with a head of so many bytes; of the target the path counts.
    pub fn new(client: u32, method: &[u8], target: &[u8], head_len: usize) -> Marks {
        let path = memchr::memchr(b'?', target).map_or(target, |end| &target[..end]);
        let size = usize::BITS - (head_len / 1024).leading_zeros();
        Marks([client, short_of(method), short_of(path), size])
    }
}

/// A number for some bytes (FNV-1a): alike is alike, and few that differ are taken for alike.
pub fn short_of(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// A value of a mark, and when an answer with it was last seen to be good.
#[derive(Clone, Copy, Debug)]
struct Good {
    value: u32,
    at: Time,
}

/// The failures since the last good answer.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// Of the first.
    marks: Marks,
    /// Which of them all have.
    common: [bool; MARKS],
}

/// What is remembered of one backend.
#[derive(Debug, Default)]
pub struct Blame {
    good: [Vec<Good>; MARKS],
    /// When the next good answer is looked at.
    next: Time,
    run: Option<Run>,
}

impl Blame {
    /// Whether a good answer at `now` is one to be told of.
    #[inline(always)]
    pub fn is_curious(&self, now: Time) -> bool {
        now >= self.next
    }

    /// An answer to such a request was good.
    #[cold]
    pub fn note_good(&mut self, marks: Marks, now: Time) {
        self.next = now.plus(SAMPLE_EVERY);
        for (known, value) in self.good.iter_mut().zip(marks.0) {
            if let Some(good) = known.iter_mut().find(|good| good.value == value) {
                good.at = now;
            } else if known.len() < VALUES_MAX {
                known.push(Good { value, at: now });
            } else if let Some(oldest) = known.iter_mut().min_by_key(|good| good.at) {
                *oldest = Good { value, at: now };
            }
        }
    }

    /// The run of failures is over: a good answer has come, here or elsewhere.
    pub fn end_run(&mut self) {
        self.run = None;
    }

    /// Such a request has failed; `None`: one that may have been any.
    pub fn note_failure(&mut self, marks: Option<Marks>) {
        let Some(marks) = marks else {
            self.run = Some(Run { marks: Marks([0; MARKS]), common: [false; MARKS] });
            return;
        };
        let run = self.run.get_or_insert(Run { marks, common: [true; MARKS] });
        for (common, (first, this)) in run.common.iter_mut().zip(run.marks.0.iter().zip(marks.0)) {
            *common &= *first == this;
        }
    }

    /// Whether the run of failures says more of the requests than of the backend.
    #[cold]
    pub fn is_excused(&self, now: Time) -> bool {
        let Some(run) = &self.run else { return false };
        (0..MARKS).any(|mark| {
            let mut lately = self.good[mark].iter().filter(|good| good.at.plus(LATELY) >= now);
            let is_with = |good: &Good| good.value == run.marks.0[mark];
            // Of those without it there is one, and none with it.
            run.common[mark] && lately.clone().next().is_some() && !lately.any(is_with)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(client: u32, target: &str) -> Marks {
        Marks::new(client, b"GET", target.as_bytes(), 200)
    }

    /// Five failures, these in turn, of a backend that was fine for the `good` ones at the time zero.
    fn excused(good: &[Marks], failed: &[Marks], now: Time) -> bool {
        let mut blame = Blame::default();
        good.iter().for_each(|marks| blame.note_good(*marks, Time::ZERO));
        failed.iter().cycle().take(5).for_each(|marks| blame.note_failure(Some(*marks)));
        blame.is_excused(now)
    }

    #[test]
    fn what_all_failures_have_in_common_and_no_good_answer_has_is_to_blame() {
        let fine = [get(1, "/a"), get(2, "/b")];
        let large = Marks::new(1, b"GET", b"/a", 5000);
        let cases = [
            ("one client", vec![get(3, "/a"), get(3, "/b")], true),
            ("one path", vec![get(1, "/c?1"), get(2, "/c?2")], true),
            (
                "one method",
                vec![Marks::new(1, b"PURGE", b"/a", 200), Marks::new(2, b"PURGE", b"/b", 200)],
                true,
            ),
            ("one size", vec![large], true),
            ("one that was fine", vec![get(1, "/a?2")], false),
            ("all who were fine", fine.to_vec(), false),
            ("others, with nothing in common", vec![get(3, "/c"), get(4, "/d")], false),
        ];
        for (what, failed, expected) in cases {
            assert_eq!(excused(&fine, &failed, Time::from_millis(9_000)), expected, "{what}");
        }
    }

    #[test]
    fn one_that_never_was_fine_or_not_lately_is_to_blame_itself() {
        let failed = [get(3, "/c")];
        assert!(!excused(&[], &failed, Time::ZERO));
        assert!(excused(&[get(1, "/a")], &failed, Time::from_millis(10_000)));
        assert!(!excused(&[get(1, "/a")], &failed, Time::from_millis(10_001)));
    }

    #[test]
    fn a_failure_that_may_have_been_any_ends_all_excuses_and_a_good_answer_begins_anew() {
        let mut blame = Blame::default();
        blame.note_good(get(1, "/a"), Time::ZERO);
        blame.note_failure(Some(get(2, "/b")));
        assert!(blame.is_excused(Time::ZERO));
        blame.note_failure(None);
        blame.note_failure(Some(get(2, "/b")));
        assert!(!blame.is_excused(Time::ZERO));
        blame.end_run();
        blame.note_failure(Some(get(2, "/b")));
        assert!(blame.is_excused(Time::ZERO));
    }

    #[test]
    fn few_answers_are_looked_at_and_few_values_kept_the_latest_ones() {
        let mut blame = Blame::default();
        assert!(blame.is_curious(Time::ZERO));
        for client in 0..20 {
            let now = Time::from_millis(100 * u64::from(client));
            assert!(blame.is_curious(now));
            blame.note_good(get(client, "/a"), now);
            assert!(!blame.is_curious(now.plus(Duration::from_millis(99))));
        }
        let clients: Vec<u32> = blame.good[0].iter().map(|good| good.value).collect();
        assert!(
            clients.len() == VALUES_MAX && (12..20).all(|client| clients.contains(&client)),
            "{clients:?}"
        );
        assert_eq!(blame.good[2].len(), 1);
    }
}
