//! Whether the connection to a backend may serve another request, and whose.
//!
//! HTTP says when a connection persists (RFC 9112 section 9.3). Real origins break their side of it: some send content
//! to a HEAD a moment after the head, some leave the content of a GET unread and take it for the next request, some
//! stay open after a 400 and never answer again. What such an origin sends next would be the answer to another client's
//! request. So a connection about which there is any doubt is closed; doubts that can be settled by looking are settled
//! for each backend ([`Known`]) and cost nothing from then on.
//!
//! What cannot be seen from here: that an origin has not read the content of a POST it has answered well. The first
//! request that finds the rest of it (a bad status line on a used connection) is what tells, see [`Known::caught`].
//! [`Trust::Strict`] keeps no connection after content at all.
//!
//! Pure: facts in, a verdict out. Absent: pools, times and how a backend is got to know (upstream/manners.rs).

use std::time::Duration;

use super::Method;

/// How far backends are trusted to keep to HTTP on a connection that is used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Only connections about which there is no doubt are used again.
    Strict,
    /// The same, and those of backends that were seen to be reliable.
    #[default]
    Learned,
    /// All that HTTP allows.
    Always,
}

/// How long a connection rests after a HEAD whose answer announced content, until its backend is known: content that
/// comes in that time closes it.
pub const HEAD_REST_FIRST: Duration = Duration::from_millis(100);
/// The same, once the backend has sent none so often ([`Known::heads_are_clean`]). It costs a few more idle connections,
/// and no dial.
pub const HEAD_REST: Duration = Duration::from_millis(20);

/// What is known of an exchange that has ended with a whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchanged {
    /// Of the request.
    pub method: Method,
    /// The request had content.
    pub has_content: bool,
    /// An Upgrade was sent on.
    pub upgrade: bool,
    /// The connection is logged in, by this exchange or an earlier one.
    pub login: bool,
    /// Of the answer.
    pub status: u16,
    /// The answer has none though it says that there is content: to a HEAD, or a 304.
    pub announces_content: bool,
    /// The answer says `Connection: close`, or an idle time of nothing.
    pub says_close: bool,
    /// By version, Connection and framing the connection persists.
    pub persists: bool,
    /// All of the request was written.
    pub is_sent: bool,
    /// Bytes of it have not reached the backend's kernel.
    pub is_undelivered: bool,
    /// Bytes have come behind the answer.
    pub has_surplus: bool,
}

/// What is known of the backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// It sent no content to any of many HEADs.
    pub heads_are_clean: bool,
    /// It sent content to a HEAD once.
    pub heads_have_content: bool,
    /// Something that was no answer stood at the head of a connection that had carried content before.
    pub caught: bool,
    /// It closes connections right behind its answers without saying so.
    pub closes: bool,
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// It may serve anybody, after so long a rest.
    Pool(Duration),
    /// It may serve the client it has served, and nobody else.
    Client,
    /// It is closed.
    Close,
}

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nothing speaks against it.
    Reusable,
    /// Each request has a connection of its own (`--upstream non-persistent`).
    NonPersistent,
    /// The backend said close.
    SaidClose,
    /// The version or the framing of the answer ends the connection.
    EndsHere,
    /// The request was not sent to its end.
    RequestCut,
    /// The backend's kernel has not acknowledged all of the request: the backend has not read it either.
    Undelivered,
    /// Bytes came behind the answer.
    Surplus,
    /// An answer to HEAD, or a 304, announced content, which may follow.
    HeadContent,
    /// Content on a method for which it has no meaning: an origin may not have read it.
    UndefinedContent,
    /// An Upgrade was declined: some origins take what comes next for the other protocol.
    UpgradeDeclined,
    /// After 400, 408, 413, 414, 431, 501 or 505 some origins leave the connection open, but dead.
    Status,
    /// It is logged in (NTLM, Negotiate).
    Login,
    /// The request had content, and its backend was caught not reading it, or nobody is trusted to.
    Content,
    /// The backend closes connections right behind its answers without saying so.
    ClosesUnsaid,
    /// Requests wait for this backend to accept their connections while those in the pool hold its workers.
    Crowded,
    /// The backend gets nothing new.
    BackendClosed,
}

impl Why {
    /// All there are, in the order of their numbers.
    pub const ALL: [Why; 16] = [
        Why::Reusable,
        Why::NonPersistent,
        Why::SaidClose,
        Why::EndsHere,
        Why::RequestCut,
        Why::Undelivered,
        Why::Surplus,
        Why::HeadContent,
        Why::UndefinedContent,
        Why::UpgradeDeclined,
        Why::Status,
        Why::Login,
        Why::Content,
        Why::ClosesUnsaid,
        Why::Crowded,
        Why::BackendClosed,
    ];

    /// One word, for the metrics and the log.
    pub const fn name(self) -> &'static str {
        match self {
            Why::Reusable => "reusable",
            Why::NonPersistent => "non_persistent",
            Why::SaidClose => "said_close",
            Why::EndsHere => "ends_here",
            Why::RequestCut => "request_cut",
            Why::Undelivered => "undelivered",
            Why::Surplus => "surplus",
            Why::HeadContent => "head_content",
            Why::UndefinedContent => "undefined_content",
            Why::UpgradeDeclined => "upgrade_declined",
            Why::Status => "status",
            Why::Login => "login",
            Why::Content => "content",
            Why::ClosesUnsaid => "closes_unsaid",
            Why::Crowded => "crowded",
            Why::BackendClosed => "backend_closed",
        }
    }
}

/// Whether the connection may serve another request, whose, and why.
#[inline]
pub fn decide(trust: Trust, exchanged: &Exchanged, known: Known) -> (Keep, Why) {
    if let Some(why) = ends_by_http(exchanged) {
        return (Keep::Close, why);
    }
    if trust == Trust::Always && !exchanged.login {
        return (Keep::Pool(Duration::ZERO), Why::Reusable);
    }
    let doubt = if trust == Trust::Always { None } else { doubt(trust, exchanged, known) };
    if let Some(why) = doubt {
        return (Keep::Close, why);
    }
    if exchanged.login {
        // A logged-in connection cannot rest: its client's next request has nowhere else to go.
        let is_doubtful = exchanged.announces_content && trust != Trust::Always;
        return if is_doubtful { (Keep::Close, Why::HeadContent) } else { (Keep::Client, Why::Login) };
    }
    let rest = match exchanged.announces_content {
        true if known.heads_are_clean => HEAD_REST,
        true => HEAD_REST_FIRST,
        false => Duration::ZERO,
    };
    (Keep::Pool(rest), Why::Reusable)
}

/// What ends the connection however well its backend behaves.
fn ends_by_http(exchanged: &Exchanged) -> Option<Why> {
    if exchanged.says_close {
        Some(Why::SaidClose)
    } else if !exchanged.persists {
        Some(Why::EndsHere)
    } else if !exchanged.is_sent {
        Some(Why::RequestCut)
    } else if exchanged.has_surplus {
        Some(Why::Surplus)
    } else if exchanged.is_undelivered {
        Some(Why::Undelivered)
    } else {
        None
    }
}

/// Whether some origins leave a connection open, but dead, behind an answer of this status.
pub const fn is_doubtful(status: u16) -> bool {
    matches!(status, 400 | 408 | 413 | 414 | 431 | 501 | 505)
}

/// What makes it doubtful that the next bytes will be the answer to the next request.
fn doubt(trust: Trust, exchanged: &Exchanged, known: Known) -> Option<Why> {
    if known.closes {
        return Some(Why::ClosesUnsaid);
    }
    if is_doubtful(exchanged.status) {
        return Some(Why::Status);
    }
    if exchanged.upgrade {
        return Some(Why::UpgradeDeclined);
    }
    if exchanged.has_content {
        // RFC 9110 gives content no meaning in these; in a method it does not know, nobody can tell.
        if !matches!(exchanged.method, Method::Post | Method::Put | Method::Patch) {
            return Some(Why::UndefinedContent);
        }
        if known.caught || trust == Trust::Strict {
            return Some(Why::Content);
        }
    }
    let is_doubtful = known.heads_have_content || trust == Trust::Strict;
    (exchanged.announces_content && is_doubtful).then_some(Why::HeadContent)
}
