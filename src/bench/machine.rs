//! Where and with what an experiment ran, as far as the system says. Nothing here fails: what is unknown is left out.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::available_parallelism;

use crate::report::run::Machine;

/// This machine.
pub(super) fn machine() -> Machine {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let release = read("/proc/sys/kernel/osrelease");
    Machine {
        system: format!("{} {} {}", std::env::consts::OS, release.trim(), std::env::consts::ARCH),
        cpu: value_of(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown".to_owned()),
        cores: available_parallelism().map_or(0, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX)),
        memory_mib: value_of(&read("/proc/meminfo"), "MemTotal")
            .and_then(|text| text.strip_suffix("kB")?.trim().parse::<u64>().ok())
            .map_or(0, |kib| kib / 1024),
    }
}

/// What stands behind `key` and a colon, in the first such line.
fn value_of(text: &str, key: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Of the programs that take part.
pub(super) fn versions(with_wrk: bool) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    let build = if cfg!(debug_assertions) { " (debug build)" } else { "" };
    versions.insert("tidegate".to_owned(), format!("{}{build}", crate::VERSION));
    if with_wrk {
        versions.insert("wrk".to_owned(), wrk_version().unwrap_or_else(|| "unknown".to_owned()));
    }
    versions
}

/// The second word of wrk's first line; it exits with 1 after saying it.
fn wrk_version() -> Option<String> {
    let output = Command::new("wrk").arg("-v").stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(text.lines().next()?.split_ascii_whitespace().nth(1)?.to_owned())
}

/// Of the sources this executable lies among, if it does: the commit, with a plus sign when files differ from it. Else
/// the one that it was built from.
pub(super) fn git_revision() -> Option<String> {
    of_sources().or_else(|| of_version(crate::VERSION))
}

/// What the build was told: `0.1.0 (abc1234)`.
fn of_version(version: &str) -> Option<String> {
    Some(version.split_once('(')?.1.strip_suffix(')')?.to_owned())
}

fn of_sources() -> Option<String> {
    let executable = std::env::current_exe().ok()?;
    let top = git(executable.parent()?, &["rev-parse", "--show-toplevel"])?;
    let top = Path::new(top.trim());
    if !fs::read_to_string(top.join("Cargo.toml")).ok()?.contains("name = \"tidegate\"") {
        return None; // somebody else's repository, such as that of a home directory
    }
    let revision = git(top, &["rev-parse", "HEAD"])?;
    let changed = git(top, &["status", "--porcelain", "--untracked-files=no"])?;
    Some(format!("{}{}", revision.trim(), if changed.trim().is_empty() { "" } else { "+" }))
}

fn git(directory: &Path, arguments: &[&str]) -> Option<String> {
    let output =
        Command::new("git").arg("-C").arg(directory).args(arguments).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A command line that a shell would take apart into `words` again.
pub(super) fn command_line(words: impl IntoIterator<Item = String>) -> String {
    let quoted = words.into_iter().map(|word| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
        match !word.is_empty() && word.chars().all(plain) {
            true => word,
            false => format!("'{}'", word.replace('\'', "'\\''")),
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_can_be_pasted() {
        let words = ["tidegate", "bench", "--out", "a b", "it's", ""].map(str::to_owned);
        assert_eq!(command_line(words), r"tidegate bench --out 'a b' 'it'\''s' ''");
    }

    #[test]
    fn a_build_knows_its_revision_without_its_sources() {
        assert_eq!(of_version("0.1.0 (abc1234)"), Some("abc1234".to_owned()));
        assert_eq!(of_version("0.1.0"), None);
    }

    #[test]
    fn the_machine_is_known() {
        let machine = machine();
        assert!(machine.cores > 0 && !machine.system.is_empty());
        assert_eq!(value_of("a\t: 1\nab : 2\n", "ab"), Some("2".to_owned()));
        assert!(versions(false).contains_key("tidegate"));
    }
}
