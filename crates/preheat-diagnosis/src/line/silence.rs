//! How long, or how often, somebody waited in vain.

use super::amount::amounts;
use super::list::List;

/// Words of a time that is over.
static IMPLIED: List = List::new(&[&[
    "deadline",
    "in time",
    "patience",
    "overdue",
    "timed out",
    "exceeded",
    "expired",
    "used up",
    "ran out",
    "elapsed",
    "too long",
    "past its",
    "missed its",
    "timeout reached",
    "timeout expired",
    "no ask left",
    "no try left",
    "no tries left",
    "no attempt",
    "none left",
    "0 left",
    "had its",
    "spent its",
    "time is up",
    "time's up",
    "out of time",
    "no more time",
]]);

/// Whether a line tells it: `for 30s`, `(3)`, `12 of 12`, `3 in a row`, `by 12:00:30`.
pub(super) fn waited(text: &str) -> bool {
    IMPLIED.is_in(text) || !amounts(text).is_empty() || counts(text)
}

/// Tries that are used up.
fn counts(text: &str) -> bool {
    let number = |word: &str| word.parse::<u32>().ok().filter(|number| *number > 1);
    let words: Vec<&str> = text.split([' ', ',', ';']).collect();
    let bare = |word: &str| number(word.trim_matches(['(', ')', '#', 'x', '.', ':']));
    let is_share = |word: &str| {
        let both = word.trim_matches(['(', ')', '[', ']', '.']).split_once('/');
        both.is_some_and(|(one, all)| number(one).is_some() && number(one) == number(all))
    };
    words.iter().any(|word| {
        let is_closed = word.starts_with('(') && word.ends_with(')') && bare(word).is_some();
        is_closed || is_share(word) || is_clock(word)
    }) || words.windows(2).any(|two| {
        let is_named = [
            "times", "tries", "attempts", "checks", "in", "polls", "pings",
        ]
        .contains(&two[1]);
        bare(two[0]).is_some() && is_named
    }) || words.windows(3).any(|three| {
        three[1] == "of" && bare(three[0]).is_some() && bare(three[0]) == bare(three[2])
    })
}

/// `12:00:30`
fn is_clock(word: &str) -> bool {
    let word = word.trim_matches(['(', ')', '.']);
    word.len() == 8
        && word.bytes().enumerate().all(|(at, byte)| match at {
            2 | 5 => byte == b':',
            _ => byte.is_ascii_digit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::text::normal;

    #[test]
    fn somebody_waited_so_long_or_so_often() {
        for (line, has_waited) in [
            ("drone-0 has not hummed for 30s. Killing it.", true),
            ("no reply (3), that's it, recycling svc", true),
            ("12 of 12 start checks used up", true),
            ("alive? no 3/3", true),
            ("silent 4 times, killed", true),
            ("slot 0 missed its check-in (12:00:30), shot", true),
            ("no reply (1)", false),
            ("child 7 is not needed, killing it", false),
            ("1/3 é of of 9", false),
            ("", false),
        ] {
            assert_eq!(waited(&normal(line)), has_waited, "{line}");
        }
    }
}
