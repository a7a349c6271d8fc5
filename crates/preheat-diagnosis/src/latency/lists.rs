//! What several requests took, one after the other on one line: `latencies ms: [11840, 622, 611]`.

use super::timed::{Sure, is_of_others, sure};

/// Fewer are no list.
const LEAST: usize = 3;

/// So many are kept of one.
const MOST: usize = 64;

/// Between numbers of a row.
const SIGNS: [&str; 7] = ["->", "→", "=>", ">", "/", ",", "|"];

/// A number, and what it is worth in milliseconds if it bears a unit.
type Figure = (f64, Option<f64>);

/// A row of numbers, and where it stands.
#[derive(Default)]
struct Run {
    start: usize,
    end: usize,
    figures: Vec<Figure>,
}

impl Run {
    /// `1 -> 200 6.02 s`: which one it is, its status, and its time.
    fn is_one_answer(&self) -> bool {
        const STATUSES: [f64; 3] = [200.0, 201.0, 202.0];
        let of_status = |(number, unit): &Figure| unit.is_none() && STATUSES.contains(number);
        self.figures.len() == LEAST && self.figures.iter().any(of_status)
    }
}

/// Times that a line lists, from the first on; none if it is about something else, or bears no unit.
pub(crate) fn listed(text: &str, amounts: usize) -> Vec<f64> {
    if amounts < LEAST && !may_list(text) {
        return Vec::new();
    }
    let run = longest(text);
    if !(LEAST..=MOST).contains(&run.figures.len()) || is_of_others(text) || run.is_one_answer() {
        return Vec::new();
    }
    let (before, behind) = (&text[..run.start], &text[run.end..]);
    let is_timed = || {
        ["time", "took", "duration", "elapsed"]
            .iter()
            .any(|word| before.contains(word))
    };
    if sure(before) == Sure::Likely && !is_timed() {
        return Vec::new();
    }
    let own = run.figures.last().and_then(|(_, unit)| *unit);
    let common = own.or_else(|| unit(before)).or_else(|| unit(behind));
    let figures = run.figures.iter();
    let times: Option<Vec<f64>> = figures
        .map(|(number, unit)| Some(number * unit.or(common)?))
        .collect();
    times.unwrap_or_default()
}

/// Whether a line may list numbers, whose unit stands apart from them.
pub(crate) fn may_list(text: &str) -> bool {
    let begins = |word: &&str| word.trim_start_matches(['[', '(']).starts_with(is_digit);
    let mut row = 0;
    text.split(' ').any(|word| {
        row = match begins(&word) {
            true => row + 1 + word.matches([',', '/']).count(),
            false if SIGNS.contains(&word) => row,
            false => 0,
        };
        row >= LEAST
    })
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

fn longest(text: &str) -> Run {
    let (mut best, mut now) = (Run::default(), Run::default());
    let mut at = 0;
    for word in text.split(' ') {
        let start = at;
        at += word.len() + 1;
        let bare = word.trim_matches(|c: char| ",;[]()/|".contains(c));
        if bare.is_empty() || SIGNS.contains(&bare) {
            continue;
        }
        let is_under_way = !now.figures.is_empty();
        if let Some(figures) = figures(bare) {
            if !is_under_way {
                now.start = start;
            }
            now.figures.extend(figures);
            now.end = start + word.len();
        } else if let Some((unit, (_, last))) = worth(bare).zip(now.figures.last_mut()) {
            *last = Some(unit);
        } else if is_under_way {
            best = longer(best, std::mem::take(&mut now));
        }
    }
    longer(best, now)
}

fn longer(one: Run, other: Run) -> Run {
    match other.figures.len() > one.figures.len() {
        true => other,
        false => one,
    }
}

/// `11.84`, `11.84s`, `11840,622,611`.
fn figures(word: &str) -> Option<Vec<Figure>> {
    let one = |part: &str| {
        let end = part.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (number, unit) = part.split_at(end.unwrap_or(part.len()));
        let is_plain = unit.is_empty() || worth(unit).is_some();
        let number = number.parse::<f64>().ok().filter(|_| is_plain);
        number.map(|number| (number, worth(unit)))
    };
    let parts = word.split([',', '/', ';', '→']);
    parts.filter(|part| !part.is_empty()).map(one).collect()
}

/// A unit in milliseconds.
fn worth(word: &str) -> Option<f64> {
    match word {
        "ms" | "milliseconds" | "millis" => Some(1.0),
        "s" | "sec" | "secs" | "seconds" => Some(1e3),
        _ => None,
    }
}

pub(super) fn unit(text: &str) -> Option<f64> {
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .find_map(worth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_a_row_are_read_with_their_unit() {
        for (text, want) in [
            (
                "latencies ms: [11840, 622, 611]",
                &[11840.0, 622.0, 611.0][..],
            ),
            (
                "response times: 4.8s, 140ms, 138ms, 139ms",
                &[4800.0, 140.0, 138.0, 139.0],
            ),
            ("requests 58 61 60 ms", &[58.0, 61.0, 60.0]),
            ("request times (s) 9.1 / 0.2 / 0.2", &[9100.0, 200.0, 200.0]),
            ("calls: 11.8s → 2.4s → 0.6s", &[11800.0, 2400.0, 600.0]),
        ] {
            assert_eq!(listed(text, 0), want, "{text}");
        }
        for text in [
            "warm up runs ms: 3100 40 41",
            "request shape 1 3 512 512",
            "step times: 5.1s 0.2s 0.2s",
            "load average: 0.1, 0.2, 0.3",
            "call 1 -> 200 6.02 s",
        ] {
            assert_eq!(listed(text, 0), [0.0; 0], "{text}");
        }
    }
}
