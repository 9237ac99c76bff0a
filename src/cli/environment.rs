//! Environment variables that look like ours and are not: a misspelt one would silently change nothing.

use std::env;

use clap::Command;

use crate::bench::child::ANNOUNCE;
use crate::config::origin::variable;
use crate::config::value::nearest;

/// What begins every variable of ours but the original's two.
const PREFIX: &str = "TIDEGATE_";
/// Read elsewhere than by a flag: by the build, by the tests.
const OTHERS: [&str; 3] = [ANNOUNCE, "TIDEGATE_REVISION", "TIDEGATE_SIM_SEEDS"];

/// A line for each variable of this process that nothing reads.
pub fn strays() -> Vec<String> {
    let known = known(&super::command());
    env::vars_os()
        .filter_map(|(name, value)| stray(name.to_str()?, &value.to_string_lossy(), &known))
        .collect()
}

fn stray(name: &str, value: &str, known: &[String]) -> Option<String> {
    let rest = name.strip_prefix(PREFIX)?;
    if known.iter().any(|one| one == name) || is_of_a_service(rest, value) {
        return None;
    }
    // As flags: the prefix they share would make any two of them alike.
    let flags: Vec<String> = known.iter().filter_map(|one| flag(one)).collect();
    let hint = match nearest(&flag(name)?, flags.iter().map(String::as_str)) {
        Some(near) => format!("did you mean {}?", variable(near)),
        None => "it is the name of no flag".to_owned(),
    };
    Some(format!("the environment variable {name} is read by nothing: {hint}"))
}

fn flag(variable: &str) -> Option<String> {
    variable.strip_prefix(PREFIX).map(|rest| rest.to_ascii_lowercase().replace('_', "-"))
}

/// Kubernetes and Docker tell every container of a service called tidegate, or tidegate-something.
fn is_of_a_service(rest: &str, value: &str) -> bool {
    let parts: Vec<&str> = rest.split('_').collect();
    let names_port = parts.iter().any(|part| *part == "PORT" || *part == "SERVICE");
    names_port
        && (value.contains("://") || parts.iter().any(|part| matches!(*part, "SERVICE" | "TCP" | "UDP")))
}

/// The variable of every flag of every command.
fn known(command: &Command) -> Vec<String> {
    let own = command.get_arguments().filter_map(|arg| arg.get_env());
    let mut names: Vec<String> = own.map(|name| name.to_string_lossy().into_owned()).collect();
    for part in command.get_subcommands() {
        names.extend(self::known(part));
    }
    names.extend(OTHERS.map(str::to_owned));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_nothing_reads_is_told() {
        let known = known(&super::super::command());
        let told = |name: &str, value: &str| stray(name, value, &known);
        assert!(told("TIDEGATE_LISEN", "x").unwrap().ends_with("did you mean TIDEGATE_LISTEN?"));
        assert!(told("TIDEGATE_QQ", "x").unwrap().ends_with("no flag"));
        for (name, value) in [
            ("TIDEGATE_LISTEN", "127.0.0.1:1"),
            ("TIDEGATE_LOG_FORMAT", "json"),
            ("TIDEGATE_ANNOUNCE", "1"),
            ("PATH", "/bin"),
            ("TIDEGATE_PORT", "tcp://10.0.0.1:80"),
            ("TIDEGATE_SERVICE_HOST", "10.0.0.1"),
            ("TIDEGATE_ADMIN_PORT_5002_TCP_ADDR", "10.0.0.1"),
        ] {
            assert_eq!(told(name, value), None, "{name}");
        }
    }
}
