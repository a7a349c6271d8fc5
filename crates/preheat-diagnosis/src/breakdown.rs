//! What the first request's time went into, where its own line takes it apart:
//! `POST /tag 200 in 2.1 s (tokenizer load 1.9 s, forward 0.1 s)`.

use super::line::amount::Amount;
use super::rules::Part;
use super::timeline::named_kind;

/// Shorter parts are no start's.
pub(super) const SHORTEST_MS: f64 = 300.0;

/// Of the whole, so that it is what made the request slow.
const SHARE: f64 = 0.3;

/// Longer words are no name of a figure.
const LONGEST: usize = 48;

/// Words beside which a part is made and not merely used.
const MADE: [(Part, &[&str]); 4] = [
    (
        Part::Kernels,
        &[
            "compil", "jit", "captur", "trac", "tun", "build", "lower", "codegen",
        ],
    ),
    (
        Part::Tokenizer,
        &[
            "load",
            "build",
            "init",
            "read",
            "open",
            "pars",
            "import",
            "construct",
        ],
    ),
    (Part::Context, &["cuda", "device", "gpu", "hip", "driver"]),
    (
        Part::Weights,
        &[
            "load", "read", "open", "init", "build", "deserial", "restore", "mmap", "fetch",
        ],
    ),
];

/// What most of a request's time went into, and how long that took, as its normalised line tells.
pub(super) fn taken_apart(text: &str, amounts: &[Amount]) -> Option<(Part, f64)> {
    let longest = amounts.iter().map(|amount| amount.ms).fold(0.0, f64::max);
    if amounts.len() < 2 || longest < SHORTEST_MS || text.contains("warm") {
        return None;
    }
    let mut from = 0;
    let whole = amounts.iter().position(|amount| amount.ms >= longest)?;
    let told = amounts.iter().enumerate().filter_map(|(index, amount)| {
        let label = text.get(from..amount.start)?;
        from = amount.end;
        let is_part = index != whole && amount.ms >= SHORTEST_MS.max(SHARE * longest);
        is_part.then_some(())?;
        let end = amounts.get(index + 1).map_or(text.len(), |next| next.start);
        let behind = text.get(amount.end..end)?;
        // `1.9 s jit`, and no name of the next figure.
        let behind = behind.split([',', ';', '+', '|', ')', '=']).next();
        let last = label.rsplit([',', ';', '+', '|', '(']).next();
        let part = last.and_then(made).or_else(|| made(behind?))?;
        Some((part, amount.ms))
    });
    told.reduce(|a, b| if b.1 > a.1 { b } else { a })
}

/// Which part of a start is made, as the name of a figure says.
pub(super) fn made(name: &str) -> Option<Part> {
    let name = name.trim();
    let padded = [" ", name].concat();
    let part = named_kind(&padded).filter(|_| name.len() <= LONGEST)?;
    let (_, words) = MADE.iter().find(|(known, _)| *known == part)?;
    words.iter().any(|word| name.contains(word)).then_some(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::amount::amounts;
    use crate::line::text::normal;

    fn told(text: &str) -> Option<Part> {
        let text = normal(text);
        taken_apart(&text, &amounts(&text)).map(|(part, _)| part)
    }

    #[test]
    fn the_longest_part_of_a_request_is_told_by_its_name() {
        for (line, part) in [
            (
                "POST /tag 200 in 2.1 s (tokenizer load 1.9 s, forward 0.1 s)",
                Part::Tokenizer,
            ),
            (
                "POST /tag 200 in 2.1 s (building tokenizer from vocab.txt: 1.9 s)",
                Part::Tokenizer,
            ),
            (
                "POST /tag 200 in 2.1 s (cuda init 1.9 s, forward 0.1 s)",
                Part::Context,
            ),
            ("POST /tag 200 in 2.1 s, of which 1.9 s jit", Part::Kernels),
            (
                "POST /tag 200 total=22.4s model_load=21.9s infer=0.4s",
                Part::Weights,
            ),
            ("req 1: 9.2 s = compile 8.8 s + run 0.4 s", Part::Kernels),
        ] {
            assert_eq!(told(line), Some(part), "{line}");
        }
    }

    #[test]
    fn what_every_request_does_is_no_part_of_a_start() {
        for line in [
            "POST /tag 200 in 2.1 s (model forward 1.9 s, tokenize 0.1 s)",
            "POST /tag 200 in 2.1 s (queue 1.9 s, model load 0.1 s)",
            "POST /tag 200 in 2.1 s",
            "POST /tag 200 in 2.1 s, context of 1.9 s of audio",
            "warm-up 2.1 s (compile 1.9 s)",
        ] {
            assert_eq!(told(line), None, "{line}");
        }
    }
}
