//! Trailer sections: checked line by line, and which fields must not be in one (RFC 9110 section 6.5).

use super::Sender;
use super::grammar::{TEXT, all, is_token};

/// Checks one field line, without its CRLF. Blanks before the colon are taken from a backend, as in its heads.
pub(super) fn check_line(line: &[u8], sender: Sender) -> Result<(), &'static str> {
    let Some(colon) = memchr::memchr(b':', line) else { return Err("trailer line without a colon") };
    let name = if sender == Sender::Backend { less_blanks(&line[..colon]) } else { &line[..colon] };
    if !is_token(name) {
        return Err("bad field name in the trailer section");
    }
    if all(&line[colon + 1..], TEXT) { Ok(()) } else { Err("control character in the trailer section") }
}

/// A name without the blanks behind it.
pub(super) fn less_blanks(mut name: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = name {
        name = rest;
    }
    name
}

/// Whether a field of that name must not be in a trailer section, or would mislead there: it frames, routes,
/// authenticates, controls or describes how the content is read (RFC 9110 section 6.5.1), or says who is asking.
pub(super) fn is_forbidden(name: &[u8]) -> bool {
    const PREFIXES: [&str; 5] = ["x-forwarded-", "if-", "proxy-", "sec-websocket-", "access-control-"];
    PREFIXES
        .iter()
        .any(|prefix| name.get(..prefix.len()).is_some_and(|front| is_alike(front, prefix.as_bytes())))
        || FORBIDDEN.iter().any(|forbidden| is_alike(name, forbidden.as_bytes()))
}

/// Equal but for case, and for `_` in the place of `-`.
fn is_alike(name: &[u8], lower: &[u8]) -> bool {
    let same = |(byte, wanted): (&u8, &u8)| {
        byte.to_ascii_lowercase() == *wanted || (*byte == b'_' && *wanted == b'-')
    };
    name.len() == lower.len() && name.iter().zip(lower).all(same)
}

/// Digests (Content-Digest, Content-MD5) are left out on purpose: a trailer is where they belong.
const FORBIDDEN: [&str; 43] = [
    "age",
    "authentication-info",
    "authorization",
    "cache-control",
    "connection",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "expect",
    "expires",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "location",
    "max-forwards",
    "origin",
    "pragma",
    "range",
    "refresh",
    "retry-after",
    "server",
    "set-cookie",
    "set-cookie2",
    "strict-transport-security",
    "te",
    "trailer",
    "transfer-encoding",
    "true-client-ip",
    "upgrade",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "x-real-ip",
    "x-request-id",
    "x-tidegate-explain",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_name_colon_value() {
        for good in ["a:", "a: b", "a:\tb \u{e9}", "A-b_c:d:e"] {
            assert_eq!(check_line(good.as_bytes(), Sender::Client), Ok(()), "{good}");
            assert_eq!(check_line(good.as_bytes(), Sender::Backend), Ok(()), "{good}");
        }
        for bad in [
            "", ":", ": a", " : a", "a", "a b", "a b: c", " a: b", "\ta: b", "a: \0", "a: \r", "a: \x7f",
            "(a): b",
        ] {
            assert!(check_line(bad.as_bytes(), Sender::Client).is_err(), "{bad:?}");
            assert!(check_line(bad.as_bytes(), Sender::Backend).is_err(), "{bad:?}");
        }
        for blank in ["a : b", "a\t :b", "a :"] {
            assert!(check_line(blank.as_bytes(), Sender::Client).is_err(), "{blank:?}");
            assert_eq!(check_line(blank.as_bytes(), Sender::Backend), Ok(()), "{blank:?}");
        }
    }

    #[test]
    fn forbidden_names_in_any_spelling() {
        for name in [
            "Host",
            "CONTENT-LENGTH",
            "transfer_encoding",
            "X-Forwarded-For",
            "If-Match",
            "Set-Cookie",
            "X-Tidegate-Explain",
            "X-Real-IP",
            "true_client-IP",
        ] {
            assert!(is_forbidden(name.as_bytes()), "{name}");
        }
        for name in
            ["Content-Digest", "Content-MD5", "ETag", "Server-Timing", "X-Checksum", "grpc-status", "If", "x"]
        {
            assert!(!is_forbidden(name.as_bytes()), "{name}");
        }
    }
}
