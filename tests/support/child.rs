//! The binary as a child process: for signals, descriptor limits, memory and CPU, which are a whole process's.
#![allow(dead_code, unreachable_pub, missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};

use crate::support::{DEADLINE, wait_for};

const BINARY: &str = env!("CARGO_BIN_EXE_tidegate");

/// A running proxy. Killed when dropped.
pub struct Process {
    child: Child,
    said: Arc<(Mutex<Vec<String>>, Condvar)>,
    pub address: SocketAddr,
}

fn no_log(words: &[&str]) -> &'static [&'static str] {
    if words.iter().any(|word| *word == "--log" || word.starts_with("--log=")) {
        &[]
    } else {
        &["--log", "none"]
    }
}

impl Process {
    /// Starts `tidegate proxy` on any port with these words, and waits until it listens. It has no log unless they name
    /// one: several with the same would refuse to share it.
    pub fn start(words: &[&str]) -> Process {
        Self::run(command(&["proxy", "--listen", "127.0.0.1:0"]).args(words).args(no_log(words)))
    }

    /// The same under a limit on open files.
    pub fn start_with_descriptors(limit: u32, words: &[&str]) -> Process {
        let script = format!("ulimit -n {limit}; exec \"$@\"");
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &script, "sh", BINARY, "proxy", "--listen", "127.0.0.1:0"])
            .args(words)
            .args(no_log(words));
        Self::run(&mut shell)
    }

    /// Starts what is to become a proxy.
    pub fn run(command: &mut Command) -> Process {
        Self::run_with_stdin(command.stdin(Stdio::null()))
    }

    /// The same with the stdin it has.
    pub fn run_with_stdin(command: &mut Command) -> Process {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let said: Arc<(Mutex<Vec<String>>, Condvar)> = Arc::default();
        let (lines, hears) = (BufReader::new(child.stderr.take().unwrap()), said.clone());
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                hears.0.lock().unwrap().push(line);
                hears.1.notify_all();
            }
        });
        let mut process = Process { child, said, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        process.address = process.address_after("listening on http://");
        process
    }

    /// Waits for a line with this text on stderr.
    pub fn says(&self, text: &str) -> String {
        let (lines, heard) = &*self.said;
        let guard = lines.lock().unwrap();
        let find = |lines: &[String]| lines.iter().find(|line| line.contains(text)).cloned();
        let (guard, _) = heard.wait_timeout_while(guard, DEADLINE, |lines| find(lines).is_none()).unwrap();
        find(&guard).unwrap_or_else(|| panic!("never said {text:?}: {:#?}", *guard))
    }

    /// Everything said on stderr so far.
    pub fn said(&self) -> String {
        self.said.0.lock().unwrap().join("\n")
    }

    fn address_after(&self, text: &str) -> SocketAddr {
        let line = self.says(text);
        let rest = &line[line.find(text).unwrap() + text.len()..];
        rest.split('/').next().unwrap().trim().parse().unwrap()
    }

    /// Where its admin page is.
    pub fn admin(&self) -> SocketAddr {
        self.address_after("figures at http://")
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Stops it, and waits until each of its threads stands still.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
        let tasks = format!("/proc/{}/task", self.child.id());
        wait_for("the process to stand still", || {
            std::fs::read_dir(&tasks).unwrap().all(|task| {
                let stat = std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap();
                stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
            })
        });
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        wait_for("the process to end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// User memory and more: what of it is in RAM, in KiB.
    pub fn resident_kib(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// Open descriptors.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(self.proc("fd")).unwrap().count()
    }

    /// How many it may have from now on.
    pub fn limit_descriptors(&self, count: usize) {
        let now = getrlimit(Resource::Nofile);
        let limit = Rlimit { current: Some(count as u64), maximum: now.maximum };
        prlimit(Some(self.pid()), Resource::Nofile, limit).unwrap();
    }

    /// CPU time used so far, by the whole process.
    pub fn cpu(&self) -> Duration {
        let text = std::fs::read_to_string(self.proc("stat")).unwrap();
        let fields: Vec<&str> = text.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_millis(ticks * 10) // USER_HZ is 100 on every Linux that tests run on
    }

    /// How often its loop has gone to sleep so far.
    pub fn sleeps_of_the_loop(&self) -> u64 {
        self.sleeps_of("reactor")
    }

    /// The same of its thread of that name.
    pub fn sleeps_of(&self, thread: &str) -> u64 {
        let tasks = std::fs::read_dir(self.proc("task")).unwrap();
        let task = tasks
            .map(|task| task.unwrap().path())
            .find(|task| std::fs::read_to_string(task.join("comm")).unwrap().trim() == thread)
            .expect("a thread of that name");
        number(&task.join("status"), "voluntary_ctxt_switches:")
    }

    fn status(&self, name: &str) -> u64 {
        number(Path::new(&self.proc("status")), name)
    }

    fn proc(&self, what: &str) -> String {
        format!("/proc/{}/{what}", self.child.id())
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary in an environment of its own.
pub fn command(words: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(words).env_remove("RUST_BACKTRACE");
    command
}

/// Runs it to its end: exit code and stderr.
pub fn outcome(words: &[&str]) -> (Option<i32>, String) {
    let output = command(words).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// Binds a port again, right after its last owner has gone.
pub fn bind_again(address: SocketAddr) -> TcpListener {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match TcpListener::bind(address) {
            Ok(listener) => return listener,
            Err(error) => assert!(Instant::now() < deadline, "{address}: {error}"),
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn number(file: &Path, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).expect(name);
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
