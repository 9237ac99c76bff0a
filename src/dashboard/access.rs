//! Who may ask the admin address for what.
//!
//! Host is checked on every request: a page from elsewhere whose name is made to resolve to loopback (DNS rebinding) can
//! reach the address, but its requests carry its own name. Origin is checked where there is one. A token is wanted for
//! whatever changes anything, and for reading where the address is not loopback; it is compared in constant time.
//! Deliberately absent: users, cookies, TLS.

use std::net::IpAddr;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use subtle::ConstantTimeEq as _;

use super::reply::{plain, plain_with};
use crate::clock::Time;
use crate::http1::Method;
use crate::serve::{Reply, Request};

/// A shorter token is no secret.
const TOKEN_MIN: usize = 16;
/// A token file is a line, not a disk image.
const TOKEN_FILE_MAX: u64 = 64 * 1024;

/// Goes with every 401 (RFC 9110 section 11.6.1).
pub(super) const CHALLENGE: &str = "WWW-Authenticate: Bearer realm=\"tidegate\"\r\n";

/// A secret read from a file.
#[derive(Clone)]
pub struct Token(Box<[u8]>);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Token {
    /// Reads one: the file's content without white space around it.
    ///
    /// # Errors
    /// Half a line: why the file cannot be read, or is no token.
    pub fn read(path: &Path) -> Result<Token, String> {
        let about = std::fs::metadata(path).map_err(|error| error.to_string())?;
        if about.len() > TOKEN_FILE_MAX {
            return Err("is too long for a token".to_owned());
        }
        warn_if_open(path, &about);
        let text = std::fs::read(path).map_err(|error| error.to_string())?;
        let token = text.trim_ascii();
        let plain = token.iter().all(u8::is_ascii_graphic);
        if token.len() < TOKEN_MIN || !plain {
            return Err(format!(
                "must hold one line of at least {TOKEN_MIN} printable characters; openssl rand -hex 32 makes one"
            ));
        }
        Ok(Token(token.into()))
    }

    /// Takes the same time whatever is offered, also when its length gives it away.
    fn is(&self, offered: &[u8]) -> bool {
        let may_be = offered.len() == self.0.len();
        let compared = if may_be { offered } else { &self.0 };
        bool::from(self.0.ct_eq(compared)) && may_be
    }
}

fn warn_if_open(path: &Path, about: &std::fs::Metadata) {
    use std::os::unix::fs::PermissionsExt as _;
    if about.permissions().mode() & 0o004 != 0 {
        tracing::warn!("{} can be read by everyone: chmod 600 it", path.display());
    }
}

/// What may come at once.
const BURST: f64 = 10.0;
/// ... and a second after that.
const PER_SECOND: f64 = 2.0;

/// An allowance that fills up as time goes by.
#[derive(Debug)]
pub(super) struct Allowance {
    left: f64,
    filled: Time,
}

impl Default for Allowance {
    fn default() -> Self {
        Allowance { left: BURST, filled: Time::ZERO }
    }
}

impl Allowance {
    /// Spends one, if there is one.
    pub(super) fn admit(&mut self, now: Time) -> bool {
        let earned = now.since(self.filled).min(Duration::from_secs(60)).as_secs_f64() * PER_SECOND;
        self.left = (self.left + earned).min(BURST);
        self.filled = now;
        let admitted = self.left >= 1.0;
        if admitted {
            self.left -= 1.0;
        }
        admitted
    }
}

/// The rules of one admin address.
#[derive(Debug)]
pub struct Access {
    bound: IpAddr,
    hosts: Vec<String>,
    token: Mutex<Option<Token>>,
    /// Wrong tokens. Apart from the orders of those who know it, or guessing would keep them out.
    guesses: Mutex<Allowance>,
}

impl Access {
    /// For the address listened on, with further names it may go by.
    pub fn new(bound: IpAddr, hosts: &[String], token: Option<Token>) -> Access {
        let hosts = hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        Access { bound, hosts, token: Mutex::new(token), guesses: Mutex::default() }
    }

    /// Another token from now on. One that was there is never taken away.
    pub fn set_token(&self, token: Token) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token);
    }

    /// Whether anything can be changed at all.
    pub fn has_token(&self) -> bool {
        self.token.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Refuses what comes by a wrong name or from a foreign page.
    pub fn refuse_stranger(&self, request: &Request<'_>) -> Option<Reply> {
        let host = request.authority().map(|host| String::from_utf8_lossy(host).to_ascii_lowercase());
        // Without one it is HTTP/1.0, which no browser speaks.
        if host.as_deref().is_some_and(|host| !self.knows(name_of(host))) {
            return Some(plain(421, "this address does not go by that name: see --admin-host\n"));
        }
        if is_embedded_elsewhere(request) {
            return Some(plain(403, "not for pages from elsewhere\n"));
        }
        let origin = request.field("origin")?;
        let origin = String::from_utf8_lossy(origin).to_ascii_lowercase();
        let own = origin.split_once("://").map(|(_, authority)| authority);
        if own.is_none() || own != host.as_deref() {
            return Some(plain(403, "not for pages from elsewhere\n"));
        }
        None
    }

    /// Refuses who does not show the token where one is wanted; too many wrong ones are not even looked at as such.
    pub fn refuse_unknown(&self, request: &Request<'_>, now: Time) -> Option<Reply> {
        let reads = matches!(request.method(), Method::Get | Method::Head);
        if reads && self.bound.is_loopback() {
            return None;
        }
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(token) = &*token else {
            return (!reads).then(|| plain(403, "nothing can be changed here: see --admin-token-file\n"));
        };
        let offered = request.field("authorization");
        if offered.and_then(bearer).is_some_and(|offered| token.is(offered)) {
            return None;
        }
        if offered.is_some() && !self.guesses.lock().unwrap_or_else(PoisonError::into_inner).admit(now) {
            return Some(plain_with(429, "Retry-After: 1\r\n", "too many wrong tokens: wait a second\n"));
        }
        let why = if shows_token(request) { "wrong token\n" } else { "wants the token\n" };
        Some(plain_with(401, CHALLENGE, why))
    }

    fn knows(&self, name: &str) -> bool {
        if let Ok(address) = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            // Only names can be made to point here; an address is what it is.
            return address.is_loopback() || self.bound.is_unspecified() || address == self.bound;
        }
        let name = name.trim_end_matches('.');
        name == "localhost" || name.ends_with(".localhost") || self.hosts.iter().any(|host| host == name)
    }
}

/// Whether a page of another origin, other ports of this machine included, wants to load this as an image, a script or
/// the like: such requests carry no Origin, and each stream opened by one would take a place. Following a link is
/// welcome. Only browsers say so (Fetch Metadata), and only they need be told.
fn is_embedded_elsewhere(request: &Request<'_>) -> bool {
    let site = request.field("sec-fetch-site");
    let is_foreign = matches!(site, Some(b"cross-site" | b"same-site"));
    is_foreign && request.field("sec-fetch-dest") != Some(b"document")
}

/// Host without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

/// Whether there is a token, right or wrong.
pub(super) fn shows_token(request: &Request<'_>) -> bool {
    request.field("authorization").and_then(bearer).is_some()
}

/// What follows `Bearer ` (RFC 6750 section 2.1; the scheme in any case, RFC 9110 section 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_ours_and_names_that_are_not() {
        let access = |bound: &str| Access::new(bound.parse().unwrap(), &["Admin.Example".to_owned()], None);
        let loopback = access("127.0.0.1");
        for host in
            ["127.0.0.1:5002", "localhost", "LOCALHOST:80", "[::1]:5002", "a.localhost", "admin.example:1"]
        {
            assert!(loopback.knows(name_of(&host.to_ascii_lowercase())), "{host}");
        }
        for host in ["evil.example", "10.0.0.1", "127.0.0.1.evil.example", "localhost.evil", "", "[", "::"] {
            assert!(!loopback.knows(name_of(host)), "{host}");
        }
        assert!(access("0.0.0.0").knows("10.0.0.1") && !access("0.0.0.0").knows("evil.example"));
        assert!(access("10.0.0.1").knows("10.0.0.1") && !access("10.0.0.1").knows("10.0.0.2"));
    }

    #[test]
    fn an_allowance_is_spent_in_bursts_and_then_by_the_second() {
        let mut allowance = Allowance::default();
        let mut admitted =
            |millis: u64| (0..100).filter(|_| allowance.admit(Time::from_millis(millis))).count();
        assert_eq!([admitted(5_000), admitted(6_000), admitted(60_000)], [10, 2, 10]);
    }

    #[test]
    fn tokens_are_found_and_compared() {
        assert_eq!(bearer(b"bEARER  abc "), Some(&b"abc"[..]));
        assert_eq!((bearer(b"Basic abc"), bearer(b"Bearer")), (None, None));
        let token = Token(b"0123456789abcdef".as_slice().into());
        assert!(token.is(b"0123456789abcdef") && !token.is(b"0123456789abcdeF") && !token.is(b""));
        assert!(!token.is(b"0123456789abcdef0") && !token.is(b"0123456789abcde"));
        assert_eq!(format!("{token:?}"), "Token(..)");
    }
}
