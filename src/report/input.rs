//! From paths to scenarios: a run directory, a directory of logs, or logs by name.
//!
//! What a log does not say (whether backend connections were kept) is taken from its file name, as the original's and
//! ours have it. Logs are read one after the other and reduced at once, so that memory does not grow with their number.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::hgrm;
use super::measure::{Backend, Bucket, Latencies, Measure, Window, rebuilt};
use super::rows;
use super::run::{FILE_NAME, LoadFigures, RunFile, Scenario};
use super::stats::{ROUNDS_MIN, SLICES, Values};
use crate::balance::Variant;
use crate::config::file::unreadable;

/// Points of a time series.
const POINTS: usize = 120;

/// All that is reported on.
#[derive(Debug, Default)]
pub(super) struct Input {
    pub(super) title: String,
    pub(super) run: Option<RunFile>,
    pub(super) scenarios: Vec<Loaded>,
    /// URLs by the index that buckets use.
    pub(super) backends: Vec<String>,
    /// What a reader should know of the data.
    pub(super) notes: Vec<String>,
}

/// A scenario's data.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) scenario: Scenario,
    /// Whether the scenario is described by a run.json rather than guessed from a log.
    pub(super) described: bool,
    pub(super) total: Bucket,
    pub(super) seconds: f64,
    pub(super) rounds: Vec<Values>,
    /// Of all rounds; only where these are too few for intervals.
    pub(super) slices: Vec<(f64, Bucket)>,
    pub(super) backends: Vec<Backend>,
    /// Seconds per point, and the points.
    pub(super) series: (f64, Vec<Point>),
    /// What the clients saw, if all rounds have it.
    pub(super) clients: Option<Vec<LoadFigures>>,
    pub(super) client_latencies: Option<Latencies>,
}

/// A stretch of time.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) rows: u64,
    pub(super) backends: Vec<u32>,
    pub(super) mean_ms: Option<f64>,
    pub(super) p95_ms: Option<f64>,
}

/// Reads everything `paths` name. `skip_us` of each log are its warm-up, where no run.json says better.
///
/// # Errors
/// One line naming file and, where there is one, line.
pub(super) fn load(paths: &[PathBuf], skip_us: i64) -> Result<Input, String> {
    match paths {
        [] => Err("nothing to report on: name a run directory or CSV files".to_owned()),
        [dir] if dir.is_dir() && dir.join(FILE_NAME).exists() => load_run(dir),
        [dir] if dir.is_dir() => {
            let logs = logs_in(dir)?;
            if logs.is_empty() {
                return Err(format!("{}: neither {FILE_NAME} nor a log (*.csv) is here", dir.display()));
            }
            let mut input = load_logs(&logs, title_of(dir), skip_us)?;
            input.scenarios.sort_by_key(place);
            Ok(input)
        }
        files => {
            let unread = |path: &PathBuf| Some((path.clone(), fs::metadata(path).err()?));
            if let Some((path, error)) = files.iter().find_map(unread) {
                let wanted = "a run directory, a directory of logs, or request logs (CSV)";
                return Err(unreadable("", &path, &error, wanted));
            }
            if let Some(dir) = files.iter().find(|path| path.is_dir()) {
                return Err(format!(
                    "{}: only one directory at a time, or two with --compare",
                    dir.display()
                ));
            }
            // Several are not the first of them.
            let title = if let [one] = files { title_of(one) } else { format!("{} logs", files.len()) };
            load_logs(files, title, skip_us)
        }
    }
}

/// Where a log of a directory stands: persistent before non-persistent, routings as help texts list them.
fn place(loaded: &Loaded) -> (bool, usize) {
    let routing = loaded.scenario.routing.parse::<Variant>().ok();
    let index =
        Variant::NAMES.iter().position(|known| routing.is_some_and(|routing| routing.name() == *known));
    (loaded.scenario.upstream == "non-persistent", index.unwrap_or(Variant::NAMES.len()))
}

fn load_run(dir: &Path) -> Result<Input, String> {
    let run = RunFile::load(dir)?;
    let mut input = Input { title: title_of(dir), ..Input::default() };
    if run.interrupted {
        input.notes.push("The run was interrupted; what it had finished is here.".to_owned());
    }
    input.notes.extend(run.others_note());
    for scenario in &run.scenarios {
        if scenario.rounds.is_empty() {
            input.notes.push(format!("{} has no finished round and is left out.", scenario.name));
            continue;
        }
        let loaded = load_scenario(dir, scenario, &mut input)?;
        input.scenarios.push(loaded);
    }
    input.run = Some(run);
    checked(input, dir)
}

fn load_scenario(dir: &Path, scenario: &Scenario, input: &mut Input) -> Result<Loaded, String> {
    let count = scenario.rounds.len();
    let mut gathered = Gathered::default();
    let mut clients = Vec::new();
    let mut client_latencies: Option<Latencies> = None;
    for (index, round) in scenario.rounds.iter().enumerate() {
        for warning in &round.warnings {
            input.notes.push(format!("{}, round {}: {warning}", scenario.name, index + 1));
        }
        let window = Window {
            from_us: round.from_unix_us,
            until_us: round.until_unix_us,
            skip_us: if round.from_unix_us.is_some() { 0 } else { (scenario.warmup_s * 1e6) as i64 },
        };
        if let Some(csv) = &round.csv {
            let measures = read_log(&dir.join(csv), window, false, input)?;
            for (_, measure) in measures {
                gathered.add(measure, count);
            }
        }
        clients.extend(round.load.clone());
        if let Some(file) = &round.hgrm {
            let latencies = rebuilt(hgrm::read(&dir.join(file))?);
            client_latencies.get_or_insert_default().add(&latencies);
        }
    }
    let clients = (clients.len() == count).then_some(clients);
    Ok(gathered.loaded(scenario.clone(), true, clients, client_latencies))
}

fn load_logs(files: &[PathBuf], title: String, skip_us: i64) -> Result<Input, String> {
    let mut input = Input { title, ..Input::default() };
    for file in files {
        let window = Window { skip_us, ..Window::default() };
        let measures = match read_log(file, window, true, &mut input) {
            Ok(measures) => measures,
            // One proxy that was started and never asked must not cost the report on the others.
            Err(why) if files.len() > 1 && why.ends_with(rows::NO_ROWS) => {
                input.notes.push(format!("{} has no request in it and is left out.", file.display()));
                continue;
            }
            Err(why) => return Err(why),
        };
        let several = measures.len() > 1;
        for (routing, measure) in measures {
            let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let upstream = upstream_in(&stem).to_owned();
            let name = if several { format!("{stem} {routing}") } else { stem };
            // The original's names have more spellings than one; ours are canonical.
            let routing = routing.parse::<Variant>().map_or(routing, |known| known.name().to_owned());
            let scenario =
                Scenario { name, routing, upstream, warmup_s: skip_us as f64 / 1e6, ..Scenario::default() };
            let mut gathered = Gathered::default();
            gathered.add(measure, 1);
            input.scenarios.push(gathered.loaded(scenario, false, None, None));
        }
    }
    name_by_routing(&mut input.scenarios);
    let place = files.first().map(PathBuf::as_path).unwrap_or(Path::new("."));
    checked(input, place)
}

fn checked(input: Input, place: &Path) -> Result<Input, String> {
    if input.scenarios.is_empty() {
        return Err(format!("{}: no request is logged here", place.display()));
    }
    Ok(input)
}

/// Reads one log into a measure per routing, or into one for all.
fn read_log(
    path: &Path,
    window: Window,
    by_routing: bool,
    input: &mut Input,
) -> Result<Vec<(String, Measure)>, String> {
    let mut measures: Vec<Measure> = Vec::new();
    let log = rows::read(path, |_, sample| {
        let index = if by_routing { usize::from(sample.routing) } else { 0 };
        while measures.len() <= index {
            measures.push(Measure::new(window));
        }
        measures[index].take(&sample);
    })?;
    if log.torn {
        input.notes.push(format!(
            "{}: its last row has no line end (it is being written, or was cut off) and is left out.",
            path.display()
        ));
    }
    let indices: Vec<usize> =
        log.backends.names().iter().map(|name| global(&mut input.backends, name)).collect();
    let names = log.routings.names().iter().cloned();
    let mut named: Vec<(String, Measure)> = names.zip(measures).collect();
    named.retain(|(_, measure)| !measure.is_empty());
    named.iter_mut().for_each(|(_, measure)| measure.renumber(&indices));
    if named.is_empty() {
        input.notes.push(format!("{}: no request falls into the measured time.", path.display()));
    }
    Ok(named)
}

fn global(names: &mut Vec<String>, name: &str) -> usize {
    names.iter().position(|known| known == name).unwrap_or_else(|| {
        names.push(name.to_owned());
        names.len() - 1
    })
}

/// Rounds as they come.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    measure: Option<Measure>,
    seconds: f64,
    rounds: Vec<Values>,
    slices: Vec<(f64, Bucket)>,
}

impl Gathered {
    /// `count` rounds are to come in all.
    pub(super) fn add(&mut self, measure: Measure, count: usize) {
        let (total, seconds) = (measure.total(), measure.seconds());
        self.seconds += seconds;
        let value = |value: Option<f64>| value.unwrap_or(f64::NAN);
        self.rounds.push([
            if seconds > 0.0 { total.rows as f64 / seconds } else { f64::NAN },
            value(total.latencies.mean_ms()),
            value(total.latencies.quantile_ms(0.50)),
            value(total.latencies.quantile_ms(0.95)),
            value(total.latencies.quantile_ms(0.99)),
        ]);
        if count < ROUNDS_MIN {
            self.slices.extend(measure.slices(SLICES.div_ceil(count.max(1))));
        }
        match &mut self.measure {
            Some(first) => first.lay_over(measure),
            None => self.measure = Some(measure),
        }
    }

    pub(super) fn loaded(
        self,
        scenario: Scenario,
        described: bool,
        clients: Option<Vec<LoadFigures>>,
        client_latencies: Option<Latencies>,
    ) -> Loaded {
        let measure = self.measure.unwrap_or_else(|| Measure::new(Window::default()));
        let (width, buckets) = measure.series(POINTS);
        let points = buckets.into_iter().map(|bucket| Point {
            rows: bucket.rows,
            mean_ms: bucket.latencies.mean_ms(),
            p95_ms: bucket.latencies.quantile_ms(0.95),
            backends: bucket.backends,
        });
        Loaded {
            scenario,
            described,
            total: measure.total(),
            seconds: self.seconds,
            rounds: self.rounds,
            slices: self.slices,
            backends: measure.backends().to_vec(),
            series: (width, points.collect()),
            clients,
            client_latencies,
        }
    }
}

/// `persistent` or `non-persistent` by what the file is called; empty if it does not say.
fn upstream_in(stem: &str) -> &'static str {
    let plain: String =
        stem.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase();
    match (plain.contains("nonpersistent"), plain.contains("persistent")) {
        (true, _) => "non-persistent",
        (false, true) => "persistent",
        (false, false) => "",
    }
}

/// Calls each scenario by its routing where that tells all of one upstream mode apart.
fn name_by_routing(scenarios: &mut [Loaded]) {
    let keys: Vec<(String, String)> = scenarios
        .iter()
        .map(|loaded| (loaded.scenario.upstream.clone(), loaded.scenario.routing.clone()))
        .collect();
    if keys.iter().collect::<BTreeSet<_>>().len() == keys.len() {
        for loaded in scenarios {
            loaded.scenario.name = loaded.scenario.routing.clone();
        }
    }
}

fn logs_in(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let is_log = |path: &PathBuf| {
        path.extension().is_some_and(|extension| extension == "csv")
            && path.file_name().is_some_and(|name| name != "summary.csv")
    };
    let mut logs: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_log).collect();
    logs.sort();
    Ok(logs)
}

fn title_of(path: &Path) -> String {
    let full = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    full.file_stem().map_or_else(|| "report".to_owned(), |stem| stem.to_string_lossy().into_owned())
}
