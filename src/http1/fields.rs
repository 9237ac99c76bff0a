//! What a field is to the proxy, and what Connection and Upgrade say of the others.
//!
//! How a section is taken apart is section.rs; which fields are allowed where is decided elsewhere.

use super::Span;
use super::grammar::{self, members};

/// What a field is to the proxy. All others, and nearly all there are, are [`FieldKind::Other`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldKind {
    Other,
    Host,
    ContentLength,
    /// Content-Length with zeros in front of its number: written anew, since servers disagree about them.
    PaddedLength,
    TransferEncoding,
    Connection,
    /// For one hop only, but it says how long the other side keeps an idle connection.
    KeepAlive,
    /// Authorization or Proxy-Authorization: of interest for schemes that are bound to the connection.
    Credentials,
    /// WWW-Authenticate or Proxy-Authenticate, likewise.
    Challenge,
    /// Proxy-Connection, Trailer, HTTP2-Settings: for one hop only and of no use to us.
    HopByHop,
    Te,
    Upgrade,
    Expect,
    MaxForwards,
    Date,
    Via,
    XForwardedFor,
    XForwardedProto,
    XForwardedHost,
    /// Any other X-Forwarded-*, such as -Port: believed from trusted peers only.
    XForwardedOther,
    Forwarded,
    /// X-Real-IP: who the client is, believed from trusted peers only.
    XRealIp,
    /// True-Client-IP, likewise, but never sent by us.
    TrueClientIp,
    XRequestId,
    /// X-Tidegate-Explain: between a proxy and its own client only, in either direction.
    Explain,
    /// One of the above but for `_` in the place of `-`: some origins take the two for the same, so it is dropped.
    LookAlike,
    /// Named in Connection, so for one hop only (RFC 9110 section 7.6.1).
    Nominated,
}

impl FieldKind {
    /// Whether a Connection option of that name is ignored: without these the message would be another one, or the ones
    /// we make would be lost.
    fn outlives_nomination(self) -> bool {
        use FieldKind::*;
        matches!(
            self,
            Host | ContentLength
                | PaddedLength
                | TransferEncoding
                | Connection
                | Expect
                | MaxForwards
                | Te
                | Upgrade
        )
    }
}

/// One field line; it ends where the next begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: Span,
    /// Without the blanks around it.
    pub(super) value: Span,
    pub(super) kind: FieldKind,
}

/// Why a field section is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    TooMany,
    /// A name that is no token, or has blanks around it.
    BadName,
    Malformed(&'static str),
}

impl Fault {
    /// In words for the log.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Fault::TooMany => "too many fields",
            Fault::BadName => "bad field name, or whitespace around it",
            Fault::Malformed(reason) => reason,
        }
    }
}

/// What the name means; it is a token. Length and first letter tell all names that matter apart, so one comparison
/// settles each field.
pub(super) fn classify(name: &[u8]) -> FieldKind {
    use FieldKind::*;
    match (name.len(), name[0] | 0x20) {
        (2, b't') => settle(name, b"TE", Te),
        (3, b'v') => settle(name, b"Via", Via),
        (4, b'h') => settle(name, b"Host", Host),
        (4, b'd') => settle(name, b"Date", Date),
        (6, b'e') => settle(name, b"Expect", Expect),
        (7, b't') => settle(name, b"Trailer", HopByHop),
        (7, b'u') => settle(name, b"Upgrade", Upgrade),
        (9, b'f') => settle(name, b"Forwarded", Forwarded),
        (9, b'x') => settle(name, b"X-Real-IP", XRealIp),
        (10, b'c') => settle(name, b"Connection", Connection),
        (10, b'k') => settle(name, b"Keep-Alive", KeepAlive),
        // Look-alikes of these four are harmless, so they are not sought.
        (13, b'a') if name.eq_ignore_ascii_case(b"Authorization") => Credentials,
        (16, b'w') if name.eq_ignore_ascii_case(b"WWW-Authenticate") => Challenge,
        (18, b'p') if name.eq_ignore_ascii_case(b"Proxy-Authenticate") => Challenge,
        (19, b'p') if name.eq_ignore_ascii_case(b"Proxy-Authorization") => Credentials,
        (12, b'm') => settle(name, b"Max-Forwards", MaxForwards),
        // A look-alike of this one is harmless, so it is not sought.
        (12, b'x') if name.eq_ignore_ascii_case(b"X-Request-Id") => XRequestId,
        (14, b'c') => settle(name, b"Content-Length", ContentLength),
        (14, b'h') => settle(name, b"HTTP2-Settings", HopByHop),
        (14, b't') => settle(name, b"True-Client-IP", TrueClientIp),
        (15, b'x') => settle(name, b"X-Forwarded-For", XForwardedFor),
        (16, b'x') => settle(name, b"X-Forwarded-Host", XForwardedHost),
        (16, b'p') => settle(name, b"Proxy-Connection", HopByHop),
        (17, b't') => settle(name, b"Transfer-Encoding", TransferEncoding),
        (17, b'x') => settle(name, b"X-Forwarded-Proto", XForwardedProto),
        (18, b'x') => settle(name, b"X-Tidegate-Explain", Explain),
        (_, b'x') => classify_prefix(name),
        _ => Other,
    }
}

/// `kind` if `name` is `usual` in any case. Nearly always it is in this case, which takes two or three loads to see.
#[inline(always)]
fn settle<const LEN: usize>(name: &[u8], usual: &[u8; LEN], kind: FieldKind) -> FieldKind {
    if name == usual {
        return kind;
    }
    match likeness(name, usual) {
        Likeness::Same => kind,
        Likeness::Similar => FieldKind::LookAlike,
        Likeness::Different if usual[0] == b'X' => classify_prefix(name),
        Likeness::Different => FieldKind::Other,
    }
}

/// The one family that is known by its prefix.
fn classify_prefix(name: &[u8]) -> FieldKind {
    const PREFIX: &[u8] = b"X-Forwarded-";
    let Some(front) = name.get(..PREFIX.len()) else { return FieldKind::Other };
    match likeness(front, PREFIX) {
        Likeness::Same => FieldKind::XForwardedOther,
        Likeness::Similar => FieldKind::LookAlike,
        Likeness::Different => FieldKind::Other,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Likeness {
    /// Equal but for case.
    Same,
    /// Equal but for case, once `_` is read as `-`.
    Similar,
    Different,
}

/// Compares two names of one length.
fn likeness(name: &[u8], usual: &[u8]) -> Likeness {
    let mut result = Likeness::Same;
    for (byte, wanted) in name.iter().zip(usual) {
        if !byte.eq_ignore_ascii_case(wanted) {
            if *byte != b'_' || *wanted != b'-' {
                return Likeness::Different;
            }
            result = Likeness::Similar;
        }
    }
    result
}

/// What the Connection fields of a message say (RFC 9110 section 7.6.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ConnectionOptions {
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
    /// Options other than the well-known: names of fields that go no further.
    pub(super) nominates: bool,
    count: u16,
}

/// More than this is no honest Connection field, and each one costs a comparison with every field.
const OPTIONS_MAX: u16 = 100;

impl ConnectionOptions {
    /// Takes in the value of one Connection field.
    #[inline]
    pub(super) fn read(&mut self, value: &[u8]) -> Result<(), Fault> {
        match value {
            b"keep-alive" => self.keep_alive = true,
            b"close" => self.close = true,
            _ => return self.read_list(value),
        }
        self.count_one()
    }

    fn read_list(&mut self, value: &[u8]) -> Result<(), Fault> {
        for option in members(value) {
            match well_known(option) {
                Some(WellKnown::Close) => self.close = true,
                Some(WellKnown::KeepAlive) => self.keep_alive = true,
                Some(WellKnown::Upgrade) => self.upgrade = true,
                Some(WellKnown::Te) => {}
                None => self.nominates = true,
            }
            self.count_one()?;
        }
        Ok(())
    }

    fn count_one(&mut self) -> Result<(), Fault> {
        self.count += 1;
        if self.count > OPTIONS_MAX { Err(Fault::Malformed("too many Connection options")) } else { Ok(()) }
    }

    /// Whether the connection persists after a message of this version (RFC 9112 section 9.3).
    pub(super) fn persists(self, version: super::Version) -> bool {
        !self.close && (version == super::Version::Http11 || self.keep_alive)
    }
}

enum WellKnown {
    Close,
    KeepAlive,
    Upgrade,
    Te,
}

fn well_known(option: &[u8]) -> Option<WellKnown> {
    match option.len() {
        5 if option.eq_ignore_ascii_case(b"close") => Some(WellKnown::Close),
        10 if option.eq_ignore_ascii_case(b"keep-alive") => Some(WellKnown::KeepAlive),
        2 if option.eq_ignore_ascii_case(b"te") => Some(WellKnown::Te),
        7 if option.eq_ignore_ascii_case(b"upgrade") => Some(WellKnown::Upgrade),
        _ => None,
    }
}

/// Marks the fields that Connection names. Called when [`ConnectionOptions::nominates`].
pub(super) fn mark_nominated(fields: &mut [Field], bytes: &[u8]) {
    for index in 0..fields.len() {
        let Field { kind: FieldKind::Connection, value, .. } = fields[index] else { continue };
        for option in members(value.of(bytes)) {
            for field in fields.iter_mut().filter(|field| !field.kind.outlives_nomination()) {
                if field.name.of(bytes).eq_ignore_ascii_case(option) {
                    field.kind = FieldKind::Nominated;
                }
            }
        }
    }
}

/// Marks the Content-Length that has zeros in front.
pub(super) fn mark_padded(fields: &mut [Field]) {
    for field in fields.iter_mut().filter(|field| field.kind == FieldKind::ContentLength) {
        field.kind = FieldKind::PaddedLength; // there is but the one
    }
}

/// The number in the Content-Length marked so.
pub(super) fn padded_length(fields: &[Field], bytes: &[u8]) -> Option<u64> {
    let field = fields.iter().find(|field| field.kind == FieldKind::PaddedLength)?;
    grammar::decimal(field.value.of(bytes))
}

/// Whether credentials or a challenge are of a scheme that logs the connection in and not the request: NTLM, or Negotiate,
/// which may come to it (RFC 4559 section 6). All requests on such a connection are its one user's.
pub(super) fn is_bound_to_connection(value: &[u8]) -> bool {
    members(value).any(|member| {
        let scheme = member.split(|byte| *byte == b' ').next().unwrap_or_default();
        scheme.eq_ignore_ascii_case(b"NTLM") || scheme.eq_ignore_ascii_case(b"Negotiate")
    })
}

/// Seconds that a Keep-Alive field says an idle connection is kept for: `timeout=5, max=100`.
pub(super) fn keep_alive_timeout(value: &[u8]) -> Option<u32> {
    members(value).find_map(|member| {
        let (name, seconds) = member.split_at(memchr::memchr(b'=', member)?);
        let is_it = name.trim_ascii().eq_ignore_ascii_case(b"timeout");
        let seconds = grammar::decimal(seconds[1..].trim_ascii()).filter(|_| is_it)?;
        Some(u32::try_from(seconds).unwrap_or(u32::MAX))
    })
}

/// Protocols the Upgrade fields name, in order, less h2c, which we never switch to (RFC 9113 section 3.1 obsoletes it).
/// `None` among them for a malformed one.
pub(super) fn protocols<'b>(fields: &'b [Field], bytes: &'b [u8]) -> impl Iterator<Item = Option<&'b [u8]>> {
    fields
        .iter()
        .filter(|field| field.kind == FieldKind::Upgrade)
        .flat_map(|field| members(field.value.of(bytes)))
        .filter(|protocol| !protocol.eq_ignore_ascii_case(b"h2c"))
        .map(|protocol| grammar::is_protocol(protocol).then_some(protocol))
}

/// Whether the Upgrade fields name at least one protocol we would tunnel, and nothing malformed.
pub(super) fn offers_upgrade(fields: &[Field], bytes: &[u8]) -> bool {
    let mut any = false;
    protocols(fields, bytes).all(|protocol| {
        any = true;
        protocol.is_some()
    }) && any
}
