//! Our own answers: prebuilt text, sent like any other flow.

use std::io::Write as _;

use super::exchange::Exchange;
use super::pump::{self, Pumped};
use super::{Phase, Session, Step};
use crate::fault::Fault;
use crate::http1::{Method, Version, rewrite, status};
use crate::net::Net;
use crate::proxy::World;

impl Session {
    /// Queues the answer for `fault` and goes on to send it.
    #[cold]
    pub(super) fn refuse<N: Net>(&mut self, world: &mut World<N>, fault: Fault) -> Step {
        let Some(exchange) = self.exchange.as_mut() else { return Step::Gone };
        // Only a request that is here whole leaves the connection in a state to go on with.
        let whole = exchange.request.body.is_finished() && exchange.trace.head_done.get().is_some();
        exchange.keep_client &= whole && !world.draining;
        // Neither the body that cannot be sent nor the front of an answer that cannot be given may follow ours, or
        // the next request.
        for flow in [&mut exchange.request, &mut exchange.response] {
            flow.let_go();
            let cleared = flow.buffer.ready().len();
            flow.buffer.sent(cleared);
        }
        exchange.fault = Some(fault);
        exchange.status = fault.status();
        write_answer(exchange, fault, world);
        self.deadline = world.now.plus(world.config.timeouts.client_write);
        Step::Next(Phase::Refuse)
    }

    /// Sends it.
    #[cold]
    pub(super) fn send_refusal<N: Net>(&mut self, world: &mut World<N>) -> Step {
        let Some(exchange) = self.exchange.as_mut() else { return Step::Gone };
        match pump::drain(world, &mut exchange.response, self.client) {
            None => Step::Next(Phase::Finish),
            Some(Pumped::SinkBlocked) => Step::Wait,
            Some(_) => {
                exchange.keep_client = false;
                Step::Next(Phase::Finish)
            }
        }
    }
}

/// The methods we know; others are forwarded too, but a list must end somewhere.
const ALLOW: &str = "Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS, TRACE, PATCH\r\n";

fn write_answer<N: Net>(exchange: &mut Exchange, fault: Fault, world: &mut World<N>) {
    let date = world.date.at(world.unix_seconds);
    let mut body = Vec::new();
    let extra = match fault {
        Fault::FinalRecipient if exchange.facts.method == Method::Trace => {
            // The head is still in the buffer: this answer is decided on before anything is taken from it.
            rewrite::trace(&world.request_head, exchange.request.buffer.raw(), &mut body);
            "Content-Type: message/http\r\n"
        }
        Fault::FinalRecipient => ALLOW,
        _ => {
            // Writing to a Vec cannot fail.
            let _ =
                writeln!(body, "{} {}: {}", fault.status(), status::phrase(fault.status()), fault.reason());
            refusal_fields(fault)
        }
    };
    let out = &mut exchange.response.out;
    let _ = write!(out, "HTTP/1.1 {} {}\r\nDate: ", fault.status(), status::phrase(fault.status()));
    out.extend_from_slice(date);
    let _ = write!(out, "\r\n{extra}Content-Length: {}\r\n", body.len());
    match (exchange.keep_client, exchange.facts.version) {
        (false, _) => out.extend_from_slice(b"Connection: close\r\n"),
        (true, Version::Http10) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
        (true, Version::Http11) => {}
    }
    out.extend_from_slice(b"\r\n");
    if let Some(explanation) = exchange.note.field() {
        rewrite::add_field(rewrite::EXPLAIN_FIELD, explanation, out);
    }
    if exchange.facts.method != Method::Head {
        out.extend_from_slice(&body);
    }
}

fn refusal_fields(fault: Fault) -> &'static str {
    match fault.status() {
        405 => "Content-Type: text/plain\r\nAllow: GET, HEAD, POST, PUT, DELETE, OPTIONS, TRACE, PATCH\r\n",
        503 => "Content-Type: text/plain\r\nRetry-After: 1\r\n",
        _ => "Content-Type: text/plain\r\n",
    }
}
