//! Clients that are slow in whatever way: cut in time, with bounded memory, while others are served as before.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::child::Process;
use crate::load::{Load, quantile, statuses};
use crate::mortal::{Mortal, echo};
use crate::support::{Client, End, Origin, ProxyUnderTest, wait_for};

/// Others' requests while slow ones are at it: all answered, and how long the slowest hundredth took.
fn others(address: SocketAddr, meanwhile: impl FnOnce()) {
    let load = Load::start(address, 3, &["GET"], Duration::from_millis(1));
    load.more(100);
    meanwhile();
    load.more(100);
    let told = load.stop();
    assert_eq!(statuses(&told).keys().copied().collect::<Vec<_>>(), [200]);
    let p99 = quantile(&told, 0.99);
    println!("p99 of others {p99:?}");
    assert!(p99 < Duration::from_millis(250), "{p99:?}");
}

/// Sends a byte now and then until the connection ends or `patience` is over; how long that took.
fn drip(client: &mut Client, every: Duration, patience: Duration) -> Duration {
    let begun = Instant::now();
    client.stream.set_read_timeout(Some(every)).unwrap();
    while begun.elapsed() < patience {
        client.send("x");
        let mut some = [0; 1024];
        match std::io::Read::read(&mut client.stream, &mut some) {
            Ok(0) => {
                client.end = Some(End::Closed);
                break;
            }
            Ok(count) => client.seen.extend_from_slice(&some[..count]),
            Err(error) if crate::support::is_not_yet(&error) => {}
            Err(_) => {
                client.end = Some(End::Reset);
                break;
            }
        }
        if client.seen.ends_with(b"\n") {
            break;
        }
    }
    begun.elapsed()
}

#[test]
fn slow_heads_get_408_at_the_time_out_however_they_drip() {
    let origin = Mortal::start(echo(Duration::ZERO));
    let timeout = Duration::from_millis(500);
    let proxy = ProxyUnderTest::start(&[origin.address], |config| config.timeouts.request_head = timeout);
    others(proxy.address, || {
        let threads: Vec<_> = (0..20)
            .map(|_| {
                let mut client = proxy.client();
                std::thread::spawn(move || {
                    client.send("GET / HTTP/1.1\r\nHost: h\r\nX: ");
                    let took = drip(&mut client, Duration::from_millis(50), timeout * 6);
                    (took, client.response().status)
                })
            })
            .collect();
        for thread in threads {
            let (took, status) = thread.join().unwrap();
            assert_eq!(status, 408);
            assert!(took < timeout * 3, "{took:?}");
        }
    });
}

#[test]
fn slow_bodies_get_408_when_they_stop_and_when_they_drip() {
    let origin = Mortal::start(echo(Duration::ZERO));
    let timeout = Duration::from_millis(400);
    let proxy = ProxyUnderTest::start(&[origin.address], |config| config.timeouts.request_body = timeout);
    others(proxy.address, || {
        for every in [Duration::from_secs(5), Duration::from_millis(50)] {
            let mut client = proxy.client();
            client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n");
            let took = drip(&mut client, every.min(Duration::from_millis(600)), timeout * 6);
            assert_eq!(client.response().status, 408);
            assert!(took < timeout * 4, "{took:?} at a byte per {every:?}");
        }
    });
}

#[test]
fn readers_that_do_not_read_are_cut_with_bounded_memory() {
    const BODY: usize = 32 * 1024 * 1024;
    let cut = Arc::new(AtomicUsize::new(0));
    let broken = cut.clone();
    let origin = Origin::start(move |conn| {
        while let Some(request) = conn.request() {
            if !request.starts_with(b"GET /large") {
                conn.answer("small");
                continue;
            }
            conn.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n"));
            let piece = vec![b'x'; 256 * 1024];
            if !(0..BODY / piece.len()).all(|_| conn.write(&piece)) {
                broken.fetch_add(1, Ordering::SeqCst);
                return;
            }
        }
    });
    let backend = origin.address.to_string();
    let words = ["--backend", &backend, "--log", "none", "--admin", "none", "--client-write-timeout", "1s"];
    let proxy = Process::start(&words);
    others(proxy.address, || {
        let (before, open) = (proxy.resident_kib(), proxy.descriptors());
        let mut readers: Vec<Client> = (0..20).map(|_| Client::connect(proxy.address)).collect();
        let begun = Instant::now();
        for reader in &mut readers {
            reader.send("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
        }
        let mut most = 0;
        // Each takes two descriptors until it is cut; the others' requests a few more or fewer.
        wait_for("the readers to be served", || proxy.descriptors() >= open + 30);
        wait_for("the readers to be cut", || {
            most = most.max(proxy.resident_kib());
            cut.load(Ordering::SeqCst) == readers.len() // one that is not would get all when it reads below
        });
        let took = begun.elapsed();
        println!("20 readers cut after {took:?}, {} KiB more memory", most.saturating_sub(before));
        assert!(most < before + 20 * 320, "{before} KiB before, {most} KiB with 20 readers");
        assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(4), "{took:?}");
        for mut reader in readers {
            let (seen, _) = reader.read_to_end();
            assert!(seen.len() < BODY, "a cut answer must not be whole");
        }
    });
}

#[test]
fn a_slow_reader_that_does_read_gets_everything() {
    // Slower than the origin, faster than the time-out.
    read_slowly(64 * 1024, Duration::from_millis(30), Duration::from_millis(500));
}

/// So slow that the kernel, which lets write again when a good part of megabytes is free, tells nothing for longer than the
/// time-out.
#[test]
fn a_slow_reader_is_not_taken_for_a_stalled_one() {
    read_slowly(384 * 1024, Duration::from_millis(70), Duration::from_secs(1));
}

/// A body of so many times sixteen bytes, 64 KiB at a time with a pause after each, arrives whole.
fn read_slowly(sixteens: usize, pause: Duration, client_write: Duration) {
    let body = "0123456789abcdef".repeat(sixteens);
    let sent = body.clone();
    let origin = Origin::start(move |conn| {
        while conn.request().is_some() {
            conn.answer(&sent);
        }
    });
    let proxy =
        ProxyUnderTest::logged(&[origin.address], |config| config.timeouts.client_write = client_write);
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut wanted = 0;
    while wanted < body.len() {
        wanted += 64 * 1024;
        assert!(client.read_until(|seen| seen.len() >= wanted), "cut after {wanted}");
        std::thread::sleep(pause); // the slowness itself
    }
    assert!(client.response().body == body.as_bytes());
    drop(client);
    assert_eq!(proxy.stop().1[0].get("reason"), "ok");
}

/// The same of a backend that takes its time with an upload: its time to answer begins when it has all of it.
#[test]
fn a_backend_that_reads_slowly_is_waited_for() {
    const BYTES: usize = 6 * 1024 * 1024;
    let origin = Origin::start(|conn| {
        conn.head();
        for _ in 0..BYTES / (64 * 1024) {
            assert!(conn.take(64 * 1024).is_some());
            std::thread::sleep(Duration::from_millis(70)); // the slowness itself
        }
        conn.answer("all");
    });
    let proxy = ProxyUnderTest::logged(&[origin.address], |config| {
        config.timeouts.upstream = Duration::from_secs(1);
    });
    let mut client = proxy.client();
    let stream = client.stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        let mut stream = stream;
        let head = format!("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: {BYTES}\r\n\r\n");
        std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
        std::io::Write::write_all(&mut stream, &vec![b'x'; BYTES])
    });
    assert_eq!(client.response().body, b"all");
    sending.join().unwrap().unwrap();
    drop(client);
    assert_eq!(proxy.stop().1[0].get("reason"), "ok");
}

#[test]
fn what_a_time_out_did_is_in_the_figures_though_nothing_else_happens() {
    let origin = Origin::echo_path();
    let proxy = ProxyUnderTest::start(&[origin.address], |config| {
        // Later than what has happened before is shown.
        config.timeouts.client_idle = Duration::from_millis(2500);
    });
    let mut client = proxy.client();
    client.get("/");
    let active = || proxy.figures().map(|figures| figures.counters.clients_active);
    wait_for("it to be counted", || active() == Some(1));
    wait_for("it to be counted off", || active() == Some(0));
}
