//! The load of one turn, by our own driver or by wrk, while an eye is kept on who is busy.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, available_parallelism};
use std::time::{Duration, Instant, SystemTime};

use super::child::{Process, processor_time};
use super::screen::Screen;
use super::{Driver, LoadPlan, wrk};
use crate::cli::Failure;
use crate::load::{self, LoadConfig, LoadResult, Mode, Progress};
use crate::report::hgrm;
use crate::report::run::{LoadFigures, Round};

/// Between two looks at what goes on.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What to drive.
pub(super) struct Job<'a> {
    pub(super) load: &'a LoadPlan,
    pub(super) target: SocketAddr,
    pub(super) seed: u64,
    pub(super) directory: &'a Path,
    /// Of the scenario.
    pub(super) name: &'a str,
    /// Start of the names of this turn's files.
    pub(super) stem: &'a str,
    /// Processes whose share of a core is wanted.
    pub(super) watched: &'a [u32],
}

/// How it went.
pub(super) struct Driven {
    /// Without log and warnings.
    pub(super) round: Round,
    /// Of a core, for each process watched, if known.
    pub(super) shares: Vec<Option<f64>>,
    /// In words.
    pub(super) errors: String,
    /// Requests of an open loop that never left.
    pub(super) unsent: u64,
}

/// Drives it to its end, or until `stop`.
pub(super) fn drive(job: &Job<'_>, screen: &Screen, stop: &Arc<AtomicBool>) -> Result<Driven, Failure> {
    match job.load.driver {
        Driver::BuiltIn => built_in(job, screen, stop),
        Driver::Wrk => by_wrk(job, screen, stop),
    }
}

fn built_in(job: &Job<'_>, screen: &Screen, stop: &Arc<AtomicBool>) -> Result<Driven, Failure> {
    let plan = job.load;
    let mode = match plan.rate {
        Some(rate) => Mode::Open { rate, arrivals: plan.spacing },
        None => Mode::Closed,
    };
    let config = LoadConfig {
        mode,
        connections: plan.connections,
        duration: plan.duration,
        warmup: plan.warmup,
        seed: job.seed,
        ..LoadConfig::new(job.target)
    };
    let progress = Progress::new(stop.clone());
    let (over, is_over) = mpsc::channel::<()>();
    let (began, began_unix_us) = (Instant::now(), unix_us());
    let mut meter = Meter::new(job.watched, began + plan.warmup, plan.duration);
    let result = thread::scope(|scope| {
        let driver = scope.spawn(|| {
            let _over = over; // dropped at the end, which wakes the other side
            load::run(&config, &progress)
        });
        while let Err(RecvTimeoutError::Timeout) = is_over.recv_timeout(LOOK_EVERY) {
            meter.look();
            screen.progress(job.name, began.elapsed(), Some((progress.requests(), progress.errors())));
        }
        driver.join()
    });
    let result = match result {
        Ok(result) => result.map_err(|error| Failure::Runtime(format!("load: {error}")))?,
        Err(_) => return Err(Failure::Runtime("load: the driver's thread has failed".to_owned())),
    };
    let file = format!("{}.hgrm", job.stem);
    let path = job.directory.join(&file);
    hgrm::write(&path, &result.histogram)
        .map_err(|error| Failure::Runtime(format!("{}: {error}", path.display())))?;
    let from = began_unix_us.saturating_add(micros(plan.warmup));
    let round = Round {
        hgrm: Some(file),
        from_unix_us: Some(from),
        until_unix_us: Some(from.saturating_add(micros(plan.duration))),
        load: Some(figures(&result)),
        ..Round::default()
    };
    Ok(Driven { round, shares: meter.shares(), errors: result.errors.to_string(), unsent: result.unsent })
}

fn figures(result: &LoadResult) -> LoadFigures {
    LoadFigures {
        requests: result.requests,
        errors: result.errors.total(),
        non_2xx: result.non_2xx,
        seconds: result.elapsed.as_secs_f64(),
        rate: result.rate(),
        mean_ms: result.mean_ms(),
        p50_ms: result.quantile_ms(0.50),
        p95_ms: result.quantile_ms(0.95),
        p99_ms: result.quantile_ms(0.99),
        max_ms: result.quantile_ms(1.0),
        busy_share: Some(result.busy_share),
    }
}

fn by_wrk(job: &Job<'_>, screen: &Screen, stop: &Arc<AtomicBool>) -> Result<Driven, Failure> {
    let plan = job.load;
    if !plan.warmup.is_zero() {
        let mut meter = Meter::new(&[], Instant::now(), plan.warmup);
        run_wrk(job, plan.warmup, Duration::ZERO, &mut meter, screen, stop)?;
    }
    let (began, from) = (Instant::now(), unix_us());
    let mut meter = Meter::new(job.watched, began, plan.duration);
    let text = run_wrk(job, plan.duration, plan.warmup, &mut meter, screen, stop)?;
    let until = from.saturating_add(micros(plan.duration));
    let file = format!("{}_wrk.txt", job.name);
    let path = job.directory.join(&file);
    if !stop.load(Ordering::SeqCst) {
        append(&path, &text).map_err(|error| Failure::Runtime(format!("{}: {error}", path.display())))?;
    }
    let mut shares = meter.shares();
    let own = if shares.len() > job.watched.len() { shares.pop().flatten() } else { None };
    let Some(mut figures) = wrk::figures(&text) else {
        if stop.load(Ordering::SeqCst) {
            return Ok(Driven { round: Round::default(), shares, errors: String::new(), unsent: 0 });
        }
        let said = text.lines().next().unwrap_or("nothing").to_owned();
        return Err(Failure::Runtime(format!("wrk: no report; it said: {said}")));
    };
    let cores = available_parallelism().map_or(1, usize::from);
    let threads = wrk::threads(plan.connections).min(cores);
    figures.busy_share = own.map(|share| (share / threads as f64).min(1.0));
    let errors = "socket errors, as wrk counts them".to_owned();
    let round = Round {
        wrk: Some(file),
        from_unix_us: Some(from),
        until_unix_us: Some(until),
        load: Some(figures),
        ..Round::default()
    };
    Ok(Driven { round, shares, errors, unsent: 0 })
}

/// One run of wrk, itself watched after the others; its output, which is nothing when it was stopped.
fn run_wrk(
    job: &Job<'_>,
    duration: Duration,
    before: Duration,
    meter: &mut Meter,
    screen: &Screen,
    stop: &Arc<AtomicBool>,
) -> Result<String, Failure> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Failure::Usage(
            "--driver 'wrk': there is no wrk here: install it (apt-get install wrk), or use built-in"
                .to_owned(),
        ),
        _ => Failure::Runtime(format!("wrk: {error}")),
    };
    let mut command = wrk::command(job.target, job.load.connections, duration);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (mut process, mut pipes) = Process::piped(&mut command).map_err(failed)?;
    meter.watch(process.id());
    let began = Instant::now();
    // Its report is a kilobyte: the pipe holds it until the end.
    while process.ended().map_err(failed)?.is_none() {
        if stop.load(Ordering::SeqCst) {
            return Ok(String::new()); // dropping it ends it
        }
        thread::sleep(LOOK_EVERY);
        meter.look();
        screen.progress(job.name, before + began.elapsed(), None);
    }
    let mut text = String::new();
    for pipe in &mut pipes {
        pipe.read_to_string(&mut text).map_err(failed)?;
    }
    Ok(text)
}

/// All rounds of a scenario are in one file, as in the original one run was.
fn append(path: &Path, text: &str) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    OpenOptions::new().create(true).append(true).open(path)?.write_all(format!("{text}\n").as_bytes())
}

/// Watches what share of a core processes use between two moments.
struct Meter {
    ids: Vec<u32>,
    from: Instant,
    until: Instant,
    first: Option<Look>,
    last: Option<Look>,
}

struct Look {
    at: Instant,
    used: Vec<Option<Duration>>,
}

impl Meter {
    fn new(ids: &[u32], from: Instant, length: Duration) -> Meter {
        Meter { ids: ids.to_vec(), from, until: from + length, first: None, last: None }
    }

    /// One more, before the first look.
    fn watch(&mut self, id: u32) {
        if self.first.is_none() {
            self.ids.push(id);
        }
    }

    fn look(&mut self) {
        let at = Instant::now();
        if at < self.from || (at > self.until && self.last.is_some()) {
            return;
        }
        let look = Look { at, used: self.ids.iter().map(|id| processor_time(*id)).collect() };
        match self.first {
            None => self.first = Some(look),
            // A process that has ended has no figures any more.
            Some(_) if look.used.iter().any(Option::is_none) && self.last.is_some() => {}
            Some(_) => self.last = Some(look),
        }
    }

    fn shares(&self) -> Vec<Option<f64>> {
        let (Some(first), Some(last)) = (&self.first, &self.last) else { return vec![None; self.ids.len()] };
        let seconds = last.at.duration_since(first.at).as_secs_f64();
        let share = |(first, last): (&Option<Duration>, &Option<Duration>)| {
            let used = (*last)?.saturating_sub((*first)?).as_secs_f64();
            (seconds > 0.0).then_some(used / seconds)
        };
        first.used.iter().zip(&last.used).map(share).collect()
    }
}

fn unix_us() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    micros(since)
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_process_is_seen() {
        let mut meter = Meter::new(&[std::process::id(), u32::MAX], Instant::now(), Duration::from_secs(60));
        meter.look();
        let began = Instant::now();
        let mut sum = 0u64;
        while began.elapsed() < Duration::from_millis(300) {
            sum = sum.wrapping_mul(31).wrapping_add(1);
        }
        assert_ne!(std::hint::black_box(sum), 1);
        meter.look();
        let shares = meter.shares();
        assert!(shares[0].unwrap() > 0.02, "{shares:?}"); // whatever else the machine does
        assert_eq!(shares[1], None);
    }
}
