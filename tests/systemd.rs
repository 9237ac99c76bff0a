//! What a service manager sees: notifications, the watchdog, a socket handed over.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a panic here is a failed test
#![allow(unreachable_pub, missing_docs)]

mod support;

#[path = "support/child.rs"]
mod child;

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use rustix::process::Signal;
use support::{Client, DEADLINE, Origin};

/// Waits for a message with this in it; says all that came.
fn hears(socket: &UnixDatagram, text: &str) -> String {
    let mut heard = String::new();
    let mut piece = [0; 4096];
    while !heard.contains(text) {
        let length = match socket.recv(&mut piece) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            outcome => outcome.unwrap_or_else(|error| panic!("no {text} after {heard:?}: {error}")),
        };
        heard += std::str::from_utf8(&piece[..length]).unwrap();
    }
    heard
}

#[test]
fn a_service_manager_is_told() {
    let origin = Origin::echo_path();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let config = directory.path().join("tidegate.toml");
    std::fs::write(
        &config,
        format!("backend = [\"{}\"]\nadmin = \"none\"\nlog = \"none\"\n", origin.address),
    )
    .unwrap();
    let mut command = child::command(&["proxy", "--listen", "127.0.0.1:0", "--config"]);
    command.arg(&config).env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "100000");
    let mut proxy = child::Process::run(&mut command);
    let heard = hears(&socket, "READY=1");
    assert!(heard.contains(&format!("STATUS=listening on {}", proxy.address)), "{heard}");
    for _ in 0..3 {
        hears(&socket, "WATCHDOG=1"); // an idle loop is a loop that turns
    }
    proxy.signal(Signal::HUP);
    let heard = hears(&socket, "RELOADING=1");
    assert!(heard.contains("MONOTONIC_USEC="), "{heard}");
    hears(&socket, "READY=1");
    proxy.signal(Signal::TERM);
    let heard = hears(&socket, "STOPPING=1");
    assert!(heard.contains("EXTEND_TIMEOUT_USEC=35000000"), "{heard}");
    assert!(proxy.ended().success());
}

/// `sh` puts the socket, given as its stdin, where a service manager would.
fn with_socket(socket: impl Into<OwnedFd>, words: &[&str]) -> Command {
    let script = "exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_tidegate"), "proxy"]).args(words);
    command.stdin(socket.into());
    command
}

#[test]
fn a_socket_handed_over_is_where_it_listens() {
    let origin = Origin::echo_path();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let backend = origin.address.to_string();
    // A client that was there first is served, too: it is in the socket's queue.
    let mut early = Client::connect(address);
    early.send("GET /early HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let words = ["--backend", &backend, "--admin", "none", "--log", "none", "--listen", "127.0.0.1:1"];
    let proxy = child::Process::run_with_stdin(&mut with_socket(listener, &words));
    assert_eq!(proxy.address, address);
    let (bytes, _) = early.read_to_end();
    assert!(String::from_utf8_lossy(&bytes).ends_with("/early"), "{bytes:?}");
}

#[test]
fn what_is_no_listener_is_refused() {
    let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    let output = with_socket(one, &["--admin", "none", "--log", "none"]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("LISTEN_FDS: not a TCP socket that listens"), "{stderr}");
}
