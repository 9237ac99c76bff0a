//! What can go wrong with an exchange: whose fault it is, what the client is told, what the log says.

use crate::http1::request::Refusal;

/// One way for an exchange to end badly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request cannot be accepted.
    Refused(Refusal),
    /// The request head took too long.
    RequestHeadTimeout,
    /// The request body stopped, or dripped.
    RequestBodyTimeout,
    /// The request body broke its framing.
    RequestBody(&'static str),
    /// The request body is larger than allowed.
    RequestTooLarge,
    /// The client closed or reset before its answer was complete.
    ClientGone,
    /// The client stopped reading.
    ClientStalled,
    /// The backend refused the connection, or the network did.
    ConnectFailed,
    /// The backend did not complete the connection in time.
    ConnectTimeout,
    /// No backend may be used now.
    NoBackend,
    /// Every backend is at its connection limit and the queue is full.
    QueueFull,
    /// A connection to a backend did not come free in time.
    QueueTimeout,
    /// The backend closed or reset before the response head was complete.
    UpstreamClosed,
    /// We have run out of file descriptors.
    Exhausted,
    /// No response head in time.
    UpstreamTimeout,
    /// The backend's answer cannot be forwarded.
    BadResponse(&'static str),
    /// The backend closed or reset in the middle of a response body.
    ResponseTruncated,
    /// The response body stopped.
    ResponseStalled,
    /// A tunnel carried nothing for too long.
    TunnelIdle,
    /// The proxy stopped before the exchange was over.
    Shutdown,
    /// Not a fault at all: `Max-Forwards: 0` makes us the final recipient (RFC 9110 section 7.6.2).
    FinalRecipient,
}

/// Who is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client, or whatever lies between it and us.
    Client,
    /// The backend: this counts against its health.
    Upstream,
    /// Ourselves.
    Proxy,
}

impl Fault {
    /// Whose fault it is.
    pub fn side(self) -> Side {
        match self {
            Fault::Refused(_)
            | Fault::RequestHeadTimeout
            | Fault::RequestBodyTimeout
            | Fault::RequestBody(_)
            | Fault::RequestTooLarge
            | Fault::ClientGone
            | Fault::ClientStalled
            | Fault::TunnelIdle => Side::Client,
            Fault::ConnectFailed
            | Fault::ConnectTimeout
            | Fault::UpstreamClosed
            | Fault::UpstreamTimeout
            | Fault::BadResponse(_)
            | Fault::ResponseTruncated
            | Fault::ResponseStalled => Side::Upstream,
            Fault::NoBackend
            | Fault::QueueFull
            | Fault::QueueTimeout
            | Fault::Exhausted
            | Fault::Shutdown
            | Fault::FinalRecipient => Side::Proxy,
        }
    }

    /// What the client is told, if its answer has not begun; also what the log shows.
    pub fn status(self) -> u16 {
        match self {
            Fault::Refused(refusal) => refusal.status,
            Fault::RequestHeadTimeout | Fault::RequestBodyTimeout => 408,
            Fault::RequestBody(_) => 400,
            Fault::RequestTooLarge => 413,
            // Never on the wire: nobody is there to read it. The log uses the number nginx made customary.
            Fault::ClientGone | Fault::ClientStalled => 499,
            Fault::ConnectTimeout | Fault::UpstreamTimeout => 504,
            Fault::NoBackend
            | Fault::QueueFull
            | Fault::QueueTimeout
            | Fault::Exhausted
            | Fault::Shutdown => 503,
            Fault::ConnectFailed
            | Fault::UpstreamClosed
            | Fault::BadResponse(_)
            | Fault::ResponseTruncated
            | Fault::ResponseStalled
            | Fault::TunnelIdle => 502,
            Fault::FinalRecipient => 200,
        }
    }

    /// One word or short phrase for the log's `reason`.
    pub fn reason(self) -> &'static str {
        match self {
            Fault::Refused(refusal) => refusal.reason,
            Fault::RequestHeadTimeout => "request_head_timeout",
            Fault::RequestBodyTimeout => "request_body_timeout",
            Fault::RequestBody(what) | Fault::BadResponse(what) => what,
            Fault::RequestTooLarge => "request_too_large",
            Fault::ClientGone => "client_gone",
            Fault::ClientStalled => "client_stalled",
            Fault::ConnectFailed => "connect_failed",
            Fault::ConnectTimeout => "connect_timeout",
            Fault::NoBackend => "no_backend",
            Fault::QueueFull => "queue_full",
            Fault::QueueTimeout => "queue_timeout",
            Fault::Exhausted => "out_of_descriptors",
            Fault::UpstreamClosed => "upstream_closed",
            Fault::UpstreamTimeout => "upstream_timeout",
            Fault::ResponseTruncated => "response_truncated",
            Fault::ResponseStalled => "response_stalled",
            Fault::TunnelIdle => "tunnel_idle",
            Fault::Shutdown => "shutdown",
            Fault::FinalRecipient => "final_recipient",
        }
    }

    /// Whether another attempt is safe when `sent` says if a byte of the request may have reached the backend and
    /// `replayable` if the whole request is still at hand and its method may be repeated.
    pub fn may_retry(self, sent: bool, replayable: bool) -> bool {
        match self {
            Fault::ConnectFailed | Fault::ConnectTimeout => true,
            Fault::UpstreamClosed => !sent || replayable,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_safe_is_retried() {
        for (fault, sent, replayable, expected) in [
            (Fault::ConnectFailed, false, false, true),
            (Fault::ConnectTimeout, false, false, true),
            (Fault::UpstreamClosed, true, true, true),
            (Fault::UpstreamClosed, true, false, false),
            (Fault::UpstreamClosed, false, false, true),
            (Fault::UpstreamTimeout, true, true, false),
            (Fault::BadResponse("x"), true, true, false),
            (Fault::ResponseTruncated, true, true, false),
        ] {
            assert_eq!(fault.may_retry(sent, replayable), expected, "{fault:?} {sent} {replayable}");
        }
    }

    #[test]
    fn the_backend_is_never_charged_for_the_client() {
        assert_eq!(Fault::ClientGone.side(), Side::Client);
        assert_eq!(Fault::RequestBodyTimeout.side(), Side::Client);
        assert_eq!(Fault::UpstreamTimeout.side(), Side::Upstream);
        assert_eq!(Fault::NoBackend.side(), Side::Proxy);
    }
}
