//! Byte classes, lists and numbers of the HTTP grammar (RFC 9110 section 5.6, RFC 3986 appendix A).
//!
//! Each check is one table look-up per byte. Nothing here knows what a field means.

/// `tchar` (RFC 9110 section 5.6.2).
pub(super) const TOKEN: u8 = 1;
/// What a request target may hold: visible ASCII but `#`, since a fragment is never sent (RFC 9112 section 3.2).
/// Bytes that RFC 3986 excludes but browsers do send (`|`, `"`, `{`) pass unchanged.
pub(super) const TARGET: u8 = 2;
/// `reg-name` less its percent-encoding (RFC 3986 section 3.2.2), which covers an IPv4 address.
pub(super) const REG_NAME: u8 = 4;
/// Field values and reason phrases: tab, blank, visible ASCII and obs-text.
pub(super) const TEXT: u8 = 8;
/// `qdtext` (RFC 9110 section 5.6.4).
pub(super) const QUOTED: u8 = 16;

static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let byte = index as u8;
        let mut class = 0;
        if byte.is_ascii_alphanumeric() || is_one_of(byte, b"!#$%&'*+-.^_`|~") {
            class |= TOKEN;
        }
        if byte.is_ascii_graphic() && byte != b'#' {
            class |= TARGET;
        }
        if byte.is_ascii_alphanumeric() || is_one_of(byte, b"-._~!$&'()*+,;=") {
            class |= REG_NAME;
        }
        if byte == b'\t' || byte == b' ' || byte.is_ascii_graphic() || byte >= 0x80 {
            class |= TEXT;
            if byte != b'"' && byte != b'\\' {
                class |= QUOTED;
            }
        }
        table[index] = class;
        index += 1;
    }
    table
}

const fn is_one_of(byte: u8, set: &[u8]) -> bool {
    let mut index = 0;
    while index < set.len() {
        if set[index] == byte {
            return true;
        }
        index += 1;
    }
    false
}

/// Whether `byte` is in `class`.
pub(super) fn is(byte: u8, class: u8) -> bool {
    CLASSES[byte as usize] & class != 0
}

/// Whether every byte is in `class`; true of no bytes. No early exit: the bytes are nearly always good.
pub(super) fn all(bytes: &[u8], class: u8) -> bool {
    bytes.iter().fold(class, |common, byte| common & CLASSES[*byte as usize]) != 0
}

/// Whether it is a `token`: one `tchar` or more.
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && all(bytes, TOKEN)
}

/// Whether it is a `protocol` of Upgrade (RFC 9110 section 7.8): a token, or two with a slash between.
pub(super) fn is_protocol(bytes: &[u8]) -> bool {
    match memchr::memchr(b'/', bytes) {
        Some(slash) => is_token(&bytes[..slash]) && is_token(&bytes[slash + 1..]),
        None => is_token(bytes),
    }
}

/// Without the blanks and tabs around it.
pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Members of a comma-separated list of tokens, empty ones passed over (RFC 9110 section 5.6.1.2).
pub(super) fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim).filter(|member| !member.is_empty())
}

/// The value of `1*DIGIT`, below 2^63 so that sums and signed counters elsewhere cannot wrap.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    /// So many digits cannot reach 2^63, and need no check each.
    const SAFE_DIGITS: usize = 18;
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let (front, rest) = digits.split_at(digits.len().min(SAFE_DIGITS));
    let mut value = front.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
    for digit in rest {
        value = value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    (value < 1 << 63).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_follow_the_grammar() {
        let count = |class| (0..=255u8).filter(|byte| is(*byte, class)).count();
        assert_eq!(count(TOKEN), 62 + 15);
        assert_eq!(count(TARGET), 93);
        assert_eq!(count(REG_NAME), 62 + 15);
        assert_eq!(count(TEXT), 94 + 2 + 128);
        assert_eq!(count(QUOTED), 94 + 2 + 128 - 2);
        assert!(!is(0x7f, TEXT) && !is(0, TEXT) && !is(b'\r', TEXT) && !is(b'\n', TEXT));
    }

    #[test]
    fn decimals_are_digits_below_two_to_the_63() {
        assert_eq!(decimal(b"0"), Some(0));
        assert_eq!(decimal(b"007"), Some(7));
        assert_eq!(decimal(b"9223372036854775807"), Some((1 << 63) - 1));
        for bad in ["", "+1", "-1", "1 ", "0x1", "1,1", "9223372036854775808", "18446744073709551616", "1_0"]
        {
            assert_eq!(decimal(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn lists_pass_over_empty_members() {
        assert_eq!(members(b" ,a ,, b\t,").collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(members(b"").count(), 0);
    }

    #[test]
    fn protocols_are_a_token_or_two() {
        for good in ["websocket", "TLS/1.0", "a/b"] {
            assert!(is_protocol(good.as_bytes()), "{good}");
        }
        for bad in ["", "/", "a/", "/b", "a/b/c", "a b", "é"] {
            assert!(!is_protocol(bad.as_bytes()), "{bad}");
        }
    }
}
