//! Backends given by name, in a mount namespace with a hosts file of its own. Where the machine lets nobody have one, that
//! is said, and these are skipped.

use std::net::{SocketAddr, TcpListener};
use std::process::Command;

use rustix::process::Signal;

use crate::child::Process;
use crate::support::{Client, Origin, wait_for};

/// Origins on 127.0.0.2, .3 and .4, all on one port, and a hosts file.
struct Stage {
    origins: [Origin; 3],
    port: u16,
    hosts: tempfile::NamedTempFile,
}

impl Stage {
    fn new() -> Option<Stage> {
        let hosts = tempfile::NamedTempFile::new().unwrap();
        let mount = format!("mount --bind {} /etc/hosts", hosts.path().display());
        let allowed = Command::new("unshare").args(["-rm", "sh", "-c", &mount]).status();
        if !allowed.is_ok_and(|status| status.success()) {
            println!("skipped: no namespaces here");
            return None;
        }
        let listen = |last: u8, port: u16| TcpListener::bind(SocketAddr::from(([127, 0, 0, last], port)));
        let listeners = (0..50).find_map(|_| {
            let first = listen(2, 0).unwrap();
            let port = first.local_addr().unwrap().port();
            Some([first, listen(3, port).ok()?, listen(4, port).ok()?])
        });
        let listeners = listeners.expect("a port free on three addresses");
        let port = listeners[0].local_addr().unwrap().port();
        let origins = listeners.map(|listener| {
            Origin::on(listener, |conn| {
                while conn.request().is_some() {
                    conn.answer("here");
                }
            })
        });
        Some(Stage { origins, port, hosts })
    }

    /// The same file, rewritten: another one would not be the one mounted.
    fn hosts(&self, lines: &[&str]) {
        std::fs::write(self.hosts.path(), format!("127.0.0.1 localhost\n{}\n", lines.join("\n"))).unwrap();
    }

    fn proxy(&self, words: &str) -> Process {
        let mounted = format!(
            "mount --bind {} /etc/hosts && exec {} proxy --listen 127.0.0.1:0 --admin none {words}",
            self.hosts.path().display(),
            env!("CARGO_BIN_EXE_tidegate"),
        );
        Process::run(Command::new("unshare").args(["-rm", "sh", "-c", &mounted]))
    }

    /// Which of the origins answer when these many requests come.
    fn asked(&self, proxy: &Process, requests: usize) -> [usize; 3] {
        let before = self.origins.each_ref().map(|origin| origin.lines().len());
        let mut client = Client::connect(proxy.address);
        (0..requests).for_each(|_| assert_eq!(client.get("/").status, 200, "{}", proxy.said()));
        let mut asked = self.origins.each_ref().map(|origin| origin.lines().len());
        asked.iter_mut().zip(before).for_each(|(asked, before)| *asked -= before);
        asked
    }
}

#[test]
fn a_name_is_a_backend_per_address_and_follows_them_on_a_reload() {
    let Some(stage) = Stage::new() else { return };
    let log = tempfile::tempdir().unwrap();
    let log = log.path().join("log.csv");
    stage.hosts(&["127.0.0.2 api", "127.0.0.3 api"]);
    let mut proxy =
        stage.proxy(&format!("--routing round-robin --backend api:{} --log {}", stage.port, log.display()));
    assert_eq!(stage.asked(&proxy, 10), [5, 5, 0]);
    // Given by a flag, and looked up again all the same.
    stage.hosts(&["127.0.0.3 api", "127.0.0.4 api"]);
    proxy.signal(Signal::HUP);
    wait_for("the new address", || stage.asked(&proxy, 4) == [0, 2, 2]);
    // One that does not resolve any more keeps what it had.
    stage.hosts(&[]);
    proxy.signal(Signal::HUP);
    proxy.says("does not resolve");
    assert_eq!(stage.asked(&proxy, 4), [0, 2, 2]);
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.ended().code(), Some(0));
    let rows = std::fs::read_to_string(&log).unwrap();
    for last in 2..=4 {
        let url = format!(",http://api:{}#127.0.0.{last},", stage.port);
        assert!(rows.contains(&url), "{url} in {rows}");
    }
}

#[test]
fn a_name_that_does_not_resolve_at_start_is_tried_again() {
    let Some(stage) = Stage::new() else { return };
    stage.hosts(&["127.0.0.2 known"]);
    let port = stage.port;
    let proxy = stage
        .proxy(&format!("--routing round-robin --backend known:{port} --backend unknown:{port} --log none"));
    proxy.says("WARN --backend 'unknown:");
    assert_eq!(stage.asked(&proxy, 4), [4, 0, 0]);
    stage.hosts(&["127.0.0.2 known", "127.0.0.4 unknown"]);
    wait_for("the other one", || stage.asked(&proxy, 4) == [2, 0, 2]);
}

#[test]
fn a_proxy_whose_backends_have_no_address_yet_answers_503_until_they_do() {
    let Some(stage) = Stage::new() else { return };
    for routing in
        ["elastic", "least-time", "peak-ewma", "p2c", "least-connections", "random", "adaptive_ewma"]
    {
        stage.hosts(&[]);
        let proxy = stage.proxy(&format!("--backend api:{} --log none --routing {routing}", stage.port));
        let mut client = Client::connect(proxy.address);
        let answer = client.get("/");
        assert_eq!(answer.status, 503, "{routing}: {}", proxy.said());
        stage.hosts(&["127.0.0.3 api"]);
        wait_for("an answer", || Client::connect(proxy.address).get("/").status == 200);
    }
}
