//! `uri-host [ ":" port ]` (RFC 9110 section 7.2, RFC 3986 section 3.2.2).
//!
//! Nothing here resolves a name, or decides whether an absent or empty Host is allowed.

use super::grammar::{REG_NAME, is};
use std::net::Ipv6Addr;

/// Whether it is a host, not empty and without userinfo, and optionally a port that fits 16 bits or is empty.
pub(super) fn is_valid(authority: &[u8]) -> bool {
    if let [b'[', literal @ ..] = authority {
        let Some(close) = memchr::memchr(b']', literal) else { return false };
        return is_ip_literal(&literal[..close]) && is_port_or_nothing(&literal[close + 1..]);
    }
    let plain = |bytes: &[u8]| bytes.iter().position(|byte| !is(*byte, REG_NAME));
    let mut end = plain(authority).unwrap_or(authority.len());
    while let Some(byte) = authority.get(end) {
        end += match byte {
            byte if is(*byte, REG_NAME) => 1,
            b'%' if is_percent_encoded(&authority[end..]) => 3,
            _ => break,
        };
    }
    end > 0 && is_port_or_nothing(&authority[end..])
}

fn is_percent_encoded(bytes: &[u8]) -> bool {
    matches!(bytes, [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
}

fn is_port_or_nothing(after: &[u8]) -> bool {
    let digits = match after {
        [] | [b':'] => return true,
        [b':', digits @ ..] => digits,
        _ => return false,
    };
    if digits.len() <= 4 {
        return digits.iter().all(u8::is_ascii_digit);
    }
    // Five digits would do, but leading zeros are grammatical; the cap keeps the sum in range.
    digits.len() <= 9
        && digits.iter().all(u8::is_ascii_digit)
        && digits.iter().fold(0u32, |port, digit| port * 10 + u32::from(digit - b'0')) <= 65_535
}

/// What stands between the brackets: an IPv6 address (no zone, RFC 3986) or an IPvFuture.
fn is_ip_literal(literal: &[u8]) -> bool {
    if let [b'v' | b'V', future @ ..] = literal {
        let Some(dot) = memchr::memchr(b'.', future) else { return false };
        let (version, address) = (&future[..dot], &future[dot + 1..]);
        return !version.is_empty()
            && version.iter().all(u8::is_ascii_hexdigit)
            && !address.is_empty()
            && address.iter().all(|byte| is(*byte, REG_NAME) || *byte == b':');
    }
    std::str::from_utf8(literal).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_accepted() {
        for good in [
            "a",
            "localhost",
            "localhost:9090",
            "example.com",
            "EXAMPLE.com:80",
            "a:",
            "a:0",
            "a:65535",
            "a:00080",
            "127.0.0.1",
            "127.0.0.1:8080",
            "999.1.1.1",
            "[::1]",
            "[::1]:80",
            "[2001:db8::192.0.2.1]:",
            "[v1.fe80::a+en1]",
            "a%20b",
            "xn--bcher-kva.example",
            "a_b",
            "a-b",
            "a,b",
            "a!$&'()*+,;=~",
            ".",
            "a..b",
        ] {
            assert!(is_valid(good.as_bytes()), "{good}");
        }
    }

    #[test]
    fn hosts_refused() {
        for bad in [
            "",
            ":",
            ":80",
            "a:65536",
            "a:99999999999",
            "a:8a",
            "a:-1",
            "a:+80",
            "a:80:80",
            "a b",
            " a",
            "a ",
            "a/b",
            "a?b",
            "a#b",
            "user@a",
            "user:pass@a",
            "a%",
            "a%2",
            "a%zz",
            "a\\b",
            "a\"b",
            "a<b",
            "a\tb",
            "a\0",
            "é",
            "[",
            "[]",
            "]",
            "[::1",
            "::1",
            "[::1]a",
            "[::1]80",
            "[::1%25eth0]",
            "[::1%eth0]",
            "[1.2.3.4]",
            "[v.a]",
            "[v1.]",
            "[v1]",
            "[vg.a]",
            "[:::]",
            "[::1]:65536",
            "a, b",
            "a|b",
            "a^b",
            "{a}",
            "http://a",
        ] {
            assert!(!is_valid(bad.as_bytes()), "{bad}");
        }
    }
}
