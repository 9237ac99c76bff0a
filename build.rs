//! Tells the crate which revision it is built from: `VERSION_AND_REVISION`, like `0.1.0 (abc1234)`. (Not `TIDEGATE_...`: cargo
//! sets it for what it runs, and those are settings.)
//!
//! The revision is the repository's, read from its files, so that no git program is needed; else what the environment
//! variable `TIDEGATE_REVISION` says, for builds from an archive or in a container; else there is none. Runs again when
//! HEAD moves and at no other time. Absent: whether the working tree has changes, which would mean watching all of it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// Digits of a revision that people still read.
const DIGITS: usize = 7;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=TIDEGATE_REVISION");
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let root = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    let told = env::var("TIDEGATE_REVISION").ok();
    let revision = git_revision(&root).or(told).map(|text| short(&text)).filter(|text| !text.is_empty());
    let text = revision.map_or(version.clone(), |revision| format!("{version} ({revision})"));
    println!("cargo::rustc-env=VERSION_AND_REVISION={text}");
}

/// What HEAD names, if the package itself is a work tree: one that lies in another's repository is not its revision.
fn git_revision(root: &Path) -> Option<String> {
    let git = git_directory(root)?;
    // A commit moves the branch, not HEAD; the log of HEAD grows with either.
    for name in ["HEAD", "logs/HEAD"] {
        let path = git.join(name);
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    let head = fs::read_to_string(git.join("HEAD")).ok()?;
    let Some(branch) = head.trim().strip_prefix("ref: ") else { return Some(head) };
    // Branches belong to the repository, which a linked work tree names in `commondir`.
    let common = fs::read_to_string(git.join("commondir")).map_or(git.clone(), |path| git.join(path.trim()));
    if let Ok(revision) = fs::read_to_string(common.join(branch)) {
        return Some(revision);
    }
    let packed = fs::read_to_string(common.join("packed-refs")).ok()?;
    let line = packed.lines().find(|line| line.split(' ').nth(1) == Some(branch))?;
    line.split(' ').next().map(str::to_owned)
}

/// `.git`, or where it points in a linked work tree.
fn git_directory(root: &Path) -> Option<PathBuf> {
    let path = root.join(".git");
    if path.is_dir() {
        return Some(path);
    }
    let text = fs::read_to_string(&path).ok()?;
    Some(root.join(text.trim().strip_prefix("gitdir: ")?))
}

/// The first digits of a hash; anything else as it is, as far as one line and no more than a hash goes.
fn short(revision: &str) -> String {
    let line = revision.lines().next().unwrap_or("").trim();
    let is_hash = line.len() >= 40 && line.bytes().all(|byte| byte.is_ascii_hexdigit());
    line.chars().filter(|c| c.is_ascii_graphic()).take(if is_hash { DIGITS } else { 40 }).collect()
}
