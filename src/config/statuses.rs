//! A set of statuses: `200-399`, `2xx`, `200,204,3xx`.

use std::fmt;
use std::ops::RangeInclusive;

use super::value::Value;

/// Statuses of final answers, as ranges in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses(Vec<RangeInclusive<u16>>);

impl Statuses {
    /// Whether this status is one of them.
    pub fn has(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}

impl Default for Statuses {
    /// Any success, and any redirection.
    fn default() -> Statuses {
        Statuses(vec![200..=399])
    }
}

const FORM: &str = "must be statuses from 200 to 599, like 200-399, 2xx or 200,204";

impl Value for Statuses {
    fn parse(text: &str) -> Result<Statuses, String> {
        text.split(',')
            .map(|one| range(one.trim()).ok_or_else(|| FORM.to_owned()))
            .collect::<Result<_, _>>()
            .map(Statuses)
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let status =
        |text: &str| text.parse::<u16>().ok().filter(|status| text.len() == 3 && (200..600).contains(status));
    if let Some(class) = text.strip_suffix("xx") {
        let first = status(&format!("{class}00"))?;
        return Some(first..=first + 99);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (status(first)?, status(last)?);
    (first <= last).then_some(first..=last)
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            match (range.start(), range.end()) {
                (first, last) if first == last => write!(f, "{comma}{first}")?,
                (first, last) => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_statuses() {
        for (text, shown, has, lacks) in [
            ("200-399", "200-399", &[200, 301, 399][..], &[199, 400, 500][..]),
            ("2xx", "200-299", &[200, 299], &[300]),
            ("200, 204,4xx", "200,204,400-499", &[200, 204, 404], &[201, 500]),
        ] {
            let set = Statuses::parse(text).unwrap();
            assert_eq!(set.show(), shown);
            assert_eq!(Statuses::parse(&set.show()).unwrap(), set);
            assert!(
                has.iter().all(|status| set.has(*status)) && !lacks.iter().any(|status| set.has(*status)),
                "{text}"
            );
        }
        for bad in ["", "ok", "100", "1xx", "600", "20", "0200", "399-200", "200-", "200,", "2xx-3xx", "+200"]
        {
            assert!(Statuses::parse(bad).is_err(), "{bad}");
        }
    }
}
