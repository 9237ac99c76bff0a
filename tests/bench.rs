//! `tidegate bench` as its users meet it: the real binary, its child processes, and the run directory it leaves.
#![allow(clippy::unwrap_used)] // a test that fails says where

#[path = "support/pace.rs"]
mod pace;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use pace::undisturbed;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tidegate::cli::{self, Asked};
use tidegate::config::EmulatorConfig;
use tidegate::emulator::script::{self, Script};
use tidegate::report::run::{Round, RunFile};

/// How long anything may take; long, since other work may share the machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// A directory for a run, and a name that no other process has in its command line.
struct Ground {
    dir: TempDir,
    mark: String,
}

impl Ground {
    fn new() -> Ground {
        let dir = tempfile::tempdir().unwrap();
        let mark = format!("mark{}", dir.path().file_name().unwrap().to_string_lossy().replace('.', ""));
        Ground { dir, mark }
    }

    fn run_dir(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    /// Two quick backends under two routings.
    fn scenario(&self) -> PathBuf {
        let mark = &self.mark;
        self.file(&format!(
            "[load]\nconnections = 8\nwarmup = \"200ms\"\n[[scenario]]\nname = \"quick\"\n\
             routing = [\"round-robin\", \"elastic\"]\n\
             [[scenario.backend]]\nid = \"{mark}-a\"\nlatency = \"constant:5ms\"\n\
             [[scenario.backend]]\nid = \"{mark}-b\"\nlatency = \"constant:10ms\"\nweight = 2\n"
        ))
    }

    fn file(&self, text: &str) -> PathBuf {
        let path = self.dir.path().join("scenario.toml");
        fs::write(&path, text).unwrap();
        path
    }

    fn bench(&self, scenario: &Path, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command
            .arg("bench")
            .arg(scenario)
            .args(["--base-port", "0", "--out"])
            .arg(self.run_dir())
            .args(words);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Command lines of processes that have the mark in them, or the directory.
    fn children(&self) -> Vec<String> {
        let mine = self.dir.path().to_string_lossy().into_owned();
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let lines = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
        let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
        lines.filter(|line| line.contains(&self.mark) || line.contains(&mine)).collect()
    }

    /// Every log in the directory belongs to a round in run.json, and the other way round.
    fn logs_match(&self, run: &RunFile) {
        let rounds = run.scenarios.iter().flat_map(|scenario| &scenario.rounds);
        let named: BTreeSet<String> = rounds.filter_map(|round| round.csv.clone()).collect();
        let names = fs::read_dir(self.run_dir()).unwrap().flatten();
        let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let found: BTreeSet<String> =
            names.filter(|name| name.ends_with(".csv") && name != "summary.csv").collect();
        assert_eq!(named, found);
    }
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < DEADLINE, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn backends_of(dir: &Path, round: &Round) -> BTreeSet<String> {
    let mut log = csv::Reader::from_path(dir.join(round.csv.as_ref().unwrap())).unwrap();
    log.records().map(|row| row.unwrap()[1].to_owned()).collect()
}

#[test]
fn a_short_run_from_end_to_end() {
    undisturbed(Duration::from_millis(200), || {
        let ground = Ground::new();
        let words = ["--rounds", "2", "--duration", "800ms", "--seed", "7"];
        let output = ground.bench(&ground.scenario(), &words).output().unwrap();
        let (stdout, stderr) = said(&output);
        assert!(output.status.success() && stderr.is_empty(), "{stdout}{stderr}");
        assert_eq!(ground.children(), Vec::<String>::new());

        let dir = ground.run_dir();
        let run = RunFile::load(&dir).unwrap();
        assert!(!run.interrupted && run.seed == 7 && run.machine.cores > 0);
        assert!(run.command.contains("bench") && run.command.contains("--duration 800ms"), "{}", run.command);
        assert!(run.versions["tidegate"].starts_with(env!("CARGO_PKG_VERSION")));
        let names: Vec<&str> = run.scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
        assert_eq!(names, ["quick_round-robin", "quick_elastic", "quick_round-robin_control"]);
        assert_eq!(run.scenarios.iter().map(|one| one.control).collect::<Vec<_>>(), [false, false, true]);
        let mut urls = BTreeSet::new();
        for scenario in &run.scenarios {
            assert_eq!(
                (scenario.profile.as_str(), scenario.duration_s, scenario.rounds.len()),
                ("quick", 0.8, 2)
            );
            for round in &scenario.rounds {
                let figures = round.load.as_ref().unwrap();
                // 8 clients and at least 5 ms each: never more than 1600/s, whatever the machine does.
                assert!(figures.requests > 20 && figures.rate <= 1_700.0, "{figures:?}");
                assert!(figures.mean_ms.unwrap() >= 5.0 && figures.p99_ms >= figures.p50_ms, "{figures:?}");
                assert_eq!((figures.errors, figures.non_2xx), (0, 0));
                assert_eq!(round.until_unix_us.unwrap() - round.from_unix_us.unwrap(), 800_000);
                assert!(fs::metadata(dir.join(round.hgrm.as_ref().unwrap())).unwrap().len() > 0);
                urls.extend(backends_of(&dir, round));
            }
        }
        assert_eq!(urls.len(), 2, "a backend keeps its name: {urls:?}");
        ground.logs_match(&run);
        for file in ["summary.md", "summary.csv", "summary.json", "report.html"] {
            assert!(fs::metadata(dir.join(file)).unwrap().len() > 100, "{file}");
            assert!(file != "report.html" || stdout.contains(&*dir.join(file).to_string_lossy()), "{stdout}");
        }
        // Interleaved, each round beginning with another.
        let order = |round: &str| -> Vec<&str> {
            let lines = stdout.lines().filter(|line| line.starts_with(round));
            lines.map(|line| line.split_whitespace().nth(2).unwrap()).collect()
        };
        assert_eq!(order("round 1/2"), names);
        assert_eq!(order("round 2/2"), [names[1], names[2], names[0]]);
    });
}

#[test]
fn an_interrupt_keeps_what_is_done() {
    let ground = Ground::new();
    let words = ["--rounds", "1000", "--duration", "200ms", "--warmup", "0s"];
    let mut bench = ground.bench(&ground.scenario(), &words).spawn().unwrap();
    eventually("two rounds", || {
        RunFile::load(&ground.run_dir()).is_ok_and(|run| run.scenarios[1].rounds.len() == 2)
    });
    assert!(RunFile::load(&ground.run_dir()).unwrap().interrupted, "as long as it is not over");
    kill_process(Pid::from_child(&bench), Signal::INT).unwrap();
    wait(&mut bench);
    let output = bench.wait_with_output().unwrap();
    let (stdout, stderr) = said(&output);
    assert!(output.status.success() && stderr.is_empty(), "{stdout}{stderr}");
    assert!(stdout.contains("Ended early"), "{stdout}");
    assert_eq!(ground.children(), Vec::<String>::new());
    let run = RunFile::load(&ground.run_dir()).unwrap();
    assert!(run.interrupted && run.scenarios.iter().all(|scenario| !scenario.rounds.is_empty()));
    ground.logs_match(&run);
    assert!(ground.run_dir().join("report.html").exists());
}

#[test]
fn children_do_not_outlive_a_bench_that_is_killed() {
    let ground = Ground::new();
    let mut bench = ground.bench(&ground.scenario(), &["--duration", "60s"]).spawn().unwrap();
    eventually("a proxy and two backends", || ground.children().len() >= 4);
    bench.kill().unwrap();
    wait(&mut bench);
    eventually("all gone", || ground.children().is_empty());
}

#[test]
fn an_open_loop_keeps_its_rate() {
    undisturbed(Duration::from_millis(200), || {
        let ground = Ground::new();
        let words = ["--rounds", "1", "--duration", "1s", "--rate", "200", "--arrivals", "constant"];
        let words = [&words[..], &["--routing", "elastic"]].concat();
        let output = ground.bench(&ground.scenario(), &words).output().unwrap();
        let (stdout, stderr) = said(&output);
        assert!(output.status.success(), "{stdout}{stderr}");
        let run = RunFile::load(&ground.run_dir()).unwrap();
        let scenario = &run.scenarios[0];
        assert_eq!((run.scenarios.len(), scenario.name.as_str()), (1, "quick"));
        assert_eq!((scenario.load.rate, scenario.load.arrivals.as_deref()), (Some(200.0), Some("constant")));
        assert!((190..=210).contains(&scenario.rounds[0].load.as_ref().unwrap().requests), "{stdout}");
    });
}

#[test]
fn a_directory_with_something_else_in_it_is_not_written_to() {
    let ground = Ground::new();
    fs::create_dir(ground.run_dir()).unwrap();
    fs::write(ground.run_dir().join("notes.txt"), "mine").unwrap();
    let output =
        ground.bench(&ground.scenario(), &["--rounds", "1", "--duration", "200ms"]).output().unwrap();
    let (_, stderr) = said(&output);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("--out '") && stderr.contains("there is something else in it"), "{stderr}");
    assert_eq!(fs::read_dir(ground.run_dir()).unwrap().count(), 1);
}

#[test]
fn a_round_too_short_for_its_script_is_warned_of() {
    let ground = Ground::new();
    fs::write(
        ground.dir.path().join("late.toml"),
        "[[change]]\nat = \"100ms\"\nfail-rate = 0\n[[change]]\nat = \"9s\"\nfail-rate = 0\n",
    )
    .unwrap();
    let id = format!("{}-a", ground.mark);
    let scenario = ground.file(&format!(
        "[load]\nconnections = 2\nwarmup = \"100ms\"\n[[scenario]]\nname = \"step\"\nrouting = [\"p2c\", \"random\"]\n\
         [[scenario.backend]]\nid = \"{id}\"\nlatency = \"constant:2ms\"\nscript = \"late.toml\"\n"
    ));
    let output = ground.bench(&scenario, &["--rounds", "1", "--duration", "300ms"]).output().unwrap();
    let (stdout, stderr) = said(&output);
    assert!(output.status.success(), "{stderr}");
    assert_eq!(
        stdout.matches("Warning: a round ends after 400ms, before 1 of the 2 changes in").count(),
        1,
        "{stdout}"
    );
    let run = RunFile::load(&ground.run_dir()).unwrap();
    assert_eq!(run.scenarios[0].backends[0].id, id);
    // It takes two looks within a round, which may all come late on a busy machine.
    let mut rounds = run.scenarios.iter().flat_map(|scenario| &scenario.rounds);
    assert!(rounds.any(|round| round.others.is_some()));
}

#[test]
fn what_cannot_be_meant_is_refused_in_a_line() {
    let ground = Ground::new();
    let refused = |text: &str, words: &[&str]| {
        let output = ground.bench(&ground.file(text), words).output().unwrap();
        let (stdout, stderr) = said(&output);
        assert_eq!(output.status.code(), Some(2), "{text:?}: {stdout}{stderr}");
        assert!(stderr.matches('\n').count() == 1 && !ground.run_dir().exists(), "{text:?}: {stderr}");
        stderr
    };
    let good = "[[scenario]]\nname = \"x\"\n";
    let rows: &[(&str, &[&str], &str)] = &[
        (
            "[[scenario]]\nname = \"x\"\nclient-keepaliv = true\n",
            &[],
            "scenario.toml:3:1: unknown key 'client-keepaliv'",
        ),
        ("[load]\nrounds = 2\n[[scenario]\n", &[], "scenario.toml:3:"),
        ("[[scenario]]\nname = \"x\"\nupstream = \"both\"\n", &[], "scenario.toml:3:12: upstream 'both'"),
        (good, &["--rounds", "0"], "--rounds '0': must be from 1"),
        (good, &["--duration", "0s"], "--duration '0s': must be longer"),
        (good, &["--rate", "0"], "--rate '0': must be a number of requests a second above 0"),
        (good, &["--arrivals", "poisson"], "--arrivals 'poisson': needs --rate"),
        (good, &["--driver", "wrk", "--rate", "5"], "--rate '5': wrk has no open loop"),
        (
            good,
            &["--driver", "wrk", "--duration", "1500ms"],
            "--duration '1500ms': wrk counts in whole seconds",
        ),
        (good, &["--routing", "random,random"], "--routing 'random': is named twice"),
    ];
    for (text, words, expected) in rows {
        let line = refused(text, words);
        assert!(line.contains(expected), "{text:?} {words:?}: {line}");
    }
    fs::create_dir(ground.run_dir()).unwrap();
    fs::write(ground.run_dir().join("run.json"), "{}").unwrap();
    let output = ground.bench(&ground.file(good), &[]).output().unwrap();
    assert!(output.status.code() == Some(2) && said(&output).1.contains("there is a run in it already"));
}

#[test]
fn without_wrk_it_says_so_and_leaves_nobody_behind() {
    let ground = Ground::new();
    let mut command =
        ground.bench(&ground.scenario(), &["--driver", "wrk", "--duration", "1s", "--warmup", "0s"]);
    let output = command.env("PATH", ground.dir.path()).output().unwrap();
    let (_, stderr) = said(&output);
    assert!(output.status.code() == Some(2) && stderr.contains("apt-get install wrk"), "{stderr}");
    assert_eq!(ground.children(), Vec::<String>::new());
}

#[test]
fn the_scenarios_that_come_with_it_can_be_read() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench-scripts/scenarios");
    let mut count = 0;
    for entry in fs::read_dir(dir).unwrap().flatten().filter(|entry| entry.path().is_file()) {
        let words = ["tidegate".into(), "bench".into(), entry.path().into_os_string()];
        let asked = cli::parse(words.into_iter().map(|word: OsString| word)).unwrap().asked;
        let Asked::Bench(config) = asked else { panic!("{asked:?}") };
        let stem = entry.path().file_stem().unwrap().to_string_lossy().into_owned();
        assert!(config.plans.iter().all(|plan| plan.profile == stem), "{stem}");
        assert_eq!(config.plans.iter().filter(|plan| plan.control).count(), 1, "{stem}");
        count += 1;
    }
    assert_eq!(count, 15);
}

#[test]
fn a_script_changes_a_backend_and_takes_it_away() {
    undisturbed(Duration::from_millis(500), || {
        let text = "[[change]]\nat = \"0s\"\nlatency = \"constant:0ms\"\nfail-rate = 1.0\n\
                    [[change]]\nat = \"1500ms\"\nrefuse = true\n[[change]]\nat = \"3s\"\nrefuse = false\n\
                    [[change]]\nat = \"3s\"\nfail-rate = 0.0\nlatency = \"constant:1ms\"\n";
        let script = Script::parse(text).unwrap();
        let config = EmulatorConfig::original("S", SocketAddr::from(([127, 0, 0, 1], 0)));
        let (over, is_over) = mpsc::channel();
        let (tell, told) = mpsc::channel();
        let playing = thread::spawn(move || {
            script::play(&config, &script, &is_over, |address| {
                tell.send(address).unwrap();
                Ok(())
            })
        });
        let address = told.recv_timeout(DEADLINE).unwrap();
        let answer = get(address).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 500 ") && answer.ends_with("Failure from S \u{2013} simulated 0ms"),
            "{answer}"
        );
        eventually("gone", || get(address).is_err_and(|kind| kind == ErrorKind::ConnectionRefused));
        eventually("back, and well", || {
            get(address).is_ok_and(|answer| answer.ends_with("Hello from S \u{2013} simulated 1ms"))
        });
        over.send(()).unwrap();
        playing.join().unwrap().unwrap();
        assert_eq!(get(address), Err(ErrorKind::ConnectionRefused));
    });
}

fn get(address: SocketAddr) -> Result<String, ErrorKind> {
    let mut stream = TcpStream::connect(address).map_err(|error| error.kind())?;
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut answer = String::new();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n")
        .and_then(|()| stream.read_to_string(&mut answer))
        .map_err(|error| error.kind())?;
    Ok(answer)
}

fn wait(child: &mut Child) {
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > DEADLINE {
            child.kill().unwrap();
            panic!("it does not end");
        }
        thread::sleep(Duration::from_millis(10));
    }
}
