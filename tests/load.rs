//! The load driver against servers that do as a script says.
#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests may fail as tests do

#[path = "support/pace.rs"]
mod pace;
#[path = "support/port.rs"]
mod port;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pace::undisturbed;
use port::Reserved;
use tidegate::load::{self, Errors, LoadConfig, LoadResult, Mode, Progress, Spacing};

/// What a server does with the request it has just read; `false` closes the connection.
type Script = dyn Fn(&mut TcpStream, Asked) -> io::Result<bool> + Send + Sync;

/// One request as the server saw it.
struct Asked {
    /// How many there were before it, on all connections.
    number: u64,
    head: String,
    body: Vec<u8>,
}

/// A server on a free port with a thread per connection. It lives as long as the test's process.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicU64>,
    requests: Arc<AtomicU64>,
}

fn serve(script: impl Fn(&mut TcpStream, Asked) -> io::Result<bool> + Send + Sync + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server {
        address: listener.local_addr().unwrap(),
        connections: Arc::default(),
        requests: Arc::default(),
    };
    let (connections, requests) = (server.connections.clone(), server.requests.clone());
    let script: Arc<Script> = Arc::new(script);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            connections.fetch_add(1, Ordering::SeqCst);
            let (script, requests) = (script.clone(), requests.clone());
            thread::spawn(move || converse(stream, &*script, &requests));
        }
    });
    server
}

fn converse(stream: TcpStream, script: &Script, requests: &AtomicU64) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        reader.read_exact(&mut body)?;
        let number = requests.fetch_add(1, Ordering::SeqCst);
        if !script(&mut stream, Asked { number, head, body })? {
            return Ok(());
        }
    }
}

fn say(stream: &mut TcpStream, text: &str) -> io::Result<bool> {
    stream.write_all(text.as_bytes()).map(|()| true)
}

/// The runs are short: a machine that stands still for so long leaves nothing of them.
const STILL: Duration = Duration::from_millis(50);

const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

fn config(target: SocketAddr) -> LoadConfig {
    LoadConfig { connections: 4, duration: Duration::from_millis(300), ..LoadConfig::new(target) }
}

/// Runs it, and checks what holds for every run.
fn run(config: &LoadConfig) -> LoadResult {
    let progress = Progress::default();
    let result = load::run(config, &progress).unwrap();
    assert_eq!(result.histogram.len(), result.requests);
    assert!(progress.requests() >= result.requests);
    assert!(progress.errors() >= result.errors.total());
    assert!((0.0..=1.0).contains(&result.busy_share), "{}", result.busy_share);
    result
}

#[test]
fn a_kept_connection_is_used_again() {
    undisturbed(STILL, || {
        let server = serve(|stream, _| say(stream, HELLO));
        let result = run(&config(server.address));
        assert!(result.requests > 20, "{result:?}");
        assert_eq!((result.errors, result.non_2xx, result.reconnects), (Errors::default(), 0, 0));
        assert_eq!(result.elapsed, Duration::from_millis(300));
        assert_eq!(server.connections.load(Ordering::SeqCst), 4);
        // Each was answered, and what was still under way at the end was waited for.
        assert_eq!(result.bytes, server.requests.load(Ordering::SeqCst) * HELLO.len() as u64);
        assert_eq!(result.unfinished, 0);
    });
}

#[test]
fn a_server_that_closes_each_time_is_dialed_each_time() {
    undisturbed(STILL, || {
        for announced in [true, false] {
            let server = serve(move |stream, _| {
                let close = if announced { "Connection: close\r\n" } else { "" };
                say(stream, &format!("HTTP/1.1 200 OK\r\n{close}Content-Length: 2\r\n\r\nok"))?;
                Ok(false)
            });
            let result = run(&config(server.address));
            assert!(result.requests > 20, "{result:?}");
            assert_eq!(result.errors, Errors::default(), "announced: {announced}");
            let connections = server.connections.load(Ordering::SeqCst);
            assert!(result.reconnects >= result.requests - 4, "{result:?}");
            assert!(connections >= result.requests, "{connections} {result:?}");
        }
    });
}

#[test]
fn every_framing_is_read_to_its_end() {
    undisturbed(STILL, || {
        let bodies = [
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nA: b\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
            HELLO,
        ];
        let server = serve(move |stream, asked| say(stream, bodies[asked.number as usize % bodies.len()]));
        let result = run(&config(server.address));
        assert!(result.requests > 20, "{result:?}");
        assert_eq!((result.errors, result.reconnects, result.non_2xx), (Errors::default(), 0, 0));

        let server = serve(|stream, _| say(stream, "HTTP/1.1 200 OK\r\n\r\nuntil the end").map(|_| false));
        let result = run(&config(server.address));
        assert!(result.requests > 20, "{result:?}");
        assert_eq!(result.errors, Errors::default());
    });
}

#[test]
fn a_large_answer_in_drips_and_a_request_body_pass_whole() {
    undisturbed(STILL, || {
        const LEN: usize = 3 * 1024 * 1024;
        let server = serve(|stream, asked| {
            assert!(asked.head.starts_with("POST /echo?x=1 HTTP/1.1\r\nHost: example\r\n"), "{}", asked.head);
            assert_eq!(asked.body, b"ping");
            say(stream, &format!("HTTP/1.1 200 OK\r\nContent-Length: {LEN}\r\n\r\n"))?;
            for piece in vec![b'x'; LEN].chunks(300_001) {
                stream.write_all(piece)?;
            }
            Ok(true)
        });
        let mut config = config(server.address);
        (config.host, config.path) = ("example".to_owned(), "/echo?x=1".to_owned());
        (config.method, config.body) = ("POST".to_owned(), b"ping".to_vec());
        let result = run(&config);
        assert!(result.requests > 0, "{result:?}");
        assert!(result.bytes >= result.requests * LEN as u64);
        assert_eq!((result.errors, result.reconnects), (Errors::default(), 0));
    });
}

#[test]
fn statuses_other_than_2xx_are_told() {
    undisturbed(STILL, || {
        let server = serve(|stream, asked| {
            say(
                stream,
                if asked.number % 2 == 0 { "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n" } else { HELLO },
            )
        });
        let result = run(&config(server.address));
        assert!(result.non_2xx > 0 && result.non_2xx < result.requests, "{result:?}");
        assert_eq!(result.errors, Errors::default());
    });
}

#[test]
fn a_refusal_is_an_error_and_not_a_spin() {
    undisturbed(STILL, || {
        let refused = Reserved::new();
        let result = run(&config(refused.address));
        assert_eq!(result.requests, 0);
        assert!((4..=16).contains(&result.errors.connect), "{:?}", result.errors);
        assert_eq!(result.errors.total(), result.errors.connect);
    });
}

#[test]
fn a_connection_that_breaks_midway_is_one_error_and_is_replaced() {
    undisturbed(STILL, || {
        // The first answer of a connection is whole, so the next failure does not make the client rest.
        let cut = |reset: bool| {
            serve(move |stream, asked| {
                if asked.number % 3 != 2 {
                    return say(stream, HELLO);
                }
                say(stream, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")?;
                if reset {
                    socket2::SockRef::from(&*stream).set_linger(Some(Duration::ZERO))?;
                }
                Ok(false)
            })
        };
        let closed = run(&LoadConfig { connections: 1, ..config(cut(false).address) });
        assert!(closed.errors.closed > 0 && closed.requests > 0, "{closed:?}");
        assert_eq!(closed.errors.total(), closed.errors.closed);
        let reset = run(&LoadConfig { connections: 1, ..config(cut(true).address) });
        assert!(reset.errors.reset + reset.errors.closed > 0 && reset.requests > 0, "{reset:?}");
        assert_eq!(reset.errors.total(), reset.errors.reset + reset.errors.closed);
    });
}

#[test]
fn a_silent_server_runs_into_the_time_out() {
    undisturbed(STILL, || {
        let server = serve(|stream, _| {
            stream.read_exact(&mut [0; 1])?; // until the client gives up
            Ok(false)
        });
        let config = LoadConfig { timeout: Duration::from_millis(50), ..config(server.address) };
        let result = run(&config);
        assert_eq!(result.requests, 0);
        assert!(result.errors.timeout >= 4, "{:?}", result.errors);
        assert_eq!(result.errors.total(), result.errors.timeout);
    });
}

#[test]
fn nonsense_and_more_than_was_asked_for_are_malformed() {
    undisturbed(STILL, || {
        for text in ["220 mail.example ESMTP\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nsurplus"]
        {
            let server = serve(move |stream, _| say(stream, text));
            let result = run(&config(server.address));
            assert!(result.errors.malformed > 0, "{text:?} {result:?}");
            assert_eq!(result.errors.total(), result.errors.malformed);
        }
    });
}

#[test]
fn an_open_loop_keeps_its_rate_and_its_latencies_are_small() {
    undisturbed(STILL, || {
        for arrivals in [Spacing::Poisson, Spacing::Constant] {
            let server = serve(|stream, _| say(stream, HELLO));
            let mode = Mode::Open { rate: 500.0, arrivals };
            let result = run(&LoadConfig { mode, seed: 5, connections: 16, ..config(server.address) });
            // 150 are due in 300 ms; five standard deviations of a Poisson count are 61.
            assert!((89..=211).contains(&result.requests), "{result:?}");
            assert_eq!((result.errors, result.unsent, result.unfinished), (Errors::default(), 0, 0));
            if arrivals == Spacing::Constant {
                assert_eq!(result.requests, 150);
            }
        }
    });
}

#[test]
fn an_open_loop_charges_a_stall_to_every_request_it_held_up() {
    undisturbed(STILL, || {
        const STALL: Duration = Duration::from_millis(200);
        let stall = |mode: Mode| {
            let began = std::sync::OnceLock::new();
            let server = serve(move |stream, asked| {
                // From its twentieth request on the server stands still for a while.
                if asked.number >= 20 {
                    let until = *began.get_or_init(|| Instant::now() + STALL);
                    thread::park_timeout(until.saturating_duration_since(Instant::now()));
                }
                say(stream, HELLO)
            });
            run(&LoadConfig {
                mode,
                connections: 2,
                duration: Duration::from_millis(500),
                ..config(server.address)
            })
        };
        let open = stall(Mode::Open { rate: 400.0, arrivals: Spacing::Constant });
        assert_eq!((open.requests, open.errors), (200, Errors::default()));
        // 80 of 200 requests were due in those 200 ms, evenly, so a quarter of all waited for 50 ms or more.
        assert!(open.quantile_ms(0.75).unwrap() >= 45.0, "{:?}", open.quantile_ms(0.75));
        assert!(open.quantile_ms(0.99).unwrap() >= 180.0, "{:?}", open.quantile_ms(0.99));
        // The closed loop has little more than its two connections' requests to show for it.
        let shown = slow_requests(&stall(Mode::Closed));
        assert!((2..=6).contains(&shown), "{shown}");
    });
}

/// Requests that took 100 ms or more.
fn slow_requests(result: &LoadResult) -> u64 {
    result.histogram.count_between(100_000, u64::MAX)
}

#[test]
fn an_open_loop_says_what_it_could_not_send() {
    undisturbed(STILL, || {
        let server = serve(|stream, asked| {
            if asked.number > 0 {
                stream.read_exact(&mut [0; 1])?;
            }
            say(stream, HELLO)
        });
        let mode = Mode::Open { rate: 100.0, arrivals: Spacing::Constant };
        let config = LoadConfig { mode, connections: 1, ..config(server.address) };
        let result = run(&LoadConfig { timeout: Duration::from_millis(400), ..config });
        assert_eq!(
            result.requests + result.errors.total() + result.unfinished + result.unsent,
            30,
            "{result:?}"
        );
        assert!(result.unsent > 20, "{result:?}");
    });
}

#[test]
fn the_warm_up_does_not_count() {
    undisturbed(STILL, || {
        let server = serve(|stream, _| say(stream, HELLO));
        let warmup = Duration::from_millis(200);
        let result =
            run(&LoadConfig { warmup, duration: Duration::from_millis(100), ..config(server.address) });
        assert_eq!(result.elapsed, Duration::from_millis(100));
        assert!(result.requests < server.requests.load(Ordering::SeqCst), "{result:?}");
    });
}

#[test]
fn a_stop_keeps_what_is_done() {
    let stop = Arc::new(AtomicBool::new(false));
    let orders = stop.clone();
    let server = serve(move |stream, asked| {
        if asked.number == 50 {
            orders.store(true, Ordering::SeqCst);
        }
        say(stream, HELLO)
    });
    let config = LoadConfig { duration: Duration::from_secs(3600), ..config(server.address) };
    let result = load::run(&config, &Progress::new(stop)).unwrap();
    assert!(result.requests >= 40 && result.elapsed < Duration::from_secs(60), "{result:?}");
    assert_eq!(result.histogram.len(), result.requests);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let good = config("127.0.0.1:9".parse().unwrap());
    let open = |rate| Mode::Open { rate, arrivals: Spacing::Constant };
    for bad in [
        LoadConfig { connections: 0, ..good.clone() },
        LoadConfig { mode: open(0.0), ..good.clone() },
        LoadConfig { mode: open(f64::NAN), ..good.clone() },
        LoadConfig { path: "/a b".to_owned(), ..good.clone() },
        LoadConfig { host: "a\r\nb: c".to_owned(), ..good.clone() },
        LoadConfig { method: String::new(), ..good },
    ] {
        let error = load::run(&bad, &Progress::default()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{bad:?}");
    }
}
