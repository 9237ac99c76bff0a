//! The smallest load balancer on Pingora that does what peers.sh asks of every proxy: one listener, round-robin over the
//! backends, `X-Forwarded-For`, deadlines towards the backends, kept or closed connections to them, one thread.
//!
//! It is Pingora's own example of a load balancer with nothing added that costs and nothing left out that saves. Absent:
//! TLS, health checks, a log, retries beyond Pingora's own, HTTP/2.

use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::time::Duration;

use async_trait::async_trait;
use pingora::http::RequestHeader;
use pingora::lb::LoadBalancer;
use pingora::lb::selection::RoundRobin;
use pingora::proxy::{ProxyHttp, Session, http_proxy_service};
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server};
use pingora::upstreams::peer::HttpPeer;
use pingora::{ErrorType, Result};

const USAGE: &str = "\
usage: pingora-variant --listen ADDR --backend ADDR,... [--upstream persistent|non-persistent] [--tasks local|stolen]
  --listen ADDR         where clients connect, as 127.0.0.1:9090
  --backend ADDR,...    host:port, separated by commas or repeated
  --upstream MODE       keep connections to backends, or ask them to close after each answer [default: persistent]
  --tasks KIND          local: tokio's runtime of one thread; stolen: its work-stealing one, Pingora's default, with one
                        worker [default: local]";

/// As haproxy and nginx have them in peers.sh.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Connections kept to backends, in all: more than there are clients.
const POOL_CONNECTIONS_MAX: usize = 2048;

/// What the flags say.
struct Flags {
    listen: SocketAddr,
    backends: Vec<SocketAddr>,
    keep: bool,
    stolen: bool,
}

struct Balancer {
    backends: LoadBalancer<RoundRobin>,
    keep: bool,
}

#[async_trait]
impl ProxyHttp for Balancer {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    async fn upstream_peer(&self, _session: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        let Some(backend) = self.backends.select(b"", 256) else {
            return Err(pingora::Error::new(ErrorType::InternalError));
        };
        let mut peer = Box::new(HttpPeer::new(backend, false, String::new()));
        peer.options.connection_timeout = Some(CONNECT_TIMEOUT);
        peer.options.read_timeout = Some(ANSWER_TIMEOUT);
        peer.options.write_timeout = Some(ANSWER_TIMEOUT);
        Ok(peer)
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        (): &mut (),
    ) -> Result<()> {
        if let Some(client) = session.client_addr().and_then(|address| address.as_inet()) {
            request.insert_header("X-Forwarded-For", client.ip().to_string())?;
        }
        if !self.keep {
            request.insert_header("Connection", "close")?;
        }
        Ok(())
    }
}

/// The flags as typed, or what is wrong with them.
fn flags(mut args: impl Iterator<Item = String>) -> Result<Flags, String> {
    let (mut listen, mut backends, mut keep, mut stolen) = (None, Vec::new(), true, false);
    while let Some(flag) = args.next() {
        let value = args.next().ok_or(format!("{flag} wants a value, or is not known; see --help"))?;
        match (flag.as_str(), value.as_str()) {
            ("--listen", _) => listen = Some(address(&value)?),
            ("--backend", _) => {
                for backend in value.split(',') {
                    backends.push(address(backend)?);
                }
            }
            ("--upstream", "persistent") => keep = true,
            ("--upstream", "non-persistent") => keep = false,
            ("--tasks", "local") => stolen = false,
            ("--tasks", "stolen") => stolen = true,
            _ => return Err(format!("unknown: {flag} {value}; see --help")),
        }
    }
    let listen = listen.ok_or("--listen is missing")?;
    if backends.is_empty() {
        return Err("--backend is missing".to_owned());
    }
    Ok(Flags { listen, backends, keep, stolen })
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("'{text}' is not ADDRESS:PORT"))
}

/// Serves until a signal ends it.
fn serve(flags: Flags) -> Result<(), String> {
    // Pingora panics where it cannot listen; asked before, it is one line.
    drop(
        TcpListener::bind(flags.listen)
            .map_err(|error| format!("cannot listen on {}: {error}", flags.listen))?,
    );
    let conf = ServerConf {
        threads: 1,
        work_stealing: flags.stolen,
        upstream_keepalive_pool_size: POOL_CONNECTIONS_MAX,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    };
    let backends = LoadBalancer::try_from_iter(flags.backends).map_err(|error| error.to_string())?;
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, Balancer { backends, keep: flags.keep });
    service.add_tcp(&flags.listen.to_string());
    server.add_service(service);
    server.run(RunArgs::default());
    Ok(())
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("--help" | "-h") => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Some("--version") => {
            println!("pingora-variant {} on Pingora 0.9.1", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    match flags(args.into_iter()).and_then(serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pingora-variant: {error}");
            ExitCode::from(2)
        }
    }
}
