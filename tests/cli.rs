//! The command line as its users meet it: the real binary, its exit codes, and every complaint on one line.

#![allow(clippy::unwrap_used)] // clippy.toml exempts #[test] functions, not their helpers

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use tempfile::TempDir;
use tidegate::config::{ProxyConfig, Settings};

/// The binary in an environment of its own, so that a TIDEGATE_ variable outside changes nothing.
fn tidegate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.env_clear();
    command
}

#[path = "cli/files.rs"]
mod files;

/// Runs `words`, which must be refused with exit code 2 and one line; returns the line.
fn refused(words: &[&str], variables: &[(&str, &str)]) -> String {
    let output = tidegate().args(words).envs(variables.iter().copied()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{words:?}: {stderr}");
    assert_eq!(stderr.matches('\n').count(), 1, "{words:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{words:?}");
    assert!(!stderr.contains('\u{1b}'), "{words:?}: {stderr}");
    stderr
}

/// Runs `words`, which must succeed in silence on stderr; returns stdout.
fn printed(words: &[&str], variables: &[(&str, &str)]) -> String {
    let output = tidegate().args(words).envs(variables.iter().copied()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), stderr.as_str()), (Some(0), ""), "{words:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn write(dir: &TempDir, text: &str) -> String {
    let path = dir.path().join("tidegate.toml");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

const ONE_BACKEND: &str = "backend = [\"127.0.0.1:8085\"]\n";

#[test]
fn each_bad_flag_gets_one_line_naming_it_its_value_and_what_is_right() {
    let rows: &[(&[&str], &[&str])] = &[
        (&[], &["command is missing", "proxy, backend, demo"]),
        (&["prox"], &["'prox'", "'proxy'"]),
        (&["proxy", "--lisen", "x"], &["'--lisen'", "'--listen'"]),
        (&["proxy", "stray"], &["'stray'"]),
        (&["proxy", "--listen"], &["--listen", "needs a value"]),
        (&["proxy", "--listen", "9090"], &["--listen", "'9090'", "127.0.0.1:8080"]),
        (&["proxy", "--listen", "127.0.0.1:99999"], &["--listen", "'127.0.0.1:99999'", "65535"]),
        (&["proxy", "--listen", "::1:80"], &["--listen", "'::1:80'", "[::1]"]),
        (&["proxy", "--listen", "a b:80"], &["--listen", "'a b:80'", "host:port"]),
        (&["proxy", "--listen", "x\ny:1"], &["--listen", "x\\ny:1"]),
        (&["proxy", "--routing", "roundrobin"], &["--routing", "'roundrobin'", "'round-robin'", "elastic"]),
        (&["proxy", "--routing", "zzz"], &["--routing", "'zzz'", "one of round-robin, adaptive_sma"]),
        (&["proxy", "--upstream", "nonpersistent"], &["--upstream", "'nonpersistent'", "'non-persistent'"]),
        (&["proxy", "--client-keepalive", "yes"], &["--client-keepalive", "'yes'", "on, off"]),
        (&["proxy", "--backend", "localhost"], &["--backend", "'localhost'", "host:port"]),
        (&["proxy", "--backend", "127.0.0.1:8081,"], &["--backend", "''", "host:port"]),
        (&["proxy", "--backend", "127.0.0.1:0"], &["--backend", "'127.0.0.1:0'", "port"]),
        (&["proxy", "--backend", "https://h:1"], &["--backend", "'https://h:1'", "http://host:port"]),
        (&["proxy", "--backend", "http://h:1/x"], &["--backend", "'http://h:1/x'", "http://host:port"]),
        (&["proxy", "--backend", "h:1@0"], &["--backend", "'h:1@0'", "weight", "@2.5"]),
        (&["proxy", "--backend", "h:1@nan"], &["--backend", "'h:1@nan'", "weight", "@2.5"]),
        (&["proxy", "--backend", "h:1@"], &["--backend", "'h:1@'", "weight", "@2.5"]),
        (
            &["proxy", "--backend", "127.0.0.1:8081", "--backend", "http://localhost:8081/"],
            &["--backend", "'localhost:8081'", "twice", "http://127.0.0.1:8081", "@WEIGHT"],
        ),
        (&["proxy", "--backend", "127.0.0.1:9090"], &["--backend", "'127.0.0.1:9090'", "itself"]),
        (
            &["proxy", "--listen", "0.0.0.0:8083"],
            &["--backend", "'127.0.0.1:8083'", "where the proxy itself listens"],
        ),
        (&["proxy", "--health-interval", "1ms"], &["--health-interval", "'1ms'", "at least 100ms"]),
        (&["proxy", "--health-status", "ok"], &["--health-status", "'ok'", "200-399, 2xx"]),
        (&["proxy", "--admin", "127.0.0.1:9090"], &["--admin", "'127.0.0.1:9090'", "none"]),
        (&["proxy", "--admin", "0.0.0.0:5002"], &["--admin", "'0.0.0.0:5002'", "--admin-token-file"]),
        (&["proxy", "--admin-token-file="], &["--admin-token-file", "path", "none"]),
        (
            &["proxy", "--listen", "127.0.0.1:0", "--admin-token-file", "/nosuch"],
            &["--admin-token-file", "'/nosuch'", "No such file"],
        ),
        (&["proxy", "--admin-host", "a:1"], &["--admin-host", "'a:1'", "without a port"]),
        (&["demo", "--admin", "0.0.0.0:5002"], &["--admin", "'0.0.0.0:5002'", "--admin-token-file"]),
        (&["dashboard"], &["--log", "missing"]),
        (&["dashboard", "--log", "/nosuch.csv"], &["--log", "/nosuch.csv", "No such file"]),
        (&["dashboard", "--log", "x", "--port", "y"], &["--port", "'y'", "65535"]),
        (&["dashboard", "--log", "x", "--host", "localhost"], &["--host", "'localhost'", "127.0.0.1"]),
        (&["proxy", "--upstream-timeout", "10"], &["--upstream-timeout", "'10'", "10s"]),
        (&["proxy", "--upstream-timeout", "0s"], &["--upstream-timeout", "'0s'", "longer than 0s"]),
        (&["proxy", "--upstream-timeout", "ten"], &["--upstream-timeout", "'ten'", "10s"]),
        (&["proxy", "--upstream-timeout", "10sec"], &["--upstream-timeout", "'10sec'", "ms, s, m"]),
        (&["proxy", "--tunnel-idle-timeout", "9999999d"], &["--tunnel-idle-timeout", "365d"]),
        (&["proxy", "--drain-delay=-1s"], &["--drain-delay", "'-1s'", "10s"]),
        (&["proxy", "--upstream-timeout", "-5s"], &["--upstream-timeout '-5s': ", "never below 0s"]),
        (&["demo", "--duration", "-1.5s"], &["--duration '-1.5s': ", "never below 0s"]),
        (&["proxy", "--explain", "on"], &["--explain 'on': write --explain=on, or --explain alone"]),
        (&["proxy", "--log-decisions", "off"], &["--log-decisions 'off': write --log-decisions=off\n"]),
        (&["demo", "--serve", "on"], &["--serve 'on': write --serve=on"]),
        (&["proxy", "--request-head-max", "1MB"], &["--request-head-max", "'1MB'", "MiB"]),
        (&["proxy", "--request-head-max", "1"], &["--request-head-max", "'1'", "256 to 65535"]),
        (&["proxy", "--request-body-max", "99999999999G"], &["--request-body-max", "none"]),
        (
            &["proxy", "--request-line-max", "33k"],
            &["--request-line-max", "'33KiB'", "--request-head-max, 32KiB"],
        ),
        (&["proxy", "--fields-max", "1001"], &["--fields-max", "'1001'", "1 to 1000"]),
        (&["proxy", "--retries", "-1"], &["--retries", "'-1'", "whole number"]),
        (&["proxy", "--retries", "1", "--retries", "2"], &["--retries", "twice"]),
        (&["proxy", "--retry-budget", "0.2"], &["--retry-budget", "'0.2'", "0% to 100%"]),
        (&["proxy", "--workers", "0"], &["--workers", "'0'", "1 to 256, or auto"]),
        (&["proxy", "--max-clients", "0"], &["--max-clients", "'0'", "at least 1, or none"]),
        (&["proxy", "--ejection", "maybe"], &["--ejection", "'maybe'", "on, off, auto"]),
        (&["proxy", "--ejection-time", "1m"], &["--ejection-time-max", "'10s'", "--ejection-time, 1m"]),
        (&["proxy", "--objective", "median"], &["--objective", "'median'", "one of mean, tail"]),
        (&["proxy", "--objective", "tial"], &["--objective", "'tial'", "did you mean 'tail'?"]),
        (&["proxy", "--least-time-average", "ema"], &["--least-time-average", "'ema'", "ewma, sma"]),
        (&["proxy", "--shadow", "elastic:tial"], &["--shadow", "'elastic:tial'", "'elastic:tail'"]),
        (&["proxy", "--shadow", "p2c:tail"], &["--shadow", "'p2c:tail'", "one of round-robin"]),
        (&["proxy", "--shadow", "p2c,elastic,elastic:mean"], &["--shadow", "'elastic'", "twice"]),
        (
            &["proxy", "--log", "-", "--log-decisions"],
            &["--log '-': --log-decisions has standard output: name a file"],
        ),
        (&["proxy", "--shadow-log", "x.csv"], &["--shadow-log", "'x.csv'", "--shadow"]),
        (&["proxy", "--explain", "--explain"], &["--explain", "twice"]),
        (&["proxy", "--explain=maybe"], &["--explain", "'maybe'", "on, off"]),
        (
            &["proxy", "--routing", "elastic:tail"],
            &["'elastic:tail'", "write --routing elastic --objective tail"],
        ),
        (&["proxy", "--routing", "least_time:sma"], &["write --routing least-time --least-time-average sma"]),
        (
            &["proxy", "--listen", "127.0.0.1:5002"],
            &["--listen", "'127.0.0.1:5002'", "is where --admin is by default"],
        ),
        (&["proxy", "--health-path", "healthz"], &["--health-path", "'healthz'", "/healthz"]),
        (&["proxy", "--trusted-proxies", "10.0.0.5/8"], &["--trusted-proxies", "10.0.0.0/8", "10.0.0.5"]),
        (&["proxy", "--trusted-proxies", "all"], &["--trusted-proxies", "'all'", "10.0.0.0/8"]),
        (&["proxy", "--log="], &["--log", "path"]),
        (&["proxy", "--config", "/nosuch.toml"], &["--config", "'/nosuch.toml'", "No such file"]),
        (&["backend", "--port", "x"], &["--port", "'x'", "65535"]),
        (&["backend", "--listen-ip", "localhost"], &["--listen-ip", "'localhost'", "127.0.0.1"]),
        (&["backend", "--fail-rate", "30"], &["--fail-rate", "'30'", "0 to 1"]),
        (&["backend", "--latency", "constnt:1ms"], &["--latency", "'constnt:1ms'", "constant:"]),
        (&["backend", "--concurrency", "0"], &["--concurrency", "'0'", "at least 1"]),
        (&["demo", "--duration", "0s"], &["--duration", "'0s'", "20s"]),
        (&["demo", "--connections", "0"], &["--connections", "'0'", "from 1 to 60000"]),
        (&["demo", "--connections", "1000000"], &["--connections", "'1000000'", "from 1 to 60000"]),
        (
            &["demo", "--routing", "elastic:tail"],
            &["--routing 'elastic:tail': ", "bench and simulate take elastic:tail"],
        ),
        (&["demo", "--log-dir", "/dev/null/x"], &["--log-dir '/dev/null/x': ", "can be written to"]),
        (
            &["demo", "--listen", "127.0.0.1:1234", "--admin", "127.0.0.1:1234"],
            &["--admin '127.0.0.1:1234': is where clients connect"],
        ),
        (&["demo", "--routing", "p2c,p2c"], &["--routing", "'p2c'", "twice"]),
        (&["demo", "--backend-ports", "1,1"], &["--backend-ports", "'1'", "twice"]),
        (&["check"], &["FILE", "missing"]),
        (&["check", "/nosuch.toml"], &["'/nosuch.toml'", "No such file"]),
        (&["check", "/"], &["tidegate: '/': cannot be read (Is a directory): give a TOML file"]),
        (&["simulate", "/no"], &["scenario '/no': cannot be read (No such file", "[[scenario]]"]),
        (&["bench", "/no"], &["scenario '/no': cannot be read (No such file", "[[scenario]]"]),
        (&["replay", "/no"], &["log '/no': cannot be read (No such file", "request log"]),
        (&["report", "/no"], &["'/no': cannot be read (No such file", "a run directory"]),
        (&["backend", "--script", "/no"], &["--script '/no': cannot be read (No such file", "[[change]]"]),
        (&["completions", "fis"], &["'fis'", "bash, elvish, fish"]),
        (&["completions", "fissh"], &["'fissh'", "did you mean 'fish'?"]),
        (&["man", "women"], &["'women'", "proxy, backend"]),
        (&["man", "prox"], &["'prox'", "did you mean 'proxy'?"]),
        (&["proxy", "adaptive_sma"], &["did you mean '--routing adaptive_sma'?"]),
        (&["adaptive_sma"], &["did you mean 'proxy --routing adaptive_sma'?"]),
        (&["dashboard", "x.csv"], &["did you mean '--log x.csv'?"]),
        (&["bench", "--driver", "builtin"], &["--driver", "'builtin'", "did you mean 'built-in'?"]),
        (&["bench", "--rate", "5", "--arrivals", "poison"], &["--arrivals", "'poison'", "'poisson'"]),
        (&["proxy", "--log-level", "inof"], &["--log-level", "'inof'", "did you mean 'info'?"]),
        (&["--log-format", "xml", "proxy"], &["--log-format", "'xml'", "text, json"]),
        (&["top", "--admin", "localhost"], &["--admin", "'localhost'", "host:port"]),
        (&["top", "--admin", "https://h:1"], &["--admin", "'https://h:1'", "http://host:port"]),
        (&["top", "--admin", "http://h:1/api"], &["--admin", "'http://h:1/api'", "no path"]),
        (&["top", "--admin", "foo"], &["--admin 'foo': ", "127.0.0.1:8080\n"]),
        (&["top", "--admin", "none"], &["--admin", "'none'", "name one"]),
    ];
    for (words, parts) in rows {
        let line = refused(words, &[]);
        assert!(line.starts_with("tidegate: "), "{line}");
        for part in *parts {
            assert!(line.contains(part), "{words:?} lacks {part:?}: {line}");
        }
    }
}

#[test]
fn a_bad_environment_variable_is_blamed_by_its_own_name() {
    let rows = [
        ("proxy", "TIDEGATE_UPSTREAM_TIMEOUT", "10", "a duration needs a unit"),
        ("proxy", "TIDEGATE_ADMIN", "127.0.0.1:9090", "where clients connect"),
        ("proxy", "TIDEGATE_CONFIG", "/nosuch.toml", "No such file"),
        ("proxy", "TIDEGATE_BACKEND", "127.0.0.1:1,127.0.0.1:1", "twice"),
        ("backend", "PORT", "http", "65535"),
        ("dashboard", "DASHBOARD_PORT", "http", "65535"),
        ("demo", "TIDEGATE_ROUTING", "zzz", "one of round-robin"),
        ("proxy", "TIDEGATE_LOG_LEVEL", "loud", "one of error, warn"),
    ];
    for (command, variable, value, why) in rows {
        let line = refused(&[command], &[(variable, value)]);
        assert!(line.starts_with(&format!("tidegate: {variable} '")) && line.contains(why), "{line}");
    }
}

#[test]
fn a_bad_file_is_blamed_by_line_and_column() {
    let rows = [
        ("\nlisen = \"x\"", ":2:1: ", "unknown key 'lisen': did you mean 'listen'?"),
        ("zzzzz = 1", ":1:1: ", "unknown key 'zzzzz'"),
        (
            "config = \"other.toml\"",
            ":1:1: ",
            "unknown key 'config': only a flag, --config, or TIDEGATE_CONFIG",
        ),
        ("log-level = \"off\"", ":1:1: ", "only a flag, --log-level, or TIDEGATE_LOG_LEVEL"),
        ("log_format = \"json\"", ":1:1: ", "only a flag, --log-format, or TIDEGATE_LOG_FORMAT"),
        (
            "\nlisten = \"127.0.0.1:5002\"",
            ":2:1: ",
            "listen '127.0.0.1:5002': is where --admin is by default",
        ),
        ("[proxy]\nretries = 1", ":1:2: ", "unknown key 'proxy'"),
        ("listen = ", ":1:", "quoted"),
        ("retries = 1\nretries = 2", ":2:1: ", "retries: is there twice"),
        ("retries = -1", ":1:11: ", "retries '-1': must be a whole number"),
        ("retries = [1]", ":1:11: ", "retries: must be a single value, not a list"),
        ("objective = \"p99\"", ":1:13: ", "objective 'p99': must be one of mean, tail"),
        ("shadow = [\"p2x\"]", ":1:11: ", "shadow 'p2x': did you mean 'p2c'?"),
        ("shadow = [\"p2c\", \"p2c\"]", ":1:1: ", "shadow 'p2c': is named twice"),
        ("connect-timeout = 10", ":1:19: ", "connect-timeout '10': a duration needs a unit: 10s"),
        ("connect-timeout = \"0s\"", ":1:1: ", "connect-timeout '0s': must be longer than 0s"),
        ("client-keepalive = \"maybe\"", ":1:20: ", "client-keepalive 'maybe': must be one of on, off"),
        ("routing = \"p2x\"", ":1:11: ", "routing 'p2x': did you mean 'p2c'?"),
        ("backend = []", ":1:1: ", "backend '[]': must name at least one"),
        ("backend = [\"h\"]", ":1:12: ", "backend 'h': must be host:port"),
        ("backend = \"h:1\"", ":1:11: ", "backend: must be a list, like [\"one\", \"two\"], not text"),
        ("backend = [5]", ":1:12: ", "backend: must be a table with address and weight, or text"),
        (
            "# é\n[[backend]]\naddress = \"h:1\"\nwieght = 2",
            ":4:1: ",
            "backend: unknown key 'wieght': did you mean 'weight'?",
        ),
        ("[[backend]]\naddress = \"h:1\"\nweight = 0", ":3:10: ", "backend weight '0': the weight must be"),
        ("[[backend]]\naddress = \"h:1\"\nweight = \"2\"", ":3:10: ", "weight: must be a number, not text"),
        ("[[backend]]\naddress = \"h\"", ":2:11: ", "backend address 'h': must be host:port"),
        ("[[backend]]\naddress = 1", ":2:11: ", "address: must be text in quotes, not a number"),
        ("[[backend]]\nweight = 1", ":1:1: ", "backend 'address' is missing"),
        ("backend = [\"127.0.0.1:1\", \"127.0.0.1:1@2\"]", ":1:27: ", "'127.0.0.1:1@2': is named twice"),
        (
            "[[backend]]\naddress = \"127.0.0.1:1\"\n[[backend]]\nweight = 2\naddress = \"127.0.0.1:1\"",
            ":5:11: ",
            "backend '127.0.0.1:1@2': is named twice",
        ),
        ("[[backend]]\naddress = \"127.0.0.1:9090\"", ":2:11: ", "is where the proxy itself listens"),
    ];
    let dir = TempDir::new().unwrap();
    for (text, place, why) in rows {
        let path = write(&dir, text);
        for words in [["check", &path].as_slice(), &["proxy", "--config", &path]] {
            let line = refused(words, &[]);
            let begin = format!("tidegate: {path}{place}");
            assert!(line.starts_with(&begin), "{text:?} lacks {begin:?}: {line}");
            assert!(line.contains(why), "{text:?} lacks {why:?}: {line}");
        }
    }
    fs::write(dir.path().join("tidegate.toml"), b"listen = \"\xff\"").unwrap();
    assert!(refused(&["check", dir.path().join("tidegate.toml").to_str().unwrap()], &[]).contains("UTF-8"));
}

#[test]
fn check_tells_each_backend_where_it_stands() {
    let dir = TempDir::new().unwrap();
    let table = "[[backend]]\naddress = \"127.0.0.1:1\"\n\n[[backend]]\naddress = \"127.0.0.1:2\"";
    for (text, lines) in [(table, [2, 5]), ("backend = [\"127.0.0.1:1\",\n\"127.0.0.1:2\"]", [1, 2])] {
        let path = write(&dir, text);
        let printed = printed(&["check", &path], &[]);
        let noted: Vec<&str> = printed.lines().filter(|line| line.starts_with("[[backend]]")).collect();
        assert_eq!(noted, lines.map(|line| format!("[[backend]]  # {path}:{line}")));
    }
}

#[test]
fn a_flag_wins_over_the_environment_that_over_the_file_that_over_the_default() {
    let dir = TempDir::new().unwrap();
    let path = write(&dir, "retries = 5\nqueue-max = 5\ndrain-delay = \"5s\"\nbackend = [\"127.0.0.1:5\"]\n");
    let variables = [("TIDEGATE_RETRIES", "6"), ("TIDEGATE_QUEUE_MAX", "6")];
    let words = ["check", &path, "--retries", "7", "--backend", "127.0.0.1:7,127.0.0.1:8@2.5"];
    let text = printed(&words, &variables);
    for line in [
        "retries = 7  # flag".to_owned(),
        "queue-max = 6  # TIDEGATE_QUEUE_MAX".to_owned(),
        format!("drain-delay = \"5s\"  # {path}:3"),
        "drain-timeout = \"30s\"".to_owned(),
        "address = \"127.0.0.1:7\"".to_owned(),
        "weight = 2.5".to_owned(),
    ] {
        assert!(text.lines().any(|one| one == line), "no {line:?} in {text}");
    }
    assert!(!text.contains("127.0.0.1:5\""), "flags replace the file's backends: {text}");
}

#[test]
fn what_check_prints_is_a_file_that_means_the_same() {
    let dir = TempDir::new().unwrap();
    let path = write(
        &dir,
        "routing = \"least_time\"\nclient-keepalive = false\ntrusted-proxies = [\"10.0.0.0/8\", \"::1\"]\n\
         request-body-max = 3000\nobjective = \"tail\"\nleast-time-average = \"sma\"\nexplain = true\n\
         shadow = [\"round_robin\", \"elastic:tail\"]\nshadow-log = \"s.csv\"\nmax-clients = 10\nhealth-path = \"/up\"\nadmin = \"none\"\nejection = false\nbackend = [\"127.0.0.1:8085\"]\n",
    );
    let load = |path: &str| {
        let file = Some(path.into());
        Settings { file, ..Settings::default() }.load().unwrap()
    };
    let first = load(&path);
    assert_eq!(first.config.log.as_deref(), Some(Path::new("logs/least-time-sma_persistent.csv")));
    assert_eq!((first.config.request_body_max, first.config.max_clients), (Some(3000), Some(10)));
    let shadows: Vec<&str> = first.config.shadow.iter().map(|shadow| shadow.name()).collect();
    assert_eq!(shadows, ["round-robin", "elastic:tail"]);
    assert!(first.config.explain && first.config.policy_options.tail);
    assert_eq!(first.config.variant().name(), "least-time:sma");
    assert!(!first.config.client_keepalive && !first.config.ejection && first.config.admin.is_none());
    let again = write(&dir, &printed(&["check", &path], &[]));
    assert_eq!(load(&again).config, first.config);
}

#[test]
fn nothing_said_is_the_default_config() {
    assert_eq!(Settings::default().load().unwrap().config, ProxyConfig::default());
}

#[test]
fn the_example_file_has_every_key_with_its_default() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tidegate.example.toml");
    let text = fs::read_to_string(&path).unwrap();
    let example = Settings { file: Some(path), ..Settings::default() }.load().unwrap();
    let unsaid = Settings::default().load().unwrap();
    assert_eq!(example.config, unsaid.config);
    assert_eq!(example.effective, unsaid.effective);
    for key in keys() {
        let plain = format!("{key} =");
        let has = |line: &str| line.starts_with(&plain) || line == format!("# {key} = \"{}\"", log());
        assert!(key == "backend" || text.lines().any(has), "no {key} in the example");
    }
    assert!(text.contains("[[backend]]"));
}

fn log() -> String {
    ProxyConfig::default().log.unwrap().display().to_string()
}

/// The flags of `proxy` that are keys of the file.
fn keys() -> Vec<String> {
    let command = tidegate::cli::command();
    let proxy = command.find_subcommand("proxy").unwrap();
    let longs = proxy.get_arguments().filter_map(|arg| arg.get_long());
    longs.filter(|long| *long != "config" && *long != "help").map(str::to_owned).collect()
}

#[test]
fn help_has_every_flag_with_heading_default_and_variable() {
    for subcommand in ["proxy", "check", "backend", "demo", "top"] {
        let help = printed(&[subcommand, "--help"], &[]).split_whitespace().collect::<Vec<_>>().join(" ");
        let command = tidegate::cli::command();
        for arg in command.find_subcommand(subcommand).unwrap().get_arguments() {
            let Some(long) = arg.get_long().filter(|long| *long != "help") else { continue };
            assert!(arg.get_help_heading().is_some(), "--{long} has no heading");
            let variable = arg.get_env().unwrap().to_str().unwrap();
            let (_, rest) = help.split_once(&format!(" --{long}")).unwrap_or_else(|| panic!("no --{long}"));
            let (own, _) = rest.split_once(" --").unwrap_or((rest, ""));
            let own = if own.contains("[env:") { own } else { rest }; // one text names another flag
            assert!(own.contains(&format!("[env: {variable}]")), "--{long}: {own}");
            let without = matches!(long, "config" | "trusted-proxies" | "shadow" | "admin-host");
            assert!(without || own.contains("[default: "), "--{long}: {own}");
        }
    }
    let words = printed(&["proxy", "--help"], &[]).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("[default: logs/<routing>_<upstream>.csv]"));
    assert!(!printed(&["proxy", "--help"], &[("TIDEGATE_LISTEN", "secret")]).contains("secret"));
}

#[test]
fn completions_manual_version() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = printed(&["completions", shell], &[]);
        assert!(script.contains("upstream-timeout") && script.contains("adaptive_ewma"), "{shell}");
    }
    assert!(printed(&["man"], &[]).contains(".TH tidegate 1"));
    assert!(printed(&["man", "proxy"], &[]).contains(".TH tidegate-proxy 1"));
    assert_eq!(printed(&["--version"], &[]), format!("tidegate {}\n", tidegate::VERSION));
    assert!(tidegate::VERSION.starts_with(env!("CARGO_PKG_VERSION")));
    assert!(printed(&["--help"], &[]).contains("Usage: tidegate"));
    assert!(printed(&["help", "proxy"], &[]).contains("--upstream-timeout"));
}

#[test]
fn each_command_has_a_manual_page_with_variables_signals_and_exit_codes() {
    let names = |command: &clap::Command| {
        let all = command.get_subcommands().map(|one| one.get_name().to_owned());
        all.filter(|name| !matches!(name.as_str(), "completions" | "man" | "help")).collect::<Vec<_>>()
    };
    for name in names(&tidegate::cli::command()) {
        let page = printed(&["man", &name], &[]);
        for section in ["ENVIRONMENT", "EXIT STATUS", "SEE ALSO", "VERSION"] {
            assert!(page.contains(section), "{name} lacks {section}");
        }
        assert!(page.contains("TIDEGATE_LOG_LEVEL"), "{name}");
        let common = "[\\fB\\-\\-log\\-level\\fR] [\\fB\\-\\-log\\-format\\fR] [\\fB\\-h";
        assert!(page.contains(common), "{name}: what every command has comes last");
        assert!(!page.contains("EXTRA"), "{name}");
    }
    let page = printed(&["man", "proxy"], &[]);
    for part in
        ["SIGHUP", "SIGUSR1", "TIDEGATE_UPSTREAM_TIMEOUT", "NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDS"]
    {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn help_of_the_proxy_is_grouped_by_topic() {
    let help = printed(&["proxy", "--help"], &[]);
    let headings: Vec<&str> =
        help.lines().filter(|line| line.ends_with(':') && !line.starts_with(' ')).collect();
    let expected = [
        "Configuration:",
        "Listening:",
        "Admin page:",
        "Backends:",
        "Routing:",
        "Clients:",
        "Limits:",
        "Time-outs:",
        "Retries:",
        "Health and ejection:",
        "Shutdown:",
        "Logging:",
        "Messages:",
    ];
    for heading in expected {
        assert!(headings.contains(&heading), "{heading} of {headings:?}");
    }
    assert!(help.contains("DURATION is a number with its unit"));
}

#[test]
fn a_variable_that_nothing_reads_is_warned_of() {
    let dir = TempDir::new().unwrap();
    let path = write(&dir, ONE_BACKEND);
    let run = |variables: &[(&str, &str)]| {
        let output = tidegate().args(["check", &path]).envs(variables.iter().copied()).output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    let (is_well, stderr) = run(&[("TIDEGATE_LISEN", "x"), ("TIDEGATE_PORT", "tcp://10.0.0.1:80")]);
    assert!(is_well && stderr.contains("TIDEGATE_LISEN is read by nothing: did you mean TIDEGATE_LISTEN?"));
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert_eq!(run(&[("TIDEGATE_LISEN", "x"), ("TIDEGATE_LOG_LEVEL", "error")]), (true, String::new()));
}

#[test]
fn messages_may_be_json() {
    let dir = TempDir::new().unwrap();
    let path = write(&dir, ONE_BACKEND);
    let words = ["check", &path, "--log-format", "json"];
    let output = tidegate().args(words).env("TIDEGATE_LISEN", "x").output().unwrap();
    let line: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(line["level"], "WARN");
    assert!(line["message"].as_str().unwrap().contains("TIDEGATE_LISEN") && line["timestamp"].is_string());

    // A failure after the start is one of them.
    let words = ["--log-format=json", "top", "--once", "--admin", "127.0.0.1:1"];
    let output = tidegate().args(words).output().unwrap();
    let line: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!((output.status.code(), &line["level"]), (Some(1), &"ERROR".into()));
    assert!(line["message"].as_str().unwrap().contains("start a proxy first"), "{line}");
}
