//! The body of an answer: relayed frame by frame as it comes, or a line of our own.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tidegate::fault::Fault;

use crate::exchange::Exchange;
use crate::proxy::Upstream;

/// What hyper sends to the client after a head.
pub(crate) enum Answer {
    /// From a backend.
    Relayed(Relayed),
    /// Ours, until it is taken.
    Text(Option<Bytes>),
}

/// A backend's body with the exchange it ends.
pub(crate) struct Relayed {
    body: Incoming,
    exchange: Box<Exchange>,
    upstream: Option<Upstream>,
}

impl Answer {
    /// Relays `body`; at its end `upstream` goes back to the pool.
    pub(crate) fn relay(body: Incoming, exchange: Box<Exchange>, upstream: Option<Upstream>) -> Answer {
        Answer::Relayed(Relayed { body, exchange, upstream })
    }

    /// Our own words.
    pub(crate) fn text(text: Bytes) -> Answer {
        Answer::Text(Some(text))
    }
}

impl Relayed {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &polled {
            Some(Ok(frame)) => {
                self.exchange.count_out(frame.data_ref().map_or(0, Bytes::len));
                if self.body.is_end_stream() {
                    self.exchange.end_well(self.upstream.take());
                }
            }
            Some(Err(_)) => self.exchange.end_badly(Fault::ResponseTruncated),
            None => self.exchange.end_well(self.upstream.take()),
        }
        Poll::Ready(polled)
    }
}

impl Drop for Relayed {
    fn drop(&mut self) {
        // A body that is empty from the start is never polled.
        if self.body.is_end_stream() {
            self.exchange.end_well(self.upstream.take());
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Answer::Relayed(relayed) => relayed.poll_frame(cx),
            Answer::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Answer::Relayed(relayed) => relayed.body.is_end_stream(),
            Answer::Text(text) => text.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Answer::Relayed(relayed) => relayed.body.size_hint(),
            Answer::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
        }
    }
}
