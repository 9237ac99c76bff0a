//! A backend's timeline: what changes while it runs, for scenarios of faults.
//!
//! ```toml
//! [[change]]
//! at = "10s"                     # since the backend's start; a bench's warm-up counts
//! latency = "constant:500ms"     # from now on
//! fail-rate = 0.5                # from now on
//! [[change]]
//! at = "20s"
//! pause = "300ms"                # nothing is worked on, as in a collection of garbage; connections are accepted
//! every = "2s"                   # again and again,
//! times = 10                     # so often in all
//! [[change]]
//! at = "30s"
//! refuse = true                  # gone: connections are cut and refused; with false, back, with nothing remembered
//! [[change]]
//! at = "40s"
//! reset = true                   # gone and back at once: every connection is cut
//! ```
//!
//! Reading and the arithmetic are pure; [`play`] alone waits and starts. Absent: faults below HTTP, such as lost packets.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use toml::Spanned;

use super::profile::Profile;
use crate::clock::Time;
use crate::config::EmulatorConfig;
use crate::config::file::{key_of_line, of_key, place, unreadable};
use crate::config::given::Given;
use crate::config::value::Fraction;

/// Changes one table may stand for, and all together; each costs memory.
const CHANGES_MAX: usize = 100_000;

/// What changes while a backend runs, times counting from its start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Script {
    /// By time.
    changes: Vec<(Time, Change)>,
    /// By time, none overlapping.
    pauses: Vec<(Time, Duration)>,
    /// By time: whether it listens from then on.
    listens: Vec<(Duration, bool)>,
    /// When each of its tables first does something.
    begins: Vec<Duration>,
}

/// What a backend does differently from some time on.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    Latency(Profile),
    FailRate(f64),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    change: Vec<Spanned<Table>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Table {
    at: Given<Duration>,
    latency: Option<Given<Profile>>,
    fail_rate: Option<Given<Fraction>>,
    pause: Option<Given<Duration>>,
    refuse: Option<bool>,
    reset: Option<bool>,
    every: Option<Given<Duration>>,
    times: Option<Given<u32>>,
}

impl Script {
    /// Reads a file, which the user named with `named`. The error is one line with file, line and column.
    pub fn read(path: &Path, named: &str) -> Result<Script, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| unreadable(named, path, &error, "a TOML file with [[change]] tables"))?;
        Script::parse(&text).map_err(|(at, why)| {
            let (line, column) = place(&text, at);
            format!("{}:{line}:{column}: {}", path.display(), why.replace('\n', ", "))
        })
    }

    /// Reads a text; the error says where in it, in bytes, and why.
    pub fn parse(text: &str) -> Result<Script, (usize, String)> {
        let file: File = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            (at, of_key(key_of_line(text, place(text, at).0), error.message()))
        })?;
        let mut script = Script::default();
        for table in file.change {
            let at = table.span().start;
            script.add(table.into_inner()).map_err(|why| (at, why))?;
        }
        script.changes.sort_by_key(|(at, _)| *at);
        script.pauses.sort_by_key(|(at, _)| *at);
        script.listens.sort_by_key(|(at, _)| *at);
        if script.pauses.windows(2).any(|pair| pair[0].0.plus(pair[0].1) > pair[1].0) {
            return Err((0, "a pause begins before the one before it ends".to_owned()));
        }
        Ok(script)
    }

    /// Of its tables, those that do nothing yet in a life of this length, and all.
    pub(crate) fn too_late(&self, life: Duration) -> (usize, usize) {
        (self.begins.iter().filter(|at| **at >= life).count(), self.begins.len())
    }

    /// Since when, from its start, it listens or does not, by time; it does at first.
    pub(crate) fn listens(&self) -> &[(Duration, bool)] {
        &self.listens
    }

    fn add(&mut self, table: Table) -> Result<(), String> {
        let times = match (&table.every, &table.times) {
            (None, None) => 1,
            (Some(_), Some(times)) => times.0,
            _ => return Err("every and times belong together".to_owned()),
        };
        let nothing = table.latency.is_none() && table.fail_rate.is_none() && table.pause.is_none();
        if nothing && table.refuse.is_none() && table.reset != Some(true) {
            let known = "latency, fail-rate, pause, refuse and reset";
            return Err(format!("nothing changes here: there are {known}"));
        }
        self.begins.push(table.at.0);
        let every = table.every.map_or(Duration::ZERO, |every| every.0);
        for index in 0..times {
            let after = table.at.0.saturating_add(every.saturating_mul(index));
            let at = Time::ZERO.plus(after);
            let latency = table.latency.iter().map(|given| Change::Latency(given.0.clone()));
            let fail_rate = table.fail_rate.iter().map(|given| Change::FailRate(given.0.0));
            self.changes.extend(latency.chain(fail_rate).map(|change| (at, change)));
            self.pauses.extend(table.pause.iter().map(|length| (at, length.0)));
            self.listens.extend(table.refuse.iter().map(|refuse| (after, !refuse)));
            if table.reset == Some(true) {
                self.listens.extend([(after, false), (after, true)]);
            }
            if self.changes.len() + self.pauses.len() + self.listens.len() > CHANGES_MAX {
                return Err(format!("more than {CHANGES_MAX} changes"));
            }
        }
        Ok(())
    }
}

/// A script while it is played.
#[derive(Debug)]
pub(super) struct Timeline {
    script: Script,
    /// How old the backend was when this emulator began: it may have been gone in between.
    age: Duration,
    /// Changes made.
    made: usize,
}

impl Timeline {
    pub(super) fn new(script: Script, age: Duration) -> Timeline {
        Timeline { script, age, made: 0 }
    }

    /// The next change that is due and not made yet, with a number of its own.
    pub(super) fn due(&mut self, now: Time) -> Option<(usize, Change)> {
        let (at, change) = self.script.changes.get(self.made)?;
        if *at > now.plus(self.age) {
            return None;
        }
        self.made += 1;
        Some((self.made, change.clone()))
    }

    /// The time worked until `now`: what a clock shows that stands still in pauses. A queue that lives by this clock is
    /// held up by a pause as a whole, those already in service included.
    pub(super) fn worked(&self, now: Time) -> Time {
        let age = now.plus(self.age);
        let begun = self.script.pauses.iter().take_while(|(at, _)| *at < age);
        let paused: Duration = begun.map(|(at, length)| age.since(*at).min(*length)).sum();
        Time::ZERO.plus(age.since(Time::ZERO).saturating_sub(paused))
    }

    /// When that clock will show `worked`; after a pause if both its ends would do.
    pub(super) fn when(&self, worked: Time) -> Time {
        let mut age = worked;
        for (at, length) in &self.script.pauses {
            if *at > age {
                break;
            }
            age = age.plus(*length);
        }
        Time::ZERO.plus(age.since(Time::ZERO).saturating_sub(self.age))
    }
}

/// Runs a backend by its script until something comes through `over`, or nothing can any more. `listening` is told its
/// address once.
///
/// # Errors
/// When it cannot listen, at first or again.
pub fn play(
    config: &EmulatorConfig,
    script: &Script,
    over: &Receiver<()>,
    listening: impl FnOnce(SocketAddr) -> io::Result<()>,
) -> io::Result<()> {
    let mut running = Some(super::start_scripted(config, script, Duration::ZERO)?);
    let began = Instant::now();
    let mut config = config.clone();
    if let Some(running) = &running {
        config.listen = running.address;
        listening(running.address)?;
    }
    for (at, listens) in &script.listens {
        match over.recv_timeout(at.saturating_sub(began.elapsed())) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return running.map_or(Ok(()), |it| it.stop()),
        }
        match (*listens, running.take()) {
            (true, None) => running = Some(super::start_scripted(&config, script, began.elapsed())?),
            (false, Some(it)) => it.stop()?,
            (_, as_it_was) => running = as_it_was,
        }
    }
    let _ = over.recv(); // a sender that is gone is as good as a word from it
    running.map_or(Ok(()), |it| it.stop())
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn a_file_is_a_timeline() {
        let text = "[[change]]\nat = \"2s\"\nlatency = \"constant:5ms\"\nfail-rate = 0.5\n\
                    [[change]]\nat = \"1s\"\npause = \"300ms\"\nevery = \"1s\"\ntimes = 2\n\
                    [[change]]\nat = \"3s\"\nrefuse = true\n[[change]]\nat = \"4s\"\nrefuse = false\n\
                    [[change]]\nat = \"5s\"\nreset = true\n";
        let script = Script::parse(text).unwrap();
        let seconds = Duration::from_secs;
        let off_on = [(seconds(3), false), (seconds(4), true), (seconds(5), false), (seconds(5), true)];
        assert_eq!(script.listens, off_on);
        assert_eq!(script.pauses.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [ms(1000), ms(2000)]);
        let mut timeline = Timeline::new(script.clone(), Duration::ZERO);
        assert_eq!(timeline.due(ms(1999)), None);
        assert!(matches!(timeline.due(ms(2000)), Some((1, Change::Latency(_)))));
        assert_eq!(timeline.due(ms(2000)), Some((2, Change::FailRate(0.5))));
        assert_eq!(timeline.due(ms(9000)), None);
        assert!(Timeline::new(script, seconds(2)).due(ms(0)).is_some());
    }

    #[test]
    fn work_stands_still_in_a_pause() {
        let text = "[[change]]\nat = \"100ms\"\npause = \"50ms\"\nevery = \"100ms\"\ntimes = 2\n";
        let timeline = Timeline::new(Script::parse(text).unwrap(), Duration::ZERO);
        for (now, worked) in [(0, 0), (100, 100), (120, 100), (150, 100), (160, 110), (230, 150), (300, 200)]
        {
            assert_eq!(timeline.worked(ms(now)), ms(worked), "{now}");
        }
        for (worked, when) in [(0, 0), (99, 99), (100, 150), (110, 160), (150, 250), (200, 300)] {
            assert_eq!(timeline.when(ms(worked)), ms(when), "{worked}");
        }
        let later = Timeline { age: Duration::from_millis(120), ..timeline };
        assert_eq!(later.when(later.worked(ms(0))), ms(30));
    }

    #[test]
    fn complaints_say_where() {
        let rows = [
            ("[[change]]\nat = \"1s\"\n", 0, "nothing changes here"),
            ("[[change]]\nlatency = \"5ms\"\n", 0, "'at' is missing"),
            ("[[change]]\nat = \"1\"\n", 16, "at '1': a duration needs a unit"),
            ("[[change]]\nat = \"1s\"\nslow = 1\n", 21, "unknown key 'slow'"),
            (
                "[[change]]\nat = \"1s\"\npause = \"2s\"\nevery = \"1s\"\n",
                0,
                "every and times belong together",
            ),
            (
                "[[change]]\nat = \"1s\"\npause = \"2s\"\nevery = \"1s\"\ntimes = 2\n",
                0,
                "a pause begins before the one before it ends",
            ),
            (
                "[[change]]\nat = \"1s\"\nfail-rate = 0\nevery = \"1ns\"\ntimes = 4000000\n",
                0,
                "more than 100000 changes",
            ),
        ];
        for (text, at, why) in rows {
            let found = Script::parse(text).unwrap_err();
            assert!(found.0 == at && found.1.starts_with(why), "{text:?}: {found:?}");
        }
    }
}
