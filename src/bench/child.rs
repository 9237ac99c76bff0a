//! Processes of our own making: started, heard, watched and ended, each by its own id.
//!
//! A child is this executable again. It says where it listens on its stdout, so nobody guesses when it is ready, and it
//! ends when its parent does, however that comes about. Absent: what the children are for.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Set for a child, which then says where it listens (see [`announce`]).
pub(crate) const ANNOUNCE: &str = "TIDEGATE_ANNOUNCE";
/// How long a child may take to end when asked to.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// In a child: says where it listens, and asks to be ended when its parent ends. In any other process: nothing.
pub fn announce(address: SocketAddr) -> io::Result<()> {
    use std::io::Write as _;
    if std::env::var_os(ANNOUNCE).is_none() {
        return Ok(());
    }
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
    // A parent that died before the line above has closed the pipe: the write fails, and that ends this child too.
    writeln!(io::stdout(), "{address}")
}

/// A running child; ended when dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    /// Kept open: a child whose stdout is closed may mind.
    #[allow(dead_code)] // held, not used
    stdout: Option<BufReader<ChildStdout>>,
}

/// A child that listens.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) process: Process,
    pub(super) address: SocketAddr,
}

/// Starts this executable with `arguments` and waits until it listens. What it has to say goes to `messages`.
pub(super) fn serve(arguments: &[OsString], messages: &File) -> io::Result<Server> {
    let mut command = Command::new(std::env::current_exe()?);
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("TIDEGATE_") || matches!(&*name_text, "PORT" | "SERVER_ID") {
            command.env_remove(name); // a setting meant for the bench must not reach what it compares
        }
    }
    command.args(arguments).env(ANNOUNCE, "1").env("TIDEGATE_LOG_LEVEL", "warn");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(messages.try_clone()?);
    let mut process = Process::spawn(&mut command)?;
    let mut line = String::new();
    let mut stdout = process.child.stdout.take().map(BufReader::new);
    if let Some(stdout) = &mut stdout {
        stdout.read_line(&mut line)?;
    }
    process.stdout = stdout;
    match line.trim().parse() {
        Ok(address) => Ok(Server { process, address }),
        Err(_) => Err(io::Error::other("it ended before it listened")),
    }
}

impl Process {
    /// Starts `command` in a process group of its own: Ctrl-C at a terminal is for the bench, which ends its children in
    /// their order.
    pub(super) fn spawn(command: &mut Command) -> io::Result<Process> {
        Ok(Process { child: command.process_group(0).spawn()?, stdout: None })
    }

    /// The same, with its stdout and stderr to be read.
    pub(super) fn piped(command: &mut Command) -> io::Result<(Process, Vec<Box<dyn Read>>)> {
        let mut process = Process::spawn(command)?;
        let mut pipes: Vec<Box<dyn Read>> = Vec::new();
        if let Some(stdout) = process.child.stdout.take() {
            pipes.push(Box::new(stdout));
        }
        if let Some(stderr) = process.child.stderr.take() {
            pipes.push(Box::new(stderr));
        }
        Ok((process, pipes))
    }

    /// Its end, if that has come.
    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Its id.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, and sees to it that it does.
    pub(super) fn stop(&mut self) -> io::Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let asked = Instant::now();
        while self.child.try_wait()?.is_none() {
            if asked.elapsed() > PATIENCE {
                self.child.kill()?;
                self.child.wait()?;
                return Ok(());
            }
            thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // What cannot be ended has ended already.
        let _ = self.stop();
    }
}

/// Processor time a process has used so far, all its threads together; `None` when the system does not say.
pub(super) fn processor_time(id: u32) -> Option<Duration> {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    parse_stat(&text, rustix::param::clock_ticks_per_second())
}

/// proc_pid_stat(5): utime and stime are fields 14 and 15; the second field is a name in parentheses, with whatever in it.
fn parse_stat(text: &str, ticks_per_second: u64) -> Option<Duration> {
    let (_, after_name) = text.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(Duration::from_secs_f64(user.checked_add(system)? as f64 / ticks_per_second.max(1) as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_past_any_name() {
        let stat = "42 (a ) b) S 1 42 42 0 -1 4194560 1 2 3 4 150 50 7 8 20 0 3 0 99";
        assert_eq!(parse_stat(stat, 100), Some(Duration::from_secs(2)));
        assert_eq!(parse_stat("42 (x) S 1", 100), None);
        assert_eq!(parse_stat("", 100), None);
        assert!(processor_time(std::process::id()).is_some());
    }

    #[test]
    fn a_process_ends_when_dropped() {
        let process = Process::spawn(Command::new("sleep").arg("60")).unwrap();
        let path = format!("/proc/{}", process.id());
        assert!(std::path::Path::new(&path).exists());
        drop(process);
        assert!(!std::path::Path::new(&path).exists());
    }
}
