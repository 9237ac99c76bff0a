//! clap's many-line errors as one line that names the flag or the variable, the value, and what would be right.

use std::env;
use std::error::Error as _;
use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

use crate::balance::Routing;
use crate::config::origin::variable;
use crate::config::value::nearest_value;

/// The line for `error`, which `argv` gave rise to.
pub(super) fn one_line(error: &clap::Error, argv: &[OsString]) -> String {
    let text = |kind| context(error, kind);
    let arg = || text(ContextKind::InvalidArg).map_or_else(String::new, |arg| said(&arg, argv));
    let value = || text(ContextKind::InvalidValue).unwrap_or_default();
    let hint = |kind| match text(kind) {
        Some(near) => format!("did you mean '{near}'?"),
        None => "see --help".to_owned(),
    };
    match error.kind() {
        ErrorKind::ValueValidation => {
            let why = error.source().map_or_else(String::new, ToString::to_string);
            format!("{} '{}': {why}", arg(), value())
        }
        ErrorKind::InvalidValue if value().is_empty() => format!("{} '': needs a value", arg()),
        ErrorKind::InvalidValue => {
            let all = text(ContextKind::ValidValue).unwrap_or_default();
            let near = text(ContextKind::SuggestedValue)
                .or_else(|| nearest_value(&value(), all.split(", ")).map(str::to_owned));
            match near {
                Some(near) => format!("{} '{}': did you mean '{near}'? one of {all}", arg(), value()),
                None => format!("{} '{}': must be one of {all}", arg(), value()),
            }
        }
        ErrorKind::UnknownArgument => {
            let unknown = text(ContextKind::InvalidArg).unwrap_or_default();
            let meant = value_apart(&unknown, argv).or_else(|| flag_left_out(&unknown, argv));
            meant.unwrap_or_else(|| {
                format!("unknown argument '{unknown}': {}", hint(ContextKind::SuggestedArg))
            })
        }
        ErrorKind::InvalidSubcommand => {
            let unknown = text(ContextKind::InvalidSubcommand).unwrap_or_default();
            if unknown.parse::<Routing>().is_ok() {
                return format!("unknown command '{unknown}': did you mean 'proxy --routing {unknown}'?");
            }
            format!("unknown command '{unknown}': {}", hint(ContextKind::SuggestedSubcommand))
        }
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            format!("a command is missing: must be one of {}; see --help", super::commands().join(", "))
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = text(ContextKind::InvalidArg).unwrap_or_default();
            format!("{missing} is missing: see --help")
        }
        ErrorKind::ArgumentConflict => format!("{} is given twice: once is enough", arg()),
        ErrorKind::InvalidUtf8 => match argv.iter().find(|word| word.to_str().is_none()) {
            Some(word) => format!("'{}': must be UTF-8", word.to_string_lossy()),
            None => "an environment variable is not UTF-8: TIDEGATE_... must be".to_owned(),
        },
        _ => first_paragraph(&error.render().to_string()),
    }
}

fn context(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => Some(texts.join(", ")),
        other => Some(other.to_string()),
    }
}

/// The flag, or the environment variable if that is where its value came from; without the `<VALUE>` of the usage.
fn said(arg: &str, argv: &[OsString]) -> String {
    let flag = arg.split([' ', '=', '[']).next().unwrap_or(arg);
    let Some(name) = flag.strip_prefix("--") else { return arg.to_owned() };
    let typed = argv.iter().filter_map(|word| word.to_str()).any(|word| word.split('=').next() == Some(flag));
    // Some are the original's, by names of their own.
    let whole = super::command();
    let own = flag_of(&whole, name, argv).and_then(Arg::get_env);
    let original = own.map_or_else(|| variable(name), |own| own.to_string_lossy().into_owned());
    if !typed && env::var_os(&original).is_some() { original } else { flag.to_owned() }
}

/// The flag of that name, without its dashes, of the command that `argv` names.
fn flag_of<'c>(whole: &'c Command, name: &str, argv: &[OsString]) -> Option<&'c Arg> {
    let command = argv.iter().skip(1).find_map(|word| whole.find_subcommand(word))?;
    command.get_arguments().find(|arg| arg.get_long() == Some(name))
}

/// The line for a word that clap calls an unknown argument, but which was meant as the value of the flag before it: `-5s`
/// looks like flags, and `on` stands apart from a flag that may stand alone.
fn value_apart(unknown: &str, argv: &[OsString]) -> Option<String> {
    let words: Vec<&str> = argv.iter().map(|word| word.to_str()).collect::<Option<_>>()?;
    let is_number = |word: &str| {
        word.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let is_it = |word: &str| word == unknown || (is_number(word) && word.starts_with(unknown));
    let at = (1..words.len()).find(|at| is_it(words[*at]) && words[at - 1].starts_with("--"))?;
    let (flag, value) = (words[at - 1], words[at]);
    let whole = super::command();
    let arg = flag_of(&whole, flag.strip_prefix("--")?, argv)?;
    if arg.is_require_equals_set() {
        let alone = if value == "on" { format!(", or {flag} alone") } else { String::new() };
        return Some(format!("{flag} '{value}': write {flag}={value}{alone}"));
    }
    if !is_number(value) || !arg.get_action().takes_values() {
        return None;
    }
    let mut joined = argv.to_vec();
    joined[at - 1] = OsString::from(format!("{flag}={value}"));
    joined.remove(at);
    Some(one_line(&whole.try_get_matches_from(&joined).err()?, &joined))
}

/// The line for a bare word that others take without its flag: the original its mode, nginx its file.
fn flag_left_out(unknown: &str, argv: &[OsString]) -> Option<String> {
    let flag = match unknown.rsplit_once('.') {
        _ if unknown.parse::<Routing>().is_ok() => "routing",
        Some((_, "toml")) => "config",
        Some((_, "csv")) => "log",
        _ => return None,
    };
    let whole = super::command();
    flag_of(&whole, flag, argv)?;
    Some(format!("unknown argument '{unknown}': did you mean '--{flag} {unknown}'?"))
}

fn first_paragraph(rendered: &str) -> String {
    let lines: Vec<&str> = rendered.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let line = lines.join(" ");
    line.strip_prefix("error: ").unwrap_or(&line).to_owned()
}
