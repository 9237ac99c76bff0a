//! The forms in which figures are told to a scraper, and which of them it asks for.
//!
//! OpenMetrics 1.0 is what our encoder writes; the older text format (Prometheus, version 0.0.4), which a scraper gets that
//! does not ask for the other, differs in the names of counters and in the end mark. Absent: the figures.

use super::reply::{Liked, likings};
use crate::serve::Request;

/// A form of the figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The text format of Prometheus, version 0.0.4.
    Text,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Form {
    /// What its Content-Type says.
    pub(super) const fn media_type(self) -> &'static str {
        match self {
            Form::Text => "text/plain; version=0.0.4; charset=utf-8",
            Form::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The form that is liked best; [`Form::Text`] when neither is asked for, since every scraper reads that.
    pub(super) fn asked_for(request: &Request<'_>) -> Form {
        request.field("accept").map_or(Form::Text, |accept| preferred(&String::from_utf8_lossy(accept)))
    }
}

/// By the weights of an Accept field (RFC 9110 section 12.5.1): OpenMetrics where it is named and nothing is liked better.
fn preferred(accept: &str) -> Form {
    let (mut open, mut text) = (0.0f64, 0.0f64);
    for Liked { name, weight, version } in likings(accept) {
        match name.to_ascii_lowercase().as_str() {
            "application/openmetrics-text" if matches!(version, None | Some("1.0.0")) => {
                open = open.max(weight);
            }
            "text/plain" | "text/*" | "*/*" => text = text.max(weight),
            _ => {}
        }
    }
    if open > 0.0 && open >= text { Form::OpenMetrics } else { Form::Text }
}

/// OpenMetrics rewritten as the older text format: there a counter's name ends in `_total` in its HELP and TYPE too, and no
/// end is marked.
pub(super) fn as_text(open: &str) -> String {
    let mut out = String::with_capacity(open.len() + 1024);
    let mut lines = open.lines().filter(|line| *line != "# EOF").peekable();
    while let Some(line) = lines.next() {
        let Some(help) = line.strip_prefix("# HELP ") else {
            out += line;
            out.push('\n');
            continue;
        };
        let (name, words) = help.split_once(' ').unwrap_or((help, ""));
        let kind = lines.next_if(|next| next.starts_with("# TYPE "));
        let suffix = if kind.is_some_and(|kind| kind.ends_with(" counter")) { "_total" } else { "" };
        out += &format!("# HELP {name}{suffix} {words}\n");
        if let Some((_, kind)) = kind.and_then(|kind| kind.rsplit_once(' ')) {
            out += &format!("# TYPE {name}{suffix} {kind}\n");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scraper_gets_the_form_it_likes_best() {
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (accept, form) in [
            (prometheus, Form::OpenMetrics),
            ("application/openmetrics-text", Form::OpenMetrics),
            ("APPLICATION/OpenMetrics-Text; version=\"1.0.0\"", Form::OpenMetrics),
            ("application/openmetrics-text; version=2.0.0", Form::Text),
            ("application/openmetrics-text; q=0.5, text/plain", Form::Text),
            ("application/openmetrics-text; q=0", Form::Text),
            ("application/openmetrics-text; q=many", Form::Text),
            ("*/*", Form::Text),
            ("", Form::Text),
            ("application/json", Form::Text),
        ] {
            assert_eq!(preferred(accept), form, "{accept}");
        }
    }

    #[test]
    fn counters_end_in_total_in_the_older_format() {
        let open = "# HELP a Some.\n# TYPE a counter\na_total{b=\"c\"} 1\n# HELP d Others.\n# TYPE d gauge\nd 2\n# EOF\n";
        let text = "# HELP a_total Some.\n# TYPE a_total counter\na_total{b=\"c\"} 1\n# HELP d Others.\n# TYPE d gauge\nd 2\n";
        assert_eq!(as_text(open), text);
    }
}
