//! What a burst took from the system is given back soon after it.
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![allow(clippy::unwrap_used, clippy::expect_used)] // a panic here is a failed test

#[allow(unused_imports)] // each test binary uses a part
mod support;

#[path = "support/child.rs"]
mod child;

use std::time::{Duration, Instant};

use child::Process;
use support::{Client, Origin};

const CLIENTS: usize = 2_000;
/// Of a head, but for its last line.
const HEAD_BYTES: usize = 31_500;
/// A burst is over for so long when its memory is back.
const GIVEN_BACK_WITHIN: Duration = Duration::from_secs(30);

/// Two thousand clients with the largest heads at once: afterwards the process is about as large as it was before.
#[test]
fn memory_of_a_burst_is_given_back() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let origin = Origin::echo_path();
    let backend = origin.address.to_string();
    let proxy = Process::start(&["--backend", &backend, "--admin", "none", "--queue-max", "4096"]);
    let mut usual = Client::connect(proxy.address);
    (0..200).for_each(|_| assert_eq!(usual.get("/usual").status, 200));
    let before = proxy.resident_kib();
    let filler = format!("GET /long HTTP/1.1\r\nHost: h\r\nX-Long: {}", "x".repeat(HEAD_BYTES - 100));
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| Client::connect(proxy.address)).collect();
    for client in &mut clients {
        client.send(&filler);
    }
    for client in &mut clients {
        client.send("\r\nX-Last: y\r\n");
    }
    support::wait_for("the burst to be read", || proxy.resident_kib() > before + 40_000);
    let peak = proxy.resident_kib();
    for client in &mut clients {
        client.send("\r\n");
    }
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
    let full = proxy.resident_kib();
    drop(clients);
    let ended = Instant::now();
    let mut after = proxy.resident_kib();
    while after * 2 > before * 3 && ended.elapsed() < GIVEN_BACK_WITHIN {
        std::thread::sleep(Duration::from_millis(200));
        after = proxy.resident_kib();
    }
    println!("{before} KiB before, {peak}, {full} at the peak, {after} {:?} after its end", ended.elapsed());
    assert!(after * 2 <= before * 3, "{before} KiB before, {peak} at the peak, {after} long after");
    assert_eq!(usual.get("/usual").status, 200);
}
