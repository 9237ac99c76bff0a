//! Logs that cannot be written: serving goes on, what is lost is counted and said, logging resumes.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::child::{Process, outcome};
use crate::load::Load;
use crate::mortal::{Mortal, echo};
use crate::support::{Client, Origin, wait_for};

fn proxy_logging_to(origin: &Mortal, log: &Path) -> Process {
    let backend = origin.address.to_string();
    Process::start(&["--backend", &backend, "--log", log.to_str().unwrap(), "--admin", "none"])
}

fn quick() -> Mortal {
    Mortal::start(echo(Duration::ZERO))
}

fn serves(proxy: &Process, count: usize) {
    let mut client = Client::connect(proxy.address);
    for _ in 0..count {
        assert_eq!(client.get("/").status, 200);
    }
}

fn ends_well(mut proxy: Process) {
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.ended().code(), Some(0));
}

#[test]
fn a_full_disk_costs_rows_and_nothing_else_and_is_said_once() {
    let origin = quick();
    let proxy = proxy_logging_to(&origin, Path::new("/dev/full"));
    let load = Load::start(proxy.address, 4, &["GET"], Duration::ZERO);
    load.more(2000);
    let begun = Instant::now();
    let line = proxy.says("rows of the request log were lost");
    assert!(line.contains("No space left"), "{line}");
    load.more(2000);
    assert!(load.stop().iter().all(|one| one.status == 200));
    let said = proxy.said().matches("rows of the request log were lost").count();
    let halves_of_a_minute = begun.elapsed().as_secs() as usize / 30; // it is said again after one
    assert!(said <= 1 + halves_of_a_minute, "{}", proxy.said());
    ends_well(proxy);
}

#[test]
fn a_fifo_without_a_reader_costs_rows_and_logging_begins_when_one_comes() {
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let origin = quick();
    let proxy = proxy_logging_to(&origin, &fifo);
    serves(&proxy, 1000);
    proxy.says("rows of the request log were lost");
    let mut reader = OpenOptions::new()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32)
        .open(&fifo)
        .unwrap();
    let mut text = String::new();
    wait_for("rows in the FIFO", || {
        serves(&proxy, 10);
        let _ = reader.read_to_string(&mut text); // "not yet" ends it too
        text.contains("/,127.0.0.1") // a path and a client: a row
    });
    assert!(text.starts_with("timestamp,"), "{text}");
    // A reader that stops reading: the pipe fills, the channel fills, serving goes on.
    let load = Load::start(proxy.address, 4, &["GET"], Duration::ZERO);
    load.more(2000);
    assert!(load.stop().iter().all(|one| one.status == 200));
    drop(reader);
    serves(&proxy, 100);
    ends_well(proxy);
}

#[test]
fn a_deleted_log_is_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("deep/log.csv");
    let origin = quick();
    let proxy = proxy_logging_to(&origin, &log);
    serves(&proxy, 100);
    wait_for("rows", || std::fs::read_to_string(&log).unwrap().lines().count() == 101);
    std::fs::remove_dir_all(directory.path().join("deep")).unwrap();
    wait_for("a new log", || {
        serves(&proxy, 10);
        log.exists()
    });
    wait_for("its header and rows", || {
        let text = std::fs::read_to_string(&log).unwrap();
        text.starts_with("timestamp,") && text.lines().count() > 1
    });
    ends_well(proxy);
}

#[test]
fn a_minus_is_standard_output_and_nothing_but_rows_goes_there() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let origin = quick();
    let backend = origin.address.to_string();
    let mut shell = std::process::Command::new("sh");
    shell.current_dir(directory.path()).args(["-c", "out=$1; shift; exec \"$@\" >\"$out\"", "sh"]).arg(&out);
    shell.arg(env!("CARGO_BIN_EXE_tidegate"));
    shell.args(["proxy", "--listen", "127.0.0.1:0", "--admin", "none", "--log", "-", "--backend", &backend]);
    let proxy = Process::run(&mut shell);
    serves(&proxy, 3);
    proxy.signal(Signal::USR1); // there is nothing to reopen, and no second header
    proxy.says("a row per request goes to standard output");
    serves(&proxy, 3);
    ends_well(proxy);
    let text = std::fs::read_to_string(&out).unwrap();
    assert!(text.starts_with("timestamp,backend_url,"), "{text}");
    assert_eq!((text.lines().count(), text.matches("timestamp,").count()), (7, 1), "{text}");
    assert!(!directory.path().join("-").exists());
}

#[test]
fn a_path_that_cannot_be_written_at_start_is_a_clear_error() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    let below = file.join("log.csv");
    for path in
        [below.to_str().unwrap(), directory.path().to_str().unwrap(), "/proc/log.csv", file.to_str().unwrap()]
    {
        let words = ["proxy", "--listen", "127.0.0.1:0", "--admin", "none", "--log", path];
        let (code, stderr) = outcome(&words);
        assert_eq!(code, Some(1), "{path}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stderr.contains("--log") && stderr.contains(path), "{stderr}");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
}

#[test]
fn an_order_is_told_once_however_many_workers_carry_it_out() {
    const TOKEN: &str = "0123456789abcdef";
    let origin = Origin::echo_path();
    let backend = origin.address.to_string();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, TOKEN).unwrap();
    let usual = ["--backend", &backend, "--log", "none", "--admin", "127.0.0.1:0", "--workers", "3"];
    let own = ["--admin-token-file", path.to_str().unwrap(), "--routing", "p2c", "--objective", "tail"];
    let mut proxy = Process::start(&[&usual[..], &own].concat());
    proxy.says("WARN objective tail changes nothing with routing p2c: only elastic heeds it");
    let order = |verb: &str, body: &str| {
        let head =
            format!("POST /api/control/{verb} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}");
        let order = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        assert_eq!(Client::connect(proxy.admin()).send(&order).response().status, 200);
    };
    order("weight", &format!("{{\"backend\":\"{backend}\",\"weight\":2}}"));
    order("routing", "{\"routing\":\"elastic\"}");
    proxy.says("routing switched on the admin page");
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.ended().code(), Some(0));
    proxy.says("stopped after");
    for told in ["ordered on the admin page", "routing switched on the admin page"] {
        assert_eq!(proxy.said().matches(told).count(), 1, "{}", proxy.said());
    }
}
