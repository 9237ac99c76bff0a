//! Manual pages: what clap knows of the flags, and what it does not: variables, signals, exit codes, files.

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

/// The commands that have a page of their own.
pub(super) const PAGES: [&str; 10] =
    ["proxy", "backend", "demo", "bench", "simulate", "replay", "report", "dashboard", "top", "check"];

const EXIT_CODES: [(&str, &str); 4] = [
    ("0", "What was asked for is done; for a server, it has drained."),
    (
        "1",
        "What may work tomorrow: an address in use, a name that does not resolve, a file that cannot be written.",
    ),
    (
        "2",
        "Flags, environment or configuration file are wrong; nothing was started. One line says what is right.",
    ),
    ("3", "report --compare: the second run is worse than the first."),
];

const PROXY_SIGNALS: [(&str, &str); 3] = [
    (
        "SIGTERM, SIGINT, SIGQUIT",
        "Drain: readiness fails at once, connections are refused after --drain-delay, requests under way may take \
         --drain-timeout. Another one, a second later or more, stops at once.",
    ),
    (
        "SIGHUP",
        "Read the --config file again, and look up the names of backends again, those of flags too. Backends that stay keep \
         connections, health and what was learned. A file with an error changes nothing.",
    ),
    ("SIGUSR1", "Reopen the log, after logrotate has moved it. SIGUSR2 does nothing."),
];
const SIGNALS: [(&str, &str); 1] = [("SIGTERM, SIGINT, SIGQUIT", "End in good order.")];

const SYSTEMD: [(&str, &str); 3] = [
    ("NOTIFY_SOCKET", "Set by systemd: told when the proxy is ready, reloads, and stops."),
    ("WATCHDOG_USEC", "Set by systemd: told twice in that time that the event loop turns."),
    ("LISTEN_FDS, LISTEN_PID", "Set by systemd: the first socket is the listener, in place of --listen."),
];

/// More than any command has options.
const COMMON_FROM: usize = 1000;

/// The page of a command, or of all, in roff.
pub(super) fn page(name: Option<&str>) -> Result<String, String> {
    let mut whole = super::command();
    whole.build(); // so that a part knows it is called `tidegate proxy`
    let part = name.and_then(|name| whole.find_subcommand(name)).unwrap_or(&whole).clone();
    let title = part.get_display_name().unwrap_or("tidegate").to_owned();
    let more = sections(&part, name);
    let mut roff = Vec::new();
    let has_parts = part.has_subcommands();
    let part = in_order(part);
    let man = Man::new(part.name(title).version(crate::VERSION));
    render(&man, has_parts, &more, &mut roff).map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&roff).into_owned())
}

/// With those options last that every command has: clap would put them among its own.
fn in_order(part: Command) -> Command {
    let mut at = COMMON_FROM;
    part.mut_args(|arg| {
        at += 1;
        let is_common = arg.is_global_set() || matches!(arg.get_id().as_str(), "help" | "version");
        if is_common { arg.display_order(at) } else { arg }
    })
}

fn render(man: &Man, has_parts: bool, more: &str, roff: &mut Vec<u8>) -> std::io::Result<()> {
    man.render_title(roff)?;
    man.render_name_section(roff)?;
    man.render_synopsis_section(roff)?;
    man.render_description_section(roff)?;
    man.render_options_section(roff)?;
    if has_parts {
        man.render_subcommands_section(roff)?;
    }
    let mut notes = Vec::new();
    man.render_extra_section(&mut notes)?;
    roff.extend_from_slice(String::from_utf8_lossy(&notes).replacen(".SH EXTRA", ".SH NOTES", 1).as_bytes());
    roff.extend_from_slice(more.as_bytes());
    man.render_version_section(roff)
}

fn sections(part: &Command, name: Option<&str>) -> String {
    let mut roff = Roff::new();
    let environment: Vec<(String, String)> = part
        .get_arguments()
        .filter_map(|arg| {
            let variable = arg.get_env()?.to_string_lossy().into_owned();
            Some((variable, format!("As --{}, which wins over it.", arg.get_long()?)))
        })
        .collect();
    section(&mut roff, "ENVIRONMENT", &environment);
    match name {
        Some("proxy") => {
            list(&mut roff, &SYSTEMD);
            section(&mut roff, "SIGNALS", &PROXY_SIGNALS);
        }
        Some("backend" | "demo" | "bench") => section(&mut roff, "SIGNALS", &SIGNALS),
        _ => {}
    }
    section(&mut roff, "EXIT STATUS", &EXIT_CODES);
    let others = PAGES.iter().filter(|page| name != Some(**page)).map(|page| format!("tidegate-{page}(1)"));
    let own = name.map(|_| "tidegate(1)".to_owned());
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(own.into_iter().chain(others).collect::<Vec<_>>().join(", "))]);
    roff.to_roff()
}

fn section<A: AsRef<str>, B: AsRef<str>>(roff: &mut Roff, title: &str, entries: &[(A, B)]) {
    roff.control("SH", [title]);
    list(roff, entries);
}

fn list<A: AsRef<str>, B: AsRef<str>>(roff: &mut Roff, entries: &[(A, B)]) {
    for (term, text) in entries {
        roff.control("TP", []);
        roff.text([bold(term.as_ref())]);
        roff.text([roman(text.as_ref())]);
    }
}
