//! Where each setting came from, so that a complaint about two of them together can still name the culprit.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Where one setting came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    Flag,
    /// An environment variable.
    Environment,
    /// The file, with line and column of its key, both from 1.
    File(usize, usize),
}

/// The origin of every setting that is not a default, by key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Origins {
    /// The file, if there is one.
    pub file: Option<PathBuf>,
    /// By the name of flag and key, like `drain-delay`.
    pub by_key: BTreeMap<String, Origin>,
    /// Line and column of each backend the file names, both from 1.
    pub backends: Vec<(usize, usize)>,
}

impl Origins {
    /// The setting as its user would look for it: `--listen`, `TIDEGATE_LISTEN` or `file.toml:3:1: listen`.
    pub fn name(&self, key: &str) -> String {
        match self.by_key.get(key) {
            Some(Origin::File(line, column)) => {
                let file = self.file.as_deref().unwrap_or(std::path::Path::new(""));
                format!("{}:{line}:{column}: {key}", file.display())
            }
            Some(Origin::Environment) => variable(key),
            Some(Origin::Flag) | None => format!("--{key}"),
        }
    }

    /// The same for the backend at `index`, each of which has its own place in a file.
    pub(crate) fn of_backend(&self, index: usize) -> Origins {
        let mut origins = self.clone();
        if let (Some(Origin::File(..)), Some((line, column))) =
            (self.by_key.get("backend"), self.backends.get(index))
        {
            origins.by_key.insert("backend".to_owned(), Origin::File(*line, *column));
        }
        origins
    }

    /// The line for a setting that cannot be.
    pub(crate) fn refuse(&self, key: &str, value: impl fmt::Display, why: impl fmt::Display) -> String {
        format!("{} '{value}': {why}", self.name(key))
    }
}

/// The environment variable of a flag.
pub(crate) fn variable(key: &str) -> String {
    format!("TIDEGATE_{}", key.replace('-', "_").to_ascii_uppercase())
}
