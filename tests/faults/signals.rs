//! What the process does when told: stop, stop now, reload, reopen; and when it is not even told.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::child::{Process, command};
use crate::load::{Load, REFUSED, statuses};
use crate::mortal::{Mortal, echo};
use crate::support::pace::undisturbed;
use crate::support::port::Reserved;
use crate::support::{Client, Gate, Origin, wait_for};

/// Rows in a log, its header aside.
fn rows(log: &Path) -> usize {
    std::fs::read_to_string(log).map_or(0, |text| text.lines().count().saturating_sub(1))
}

fn answered(told: &[crate::load::Told]) -> usize {
    told.iter().filter(|one| one.status == 200).count()
}

/// Two signals within a second are one order, as of a supervisor that signals a process and its group.
const SAME_ORDER: Duration = Duration::from_millis(1050);

#[test]
fn told_to_stop_under_load_it_answers_whom_it_has_accepted_and_logs_every_answer() {
    for signal in [Signal::TERM, Signal::INT] {
        let origins = [1, 2].map(|_| Mortal::start(echo(Duration::from_millis(2))));
        let backends = origins.each_ref().map(|origin| origin.address.to_string());
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log.csv");
        let words = ["--backend", &backends[0], "--backend", &backends[1], "--log", log.to_str().unwrap()];
        let mut proxy = Process::start(&[&words[..], &["--admin", "none"]].concat());
        let load = Load::start(proxy.address, 16, &["GET", "POST"], Duration::ZERO);
        load.more(1000);
        proxy.signal(signal);
        assert_eq!(proxy.ended().code(), Some(0));
        let told = load.stop();
        let fates = statuses(&told);
        assert!(fates.keys().all(|status| matches!(*status, 200 | REFUSED)), "{fates:?}");
        println!("{signal:?}: told {fates:?}, {} rows", rows(&log));
        assert_eq!(rows(&log), answered(&told), "{fates:?}");
    }
}

#[test]
fn a_client_between_two_requests_may_finish_its_next_one() {
    let origin = Origin::echo_path();
    let backend = origin.address.to_string();
    let mut proxy = Process::start(&["--backend", &backend, "--log", "none", "--admin", "none"]);
    let mut client = Client::connect(proxy.address);
    assert_eq!(client.get("/1").status, 200);
    let mut silent = Client::connect(proxy.address);
    let mut busy = Client::connect(proxy.address);
    assert_eq!(busy.get("/2").status, 200);
    proxy.signal(Signal::TERM);
    wait_for("the listener to be gone", || TcpStream::connect(proxy.address).is_err());
    let last = client.get("/3");
    assert_eq!((last.status, last.field("Connection")), (200, Some("close")));
    assert!(silent.read_to_end().0.is_empty());
    assert_eq!(proxy.ended().code(), Some(0));
}

#[test]
fn readiness_fails_first_and_serving_goes_on_for_the_delay() {
    let origin = Origin::echo_path();
    let backend = origin.address.to_string();
    let usual = ["--backend", &backend, "--log", "none", "--admin", "127.0.0.1:0", "--drain-delay"];
    let mut proxy = Process::start(&[&usual[..], &["10m"]].concat());
    let admin = proxy.admin();
    let readiness = || {
        let mut client = Client::connect(admin);
        client.send("GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n").response().status
    };
    assert_eq!(readiness(), 200);
    proxy.signal(Signal::TERM);
    wait_for("readiness to fail", || readiness() == 503);
    for _ in 0..20 {
        assert_eq!(Client::connect(proxy.address).get("/").status, 200);
    }
    std::thread::sleep(SAME_ORDER);
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.ended().code(), Some(0));

    let mut proxy = Process::start(&[&usual[..], &["300ms"]].concat());
    let begun = Instant::now();
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.ended().code(), Some(0));
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[test]
fn in_flight_requests_finish_a_second_signal_or_the_time_out_ends_them() {
    for (words, signals, status) in
        [(&[][..], 1, Some(200)), (&[], 2, None), (&["--drain-timeout", "300ms"][..], 1, None)]
    {
        let gate = Arc::new(Gate::default());
        let origin = Origin::held(&gate);
        let backend = origin.address.to_string();
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log.csv");
        let usual = ["--backend", &backend, "--log", log.to_str().unwrap(), "--admin", "none"];
        // Nothing but what is told here ends it within the test.
        let patient = ["--upstream-timeout", "10m"];
        let patient = if words.is_empty() {
            &[&patient[..], &["--drain-timeout", "10m"]].concat()[..]
        } else {
            &patient
        };
        let mut proxy = Process::start(&[&usual[..], patient, words].concat());
        let mut client = Client::connect(proxy.address);
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        wait_for("the request to arrive", || !origin.lines().is_empty());
        proxy.signal(Signal::TERM);
        wait_for("the listener to be gone", || TcpStream::connect(proxy.address).is_err());
        if signals == 2 {
            std::thread::sleep(SAME_ORDER);
            proxy.signal(Signal::TERM);
            proxy.says("WARN second signal: stopping at once");
        }
        if status == Some(200) {
            gate.open();
            let answer = client.response();
            assert_eq!((answer.status, answer.field("Connection")), (200, Some("close")));
        } else {
            assert!(client.read_to_end().0.is_empty());
        }
        assert_eq!(proxy.ended().code(), Some(0));
        assert!(proxy.says("stopped after").ends_with(" 1 request"), "{}", proxy.said());
        assert_eq!(rows(&log), 1);
        let text = std::fs::read_to_string(&log).unwrap();
        assert_eq!(text.contains("shutdown"), status.is_none(), "{text}");
        gate.open();
    }
}

#[test]
fn a_stop_ends_with_the_last_answer_not_at_the_next_time_out() {
    let gate = Arc::new(Gate::default());
    let origin = Origin::held(&gate);
    let backend = origin.address.to_string();
    let usual = ["--backend", &backend, "--log", "none", "--admin", "none"];
    let mut proxy =
        Process::start(&[&usual[..], &["--upstream-timeout", "10m", "--drain-timeout", "10m"]].concat());
    let mut client = Client::connect(proxy.address);
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_for("the request to arrive", || !origin.lines().is_empty());
    proxy.signal(Signal::TERM);
    wait_for("nothing to be left that wakes the loop", || {
        let before = proxy.sleeps_of_the_loop();
        std::thread::sleep(Duration::from_millis(1200));
        proxy.sleeps_of_the_loop() == before
    });
    gate.open();
    assert_eq!(client.response().status, 200);
    assert_eq!(proxy.ended().code(), Some(0));
}

fn write_config(file: &Path, backends: &[SocketAddr], more: &str) {
    let mut text = format!("routing = \"round-robin\"\nlog = \"none\"\nadmin = \"none\"\n{more}");
    for backend in backends {
        text += &format!("\n[[backend]]\naddress = \"{backend}\"\n");
    }
    std::fs::write(file, text).unwrap();
}

#[test]
fn a_reload_keeps_what_stays_drains_what_goes_and_uses_what_comes() {
    let gate = Arc::new(Gate::default());
    let held = gate.clone();
    let stays = Origin::echo_path();
    let goes = Origin::start(move |conn| {
        while let Some(request) = conn.request() {
            if request.starts_with(b"GET /held") {
                held.wait();
            }
            conn.answer("from the one that goes");
        }
    });
    let comes = Origin::echo_path();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tidegate.toml");
    write_config(&file, &[stays.address, goes.address], "");
    let proxy = Process::start(&["--config", file.to_str().unwrap()]);
    let mut client = Client::connect(proxy.address);
    for _ in 0..10 {
        assert_eq!(client.get("/").status, 200);
    }
    // One in flight on the backend that goes; round robin decides which try that is.
    let mut waiting: Vec<Client> = (0..2).map(|_| Client::connect(proxy.address)).collect();
    for one in &mut waiting {
        one.send("GET /held HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    wait_for("one to be in flight", || goes.lines().iter().any(|line| line.contains("/held")));
    let kept = stays.connections();

    let load = Load::start(proxy.address, 4, &["GET", "POST"], Duration::from_millis(1));
    write_config(&file, &[stays.address, comes.address], "");
    proxy.signal(Signal::HUP);
    proxy.says("configuration reloaded");
    wait_for("the last request to the one that goes", || {
        let before = goes.seen().len();
        load.more(400);
        goes.seen().len() == before
    });
    assert!(comes.seen().len() > 100, "{}", comes.seen().len());
    // At most one connection more for each client the load brought.
    assert!(stays.connections() <= kept + 4, "{} {kept}", stays.connections());
    gate.open();
    assert!(waiting.iter_mut().all(|one| one.response().status == 200));

    // A bad file changes nothing and says why, and where.
    let before = comes.seen().len();
    write_config(&file, &[stays.address], "retires = 3\n");
    proxy.signal(Signal::HUP);
    let line = proxy.says("not reloaded");
    assert!(line.contains(&format!("{}:4:1", file.display())) && line.contains("retires"), "{line}");
    load.more(200);
    assert!(comes.seen().len() > before + 50);
    let told = load.stop();
    assert_eq!(statuses(&told).keys().copied().collect::<Vec<_>>(), [200], "{:?}", statuses(&told));
}

#[test]
fn a_log_rotated_under_load_loses_no_row() {
    let origin = Mortal::start(echo(Duration::ZERO));
    let backend = origin.address.to_string();
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log.csv");
    let words = ["--backend", &backend, "--log", log.to_str().unwrap(), "--admin", "none"];
    let mut proxy = Process::start(&words);
    let load = Load::start(proxy.address, 8, &["GET"], Duration::ZERO);
    let mut old = Vec::new();
    for round in 0..3 {
        load.more(500);
        old.push(directory.path().join(format!("log.{round}")));
        std::fs::rename(&log, &old[round]).unwrap();
        proxy.signal(Signal::USR1);
        wait_for("a new log", || log.exists());
    }
    let told = load.stop();
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.ended().code(), Some(0));
    let in_old: Vec<usize> = old.iter().map(|log| rows(log)).collect();
    assert!(in_old.iter().all(|count| *count > 100), "{in_old:?}");
    assert_eq!(in_old.iter().sum::<usize>() + rows(&log), answered(&told));
}

#[test]
fn killed_it_listens_again_at_once() {
    let origin = Mortal::start(echo(Duration::ZERO));
    let backend = origin.address.to_string();
    let reserved = Reserved::new();
    let address = reserved.address.to_string();
    let words = ["proxy", "--listen", &address, "--backend", &backend, "--log", "none", "--admin", "none"];
    let mut proxy = Process::run(&mut command(&words));
    let load = Load::start(proxy.address, 8, &["GET"], Duration::from_millis(1));
    for _ in 0..3 {
        load.more(200);
        proxy.signal(Signal::KILL);
        proxy.ended();
        let begun = Instant::now();
        proxy = Process::run(&mut command(&words)); // it ends where it may not listen
        assert_eq!(Client::connect(proxy.address).get("/").status, 200);
        println!("listening and serving again after {:?}", begun.elapsed());
    }
    load.stop();
}

#[test]
fn signals_within_a_moment_are_one_order_and_quit_is_one_too() {
    for second in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let gate = Arc::new(Gate::default());
        let origin = Origin::held(&gate);
        let backend = origin.address.to_string();
        let mut proxy = Process::start(&["--backend", &backend, "--log", "none", "--admin", "none"]);
        let mut client = Client::connect(proxy.address);
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        wait_for("the request to arrive", || !origin.lines().is_empty());
        proxy.signal(Signal::USR2); // nothing
        proxy.signal(Signal::QUIT);
        (0..3).for_each(|_| proxy.signal(second));
        proxy.says("stopping when what is under way has ended");
        wait_for("the listener to be gone", || TcpStream::connect(proxy.address).is_err());
        gate.open();
        assert_eq!(client.response().status, 200, "{second:?}: {}", proxy.said());
        assert_eq!(proxy.ended().code(), Some(0));
        assert!(!proxy.said().contains("WARN second"), "{}", proxy.said());
    }
}

/// As a machine that is paused: what came meanwhile has come, and nobody is blamed.
#[test]
fn a_pause_longer_than_every_time_out_costs_no_request() {
    let timeout = Duration::from_secs(1);
    undisturbed(timeout / 2, || {
        let gate = Arc::new(Gate::default());
        let origin = Origin::held(&gate);
        let backend = origin.address.to_string();
        let usual = ["--backend", &backend, "--log", "none", "--admin", "none", "--retries", "0"];
        let times =
            ["--upstream-timeout", "1s", "--client-idle-timeout", "1s", "--request-head-timeout", "1s"];
        let proxy = Process::start(&[&usual[..], &times].concat());
        let (mut waiting, mut begun) = (Client::connect(proxy.address), Client::connect(proxy.address));
        begun.send("GET /begun HTTP/1.1\r\n");
        let mut idle = Client::connect(proxy.address);
        waiting.send("GET /waiting HTTP/1.1\r\nHost: h\r\n\r\n");
        wait_for("the request to arrive", || !origin.lines().is_empty());
        proxy.pause(); // wholly, or one of those below would be under way before it
        gate.open();
        begun.send("Host: h\r\n\r\n");
        idle.send("GET /idle HTTP/1.1\r\nHost: h\r\n\r\n");
        std::thread::sleep(timeout + timeout / 4); // the pause itself
        proxy.signal(Signal::CONT);
        for (client, who) in [(&mut waiting, "waiting"), (&mut begun, "begun"), (&mut idle, "idle")] {
            assert_eq!(client.response().status, 200, "{who}: {:?}, {}", origin.lines(), proxy.said());
        }
    });
}

#[test]
fn a_reload_that_cannot_be_read_keeps_nobody_from_stopping_it() {
    let origin = Origin::echo_path();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tidegate.toml");
    std::fs::write(&file, format!("[[backend]]\naddress = \"{}\"\n", origin.address)).unwrap();
    let words = ["--config", file.to_str().unwrap(), "--log", "none", "--admin", "none"];
    let mut proxy = Process::start(&words);
    // Whoever opens it for reading waits for a writer, as for a name server that does not answer.
    std::fs::remove_file(&file).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
    proxy.signal(Signal::HUP);
    let mut client = Client::connect(proxy.address);
    assert_eq!(client.get("/").status, 200);
    std::thread::sleep(Duration::from_millis(100)); // for the reload to begin: were it late, the test would be idle
    drop(client);
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.ended().code(), Some(0));
}
