//! The admin address of a running proxy, and that of a log, over real sockets.
#![allow(clippy::unwrap_used)] // a test that fails says where

#[allow(unused_imports)] // each test binary uses a part
#[path = "../support/mod.rs"]
mod support;

mod control;
mod crowd;
mod figures;
mod guard;
mod log;
mod metrics;
mod prometheus;
mod stream;

use std::io::Read as _;
use std::net::SocketAddr;

use serde_json::Value;
use support::message::Response;
use support::{Client, Origin, ProxyUnderTest};
use tidegate::config::ProxyConfig;

/// A proxy with an admin address in front of so many origins.
struct Stage {
    origins: Vec<Origin>,
    proxy: ProxyUnderTest,
    admin: SocketAddr,
}

impl Stage {
    fn start(origins: usize, change: impl FnOnce(&mut ProxyConfig)) -> Stage {
        let origins: Vec<Origin> = (0..origins).map(|_| Origin::echo_path()).collect();
        let addresses: Vec<SocketAddr> = origins.iter().map(|origin| origin.address).collect();
        let proxy = ProxyUnderTest::logged(&addresses, |config| {
            config.admin = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
            change(config);
        });
        let admin = proxy.admin();
        Stage { origins, proxy, admin }
    }

    fn url(&self, backend: usize) -> String {
        format!("http://{}", self.origins[backend].address)
    }

    /// So many requests, one after the other.
    fn load(&self, count: usize) {
        let mut client = self.proxy.client();
        (0..count).for_each(|_| assert_eq!(client.get("/").status, 200));
    }

    /// Requests that reached each origin so far.
    fn reached(&self) -> Vec<usize> {
        self.origins.iter().map(|origin| origin.lines().len()).collect()
    }

    fn json(&self, path: &str) -> Value {
        json(self.admin, path)
    }
}

/// A GET with these fields besides Host.
fn get(admin: SocketAddr, path: &str, fields: &str) -> Response {
    ask(admin, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"))
}

fn ask(admin: SocketAddr, request: &str) -> Response {
    Client::connect(admin).send(request).response()
}

fn json(admin: SocketAddr, path: &str) -> Value {
    let answer = get(admin, path, "");
    assert_eq!(answer.status, 200, "{path}");
    serde_json::from_slice(&answer.body).unwrap()
}

fn field(answer: &Response, name: &str) -> Option<String> {
    answer.field(name).map(|value| String::from_utf8_lossy(value.as_ref()).into_owned())
}

fn gunzipped(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
    plain
}
