//! The latency-emulating backends: a [`Handler`] that takes the time its profile says.
//!
//! Latency counts from the request's head, as in a server that begins to work while the body still comes in; the
//! answer waits for the body's end. With limited concurrency requests are served in the order of their heads. A failing
//! request fails after its latency, like work that was tried: a backend that failed at once would look fast.
//! Absent: the cost of transferring bodies, which comes on top and holds no place in service.

pub mod profile;
pub mod script;
mod service;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Time;
use crate::config::EmulatorConfig;
use crate::serve::{self, Content, Handler, Reply, Request, Running, Settings};
use profile::{Profile, ProfileError, Sampler};
use script::{Change, Script, Timeline};
use service::Service;

/// Keeps the draw of failures apart from that of latencies: the same seed gives the same latencies at any fail rate.
const FAILURE_SEED: u64 = 0x5EED_FA11;
const TEXT_FIELDS: &str = "Content-Type: text/plain; charset=utf-8\r\n";
const ECHO_FIELDS: &str = "Content-Type: application/octet-stream\r\n";

/// What becomes of a request, known when it arrives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    /// What its profile says.
    latency: Duration,
    /// The same with all that holds it up.
    pub(crate) delay: Duration,
    /// Whether it is answered with a 500.
    pub(crate) fails: bool,
}

/// One emulated backend.
#[derive(Debug)]
pub struct Emulator {
    id: String,
    sampler: Sampler,
    service: Service,
    body_bytes: Option<u64>,
    fail_rate: f64,
    failures: fastrand::Rng,
    seed: u64,
    /// Of a backend that changes while it runs.
    timeline: Option<Timeline>,
    /// Microseconds more than its profile says, by order from elsewhere in this process.
    delay_us: Arc<AtomicU64>,
}

impl Emulator {
    /// As configured; without a seed, with one of its own.
    ///
    /// # Errors
    /// When the latency is no profile.
    pub fn new(config: &EmulatorConfig) -> Result<Emulator, ProfileError> {
        let profile = match &config.latency {
            Some(profile) => profile.clone(),
            None => Profile::for_id(&config.id),
        };
        let seed = config.seed.unwrap_or_else(|| fastrand::u64(..));
        Ok(Emulator {
            id: config.id.clone(),
            sampler: Sampler::new(profile, seed),
            service: Service::new(config.concurrency),
            body_bytes: config.body_bytes,
            fail_rate: config.fail_rate,
            failures: fastrand::Rng::with_seed(seed ^ FAILURE_SEED),
            seed,
            timeline: None,
            delay_us: Arc::default(),
        })
    }

    /// The same, changing by `script`, of which the first `age` is over.
    ///
    /// # Errors
    /// As [`Emulator::new`].
    pub(crate) fn scripted(
        config: &EmulatorConfig,
        script: &Script,
        age: Duration,
    ) -> Result<Emulator, ProfileError> {
        let mut emulator = Emulator::new(config)?;
        if *script != Script::default() {
            emulator.timeline = Some(Timeline::new(script.clone(), age));
        }
        Ok(emulator)
    }

    /// Takes a request that arrives now. To be called in order of arrival; `now` counts from this emulator's start.
    pub(crate) fn work(&mut self, now: Time) -> Work {
        self.change(now);
        let latency = self.sampler.draw() + Duration::from_micros(self.delay_us.load(Ordering::Relaxed));
        let delay = self.delay(now, latency);
        let fails = self.fail_rate > 0.0 && self.failures.f64() < self.fail_rate;
        Work { latency, delay, fails }
    }

    /// Makes the changes that are due.
    fn change(&mut self, now: Time) {
        let Some(timeline) = &mut self.timeline else { return };
        while let Some((number, change)) = timeline.due(now) {
            match change {
                Change::Latency(profile) => {
                    self.sampler = Sampler::new(profile, self.seed.wrapping_add(number as u64));
                }
                Change::FailRate(share) => self.fail_rate = share,
            }
        }
    }

    /// How long a request that arrives now and takes so long will take with all that holds it up.
    fn delay(&mut self, now: Time, latency: Duration) -> Duration {
        match &self.timeline {
            None => self.service.admit(now, latency).since(now),
            Some(timeline) => {
                let done = self.service.admit(timeline.worked(now), latency);
                timeline.when(done).since(now)
            }
        }
    }
}

impl Handler for Emulator {
    fn request(&mut self, request: &Request<'_>, text: &mut Vec<u8>, now: Time) -> Reply {
        let Work { latency, delay, fails } = self.work(now);
        let reply = Reply { status: 200, fields: TEXT_FIELDS.into(), content: Content::Text, delay };
        if !fails && request.path() == b"/echo" {
            return Reply { fields: ECHO_FIELDS.into(), content: Content::Echo, ..reply };
        }
        if !fails && let Some(count) = self.body_bytes {
            return Reply { content: Content::Fill(count), ..reply };
        }
        text.extend_from_slice(if fails { b"Failure from " } else { b"Hello from " });
        text.extend_from_slice(self.id.as_bytes());
        text.extend_from_slice(" \u{2013} simulated ".as_bytes());
        write_millis(latency, text);
        text.extend_from_slice(b"ms");
        Reply { status: if fails { 500 } else { 200 }, ..reply }
    }
}

/// Milliseconds, exact: without a fraction when whole, else with the digits it takes.
fn write_millis(latency: Duration, text: &mut Vec<u8>) {
    const NANOS: u128 = 1_000_000;
    let nanos = latency.as_nanos();
    text.extend_from_slice(itoa::Buffer::new().format(nanos / NANOS).as_bytes());
    if nanos.is_multiple_of(NANOS) {
        return;
    }
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(nanos % NANOS + NANOS); // the leading 1 keeps the zeros behind it
    text.push(b'.');
    text.extend_from_slice(digits[1..].trim_end_matches('0').as_bytes());
}

/// Listens and answers from a thread of its own.
///
/// # Errors
/// When the address cannot be had; `InvalidInput` when the latency is no profile.
pub fn start(config: &EmulatorConfig) -> io::Result<Running> {
    start_scripted(config, &Script::default(), Duration::ZERO)
}

/// The same, and what makes it slower while it runs: microseconds on top of what its profile says.
///
/// # Errors
/// As [`start`].
pub fn start_delayed(config: &EmulatorConfig) -> io::Result<(Running, Arc<AtomicU64>)> {
    let emulator =
        Emulator::new(config).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let delay_us = emulator.delay_us.clone();
    Ok((serve_on(config, emulator)?, delay_us))
}

/// The same, changing by `script`, of which the first `age` is over. That it goes and comes back is not for it to do:
/// see [`script::play`].
///
/// # Errors
/// As [`start`].
pub fn start_scripted(config: &EmulatorConfig, script: &Script, age: Duration) -> io::Result<Running> {
    let emulator = Emulator::scripted(config, script, age)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    serve_on(config, emulator)
}

fn serve_on(config: &EmulatorConfig, emulator: Emulator) -> io::Result<Running> {
    serve::start(&format!("backend-{}", config.id), config.listen, Settings::default(), emulator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_exact() {
        for (nanos, expected) in [
            (0, "0"),
            (400_000_000, "400"),
            (1_500_000, "1.5"),
            (250_000, "0.25"),
            (20_000_001, "20.000001"),
            (10_050_000, "10.05"),
        ] {
            let mut text = Vec::new();
            write_millis(Duration::from_nanos(nanos), &mut text);
            assert_eq!(text, expected.as_bytes(), "{nanos}");
        }
    }
}
