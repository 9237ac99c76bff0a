//! The answers of the admin address, with the fields that keep a browser from doing anything else with them.

use std::borrow::Cow;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

use crate::serve::{Content, Reply, Request};

macro_rules! guards {
    () => {
        "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
         img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n\
         X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
         Cross-Origin-Resource-Policy: same-origin\r\n"
    };
}

pub(super) use guards;

/// On every answer: the page loads nothing from elsewhere, is framed nowhere, and nothing is taken for a script that is
/// none.
pub(super) const GUARDS: &str = guards!();
const TEXT: &str =
    concat!("Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n", guards!());
const JSON: &str = concat!("Content-Type: application/json\r\nCache-Control: no-store\r\n", guards!());
const JSON_EITHER: &str = concat!(
    "Content-Type: application/json\r\nVary: Accept-Encoding\r\nCache-Control: no-store\r\n",
    guards!()
);
const JSON_GZIPPED: &str = concat!(
    "Content-Type: application/json\r\nContent-Encoding: gzip\r\nVary: Accept-Encoding\r\n\
     Cache-Control: no-store\r\n",
    guards!()
);
/// Of the stream of events.
pub(super) const EVENTS: &str =
    concat!("Content-Type: text/event-stream\r\nCache-Control: no-store\r\n", guards!());

/// JSON longer than this is compressed for those who like it.
const GZIP_MIN: usize = 1024;

/// An answer without delay.
pub(super) fn reply(status: u16, fields: impl Into<Cow<'static, str>>, content: Content) -> Reply {
    Reply { status, fields: fields.into(), content, delay: Duration::ZERO }
}

/// A line of text.
pub(super) fn plain(status: u16, text: &'static str) -> Reply {
    reply(status, TEXT, Content::Static(text.as_bytes()))
}

/// A line of text with further fields.
pub(super) fn plain_with(status: u16, fields: &str, text: &'static str) -> Reply {
    reply(status, format!("{TEXT}{fields}"), Content::Static(text.as_bytes()))
}

/// This value as JSON, compressed if it is long and the client likes that.
pub(super) fn json(request: &Request<'_>, text: &mut Vec<u8>, value: &impl Serialize) -> Reply {
    if serde_json::to_writer(&mut *text, value).is_err() {
        return plain(500, "this cannot be written as JSON\n");
    }
    if text.len() <= GZIP_MIN {
        return reply(200, JSON, Content::Text);
    }
    if !accepts_gzip(request) {
        return reply(200, JSON_EITHER, Content::Text);
    }
    let gzipped: Arc<[u8]> = gzip(text, 1).into();
    reply(200, JSON_GZIPPED, Content::Shared(gzipped))
}

/// A small JSON answer with this status.
pub(super) fn json_with(status: u16, fields: &str, text: &mut Vec<u8>, value: &impl Serialize) -> Reply {
    match serde_json::to_writer(text, value) {
        Ok(()) if fields.is_empty() => reply(status, JSON, Content::Text),
        Ok(()) => reply(status, format!("{JSON}{fields}"), Content::Text),
        Err(_) => plain(500, "this cannot be written as JSON\n"),
    }
}

/// Whether the client takes gzip (RFC 9110 section 12.5.3): what names it decides before what names all.
pub(super) fn accepts_gzip(request: &Request<'_>) -> bool {
    request.field("accept-encoding").is_some_and(|accepted| takes_gzip(&String::from_utf8_lossy(accepted)))
}

fn takes_gzip(accepted: &str) -> bool {
    let weight_of = |names: &[&str]| {
        let named = |liked: &Liked<'_>| names.iter().any(|known| liked.name.eq_ignore_ascii_case(known));
        likings(accepted).find(named).map(|liked| liked.weight)
    };
    weight_of(&["gzip", "x-gzip"]).or_else(|| weight_of(&["*"])).is_some_and(|weight| weight > 0.0)
}

/// A member of Accept, Accept-Encoding and their like.
pub(super) struct Liked<'f> {
    /// Of the media type, the coding or whatever it is.
    pub(super) name: &'f str,
    /// 1 unless told; a weight that is no number counts as 0 (RFC 9110 section 12.4.2).
    pub(super) weight: f64,
    /// Its `version`, without quotes.
    pub(super) version: Option<&'f str>,
}

/// What the field of a client that negotiates says, in its order.
pub(super) fn likings(field: &str) -> impl Iterator<Item = Liked<'_>> {
    field.split(',').map(|member| {
        let mut parts = member.split(';').map(str::trim);
        let mut liked = Liked { name: parts.next().unwrap_or_default(), weight: 1.0, version: None };
        for (key, value) in parts.filter_map(|part| part.split_once('=')) {
            if key.eq_ignore_ascii_case("q") {
                liked.weight = value.trim().parse().unwrap_or(0.0);
            } else if key.eq_ignore_ascii_case("version") {
                liked.version = Some(value.trim_matches('"'));
            }
        }
        liked
    })
}

/// Compressed; `level` is 1 (fast) to 9 (small).
pub(super) fn gzip(bytes: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 3), Compression::new(level));
    // Writing to a Vec cannot fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_goes_to_who_takes_it() {
        for taken in ["gzip", "br, GZIP;q=0.1", "*", "x-gzip", "identity;q=0.5, *;q=0.1"] {
            assert!(takes_gzip(taken), "{taken}");
        }
        for refused in ["", "br", "gzip;q=0", "gzip; q=0.000, *", "*;q=0", "gzip;q=nonsense"] {
            assert!(!takes_gzip(refused), "{refused}");
        }
    }
}
