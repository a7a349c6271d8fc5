//! When a line was written, in whatever form. Only differences are ever used.

/// Time stamps stand at the beginning of a line.
const WITHIN: usize = 80;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// A time stamp in `text`: seconds on a clock of its own, and where it begins and ends.
pub(crate) fn stamp(text: &str) -> Option<(f64, usize, usize)> {
    beginning_within(text, WITHIN)
}

/// The same at the very front, behind one sign at most: `[`, or the level of glog.
pub(crate) fn leading(text: &str) -> Option<(f64, usize, usize)> {
    beginning_within(text, 2)
}

fn beginning_within(text: &str, within: usize) -> Option<(f64, usize, usize)> {
    let bytes = text.as_bytes();
    if let Some((seconds, end)) = syslog(bytes) {
        return Some((seconds, 0, end));
    }
    let last = bytes.len().min(within);
    let starts = (0..last).filter(|&at| bytes[at].is_ascii_digit() && is_start(bytes, at));
    starts.take(4).find_map(|at| {
        let read = early(bytes, at)
            .or_else(|| date_time(bytes, at))
            .or_else(|| glog(bytes, at))
            .or_else(|| relative(bytes, at));
        read.map(|(seconds, end)| (seconds, at, end))
    })
}

fn is_start(bytes: &[u8], at: usize) -> bool {
    match at.checked_sub(1).map(|before| bytes[before]) {
        None | Some(b'[' | b'(' | b' ' | b'"' | b'=' | b'\'' | b'+' | b'|') => true,
        // glog: I1127 03:26:16
        Some(b'I' | b'W' | b'E' | b'F' | b'T' | b'V') => at == 1 || bytes[at - 2] == b' ',
        Some(_) => false,
    }
}

/// `2026-11-27T03:26:16.123Z`, `2026/11/27 03:26:16,123`, `11-27 03:26:16`, `27/Nov/2026:03:26:16`, `03:26:16.1`.
fn date_time(bytes: &[u8], start: usize) -> Option<(f64, usize)> {
    let dated = date(bytes, start).or_else(|| common_log(bytes, start));
    let (days, at) = dated.unwrap_or((0, start));
    let (seconds, end) = clock(bytes, at)?;
    Some((days as f64 * 86_400.0 + seconds, end))
}

fn date(bytes: &[u8], start: usize) -> Option<(i64, usize)> {
    let is_dash = |at: usize| matches!(bytes.get(at), Some(b'-' | b'/'));
    if let (Some(year), true) = (digits(bytes, start, 4), is_dash(start + 4)) {
        let (month, day) = (digits(bytes, start + 5, 2)?, digits(bytes, start + 8, 2)?);
        let gap = matches!(bytes.get(start + 10), Some(b'T' | b' ' | b't'));
        return gap.then(|| (days(year, month, day), start + 11));
    }
    let (first, second) = (digits(bytes, start, 2)?, digits(bytes, start + 3, 2)?);
    let gap = is_dash(start + 2) && bytes.get(start + 5) == Some(&b' ');
    gap.then(|| (days(2000, first, second), start + 6))
}

/// `27/Nov/2026:`, `27 Nov 2026 `
fn common_log(bytes: &[u8], start: usize) -> Option<(i64, usize)> {
    let is_gap = |at: usize| matches!(bytes.get(at), Some(b'/' | b' '));
    let day = digits(bytes, start, 2).filter(|_| is_gap(start + 2))?;
    let name = bytes.get(start + 3..start + 6)?;
    let month = MONTHS.iter().position(|month| month.as_bytes() == name)?;
    let year = digits(bytes, start + 7, 4).filter(|_| is_gap(start + 6))?;
    let ends = matches!(bytes.get(start + 11), Some(b':' | b' '));
    let month = i64::try_from(month).ok()? + 1;
    ends.then(|| (days(year, month, day), start + 12))
}

/// `Nov 27 03:26:16`, `Nov  7 03:26:16`.
fn syslog(bytes: &[u8]) -> Option<(f64, usize)> {
    let name = bytes.get(..3).filter(|_| bytes.get(3) == Some(&b' '))?;
    let month = MONTHS.iter().position(|month| month.as_bytes() == name)?;
    let day = match bytes.get(4)? {
        b' ' => digits(bytes, 5, 1)?,
        _ => digits(bytes, 4, 2)?,
    };
    let (seconds, end) = clock(bytes, 7).filter(|_| bytes[6] == b' ')?;
    let days = days(2000, i64::try_from(month).ok()? + 1, day);
    Some((days as f64 * 86_400.0 + seconds, end))
}

/// Days of the Gregorian calendar since an epoch of no importance.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year
}

/// `HH:MM:SS` with a fraction, or `MM:SS.f`.
fn clock(bytes: &[u8], start: usize) -> Option<(f64, usize)> {
    let first = digits(bytes, start, 2)?;
    let second = (bytes.get(start + 2) == Some(&b':')).then(|| digits(bytes, start + 3, 2))??;
    let third = match bytes.get(start + 5) {
        Some(b':') => digits(bytes, start + 6, 2),
        _ => None,
    };
    let (whole, mut end) = match third {
        Some(third) => (first * 3600 + second * 60 + third, start + 8),
        // Minutes and seconds alone are a time stamp only with a fraction: others are host:port.
        None if bytes.get(start + 5) == Some(&b'.') => (first * 60 + second, start + 5),
        None => return None,
    };
    let mut seconds = whole as f64;
    if matches!(bytes.get(end), Some(b'.' | b',')) {
        let fraction = bytes[end + 1..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .take(9);
        let mut scale = 0.1;
        end += 1;
        for digit in fraction {
            seconds += f64::from(digit - b'0') * scale;
            scale /= 10.0;
            end += 1;
        }
    }
    Some((seconds, end))
}

/// `I1127 03:26:16.123456`.
fn glog(bytes: &[u8], start: usize) -> Option<(f64, usize)> {
    let (month, day) = (digits(bytes, start, 2)?, digits(bytes, start + 2, 2)?);
    if start == 0 || !bytes[start - 1].is_ascii_uppercase() || bytes.get(start + 4) != Some(&b' ') {
        return None;
    }
    let (seconds, end) = clock(bytes, start + 5)?;
    Some((days(2000, month, day) as f64 * 86_400.0 + seconds, end))
}

/// `I0000 00:00:1796082591.870427`: absl before its log is initialised, which writes an epoch for a clock.
fn early(bytes: &[u8], start: usize) -> Option<(f64, usize)> {
    const FRONT: &[u8] = b"0000 00:00:";
    let epoch = bytes[start..].strip_prefix(FRONT)?;
    let is_of_number = |b: &u8| b.is_ascii_digit() || *b == b'.';
    let length = epoch.iter().take_while(|b| is_of_number(b)).count();
    let seconds: f64 = std::str::from_utf8(&epoch[..length]).ok()?.parse().ok()?;
    Some((dated(seconds), start + FRONT.len() + length))
}

/// An epoch in seconds, on the clock of those stamps that bear a date.
fn dated(epoch: f64) -> f64 {
    epoch + days(1970, 1, 1) as f64 * 86_400.0
}

/// `[   2.345]`, `[2.3s]`, `+2.3s`, `t=2.3s`: since the start.
fn relative(bytes: &[u8], start: usize) -> Option<(f64, usize)> {
    let before = &bytes[..start];
    let bracket = before.iter().rev().find(|b| **b != b' ') == Some(&b'[') && start < 12;
    let sign = matches!(before, [] | [.., b'+'] | [b't' | b'T', b'=']) && start <= 3;
    if !bracket && !sign {
        return None;
    }
    let end = start
        + bytes[start..]
            .iter()
            .take_while(|b| b.is_ascii_digit() || **b == b'.')
            .count();
    let value: f64 = std::str::from_utf8(&bytes[start..end]).ok()?.parse().ok()?;
    let has_fraction = bytes[start..end].contains(&b'.');
    let seconds = bytes.get(end) == Some(&b's');
    let closed = bytes.get(end + usize::from(seconds)) == Some(&b']');
    let apart = matches!(
        bytes.get(end + usize::from(seconds)),
        Some(b' ' | b']' | b':')
    );
    // Milliseconds since the start, with the level behind them.
    let behind = bytes
        .get(end..end + 4)
        .filter(|_| start == 0 && !has_fraction);
    if behind == Some(b" ms ") && bytes.get(end + 4).is_some_and(u8::is_ascii_uppercase) {
        return Some((value / 1e3, end + 4));
    }
    let is_epoch = start == 0 && value > 1e9 && has_fraction;
    let is_time = (bracket && closed && has_fraction) || (sign && apart && seconds) || is_epoch;
    let value = if is_epoch { dated(value) } else { value };
    is_time.then_some((value, end + usize::from(seconds) + usize::from(closed)))
}

fn digits(bytes: &[u8], start: usize, count: usize) -> Option<i64> {
    let part = bytes.get(start..start + count)?;
    part.iter()
        .all(u8::is_ascii_digit)
        .then(|| part.iter().fold(0, |n, d| n * 10 + i64::from(d - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(one: &str, two: &str) -> f64 {
        let (one, two) = (stamp(one).expect(one).0, stamp(two).expect(two).0);
        ((two - one) * 1e3).round() / 1e3
    }

    #[test]
    fn differences_are_right_in_every_form() {
        for (one, two, seconds) in [
            (
                "2026-11-27T03:26:16.5Z a",
                "2026-11-27T03:26:18.75Z b",
                2.25,
            ),
            (
                "2026-02-28 23:59:59,500 a",
                "2026-03-01 00:00:00,500 b",
                1.0,
            ),
            (
                "[2026-11-27 03:26:16 +0000] [7] [INFO]",
                "[2026-11-27 03:27:16 +0000] [7] [INFO]",
                60.0,
            ),
            (
                "I1127 03:26:16.100000 1 x.cc:5] a",
                "I1127 03:26:17.350000 1 x.cc:6] b",
                1.25,
            ),
            (
                "INFO 11-27 03:26:16 [a.py:1] a",
                "INFO 11-28 03:26:16 [a.py:2] b",
                86400.0,
            ),
            (
                "I0000 00:00:1796082600.500000 7 a.cc:1] a",
                "2026-11-30 23:50:02,000 b",
                1.5,
            ),
            (
                "V1130 23:51:01.500000 7 torch/a.py:1] a",
                "V1130 23:51:02.500000 7 torch/a.py:2] b",
                1.0,
            ),
            ("[00:01.8] loaded", "[00:02.5] ready", 0.7),
            ("[    2.5] a", "[   12.5] b", 10.0),
            ("[2.5s] a", "[3.0s] b", 0.5),
            ("+1.5s a", "+2.0s b", 0.5),
            ("1758 ms INFO a", "2258 ms INFO b", 0.5),
            ("INFO: 03:26:16 a", "INFO: 03:26:20 b", 4.0),
            (
                "x - - [30/Nov/2026:23:59:58 +0000] \"GET / HTTP/1.1\" 200",
                "x - - [01/Dec/2026:00:00:00 +0000] \"GET / HTTP/1.1\" 200",
                2.0,
            ),
            (
                "Srv 0|2026-11-30 23:57:12 +0000 a",
                "Srv 0 2026-11-30 23:57:15 +0000 b",
                3.0,
            ),
            ("Nov 30 23:59:58 a", "Dec  1 00:00:00 b", 2.0),
        ] {
            assert_eq!(between(one, two), seconds, "{one}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "Listening on 127.0.0.1:8000",
            "99",
            "[7] booting",
            "model 2.5 s",
            "1:2:3",
            "10.0.0.1:80 x",
            "😀2026",
        ] {
            assert_eq!(stamp(text), None, "{text}");
        }
    }
}
