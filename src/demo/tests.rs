//! A demo on a stage of cardboard: one real server stands for the proxy.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Instant;

use super::*;
use crate::clock::{Time, Wall};
use crate::record::stats::Stats;

#[derive(Default)]
struct Cardboard {
    backends: usize,
    proxies: Vec<ProxyConfig>,
    running: bool,
    stopped: bool,
    /// Fails the next start of a backend.
    in_use: bool,
    /// Set once this many proxies have been started.
    stop_at: Option<(usize, Arc<AtomicBool>)>,
}

impl Stage for Cardboard {
    fn start_backend(&mut self, config: &EmulatorConfig) -> io::Result<SocketAddr> {
        if self.in_use {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        assert_eq!(config.id, IDS[self.backends % 3]);
        self.backends += 1;
        Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080 + self.backends as u16)))
    }

    fn start_proxy(&mut self, config: ProxyConfig) -> Result<SocketAddr, Failure> {
        assert!(!self.running, "one at a time");
        self.running = true;
        self.proxies.push(config);
        if let Some((count, stop)) = &self.stop_at
            && *count == self.proxies.len()
        {
            stop.store(true, Ordering::SeqCst);
        }
        Ok(answer_everything())
    }

    fn stop_proxy(&mut self) -> Option<Snapshot> {
        let config = self.proxies.last().filter(|_| self.running)?;
        self.running = false;
        let urls: Vec<String> = config.backends.iter().map(|backend| backend.url.clone()).collect();
        let mut stats = Stats::new(Time::ZERO, &urls);
        let mut snapshot = stats.snapshot(Wall::default(), config.routing.name(), Vec::new(), true);
        snapshot.counters.requests = 4;
        for (backend, share) in snapshot.backends.iter_mut().zip([0.25, 0.5, 0.25]) {
            backend.share = share;
        }
        Some(snapshot)
    }

    fn stop_backends(&mut self) {
        self.stopped = true;
    }
}

/// A server that says hello to each read.
fn answer_everything() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut request = [0; 4096];
                while stream.read(&mut request).is_ok_and(|count| count > 0) {
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
                    if stream.write_all(answer).is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

fn config() -> DemoConfig {
    DemoConfig {
        duration: Duration::from_millis(150),
        connections: 2,
        routings: vec![Routing::RoundRobin, Routing::AdaptiveSma],
        upstream: crate::config::UpstreamMode::Persistent,
        client_keepalive: true,
        workers: 1,
        serve: false,
        listen: "127.0.0.1:0".parse().unwrap(),
        admin_token_file: None,
        admin: None,
        backend_ports: vec![0, 0, 0],
        log_dir: PathBuf::from("logs"),
    }
}

fn perform_on(
    stage: &mut Cardboard,
    config: &DemoConfig,
    stop: &Arc<AtomicBool>,
) -> (String, Result<(), Failure>) {
    let mut out = Vec::new();
    let outcome = perform(config, stage, &mut Screen::new(&mut out, false), stop);
    (String::from_utf8(out).unwrap(), outcome)
}

#[test]
fn every_routing_is_driven_in_turn_and_has_its_line() {
    let mut stage = Cardboard::default();
    let (text, outcome) = perform_on(&mut stage, &config(), &Arc::default());
    assert_eq!(outcome, Ok(()));
    assert!(stage.stopped && !stage.running);
    let logs: Vec<PathBuf> = stage.proxies.iter().filter_map(|proxy| proxy.log.clone()).collect();
    assert_eq!(
        logs,
        ["logs/round-robin_persistent.csv", "logs/adaptive_sma_persistent.csv"].map(PathBuf::from)
    );
    assert!(text.contains("  B  http://127.0.0.1:8082  "), "{text}");
    assert!(text.contains("  log    logs/adaptive_sma_persistent.csv\n"), "{text}");
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("B  50.0%")).collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].starts_with("round-robin ") && lines[1].starts_with("adaptive_sma "), "{text}");
    assert!(text.contains("Look at p95") && !text.contains("Ended early") && !text.contains('\r'), "{text}");
    assert!(text.trim_end().ends_with("default policy: tidegate demo --routing elastic"), "{text}");
}

#[test]
fn a_stop_ends_early_and_shows_what_is_done() {
    let stop = Arc::<AtomicBool>::default();
    let mut stage = Cardboard { stop_at: Some((1, stop.clone())), ..Cardboard::default() };
    let began = Instant::now();
    let config = DemoConfig { duration: Duration::from_secs(600), ..config() };
    let (text, outcome) = perform_on(&mut stage, &config, &stop);
    assert_eq!(outcome, Ok(()));
    assert!(began.elapsed() < Duration::from_secs(60));
    assert_eq!(stage.proxies.len(), 1);
    let ran = text.split("Ended early: round-robin ran ").nth(1).and_then(|rest| rest.split(' ').next());
    assert!(ran.is_some_and(|seconds| seconds.parse::<f64>().unwrap() < 60.0), "{text}");
    assert!(text.contains("Not run: adaptive_sma."), "{text}");
}

#[test]
fn a_port_in_use_names_the_flag_to_change() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for (flag, config) in [
        ("--listen", DemoConfig { listen: address, ..config() }),
        ("--admin", DemoConfig { admin: Some(address), ..config() }),
    ] {
        let mut stage = Cardboard::default();
        let (text, outcome) = perform_on(&mut stage, &config, &Arc::default());
        let failure = outcome.unwrap_err();
        assert_eq!((failure.exit_code(), text.as_str(), stage.backends), (1, "", 0));
        let line = failure.to_string();
        assert!(
            line.contains(flag) && line.contains(&address.to_string()) && line.contains("in use"),
            "{line}"
        );
    }
    let mut stage = Cardboard { in_use: true, ..Cardboard::default() };
    let config = DemoConfig { backend_ports: vec![8081], ..config() };
    let failure = perform_on(&mut stage, &config, &Arc::default()).1.unwrap_err();
    assert!(failure.to_string().contains("127.0.0.1:8081 is in use"), "{failure}");
    assert!(failure.to_string().contains("--backend-ports"), "{failure}");
}

#[test]
fn serving_stays_up_and_says_how_to_load_it() {
    let stop = Arc::<AtomicBool>::default();
    let mut stage = Cardboard { stop_at: Some((1, stop.clone())), ..Cardboard::default() };
    let config = DemoConfig { serve: true, connections: 50, duration: Duration::from_secs(20), ..config() };
    let (text, outcome) = perform_on(&mut stage, &config, &stop);
    assert_eq!(outcome, Ok(()));
    assert!(text.contains("wrk -t4 -c50 -d20s --latency http://127.0.0.1:"), "{text}");
    assert!(text.contains("4 requests"), "{text}");
}

#[test]
fn twins_are_told_apart_by_their_port() {
    let backends: Vec<(String, SocketAddr)> = (0..4)
        .map(|index| {
            (IDS[index % 3].to_owned(), SocketAddr::from((Ipv4Addr::LOCALHOST, 8081 + index as u16)))
        })
        .collect();
    assert_eq!(labels(&backends), ["A:8081", "B", "C", "A:8084"]);
}

#[test]
fn a_stdout_that_is_gone_ends_the_demo() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut stage = Cardboard::default();
    let outcome = perform(&config(), &mut stage, &mut Screen::new(&mut Gone, false), &Arc::default());
    assert!(matches!(outcome, Err(Failure::Runtime(_))));
    assert!(stage.stopped && stage.proxies.is_empty());
}
