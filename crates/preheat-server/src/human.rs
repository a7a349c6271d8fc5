//! Times and sizes as people read them: three digits and a unit; ages as kubectl has them.

use std::time::Duration;

/// `0.42 ms`, `84.1 ms`, `2.64 s`, `340 s`.
#[must_use]
pub fn time(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    if ms == 0.0 {
        "0 ms".into()
    } else if ms < 999.5 {
        format!("{} ms", three_digits(ms))
    } else {
        format!("{} s", three_digits(ms / 1e3))
    }
}

/// As [`time`], from milliseconds.
#[must_use]
pub fn millis(ms: f64) -> String {
    time(Duration::try_from_secs_f64(ms / 1e3).unwrap_or_default())
}

/// A time from some beginning on: as [`time`], and in the units of [`age`] where seconds are too many.
#[must_use]
pub fn since(time: Duration) -> String {
    match time.as_secs() {
        ..600 => self::time(time),
        _ => age(time),
    }
}

/// How long ago something was, in the two units that matter, as kubectl has it: `41s`, `5m10s`, `18m`,
/// `3h20m`, `2d4h`, `40d`.
#[must_use]
pub fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        ..120 => format!("{seconds}s"),
        120..600 => pair(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => pair(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => pair(days, "d", hours % 24, "h"),
        _ => format!("{days}d"),
    }
}

fn pair(whole: u64, unit: &str, rest: u64, smaller: &str) -> String {
    match rest {
        0 => format!("{whole}{unit}"),
        rest => format!("{whole}{unit}{rest}{smaller}"),
    }
}

/// `512 B`, `90.9 MB`, `4.29 GB`.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, 0);
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1e3;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} B"),
        _ => format!("{} {}", three_digits(value), UNITS[unit]),
    }
}

fn three_digits(value: f64) -> String {
    let decimals = match value {
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_and_a_unit() {
        for (micros, text) in [
            (0, "0 ms"),
            (4, "0.00 ms"),
            (420, "0.42 ms"),
            (9_996, "10.0 ms"),
            (84_123, "84.1 ms"),
            (999_600, "1.00 s"),
            (2_636_194, "2.64 s"),
            (340_000_000, "340 s"),
        ] {
            assert_eq!(time(Duration::from_micros(micros)), text);
        }
        assert_eq!(
            (millis(9.2), millis(f64::NAN)),
            ("9.20 ms".into(), "0 ms".into())
        );
        for (size, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (999_999, "1.00 MB"),
            (90_868_376, "90.9 MB"),
            (u64::MAX, "18446744 TB"),
        ] {
            assert_eq!(bytes(size), text);
        }
    }

    #[test]
    fn ages_are_told_as_kubectl_does() {
        for (seconds, text) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (310, "5m10s"),
            (1_080, "18m"),
            (10_799, "179m"),
            (12_000, "3h20m"),
            (28_800, "8h"),
            (172_799, "47h"),
            (187_200, "2d4h"),
            (691_200, "8d"),
            (3_456_000, "40d"),
        ] {
            assert_eq!(age(Duration::from_millis(seconds * 1_000 + 999)), text);
        }
    }
}
