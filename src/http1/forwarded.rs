//! Who is asking, for the origin: X-Forwarded-For/-Proto/-Host, Forwarded (RFC 7239) and X-Real-IP.
//!
//! What an untrusted client says about itself is dropped. Whether the peer is trusted is decided elsewhere.

use super::fields::{Field, FieldKind};
use super::rewrite::ForwardedFields;
use crate::digits::three_digits;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};

/// What there is to say.
pub(super) struct Forwarding<'a> {
    /// Peer address; IPv4, not that mapped into IPv6, where it is that.
    pub(super) client: IpAddr,
    /// Authority the client asked for, if it named one.
    pub(super) host: Option<&'a [u8]>,
    /// Fields received from a trusted peer and the bytes they lie in; none from any other.
    pub(super) earlier: Earlier<'a>,
}

type Earlier<'a> = Option<(&'a [Field], &'a [u8])>;

impl Forwarding<'_> {
    /// Appends to `out` those of the four fields that are wanted. For and Forwarded grow by an element; Proto and Host stay
    /// what the first proxy said, since only it met the client.
    #[cold]
    pub(super) fn write(&self, wanted: ForwardedFields, out: &mut Vec<u8>) {
        if wanted.has_x_forwarded() {
            self.write_x_forwarded(out);
        }
        if wanted.has_forwarded() {
            out.extend_from_slice(b"Forwarded: ");
            self.write_earlier(FieldKind::Forwarded, true, out);
            self.write_element(out);
            out.extend_from_slice(b"\r\n");
        }
    }

    fn write_x_forwarded(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"X-Forwarded-For: ");
        self.write_earlier(FieldKind::XForwardedFor, true, out);
        let _ = write!(out, "{}\r\nX-Forwarded-Proto: ", self.client); // a Vec takes everything
        if !self.write_earlier(FieldKind::XForwardedProto, false, out) {
            out.extend_from_slice(b"http");
        }
        out.extend_from_slice(b"\r\n");
        if self.has_earlier(FieldKind::XForwardedHost) || self.host.is_some() {
            out.extend_from_slice(b"X-Forwarded-Host: ");
            if !self.write_earlier(FieldKind::XForwardedHost, false, out) {
                out.extend_from_slice(self.host.unwrap_or_default());
            }
            out.extend_from_slice(b"\r\n");
        }
    }

    /// One forwarded-element (RFC 7239 section 4). A host with a port needs the quotes, and none has a `"` or `\` in it.
    fn write_element(&self, out: &mut Vec<u8>) {
        let _ = match self.client {
            IpAddr::V4(address) => write!(out, "for={address};proto=http"),
            IpAddr::V6(address) => write!(out, "for=\"[{address}]\";proto=http"),
        };
        if let Some(host) = self.host {
            out.extend_from_slice(b";host=\"");
            out.extend_from_slice(host);
            out.push(b'"');
        }
    }

    fn has_earlier(&self, kind: FieldKind) -> bool {
        has(self.earlier, kind)
    }

    /// Appends the values received under `kind` as one list, and a comma after it if more follows.
    fn write_earlier(&self, kind: FieldKind, more_follows: bool, out: &mut Vec<u8>) -> bool {
        let Some((fields, bytes)) = self.earlier else { return false };
        let values = fields.iter().filter(|field| field.kind == kind).map(|field| field.value.of(bytes));
        let mut any = false;
        let is_good =
            |value: &&[u8]| !value.is_empty() && (kind != FieldKind::Forwarded || ends_outside_quotes(value));
        for value in values.filter(is_good) {
            if any {
                out.extend_from_slice(b", ");
            }
            any = true;
            out.extend_from_slice(value);
        }
        if any && more_follows {
            out.extend_from_slice(b", ");
        }
        any
    }
}

fn has(earlier: Earlier<'_>, kind: FieldKind) -> bool {
    earlier.is_some_and(|(fields, _)| fields.iter().any(|field| field.kind == kind))
}

/// Appends X-Real-IP, unless a trusted peer has said who it is.
#[cold]
pub(super) fn write_real_ip(client: IpAddr, earlier: Earlier<'_>, out: &mut Vec<u8>) {
    if !has(earlier, FieldKind::XRealIp) {
        let _ = write!(out, "X-Real-IP: {}\r\n", client.to_canonical()); // a Vec takes everything
    }
}

/// Whether every quoted-string in it is closed. Behind one that is not, the element we append would be part of it: who
/// wrote it, and the trusted peer passed it on, could say who is asking.
fn ends_outside_quotes(value: &[u8]) -> bool {
    let mut bytes = value.iter();
    let mut is_quoted = false;
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\\' if is_quoted => drop(bytes.next()),
            _ => {}
        }
    }
    !is_quoted
}

/// The four fields for nearly every request, of an untrusted IPv4 client that names a host, without the formatting machinery, which costs some 300 instructions an
/// address.
#[inline(always)]
pub(super) fn write_usual(address: Ipv4Addr, host: &[u8], out: &mut Vec<u8>) {
    let (text, len) = ipv4_text(address);
    // One by one, not in a loop: pieces of known length are a few moves each, others a call of memcpy.
    out.extend_from_slice(b"X-Forwarded-For: ");
    push_front(out, &text, len);
    out.extend_from_slice(b"\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: ");
    out.extend_from_slice(host);
    out.extend_from_slice(b"\r\nForwarded: for=");
    push_front(out, &text, len);
    out.extend_from_slice(b";proto=http;host=\"");
    out.extend_from_slice(host);
    out.extend_from_slice(b"\"\r\n");
}

/// The first `len` of these bytes; all are copied, which is cheaper, and the others taken back.
#[inline(always)]
fn push_front(out: &mut Vec<u8>, text: &[u8; IPV4_BYTES_MAX], len: usize) {
    let end = out.len() + len;
    out.extend_from_slice(text);
    out.truncate(end);
}

/// Four times three digits and a dot.
const IPV4_BYTES_MAX: usize = 16;

/// An address in text, and how long that is.
#[inline(always)]
fn ipv4_text(address: Ipv4Addr) -> ([u8; IPV4_BYTES_MAX], usize) {
    const DOT: u64 = b'.' as u64;
    let (mut text, mut len) = ([0; IPV4_BYTES_MAX], 0);
    for octet in address.octets() {
        let (digits, zeros) = three_digits(u64::from(octet));
        let four = ((digits | DOT << 24) >> (8 * zeros)) as u32;
        // Whatever is too much is written over by the next one. A store of four bytes is one instruction, where shifts
        // into a u128 are a dozen.
        if let Some(place) = text.get_mut(len..len + 4) {
            place.copy_from_slice(&four.to_le_bytes());
        }
        len += 4 - zeros as usize;
    }
    (text, len - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_closed_or_not() {
        for good in ["", "for=a", "for=\"a\"", "for=\"a\\\"b\";by=\"\"", "for=a\\"] {
            assert!(ends_outside_quotes(good.as_bytes()), "{good}");
        }
        for bad in ["\"", "for=\"a", "for=\"a\\\"", "for=\"a\\", "for=\"a\", for=\"b"] {
            assert!(!ends_outside_quotes(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn ipv4_text_is_what_the_standard_library_writes() {
        for address in [
            Ipv4Addr::new(0, 0, 0, 0),
            Ipv4Addr::new(127, 0, 0, 1),
            Ipv4Addr::new(255, 255, 255, 255),
            Ipv4Addr::new(9, 10, 99, 100),
            Ipv4Addr::new(101, 110, 200, 209),
        ]
        .into_iter()
        .chain((0..=255).map(|octet| Ipv4Addr::new(octet, 255 - octet, octet, octet)))
        {
            let (text, len) = ipv4_text(address);
            assert_eq!(&text[..len], address.to_string().as_bytes());
        }
    }
}
