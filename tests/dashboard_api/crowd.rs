//! Whoever keeps the admin address's places for nothing makes room for those who ask.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::support::wait_for;
use crate::{Stage, get};

/// More than there are places.
const CROWD: usize = 300;

/// Opens connections that say this, and new ones for those that are closed, until told to stop.
fn crowd(admin: SocketAddr, says: &[u8], began: &AtomicBool, stop: &AtomicBool) {
    let open = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(2_048).unwrap(); // so that a short answer does not fit
        socket.connect(&admin.into()).unwrap();
        let mut stream = TcpStream::from(socket);
        stream.set_nonblocking(true).unwrap();
        let _ = stream.write_all(says); // as much as it takes
        stream
    };
    let mut streams: Vec<TcpStream> = (0..CROWD).map(|_| open()).collect();
    began.store(true, Ordering::Relaxed);
    while !stop.load(Ordering::Relaxed) {
        for (at, stream) in streams.iter_mut().enumerate() {
            if at % 30 == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            // One byte more, so that nobody is quiet; who was closed comes again.
            let written = stream.write(b"x");
            if written.is_err_and(|error| error.kind() != std::io::ErrorKind::WouldBlock) {
                *stream = open();
            }
        }
    }
}

#[test]
fn whoever_asks_is_answered_however_many_keep_their_places_for_nothing() {
    let stage = Stage::start(1, |_| ());
    let unread = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(40);
    for (what, says) in [
        ("silence", ""),
        ("unfinished heads", "GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Long: "),
        (
            "unfinished bodies kept",
            "POST /api/control/drain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n",
        ),
        ("unfinished bodies dropped", "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n"),
        ("answers not read", unread.as_str()),
    ] {
        let (began, stop) = (AtomicBool::new(false), AtomicBool::new(false));
        let mut times: Vec<Duration> = Vec::new();
        std::thread::scope(|scope| {
            scope.spawn(|| crowd(stage.admin, says.as_bytes(), &began, &stop));
            wait_for("the crowd", || began.load(Ordering::Relaxed));
            for path in ["/livez", "/readyz"].repeat(10) {
                let asked = Instant::now();
                assert_eq!(get(stage.admin, path, "").status, 200, "{what}");
                times.push(asked.elapsed());
            }
            stop.store(true, Ordering::Relaxed);
        });
        times.sort();
        let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
        println!("{what}: median {median:?}, at worst {worst:?}");
        // On a machine with other work one may take longer, but not as long as a time-out.
        assert!(median < Duration::from_millis(100), "{what}: {times:?}");
        assert!(worst < Duration::from_secs(5), "{what}: {times:?}");
    }
}
