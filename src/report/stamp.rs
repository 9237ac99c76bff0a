//! Time stamps of request logs: ISO 8601 with `T` or a blank, with or without fraction and zone.
//!
//! Rows come in order, so the date and minute of the last one are nearly always those of the next: 16 bytes compared
//! in place of a calendar computed. Pure. Absent: names of zones and leap seconds (`:60` is the next minute's start).

/// Bytes of `2026-01-31T12:00`.
const MINUTE_LEN: usize = 16;

/// Reads stamps; remembers the last minute.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    minute: [u8; MINUTE_LEN],
    minute_us: Option<i64>,
}

impl Stamps {
    /// Microseconds since 1970, taking a stamp without zone for UTC; `None` for anything that is not a stamp.
    pub(super) fn parse(&mut self, text: &[u8]) -> Option<i64> {
        let (minute, rest) = text.split_at_checked(MINUTE_LEN)?;
        let minute_us = match self.minute_us {
            Some(known) if self.minute == minute => known,
            _ => {
                let fresh = minute_micros(minute)?;
                self.minute.copy_from_slice(minute);
                self.minute_us = Some(fresh);
                fresh
            }
        };
        let [b':', tens, ones, rest @ ..] = rest else { return None };
        let second = digit(*tens)? * 10 + digit(*ones)?;
        if second > 60 {
            return None;
        }
        let (fraction, zone) = fraction(rest)?;
        Some(minute_us + second * 1_000_000 + fraction - offset_micros(zone)?)
    }
}

fn minute_micros(text: &[u8]) -> Option<i64> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T' | b't' | b' ', h1, h2, b':', n1, n2] = text else {
        return None;
    };
    let year = two(*y1, *y2)? * 100 + two(*y3, *y4)?;
    let (month, day, hour, minute) = (two(*m1, *m2)?, two(*d1, *d2)?, two(*h1, *h2)?, two(*n1, *n2)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 {
        return None;
    }
    Some(((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60_000_000)
}

/// Of the proleptic Gregorian calendar, years counted from March so that a leap day comes last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Microseconds of `.5` or `,123456789` (cut, not rounded), and what follows.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let [b'.' | b',', digits @ ..] = text else { return Some((0, text)) };
    let len = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if len == 0 {
        return None;
    }
    let micros = (0..6)
        .fold(0, |sum, place| sum * 10 + digits[..len].get(place).map_or(0, |byte| i64::from(byte - b'0')));
    Some((micros, &digits[len..]))
}

/// Of nothing, `Z`, `+02`, `+0200` or `-05:30`.
fn offset_micros(zone: &[u8]) -> Option<i64> {
    let (sign, hours, minutes) = match zone {
        [] | [b'Z' | b'z'] => return Some(0),
        [sign, h1, h2] => (sign, two(*h1, *h2)?, 0),
        [sign, h1, h2, m1, m2] | [sign, h1, h2, b':', m1, m2] => (sign, two(*h1, *h2)?, two(*m1, *m2)?),
        _ => return None,
    };
    let micros = (hours * 60 + minutes) * 60_000_000;
    match sign {
        b'+' => Some(micros),
        b'-' => Some(-micros),
        _ => None,
    }
}

fn two(tens: u8, ones: u8) -> Option<i64> {
    Some(digit(tens)? * 10 + digit(ones)?)
}

fn digit(byte: u8) -> Option<i64> {
    byte.is_ascii_digit().then(|| i64::from(byte - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_usual_spelling_is_read() {
        let noon = 1_767_268_800_000_000; // 2026-01-01T12:00:00Z
        for (text, expected) in [
            ("2026-01-01T12:00:00Z", Some(noon)),
            ("2026-01-01 12:00:00", Some(noon)),
            ("2026-01-01 12:00:00.5", Some(noon + 500_000)),
            ("2026-01-01T12:00:00.123456789Z", Some(noon + 123_456)),
            ("2026-01-01T14:00:00,000001+02:00", Some(noon + 1)),
            ("2026-01-01T06:30:00-0530", Some(noon)),
            ("2026-01-01T13:00:07+01", Some(noon + 7_000_000)),
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T12:09:14.300007Z", Some(951_826_154_300_007)),
            ("1969-12-31T23:59:59.999999Z", Some(-1)),
            ("2026-01-01T12:00", None),
            ("2026-01-01T12:00:0", None),
            ("2026-01-01T12:00:00.", None),
            ("2026-01-01T12:00:00+1", None),
            ("2026-01-01T12:00:00x", None),
            ("2026-13-01T12:00:00", None),
            ("2026-01-01T24:00:00", None),
            ("01/01/2026 12:00:00", None),
            ("", None),
        ] {
            assert_eq!(Stamps::default().parse(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn the_remembered_minute_is_renewed() {
        let mut stamps = Stamps::default();
        for (text, expected) in [
            ("1970-01-01T00:00:59Z", 59_000_000),
            ("1970-01-01T00:01:00Z", 60_000_000),
            ("1970-01-01T00:00:58Z", 58_000_000),
            ("1970-01-02T00:00:58Z", 86_458_000_000),
        ] {
            assert_eq!(stamps.parse(text.as_bytes()), Some(expected), "{text}");
        }
        assert_eq!(stamps.parse(b"1970-01-02T00:0x:58Z"), None);
    }
}
