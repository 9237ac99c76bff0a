//! The TOML file: the keys of [`ProxyArgs`] and no others, with line and column of whatever is wrong.
//!
//! Nothing is checked here beyond each key by itself; see [`super::settings`] for what must hold together.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use toml::de::DeTable;

use super::value::nearest;
use crate::cli::ProxyArgs;

/// A file as read.
#[derive(Debug)]
pub(crate) struct File {
    /// What it says.
    pub(crate) args: ProxyArgs,
    /// Line and column of each key it has.
    pub(crate) places: BTreeMap<String, (usize, usize)>,
}

/// Reads `path`; `named` is what the user said to have it read, like `--config`. The error is one line.
pub(crate) fn read(path: &Path, named: &str) -> Result<File, String> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text).map_err(|(line, column, why)| {
            format!("{}:{line}:{column}: {}", path.display(), why.replace('\n', ", "))
        }),
        Err(error) => {
            let full = error.to_string();
            let reason = full.split(" (os error").next().unwrap_or(&full);
            Err(format!("{named} '{}': cannot be read ({reason}): give a TOML file", path.display()))
        }
    }
}

/// Reads `text`; the error has line, column and reason.
pub(crate) fn parse(text: &str) -> Result<File, (usize, usize, String)> {
    let refuse = |span: Option<Range<usize>>, why: String| {
        let (line, column) = place(text, span.map_or(0, |span| span.start));
        (line, column, why)
    };
    let table = DeTable::parse(text).map_err(|error| refuse(error.span(), error.message().to_owned()))?;
    let known = keys();
    let mut places = BTreeMap::new();
    for key in table.get_ref().keys() {
        let name: &str = key.get_ref();
        if !known.iter().any(|one| one == name) {
            return Err(refuse(Some(key.span()), unknown_key(name, &known)));
        }
        places.insert(name.to_owned(), place(text, key.span().start));
    }
    let args = toml::from_str(text).map_err(|error| {
        let (line, _) = place(text, error.span().map_or(0, |span| span.start));
        let message = error.message();
        let colon = if message.starts_with('\'') { "" } else { ":" }; // ours begin with the value
        refuse(error.span(), format!("{}{colon} {message}", key_of_line(text, line)))
    })?;
    Ok(File { args, places })
}

/// Every key there is, which is every flag that a file may hold.
pub(crate) fn keys() -> Vec<String> {
    let command = <ProxyArgs as clap::Args>::augment_args(clap::Command::new("keys"));
    command.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned)).collect()
}

fn unknown_key(name: &str, known: &[String]) -> String {
    match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("unknown key '{name}': did you mean '{near}'?"),
        None => {
            format!("unknown key '{name}': the keys are the flags of 'tidegate proxy --help' without dashes")
        }
    }
}

/// The key before the `=` of a line, or the table it opens, for the complaint about its value.
pub(crate) fn key_of_line(text: &str, line: usize) -> &str {
    let line = text.lines().nth(line - 1).unwrap_or("");
    line.split('=').next().unwrap_or(line).trim().trim_matches(['[', ']'])
}

/// Line and column (in characters) of a byte offset, both from 1.
pub(crate) fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
}
