//! One request and its answer.
//!
//! An [`Exchange`] ends exactly once, whatever drops it: the service, the body of the answer, or hyper when the client
//! has gone. Retries are those that cannot do harm: a pooled connection that closed before the request was written.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, Response, StatusCode};
use tidegate::balance::{Observation, Outcome, Stage};
use tidegate::clock::Time;
use tidegate::fault::Fault;
use tidegate::record::row::{Facts, Row};

use crate::body::Answer;
use crate::fields;
use crate::proxy::{Dispatch, Proxy, Upstream};

const TEXT_PLAIN: HeaderValue = HeaderValue::from_static("text/plain");

/// A client connection, as its requests need it; they share it.
pub(crate) struct Client {
    proxy: Arc<Proxy>,
    address: SocketAddr,
    /// The same as text, made once.
    forwarded_for: HeaderValue,
}

impl Client {
    pub(crate) fn new(proxy: Arc<Proxy>, address: SocketAddr) -> Client {
        let text = address.ip().to_canonical().to_string();
        // An address is always a field value; `unknown` is RFC 7239's word.
        let forwarded_for =
            HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("unknown"));
        Client { proxy, address, forwarded_for }
    }
}

/// Answers one request: the service behind every client connection.
pub(crate) async fn serve(
    client: Arc<Client>,
    mut request: Request<Incoming>,
) -> Result<Response<Answer>, Infallible> {
    let started = client.proxy.now();
    if request.method() == Method::CONNECT {
        return Ok(plain(StatusCode::NOT_IMPLEMENTED, "no tunnels here"));
    }
    let Some(dispatch) = client.proxy.dispatch(started) else {
        return Ok(refusal(Fault::NoBackend));
    };
    let mut exchange = Exchange::new(client.clone(), &request, dispatch, started);
    let proxy = &client.proxy;
    let default_host = proxy.hosts.get(dispatch.pick.backend);
    fields::forward_request(&mut request, &client.forwarded_for, default_host, proxy.persistent);
    exchange.sent = proxy.now();
    let limit = proxy.upstream_timeout;
    let result = match tokio::time::timeout(limit, exchange.ask(request)).await {
        Ok(result) => result,
        Err(_) => Err(Fault::UpstreamTimeout),
    };
    Ok(match result {
        Ok((mut response, upstream)) => {
            exchange.head_at = Some(proxy.now());
            exchange.status = response.status().as_u16();
            fields::forward_response(&mut response);
            response.map(|body| Answer::relay(body, exchange, upstream))
        }
        Err(fault) => {
            exchange.end_badly(fault);
            refusal(fault)
        }
    })
}

fn refusal(fault: Fault) -> Response<Answer> {
    let status = StatusCode::from_u16(fault.status()).unwrap_or(StatusCode::BAD_GATEWAY);
    plain(status, fault.reason())
}

fn plain(status: StatusCode, reason: &str) -> Response<Answer> {
    let mut response = Response::new(Answer::text(Bytes::from(format!("{status}: {reason}\n"))));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, TEXT_PLAIN);
    response
}

/// What is remembered of a dispatched request until its end.
pub(crate) struct Exchange {
    client: Arc<Client>,
    method: Method,
    target: Option<PathAndQuery>,
    dispatch: Dispatch,
    started: Time,
    sent: Time,
    connected: Option<Time>,
    head_at: Option<Time>,
    status: u16,
    bytes_in: u64,
    bytes_out: u64,
    attempts: u32,
    reused: bool,
    reason: &'static str,
    ended: bool,
}

impl Exchange {
    /// Boxed, for it moves from the service into the answer's body.
    fn new(
        client: Arc<Client>,
        request: &Request<Incoming>,
        dispatch: Dispatch,
        started: Time,
    ) -> Box<Exchange> {
        Box::new(Exchange {
            client,
            method: request.method().clone(),
            target: request.uri().path_and_query().cloned(),
            dispatch,
            started,
            sent: started,
            connected: None,
            head_at: None,
            status: Fault::ClientGone.status(),
            bytes_in: request.body().size_hint().exact().unwrap_or(0),
            bytes_out: 0,
            attempts: 0,
            reused: false,
            reason: Fault::ClientGone.reason(),
            ended: false,
        })
    }

    /// Sends `request` and waits for the head of its answer.
    async fn ask(
        &mut self,
        mut request: Request<Incoming>,
    ) -> Result<(Response<Incoming>, Option<Upstream>), Fault> {
        let backend = self.dispatch.pick.backend;
        while let Some(mut upstream) = self.client.proxy.check_out(backend) {
            // Its task may not have run since the last answer ended, or have met the end of the connection.
            if !upstream.is_ready() && upstream.ready().await.is_err() {
                continue;
            }
            (self.attempts, self.reused) = (self.attempts + 1, true);
            match upstream.try_send_request(request).await {
                Ok(response) => return Ok((response, Some(upstream))),
                Err(mut error) => request = error.take_message().ok_or(Fault::UpstreamClosed)?,
            }
        }
        (self.attempts, self.reused) = (self.attempts + 1, false);
        let dialled = self.client.proxy.now();
        let mut upstream = self.client.proxy.dial(backend).await.map_err(|_| Fault::ConnectFailed)?;
        self.connected = Some(Time::from_nanos(self.client.proxy.now().since(dialled).as_nanos() as u64));
        let response = upstream.send_request(request).await.map_err(|_| Fault::UpstreamClosed)?;
        Ok((response, self.client.proxy.persistent.then_some(upstream)))
    }

    /// Counts bytes of the answer's body.
    pub(crate) fn count_out(&mut self, bytes: usize) {
        self.bytes_out += bytes as u64;
    }

    /// The whole answer has passed: `upstream` may serve again.
    pub(crate) fn end_well(&mut self, upstream: Option<Upstream>) {
        self.reason = "ok";
        if let Some(upstream) = upstream {
            self.client.proxy.check_in(self.dispatch.pick.backend, upstream);
        }
        self.end();
    }

    /// It failed, before the answer's head or after.
    pub(crate) fn end_badly(&mut self, fault: Fault) {
        self.reason = fault.reason();
        if self.head_at.is_none() {
            self.status = fault.status();
        }
        self.end();
    }

    fn end(&mut self) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let now = self.client.proxy.now();
        let outcome = match self.status {
            _ if self.reason == Fault::ClientGone.reason() => Outcome::Abandoned,
            _ if self.reason != "ok" => Outcome::Failure,
            429 | 500.. => Outcome::Failure,
            _ => Outcome::Success,
        };
        let seen = Observation {
            backend: self.dispatch.pick.backend,
            stage: Stage::End,
            latency_ms: now.as_millis_f64() - self.sent.as_millis_f64(),
            outcome,
            in_flight_at_pick: self.dispatch.in_flight_before,
            in_flight_now: 0,
            probe: self.dispatch.pick.probe,
            head_seen: self.head_at.is_some(),
        };
        self.client.proxy.record(seen, &self.row(now));
    }

    fn row(&self, now: Time) -> Row<'_> {
        let facts = Facts {
            at: now,
            client: self.client.address,
            backend: u32::try_from(self.dispatch.pick.backend).ok(),
            routing: 0,
            status: self.status,
            latency_us: Some(now.micros_since(self.sent)),
            connect_us: self.connected.map(|span| span.as_nanos() / 1_000),
            ttfb_us: self.head_at.map(|at| at.micros_since(self.sent)),
            total_us: now.micros_since(self.started),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            attempts: self.attempts,
            reused: self.reused,
        };
        let path = self.target.as_ref().map_or("/", |path| path.as_str()).as_bytes();
        Row { facts, method: self.method.as_str().as_bytes(), path, reason: self.reason }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.end(); // nobody said how: the client has gone
    }
}
