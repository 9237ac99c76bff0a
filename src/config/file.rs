//! The TOML file: the keys of [`ProxyArgs`] and no others, with line and column of whatever is wrong.
//!
//! Nothing is checked here beyond each key by itself; see [`super::settings`] for what must hold together.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, SystemTime};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::address::BackendSpec;
use super::human::{human, unknown_key};
use super::origin::variable;
use super::value::nearest;
use crate::cli::ProxyArgs;

/// A file as read.
#[derive(Debug)]
pub(crate) struct File {
    /// What it says.
    pub(crate) args: ProxyArgs,
    /// Line and column of each key it has.
    pub(crate) places: BTreeMap<String, (usize, usize)>,
    /// The same for each backend.
    pub(crate) backends: Vec<(usize, usize)>,
}

/// Reads `path`; `named` is what the user said to have it read, like `--config`. The error is one line.
pub(crate) fn read(path: &Path, named: &str) -> Result<File, String> {
    match read_at_rest(path) {
        Ok(text) => parse(&text).map_err(|(line, column, why)| {
            format!("{}:{line}:{column}: {}", path.display(), why.replace('\n', ", "))
        }),
        Err(error) => Err(unreadable(named, path, &error, "a TOML file")),
    }
}

/// A file that was changed less than this ago may be in the middle of being written: it is read again.
const AT_REST: Duration = Duration::from_millis(100);
/// Somebody who keeps on writing is waited for this long.
const REST_WITHIN: u32 = 50;

/// A file that nobody is writing to, as far as its time of change and its length tell.
fn read_at_rest(path: &Path) -> std::io::Result<String> {
    let stamp = || std::fs::metadata(path).map(|about| (about.is_file(), about.len(), about.modified().ok()));
    for _ in 0..REST_WITHIN {
        let before = stamp()?;
        let text = std::fs::read_to_string(path)?;
        let (is_file, _, modified) = before;
        // A time that lies ahead tells nothing, nor does that of a pipe.
        let rests = modified
            .and_then(|at| SystemTime::now().duration_since(at).ok())
            .is_none_or(|ago| ago >= AT_REST);
        if !is_file || (rests && stamp()? == before) {
            return Ok(text);
        }
        std::thread::sleep(AT_REST / 2);
    }
    Err(std::io::Error::other("somebody keeps writing to it"))
}

/// The line for a file that cannot be read: what the user named it with (nothing where only the file was asked for), and
/// what should have been there.
pub(crate) fn unreadable(named: &str, path: &Path, error: &std::io::Error, wanted: &str) -> String {
    let full = error.to_string();
    let reason = full.split(" (os error").next().unwrap_or(&full);
    let blank = if named.is_empty() { "" } else { " " };
    format!("{named}{blank}'{}': cannot be read ({reason}): give {wanted}", path.display())
}

/// Reads `text`; the error has line, column and reason.
pub(crate) fn parse(text: &str) -> Result<File, (usize, usize, String)> {
    let refuse = |span: Option<Range<usize>>, why: String| {
        let (line, column) = place(text, span.map_or(0, |span| span.start));
        (line, column, why)
    };
    let table = DeTable::parse(text).map_err(|error| {
        let (line, _) = place(text, error.span().map_or(0, |span| span.start));
        refuse(error.span(), of_key(key_of_line(text, line), error.message()))
    })?;
    let known = keys();
    let mut places = BTreeMap::new();
    for key in table.get_ref().keys() {
        let name: &str = key.get_ref();
        if !known.iter().any(|one| one == name) {
            return Err(refuse(Some(key.span()), unknown_flag(name, &known)));
        }
        places.insert(name.to_owned(), place(text, key.span().start));
    }
    let list = table.get_ref().get("backend").and_then(|list| list.get_ref().as_array());
    let mut backends = Vec::new();
    for one in list.into_iter().flatten() {
        let at = backend(one).map_err(|(span, why)| refuse(Some(span), why))?;
        backends.push(place(text, at));
    }
    let args = toml::from_str(text).map_err(|error| {
        let (line, _) = place(text, error.span().map_or(0, |span| span.start));
        refuse(error.span(), of_key(key_of_line(text, line), error.message()))
    })?;
    Ok(File { args, places, backends })
}

/// Where a backend's address is; where and why it cannot be one. The file has two spellings of it, and serde would
/// blame its first line for whatever is wrong in a later one.
fn backend(one: &Spanned<DeValue<'_>>) -> Result<usize, (Range<usize>, String)> {
    let wrong = |at: &Range<usize>, why: String| Err((at.clone(), format!("backend {why}")));
    let named = |text: &str, why: String| format!("'{text}': {why}");
    if let Some(text) = one.get_ref().as_str() {
        return match text.parse::<BackendSpec>() {
            Ok(_) => Ok(one.span().start),
            Err(why) => wrong(&one.span(), named(text, why)),
        };
    }
    let Some(table) = one.get_ref().as_table() else { return Ok(one.span().start) };
    for key in table.keys() {
        if !matches!(&**key.get_ref(), "address" | "weight") {
            let why = unknown_key(key.get_ref(), ["address", "weight"].into_iter());
            return Err((key.span(), format!("backend: {why}")));
        }
    }
    let Some(address) = table.get("address") else {
        return wrong(
            &one.span(),
            "'address' is missing: a [[backend]] needs one, like \"127.0.0.1:8081\"".to_owned(),
        );
    };
    if let Some(Err(why)) = address.get_ref().as_str().map(BackendSpec::parse_address) {
        return wrong(
            &address.span(),
            format!("address {}", named(address.get_ref().as_str().unwrap_or(""), why)),
        );
    }
    if let Some(weight) = table.get("weight") {
        let text = match weight.get_ref() {
            DeValue::Integer(number) => number.to_string(),
            DeValue::Float(number) => number.to_string(),
            _ => return Ok(address.span().start), // serde says what it is instead
        };
        if let Err(why) = BackendSpec::check_weight(text.replace('_', "").parse().unwrap_or(f64::NAN)) {
            return wrong(
                &weight.span(),
                format!("weight {}", named(&text, why.replace(", like @2.5", ", like 2.5"))),
            );
        }
    }
    Ok(address.span().start)
}

/// The complaint about a key's value; ours begin with the value, and need no colon before it.
pub(crate) fn of_key(key: &str, message: &str) -> String {
    let is_about_keys = message.starts_with("unknown field") || message.starts_with("missing field");
    match human(message) {
        text if is_about_keys || key.is_empty() => text,
        text if text.starts_with('\'') => format!("{key} {text}"),
        text => format!("{key}: {text}"),
    }
}

/// Every key there is, which is every flag that a file may hold.
pub(crate) fn keys() -> Vec<String> {
    let command = <ProxyArgs as clap::Args>::augment_args(clap::Command::new("keys"));
    command.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned)).collect()
}

/// Flags of the process rather than of the proxy, so that they count before there is a file.
const FLAGS_ONLY: [&str; 3] = ["config", "log-level", "log-format"];

fn unknown_flag(name: &str, known: &[String]) -> String {
    if let Some(key) = FLAGS_ONLY.iter().find(|key| **key == name.replace('_', "-")) {
        return format!("unknown key '{name}': only a flag, --{key}, or {}", variable(key));
    }
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
