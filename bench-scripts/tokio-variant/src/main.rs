//! The common subset of `tidegate proxy` on tokio (one thread) and hyper, to be measured against.
//!
//! What routes and what writes the log is tidegate's own library, so that a comparison of the two binaries compares
//! engines and nothing else. Deliberately absent: everything outside that subset (ejection, retries elsewhere, queues,
//! the admin page, reload, tunnels, the `Forwarded` field). bytes_in and bytes_out of the log count body bytes only,
//! for hyper does not say how long a head was; a request that hyper refuses by itself has no row.

mod body;
mod exchange;
mod fields;
mod flags;
mod proxy;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser as _;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::signal::unix::{SignalKind, signal};

use crate::flags::{Flags, Settings};
use crate::proxy::Proxy;

const LISTEN_BACKLOG: u32 = 4096;
/// From one answer to the end of the next request's head, as hyper counts it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// After a failed accept: the usual cause, no descriptor left, does not pass at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often rows that wait for company are looked at.
const LOG_TICK: Duration = Duration::from_millis(100);
/// Requests in flight may take this long when told to stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let settings = match Flags::parse().settings() {
        Ok(settings) => settings,
        Err(why) => return complain(&why, 2),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("runtime: {error}"), 1),
    };
    match runtime.block_on(run(settings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error.to_string(), 1),
    }
}

/// A closed stderr leaves the exit code to tell.
fn complain(why: &str, code: u8) -> ExitCode {
    let _ = writeln!(io::stderr(), "tidegate-tokio: {why}");
    ExitCode::from(code)
}

async fn run(settings: Settings) -> io::Result<()> {
    raise_descriptor_limit();
    let keep_alive = settings.client_keepalive;
    let listener = listen(&settings)?;
    let address = listener.local_addr()?; // port 0 was the kernel's choice
    let proxy = Arc::new(Proxy::new(settings, Instant::now())?);
    let _ = writeln!(io::stderr(), "tidegate-tokio: listening on http://{address}");
    let mut server = http1::Builder::new();
    server.keep_alive(keep_alive).timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut tick = tokio::time::interval(LOG_TICK);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => serve(&server, stream, peer, &proxy),
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            _ = tick.tick() => proxy.flush_log_if_due(),
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    drop(listener);
    let deadline = Instant::now() + DRAIN_TIMEOUT;
    while proxy.in_flight() > 0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    proxy.close_log();
    Ok(())
}

fn serve(server: &http1::Builder, stream: TcpStream, peer: std::net::SocketAddr, proxy: &Arc<Proxy>) {
    let client = Arc::new(exchange::Client::new(proxy.clone(), peer));
    let service = service_fn(move |request| exchange::serve(client.clone(), request));
    let connection = server.serve_connection(TokioIo::new(stream), service);
    tokio::spawn(async move {
        let _ = connection.await; // a client that broke off is nobody's news
    });
}

/// Accepted sockets inherit TCP_NODELAY, which saves a call for each.
fn listen(settings: &Settings) -> io::Result<TcpListener> {
    let address = settings.listen;
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_nodelay(true)?;
    socket.bind(address).and_then(|()| socket.listen(LISTEN_BACKLOG)).map_err(|error| {
        io::Error::new(error.kind(), format!("--listen {address}: {error}; choose a free port"))
    })
}

/// Every client may need a backend connection too.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }); // the lower limit serves too
}
