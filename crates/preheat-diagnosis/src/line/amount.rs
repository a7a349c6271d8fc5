//! Durations and counts as people and programs write them into logs.

/// A duration in a normalised text, and where it stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Amount {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) ms: f64,
}

/// More than these on one line are a table, not a statement.
const MOST: usize = 24;

/// Longer than any cold start: what says so is not a duration.
const LONGEST_MS: f64 = 24.0 * 3600.0 * 1e3;

/// Every duration in `text`, from left to right.
pub(crate) fn amounts(text: &str) -> Vec<Amount> {
    let bytes = text.as_bytes();
    let (mut found, mut from) = (Vec::new(), 0);
    while let Some(at) = next_number(bytes, from).filter(|_| found.len() < MOST) {
        match clock(text, at).or_else(|| one(text, at)) {
            Some(amount) => {
                from = amount.end;
                // `at +0.001 s` tells when, and not how long.
                let is_offset = at > 0 && bytes[at - 1] == b'+';
                if !is_offset && amount.ms.is_finite() && amount.ms <= LONGEST_MS {
                    found.push(amount);
                }
            }
            None => from = number_end(bytes, at),
        }
        // `: 9 402 ms`: thousands may stand apart.
        if let Some(last) = found.last_mut()
            && last.end == from
            && let Some((start, thousands)) = thousands_before(text, last.start)
            && text[last.start..].starts_with(|c: char| c.is_ascii_digit())
            && number_end(bytes, last.start) == last.start + 3
            && text[..last.end].ends_with("ms")
        {
            (last.start, last.ms) = (start, last.ms + thousands * 1e3);
        }
    }
    if tells_a_phase(text) {
        found.retain(|amount| !text[..amount.start].ends_with("ms="));
    }
    found
}

/// Whether a line is one of our own phases, whose milliseconds tell since when the process runs.
fn tells_a_phase(text: &str) -> bool {
    const EVENTS: [&str; 2] = ["event=\"phase\"", "event=\"failed\""];
    text.contains("phase=") && EVENTS.iter().any(|event| text.contains(event))
}

/// What a line says beside them.
pub(crate) fn without_amounts(text: &str, amounts: &[Amount]) -> String {
    let ends = std::iter::once(0).chain(amounts.iter().map(|amount| amount.end));
    let starts = amounts
        .iter()
        .map(|amount| amount.start)
        .chain([text.len()]);
    let between = ends
        .zip(starts)
        .filter_map(|(end, start)| text.get(end..start));
    between.collect()
}

/// Thousands that stand behind a sign and apart from the three digits at `at`.
fn thousands_before(text: &str, at: usize) -> Option<(usize, f64)> {
    let before = text[..at].strip_suffix(' ')?;
    let start = before.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let digits = &before[start..];
    let said = text[..start].trim_end();
    // `pages=8 129 ms` counts pages.
    let is_time = || {
        const TIMES: [&str; 7] = [
            "took=",
            "time=",
            "ms=",
            "total=",
            "latency=",
            "duration=",
            "elapsed=",
        ];
        TIMES.iter().any(|name| said.ends_with(name))
    };
    let is_apart = said.ends_with([':', '('])
        || is_time()
        || [" in", " took", " after"]
            .iter()
            .any(|word| said.ends_with(word));
    let is_short = (1..=3).contains(&digits.len());
    (is_apart && is_short).then(|| digits.parse().ok().map(|n: f64| (start, n)))?
}

/// Whole numbers that are no part of a duration, a decimal fraction or a name.
pub(crate) fn integers(text: &str, amounts: &[Amount]) -> Vec<(usize, u64)> {
    let bytes = text.as_bytes();
    let (mut found, mut from) = (Vec::new(), 0);
    while let Some(at) = next_number(bytes, from).filter(|_| found.len() < MOST) {
        let end = number_end(bytes, at);
        let timed = amounts.iter().any(|a| a.start <= at && at < a.end);
        if !timed && let Ok(value) = text[at..end].parse() {
            found.push((at, value));
        }
        from = end;
    }
    found
}

/// Where the next number begins: not within a name, nor behind the point of a version.
fn next_number(bytes: &[u8], from: usize) -> Option<usize> {
    (from..bytes.len()).find(|&at| {
        let before = || bytes[at - 1];
        bytes[at].is_ascii_digit()
            && (at == 0 || !(before().is_ascii_alphanumeric() || before() == b'.'))
    })
}

/// Where the digits end that begin at `at`, with one fraction and groups of thousands.
fn number_end(bytes: &[u8], at: usize) -> usize {
    let (mut end, mut has_fraction) = (at, false);
    while end < bytes.len() {
        let next_is_digit = bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
        match bytes[end] {
            b if b.is_ascii_digit() => {}
            b'.' if next_is_digit && !has_fraction => has_fraction = true,
            b',' if !has_fraction && thousands(bytes, end) => {}
            _ => break,
        }
        end += 1;
    }
    end
}

/// What such digits come to.
fn value(digits: &str) -> f64 {
    let value = match digits.contains(',') {
        true => digits.replace(',', "").parse(),
        false => digits.parse(),
    };
    value.unwrap_or(f64::NAN)
}

/// Whether exactly three digits follow a comma.
fn thousands(bytes: &[u8], comma: usize) -> bool {
    let digits = bytes[comma + 1..].iter().take_while(|b| b.is_ascii_digit());
    digits.count() == 3
}

/// Numbers in words.
pub(crate) const NUMBERS: [&str; 15] = [
    "half a", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "twelve", "fifteen", "twenty", "thirty",
];

const WORTH: [f64; 15] = [
    0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 12.0, 15.0, 20.0, 30.0,
];

/// `two seconds`, as people write who tell what happened.
pub(crate) fn in_words(text: &str) -> impl Iterator<Item = Amount> + '_ {
    const UNITS: [(&str, f64); 2] = [(" second", 1e3), (" minute", 6e4)];
    let units = UNITS.iter().flat_map(|(unit, worth)| {
        text.match_indices(unit)
            .map(move |(at, unit)| (at, at + unit.len(), *worth))
    });
    units.filter_map(|(at, end, worth)| {
        let before = &text[..at];
        let at_number = NUMBERS.iter().position(|word| before.ends_with(word))?;
        let (word, number) = (NUMBERS[at_number], WORTH[at_number]);
        let start = at - word.len();
        let is_whole = !before[..start].ends_with(|c: char| c.is_ascii_alphanumeric());
        is_whole.then_some(Amount {
            start,
            end,
            ms: number * worth,
        })
    })
}

/// `2.3 s`, `1m30s`, `first ms=6.1`, `took 1.82`.
fn one(text: &str, start: usize) -> Option<Amount> {
    let bytes = text.as_bytes();
    let (mut at, mut ms, mut parts) = (start, 0.0, 0);
    while let Some((part, end)) = with_unit(text, at, parts > 0) {
        ms += part;
        parts += 1;
        at = end;
        let next = at + usize::from(bytes.get(at) == Some(&b' '));
        if (part > 0.0 && part < 60_000.0) || !bytes.get(next).is_some_and(u8::is_ascii_digit) {
            break;
        }
        at = next;
    }
    if parts > 0 {
        return Some(Amount { start, end: at, ms });
    }
    let end = number_end(bytes, start);
    let (before, number, after) = (&text[..start], &text[start..end], &text[end..]);
    let told = unit_before(before).or_else(|| bare_seconds(before, number, after));
    let factor = told.or_else(|| bare_millis(text, before, number, after))?;
    Some(Amount {
        start,
        end,
        ms: value(number) * factor,
    })
}

/// A number and the unit behind it, in milliseconds.
fn with_unit(text: &str, at: usize, within: bool) -> Option<(f64, usize)> {
    let bytes = text.as_bytes();
    let end = number_end(bytes, at);
    let unit_at = end + usize::from(bytes.get(end) == Some(&b' '));
    let letters = bytes
        .get(unit_at..)?
        .iter()
        .take_while(|b| b.is_ascii_alphabetic() || **b >= 0x80);
    let unit_end = unit_at + letters.count();
    let unit = text.get(unit_at..unit_end)?;
    // A rate, not a time: 3 s/it; or the name of a field: `name=a-3 ms=12`.
    if matches!(bytes.get(unit_end), Some(b'/' | b'=')) {
        return None;
    }
    let digits_follow = bytes.get(unit_end).is_some_and(u8::is_ascii_digit);
    // `500m` is half a CPU: minutes and hours that short need seconds behind them.
    if matches!(unit, "m" | "h") && (digits_follow || within) {
        let factor = if unit == "m" { 6e4 } else { 3.6e6 };
        return Some((value(&text[at..end]) * factor, unit_end));
    }
    if digits_follow {
        return None;
    }
    Some((value(&text[at..end]) * factor(unit)?, unit_end))
}

fn factor(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" | "nanoseconds" => 1e-6,
        "us" | "µs" | "μs" | "microseconds" | "usec" => 1e-3,
        "ms" | "msec" | "msecs" | "millis" | "millisecond" | "milliseconds" => 1.0,
        "s" | "sec" | "secs" | "second" | "seconds" => 1e3,
        "min" | "mins" | "minute" | "minutes" => 6e4,
        "hour" | "hours" => 3.6e6,
        _ => return None,
    })
}

/// `… ms=`, `… seconds: `: the unit stands before the number.
fn unit_before(before: &str) -> Option<f64> {
    let before = before.trim_end_matches(['"', ' ']);
    let before = before
        .strip_suffix([':', '='])?
        .trim_end_matches(['"', ' ', ')']);
    let word = before.rsplit(|c: char| !c.is_alphanumeric()).next()?;
    factor(word).or_else(|| unit_within(word))
}

/// `durationMs`, `tookSeconds`, `responseTime`: names of fields in one word.
fn unit_within(word: &str) -> Option<f64> {
    let measured = [
        "duration",
        "latency",
        "elapsed",
        "took",
        "responsetime",
        "time",
    ];
    let unit = measured.iter().find_map(|name| word.strip_prefix(name))?;
    match (unit, word) {
        ("", "responsetime") => Some(1.0),
        ("", _) => None,
        _ => factor(unit),
    }
}

/// What stands before a number of seconds that has no unit.
const TOLD: [&str; 10] = [
    "took",
    "elapsed",
    "elapsed time",
    "duration",
    "request time",
    "response time",
    "process time",
    " rt",
    "dur",
    " urt",
];

/// `took 1.82`: what Python's clock prints is in seconds.
fn bare_seconds(before: &str, number: &str, after: &str) -> Option<f64> {
    // A field ends where the next begins; in a sentence, a word behind the number is its unit.
    let after = match before.ends_with('=') {
        true => after,
        false => after.trim_start(),
    };
    let goes_on = after.starts_with(|c: char| c.is_alphanumeric() || c == '%' || c == '/');
    let before = before.trim_end_matches([' ', ':', '=']);
    // Others write milliseconds there.
    let is_short = before.ends_with("latency") && number.parse().is_ok_and(|s: f64| s < 30.0);
    // Nanoseconds, of programs that print what Go counts in.
    if before.ends_with("duration") && number.len() >= 7 && !number.contains('.') && !goes_on {
        return Some(1e-6);
    }
    let is_timed = (before == "t" || before.ends_with(" t")) && number.len() >= 5;
    let told = is_short || is_timed || TOLD.iter().any(|word| before.ends_with(word));
    (told && number.contains('.') && !goes_on).then_some(1e3)
}

/// `duration=8123`: whole numbers, where a proxy tells what it passed on.
fn bare_millis(text: &str, before: &str, number: &str, after: &str) -> Option<f64> {
    const TOLD: [&str; 4] = ["duration=", "upstream service time=", "took=", "elapsed="];
    const PROXIES: [&str; 4] = ["response code", "upstream", "responsecode", "statuscode"];
    let is_field = TOLD.iter().any(|word| before.ends_with(word));
    let is_whole = number.len() <= 7 && number.bytes().all(|byte| byte.is_ascii_digit());
    let goes_on = after.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '%' | '/' | '.'));
    let is_of_proxy = || PROXIES.iter().any(|word| text.contains(word));
    (is_field && is_whole && !goes_on && is_of_proxy()).then_some(1.0)
}

/// `[00:03<` of a progress bar and `0:00:05.12` of Python's time differences.
fn clock(text: &str, start: usize) -> Option<Amount> {
    let bytes = text.as_bytes();
    let mut parts = [""; 3];
    let (mut at, mut count) = (start, 0);
    loop {
        let end = number_end(bytes, at);
        parts[count] = &text[at..end];
        count += 1;
        at = end;
        let more =
            bytes.get(at) == Some(&b':') && bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
        if !more || count == parts.len() {
            break;
        }
        at += 1;
    }
    let bar = start > 0 && bytes[start - 1] == b'[' && bytes.get(at) == Some(&b'<');
    let seconds = match parts[..count] {
        [m, s] if bar && is_clock(m, s) => value(m) * 60.0 + value(s),
        [h, m, s] if bar && is_clock(m, s) && h.len() <= 2 => hours(h, m, s),
        [h, m, s] if h.len() == 1 && m.len() == 2 && s.len() >= 2 => hours(h, m, s),
        // A clock's time of day has no such word before it.
        [h, m, s] if is_clock(h, m) && s.contains('.') && is_spent(&text[..start]) => {
            hours(h, m, s)
        }
        _ => return None,
    };
    Some(Amount {
        start,
        end: at,
        ms: seconds * 1e3,
    })
}

/// `elapsed 00:00:07.812`
fn is_spent(before: &str) -> bool {
    let before = before.trim_end_matches([' ', ':', '=']);
    ["elapsed", "took", "duration", "total"]
        .iter()
        .any(|word| before.ends_with(word))
}

fn is_clock(minutes: &str, seconds: &str) -> bool {
    minutes.len() == 2 && seconds.len() == 2
}

fn hours(hours: &str, minutes: &str, seconds: &str) -> f64 {
    value(hours) * 3600.0 + value(minutes) * 60.0 + value(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> Vec<f64> {
        amounts(&super::super::text::normal(text))
            .iter()
            .map(|a| (a.ms * 1e3).round() / 1e3)
            .collect()
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, want) in [
            ("weights 1.8 s and tokenizer 0.7s", &[1800.0, 700.0][..]),
            (
                "p95 1450 ms against 120ms, was 1,450 ms",
                &[1450.0, 120.0, 1450.0],
            ),
            (
                "took 1m30s, then 2 min, then 1h2m3s",
                &[90_000.0, 120_000.0, 3_723_000.0],
            ),
            (
                "first_ms=6.194 load_time_s: 1.8 \"took_seconds\":2",
                &[6.194, 1800.0, 2000.0],
            ),
            ("took 1.8234", &[1823.4]),
            ("predict 2 code=200 t=0.3326", &[332.6]),
            ("at=0.3326 t=2 t=0.5", &[]),
            ("\"curl\" rt=5.812 uct=0.001, start 1.5", &[5812.0]),
            ("elapsed: 0:00:05.120000", &[5120.0]),
            ("10:00:00.120 elapsed 00:00:07.812", &[7812.0]),
            ("100%|##| 90.9M/90.9M [00:03<00:00, 27.1MB/s]", &[3000.0]),
            ("in 12 seconds.", &[12_000.0]),
            ("340 µs", &[0.34]),
            ("query 1: 9 402 ms", &[9402.0]),
            ("id 1 402 ms", &[402.0]),
            ("took=9 402 ms", &[9402.0]),
            ("pages=8 129 ms", &[129.0]),
            ("comp=mt-ja-3 ms=11701", &[11_701.0]),
            (
                "durationMs=12 tookSeconds: 2 responseTime=88.4",
                &[12.0, 2000.0, 88.4],
            ),
        ] {
            assert_eq!(ms(text), want, "{text}");
        }
    }

    #[test]
    fn numbers_in_words_are_read() {
        let told: Vec<f64> = in_words("two seconds, then half a second, a phone second")
            .map(|a| a.ms)
            .collect();
        assert_eq!(told, [2000.0, 500.0]);
    }

    #[test]
    fn other_numbers_are_none() {
        for text in [
            "cpu: 500m",
            "512 sequences",
            "v1.2.3 s",
            "27.1 s/it",
            "3s/it",
            "a phone secondly",
            "10.0.0.1:8000",
            "age 3d",
            "took 5 steps",
            "batch=32",
            "999999999999 s",
            "s3://b",
        ] {
            assert_eq!(ms(text), [0.0; 0], "{text}");
        }
    }

    #[test]
    fn counts_are_whole_numbers_outside_durations() {
        let text = "sequence length 512 where 128 was warmed, 1.5 s";
        let counts = integers(text, &amounts(text));
        assert_eq!(
            counts.iter().map(|(_, n)| *n).collect::<Vec<_>>(),
            [512, 128]
        );
    }
}
