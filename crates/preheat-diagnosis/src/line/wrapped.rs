//! What collectors put in front of a line: who wrote it, and through which pipe it came.

use std::borrow::Cow;

use super::stamp::{leading, stamp};

/// Longest name of a stream, and longest set of labels.
const LONGEST: usize = 512;

/// Time stamps and prefixes that are taken off a line: a collector's, another's, the program's own.
const MOST: usize = 3;

/// A line without what stood in front.
pub(crate) struct Unwrapped<'a> {
    pub(crate) stream: String,
    pub(crate) at: Option<f64>,
    pub(crate) said: Cow<'a, str>,
}

/// Takes off what collectors and loggers put in front of what a program says.
pub(crate) fn unwrap(text: &str) -> Unwrapped<'_> {
    let text = behind_priority(text);
    let (mut name, mut at, mut said) = (String::new(), None, Cow::Borrowed(text));
    for round in 0..MOST {
        let is_first = round == 0;
        let prefix = if is_first { stream } else { behind_time };
        let prefixed = prefix(&said).map(|(stream, rest)| (stream.to_owned(), rest.len()));
        let is_prefixed = prefixed.is_some();
        if let Some((stream, rest)) = prefixed {
            name = if stream.is_empty() { name } else { stream };
            said = last(said, rest);
        }
        let stamped = if is_first {
            stamp(&said)
        } else {
            leading(&said)
        };
        let Some((seconds, start, end)) = stamped else {
            if is_prefixed && round + 1 < MOST {
                continue;
            }
            break;
        };
        at = at.or(Some(seconds));
        said = match start {
            0 => {
                let rest = behind_zone(&said[end..]).len();
                last(said, rest)
            }
            _ => Cow::Owned([&said[..start], &said[end..]].concat()),
        };
    }
    Unwrapped {
        stream: name,
        at,
        said,
    }
}

/// The last so many bytes of a text. Nearly every line is only ever cut at its front.
fn last(text: Cow<'_, str>, length: usize) -> Cow<'_, str> {
    let from = text.len() - length;
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[from..]),
        Cow::Owned(text) => Cow::Owned(text[from..].to_owned()),
    }
}

/// What follows a time zone and the signs around it.
fn behind_zone(text: &str) -> &str {
    let zone = text.trim_start_matches(['+', '-', 'Z']);
    let length = text.len() - zone.len();
    let digits = zone
        .bytes()
        .take_while(|b| b.is_ascii_digit() || *b == b':');
    let rest = match (length, digits.count()) {
        (1, 0) => zone,
        (1, count @ 4..=5) => &zone[count..],
        _ => text,
    };
    rest.trim_start_matches([' ', '\t', '|'])
}

/// Who wrote a line and what was written, where a collector tells it at the very front: as Compose,
/// `kubectl logs --prefix` and `stern` do.
pub(crate) fn stream(text: &str) -> Option<(&str, &str)> {
    bracketed(text)
        .or_else(|| named(text))
        .or_else(|| piped(text))
        .or_else(|| pod(text))
        .or_else(|| behind_time(text))
}

/// The same where a time stamp of the collector's stood before: as Loki, CloudWatch, the journal and
/// container runtimes do.
pub(crate) fn behind_time(text: &str) -> Option<(&str, &str)> {
    labelled(text)
        .or_else(|| task(text))
        .or_else(|| journal(text))
        .or_else(|| syslog(text))
        .or_else(|| runtime(text).map(|rest| ("", rest)))
}

/// `[pod/name/container] text`
fn bracketed(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix("[pod/")?.split_once("] ")
}

/// `[web-0] 10:00:01 text`: a name with a number or of several words, and a time behind it.
fn named(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.strip_prefix('[')?.split_once("] ")?;
    let is_one = name.contains('-') && is_name(name) && !name.starts_with("pool-");
    let is_timed = rest.starts_with(|c: char| c.is_ascii_digit()) && leading(rest).is_some();
    (is_one && is_timed).then_some((name, rest))
}

/// `web-1  | text`
fn piped(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.split_once('|')?;
    let name = name.trim_end();
    let inner = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    let rest = rest.trim_start();
    let counted = inner.is_some() || name.ends_with(|c: char| c.is_ascii_digit());
    let name = inner.unwrap_or(name);
    let is_one = counted || (is_service(name) && is_written(rest));
    (is_one && is_name(name)).then_some((name, rest))
}

/// `blue`, and no level, and no name of a logger.
fn is_service(name: &str) -> bool {
    const LEVELS: [&str; 6] = ["info", "warn", "warning", "error", "debug", "trace"];
    let is_plain = |c: char| c.is_ascii_lowercase() || matches!(c, '-' | '_');
    name.len() > 1 && name.chars().all(is_plain) && !LEVELS.contains(&name)
}

/// Whether a line by itself begins as programs write theirs: with a level or a time, or a bar.
fn is_written(text: &str) -> bool {
    const LEVELS: [&str; 5] = ["INFO", "WARN", "ERROR", "DEBUG", "TRACE"];
    LEVELS.iter().any(|level| text.starts_with(level))
        || text.contains("%|")
        || (text.starts_with(|c: char| c.is_ascii_digit() || c == '[') && leading(text).is_some())
}

/// `{app="a", pod="a-1"} text`
fn labelled(text: &str) -> Option<(&str, &str)> {
    let (labels, rest) = text.strip_prefix('{')?.split_once('}')?;
    let is_set = labels.contains("=\"") && labels.len() <= LONGEST;
    is_set.then(|| (labels, rest.trim_start()))
}

/// `ecs/service/task text`
fn task(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.split_once(' ').filter(|_| text.starts_with("ecs/"))?;
    (name.matches('/').count() == 2).then_some((name, rest))
}

/// `host unit[7]: text`, of which the number stays.
fn journal(text: &str) -> Option<(&str, &str)> {
    let (host, rest) = text.split_once(' ')?;
    // No name has a blank within.
    let first = rest.split(' ').next().filter(|_| is_name(host))?;
    let (unit, behind) = rest.split_at_checked(first.find('[')?)?;
    let behind = &behind[1..];
    let unnumbered = behind.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_numbered = unnumbered.len() < behind.len();
    let said = unnumbered.strip_prefix("]: ").filter(|_| is_numbered)?;
    (is_name(unit) && !said.is_empty()).then(|| (unit, &rest[unit.len()..]))
}

/// `<14>1 2025-01-28T22:10:02Z …`: the priority of a message, and the version of its form.
fn behind_priority(text: &str) -> &str {
    let number = text.strip_prefix('<').and_then(|rest| rest.split_once('>'));
    let rest = number.filter(|(number, _)| number.parse::<u8>().is_ok());
    rest.map_or(text, |(_, rest)| rest.strip_prefix("1 ").unwrap_or(rest))
}

/// `host app 12 - - text`, behind the time of such a message.
fn syslog(text: &str) -> Option<(&str, &str)> {
    // Hardly any line has such a blank, and to tell that is cheaper than to take it apart.
    if !text.contains(" - ") {
        return None;
    }
    let (host, rest) = text.split_once(' ')?;
    let (app, rest) = rest.split_once(' ')?;
    let (process, rest) = rest.split_once(' ')?;
    let is_number = process == "-" || process.bytes().all(|b| b.is_ascii_digit());
    let (_, rest) = rest.split_once(' ').filter(|_| is_number)?;
    let said = rest.strip_prefix("- ")?;
    (is_name(host) && is_name(app)).then_some((app, said))
}

/// `name-7c9d8f6b5-x2x4z container text`
fn pod(text: &str) -> Option<(&str, &str)> {
    let (pod, rest) = text.split_once(' ')?;
    let (container, said) = rest.split_once(' ')?;
    let mut parts = pod.rsplit('-');
    let is_code = |part: Option<&str>, lengths: std::ops::RangeInclusive<usize>| {
        part.is_some_and(|part| {
            let plain = part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
            plain && lengths.contains(&part.len())
        })
    };
    let is_pod =
        is_code(parts.next(), 5..=5) && is_code(parts.next(), 6..=10) && parts.next().is_some();
    (is_pod && is_name(container)).then(|| (pod, said.trim_start()))
}

/// `stdout F text`: container runtimes.
fn runtime(text: &str) -> Option<&str> {
    ["stdout F ", "stderr F ", "stdout P ", "stderr P "]
        .iter()
        .find_map(|pipe| text.strip_prefix(pipe))
}

fn is_name(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collectors_prefix_names_the_stream() {
        for (line, name, rest) in [
            ("web-1  | INFO ready", "web-1", "INFO ready"),
            ("blue | INFO:     ready", "blue", "INFO:     ready"),
            ("blue | 10:00:01.5 | x", "blue", "10:00:01.5 | x"),
            ("[pod/a/b] x", "a/b", "x"),
            (
                "{app=\"a\", pod=\"a-1\"} x y",
                "app=\"a\", pod=\"a-1\"",
                "x y",
            ),
            ("ecs/a/5f1d x y", "ecs/a/5f1d", "x y"),
            ("box asr[2201]: x y", "asr", "[2201]: x y"),
            ("a-b-5d9f8c7b6-h2l4z a x y", "a-b-5d9f8c7b6-h2l4z", "x y"),
            ("stderr F x y", "", "x y"),
            ("ner-0 ner 12 - - w1: x y", "ner", "w1: x y"),
        ] {
            assert_eq!(stream(line), Some((name, rest)), "{line}");
        }
        for line in [
            "Loading: 100%|###| 3/3",
            "model | ready",
            "{\"a\": 1} x",
            "INFO loader[x]: y",
            "cross-encoder model loaded",
            "sentence-transformers model loaded",
        ] {
            assert_eq!(stream(line), None, "{line}");
        }
    }

    #[test]
    fn a_line_within_a_line_is_what_the_program_said() {
        for (line, name, said) in [
            ("2026-11-27T20:00:00.1Z stdout F [boot] x", "", "[boot] x"),
            (
                "<14>1 2025-01-28T22:10:02Z ner-0 ner 12 - - w1: x",
                "ner",
                "w1: x",
            ),
            (
                "Nov 27 17:00:02 box asr[7]: 2026-11-27 17:00:02 INFO x",
                "asr",
                "[7]: 2026-11-27 17:00:02 INFO x",
            ),
            (
                "web-1 | 2026-11-27 17:00:02,001 | INFO | x",
                "web-1",
                "INFO | x",
            ),
            (
                "2026-11-27T06:00:00.1+00:00 ecs/a/b x took 00:01:30",
                "ecs/a/b",
                "x took 00:01:30",
            ),
        ] {
            let of = unwrap(line);
            assert_eq!((of.stream.as_str(), &*of.said), (name, said), "{line}");
        }
    }
}
