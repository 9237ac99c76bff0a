//! The time stamps of one exchange.
//!
//! Written as the exchange passes each point, read once at its end. The reactor's time is that of the turn, so two points
//! passed in one turn are zero apart. A stamp is one word, and "not yet" a time that never comes.

use std::net::SocketAddr;

use super::row::Facts;
use crate::clock::Time;

/// A point that was passed at some time, or not yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(Time);

impl Stamp {
    /// Not passed yet.
    pub const NOT_YET: Stamp = Stamp(Time::NEVER);

    /// Passed at `time`.
    pub const fn at(time: Time) -> Stamp {
        Stamp(time)
    }

    /// When, if at all.
    pub fn get(self) -> Option<Time> {
        (self != Stamp::NOT_YET).then_some(self.0)
    }

    /// Marks it as passed now, unless it was before.
    pub fn mark_first(&mut self, now: Time) {
        if *self == Stamp::NOT_YET {
            self.0 = now;
        }
    }

    fn micros_since(self, earlier: Stamp) -> Option<u64> {
        Some(self.get()?.micros_since(earlier.get()?))
    }
}

impl Default for Stamp {
    fn default() -> Self {
        Stamp::NOT_YET
    }
}

/// One exchange, in the order its points are passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// First byte of the request from the client.
    pub first_byte: Stamp,
    /// The request head is whole.
    pub head_done: Stamp,
    /// Just before the last attempt: before dialling, or before sending on a pooled connection.
    pub dispatched: Stamp,
    /// The dialled connection is up; stays [`Stamp::NOT_YET`] on a reused one.
    pub connected: Stamp,
    /// The last byte of the request went upstream.
    pub sent: Stamp,
    /// First byte of the answer from upstream.
    pub ttfb: Stamp,
    /// Last byte of the answer from upstream, or the moment the attempt failed.
    pub response_done: Stamp,
    /// The last byte went to the client, or the exchange was given up.
    pub finished: Stamp,
    /// Bytes received from the client.
    pub bytes_in: u64,
    /// Bytes sent to the client.
    pub bytes_out: u64,
    /// Attempts made, this one included.
    pub attempts: u32,
    /// Whether the last attempt uses a pooled connection.
    pub reused: bool,
}

impl Trace {
    /// Starts the next attempt: what the last one stamped is forgotten, the client's side is kept.
    pub fn dispatch(&mut self, now: Time, reused: bool) {
        self.attempts += 1;
        self.reused = reused;
        self.dispatched = Stamp::at(now);
        self.connected = Stamp::NOT_YET;
        self.sent = Stamp::NOT_YET;
        self.ttfb = Stamp::NOT_YET;
        self.response_done = Stamp::NOT_YET;
    }

    /// From just before sending upstream (connecting included) to the last byte of the answer; of an attempt that
    /// never got that far, to the end of the exchange. `None` when nothing was dispatched or nothing has ended.
    pub fn latency_us(&self) -> Option<u64> {
        let end = if self.response_done == Stamp::NOT_YET { self.finished } else { self.response_done };
        end.micros_since(self.dispatched)
    }

    /// [`Trace::latency_us`] in milliseconds, as policies want it.
    pub fn latency_ms(&self) -> Option<f64> {
        self.latency_us().map(|micros| micros as f64 / 1e3)
    }

    /// From just before sending upstream to the answer's first byte.
    pub fn ttfb_us(&self) -> Option<u64> {
        self.ttfb.micros_since(self.dispatched)
    }

    /// How long dialling took; `None` on a reused connection.
    pub fn connect_us(&self) -> Option<u64> {
        self.connected.micros_since(self.dispatched)
    }

    /// From the request's first byte to the end of the exchange; zero while there is none.
    pub fn total_us(&self) -> u64 {
        self.finished.micros_since(self.first_byte).unwrap_or(0)
    }

    /// The finished exchange as the by-value part of its row.
    pub fn facts(&self, client: SocketAddr, backend: Option<u32>, routing: u8, status: u16) -> Facts {
        Facts {
            at: self.finished.get().unwrap_or_default(),
            client,
            backend,
            routing,
            status,
            latency_us: self.latency_us(),
            connect_us: self.connect_us(),
            ttfb_us: self.ttfb_us(),
            total_us: self.total_us(),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            attempts: self.attempts,
            reused: self.reused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Stamp {
        Stamp::at(Time::from_millis(millis))
    }

    #[test]
    fn spans_of_a_whole_exchange() {
        let mut trace = Trace { first_byte: at(10), head_done: at(11), ..Trace::default() };
        trace.dispatch(Time::from_millis(12), false);
        trace.connected = at(13);
        trace.ttfb = at(20);
        trace.response_done = at(30);
        trace.finished = at(31);
        assert_eq!(trace.latency_us(), Some(18_000));
        assert_eq!(trace.latency_ms(), Some(18.0));
        assert_eq!(trace.connect_us(), Some(1_000));
        assert_eq!(trace.ttfb_us(), Some(8_000));
        assert_eq!(trace.total_us(), 21_000);
        let facts = trace.facts("127.0.0.1:1".parse().unwrap(), Some(2), 1, 200);
        assert_eq!((facts.at, facts.backend, facts.total_us), (Time::from_millis(31), Some(2), 21_000));
    }

    #[test]
    fn an_exchange_refused_before_dispatch_has_only_a_total() {
        let trace = Trace { first_byte: at(10), finished: at(12), ..Trace::default() };
        assert_eq!((trace.latency_us(), trace.ttfb_us(), trace.connect_us()), (None, None, None));
        assert_eq!(trace.total_us(), 2_000);
        assert_eq!(Trace::default().total_us(), 0);
    }

    #[test]
    fn a_retry_keeps_the_clients_side_and_forgets_the_attempt() {
        let mut trace = Trace { first_byte: at(1), bytes_in: 50, ..Trace::default() };
        trace.dispatch(Time::from_millis(2), true);
        trace.ttfb = at(3);
        trace.dispatch(Time::from_millis(5), false);
        trace.finished = at(9);
        assert_eq!((trace.attempts, trace.reused, trace.bytes_in), (2, false, 50));
        assert_eq!((trace.ttfb_us(), trace.latency_us()), (None, Some(4_000)));
    }

    #[test]
    fn a_first_mark_stays() {
        let mut stamp = Stamp::NOT_YET;
        stamp.mark_first(Time::from_millis(4));
        stamp.mark_first(Time::from_millis(5));
        assert_eq!(stamp.get(), Some(Time::from_millis(4)));
    }
}
