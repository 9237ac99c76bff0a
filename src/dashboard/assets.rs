//! The page's files, part of the binary: no disk is read, no other host asked.
//!
//! Compressed once at start. Each has a strong ETag, made from its bytes, and is asked for anew each time: a new binary's
//! page is never mixed with an old one's.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use super::reply::{self, accepts_gzip, gzip};
use crate::serve::{Content, Reply, Request};

/// Where, what, and as what. The page's files are listed here and nowhere else.
const FILES: [(&str, &[u8], &str); 3] = [
    ("/", include_bytes!("page/index.html"), "text/html; charset=utf-8"),
    ("/style.css", include_bytes!("page/style.css"), "text/css; charset=utf-8"),
    ("/app.js", include_bytes!("page/app.js"), "text/javascript; charset=utf-8"),
];

#[derive(Debug)]
struct Asset {
    path: &'static str,
    plain: &'static [u8],
    gzipped: Arc<[u8]>,
    kind: &'static str,
    tag: String,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Assets {
    files: Vec<Asset>,
}

impl Assets {
    /// Compresses them.
    pub(super) fn new() -> Assets {
        let files = FILES.iter().map(|(path, plain, kind)| Asset {
            path,
            plain,
            gzipped: gzip(plain, 9).into(),
            kind,
            tag: tag_of(plain),
        });
        Assets { files: files.collect() }
    }

    /// The file at this path, or the news that it has not changed.
    pub(super) fn answer(&self, request: &Request<'_>) -> Option<Reply> {
        let asset = self.files.iter().find(|asset| asset.path.as_bytes() == request.path())?;
        let gzipped = accepts_gzip(request) && asset.gzipped.len() < asset.plain.len();
        // The two are different bytes, so their strong tags differ (RFC 9110 section 8.8.3.3).
        let tag = if gzipped { format!("\"{}-gz\"", asset.tag) } else { format!("\"{}\"", asset.tag) };
        let coding = if gzipped { "Content-Encoding: gzip\r\n" } else { "" };
        let fields = format!(
            "Content-Type: {}\r\n{coding}ETag: {tag}\r\nVary: Accept-Encoding\r\nCache-Control: no-cache\r\n{}",
            asset.kind,
            reply::GUARDS
        );
        if request.field("if-none-match").is_some_and(|known| names(known, &tag)) {
            return Some(reply::reply(304, fields, Content::Static(b"")));
        }
        let content =
            if gzipped { Content::Shared(asset.gzipped.clone()) } else { Content::Static(asset.plain) };
        Some(reply::reply(200, fields, content))
    }
}

/// Whether a list of tags has this one, weakly compared as If-None-Match is (RFC 9110 section 13.1.2).
fn names(list: &[u8], tag: &str) -> bool {
    let list = String::from_utf8_lossy(list);
    list.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

fn tag_of(bytes: &[u8]) -> String {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, bytes).hash(&mut hasher);
        hasher.finish()
    };
    format!("{:016x}{:016x}", half(0), half(1))
}
