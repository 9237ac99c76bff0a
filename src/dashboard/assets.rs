//! The page's files, part of the binary: no disk is read, no other host asked.
//!
//! Compressed once at start. Each has a strong ETag, made from its bytes, and is asked for anew each time: a new binary's
//! page is never mixed with an old one's.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use super::reply::{self, accepts_gzip, gzip};
use crate::serve::{Content, Reply, Request};

const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Where, what, and as what. The page's files are listed here and nowhere else.
const FILES: [(&str, &[u8], &str); 24] = [
    ("/", include_bytes!("page/index.html"), "text/html; charset=utf-8"),
    ("/axes.js", include_bytes!("page/axes.js"), SCRIPT),
    ("/backends.js", include_bytes!("page/backends.js"), SCRIPT),
    ("/charts.js", include_bytes!("page/charts.js"), SCRIPT),
    ("/control.js", include_bytes!("page/control.js"), SCRIPT),
    ("/distribution.js", include_bytes!("page/distribution.js"), SCRIPT),
    ("/dom.js", include_bytes!("page/dom.js"), SCRIPT),
    ("/export.js", include_bytes!("page/export.js"), SCRIPT),
    ("/feed.js", include_bytes!("page/feed.js"), SCRIPT),
    ("/figure.js", include_bytes!("page/figure.js"), SCRIPT),
    ("/format.js", include_bytes!("page/format.js"), SCRIPT),
    ("/icon.svg", include_bytes!("page/icon.svg"), "image/svg+xml"),
    ("/inspector.js", include_bytes!("page/inspector.js"), SCRIPT),
    ("/keys.js", include_bytes!("page/keys.js"), SCRIPT),
    ("/lists.js", include_bytes!("page/lists.js"), SCRIPT),
    ("/main.js", include_bytes!("page/main.js"), SCRIPT),
    ("/model.js", include_bytes!("page/model.js"), SCRIPT),
    ("/page.css", include_bytes!("page/page.css"), CSS),
    ("/palette.js", include_bytes!("page/palette.js"), SCRIPT),
    ("/theme.css", include_bytes!("page/theme.css"), CSS),
    ("/theme.js", include_bytes!("page/theme.js"), SCRIPT),
    ("/tiles.js", include_bytes!("page/tiles.js"), SCRIPT),
    ("/tip.js", include_bytes!("page/tip.js"), SCRIPT),
    ("/view.js", include_bytes!("page/view.js"), SCRIPT),
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
