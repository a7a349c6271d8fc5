//! Sizes of memory on a line, and whether more is needed than there is.

/// So close to a size stands the word that tells what it is.
const NEAR: usize = 36;

/// More than these on one line are a table.
const MOST: usize = 12;

/// What something needs.
const NEEDS: [&str; 28] = [
    "ask for",
    "asks for",
    "need",
    "require",
    "requiring",
    "want",
    "request",
    "asked",
    "allocate",
    "allocation",
    "allocating",
    "attempt",
    "reserve",
    "reserving",
    "takes",
    "weigh",
    "to hold",
    "to fit",
    "must fit",
    "is larger",
    "are larger",
    "estimated",
    "would take",
    "would use",
    "model size",
    "size of model",
    "tensor",
    "minimum",
];

/// What there is.
const THERE: [&str; 16] = [
    "free",
    "available",
    "left",
    "only",
    "has ",
    "have",
    "limit",
    "total",
    "capacity",
    "remain",
    "present",
    "budget",
    "max",
    "offers",
    "of ram",
    "there is",
];

struct Size {
    start: usize,
    end: usize,
    bytes: f64,
}

/// Sizes in a normalised text: `41.3 gib`, `812.00m`, `2147483648 bytes`.
fn sizes(text: &str) -> Vec<Size> {
    let bytes = text.as_bytes();
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() && found.len() < MOST {
        let is_inside = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'.');
        if !bytes[at].is_ascii_digit() || is_inside {
            at += 1;
            continue;
        }
        let length = bytes[at..]
            .iter()
            .take_while(|b| b.is_ascii_digit() || **b == b'.')
            .count();
        let number = text[at..at + length].trim_end_matches('.');
        let behind = &text[at + length..];
        let unit = behind.strip_prefix(' ').unwrap_or(behind);
        let letters = unit.bytes().take_while(u8::is_ascii_alphabetic).count();
        let is_apart = unit.len() < behind.len();
        if let Some((factor, number)) =
            factor(&unit[..letters], is_apart).zip(number.parse::<f64>().ok())
        {
            let end = at + length + usize::from(is_apart) + letters;
            found.push(Size {
                start: at,
                end,
                bytes: number * factor,
            });
        }
        at += length.max(1);
    }
    found
}

fn factor(unit: &str, is_apart: bool) -> Option<f64> {
    Some(match unit {
        "gib" | "gb" | "gbytes" => 1e9,
        "mib" | "mb" | "mbytes" => 1e6,
        "kib" | "kb" => 1e3,
        "tib" | "tb" => 1e12,
        "bytes" | "byte" => 1.0,
        "g" if !is_apart => 1e9,
        "m" if !is_apart => 1e6,
        "gi" if !is_apart => 1e9,
        "mi" if !is_apart => 1e6,
        _ => return None,
    })
}

/// What stands between two sizes, parted into what belongs to the first and to the second.
fn parted(between: &str) -> (&str, &str) {
    let sign = between.find([',', ';', '.', '(', ')', '"', '|', ':', '=']);
    let at = sign.or_else(|| between.match_indices(' ').nth(2).map(|(at, _)| at));
    between.split_at(at.unwrap_or(between.len()))
}

/// Whether somebody needs more memory than there is, by the figures of a line.
pub(super) fn does_not_fit(text: &str) -> bool {
    let sizes = sizes(text);
    // What stands in front of a size, and behind it: a sentence's sign parts two neighbours.
    let around = |index: usize| {
        let size = &sizes[index];
        let before = match index.checked_sub(1) {
            Some(last) => parted(&text[sizes[last].end..size.start]).1,
            None => &text[..size.start],
        };
        let behind = match sizes.get(index + 1) {
            Some(next) => parted(&text[size.end..next.start]).0,
            None => &text[size.end..],
        };
        let from = before.ceil_char_boundary(before.len().saturating_sub(NEAR));
        (&before[from..], &behind[..behind.floor_char_boundary(NEAR)])
    };
    let is = |index: usize, words: &[&str]| {
        let (before, behind) = around(index);
        words
            .iter()
            .any(|word| before.contains(word) || behind.contains(word))
    };
    (1..sizes.len()).any(|behind| {
        let one = behind - 1;
        let [first, second] = [&sizes[one], &sizes[behind]];
        let is_more = |one: &Size, other: &Size| one.bytes > other.bytes;
        let named_first = is(one, &NEEDS) && is(behind, &THERE);
        let named_last = is(one, &THERE) && is(behind, &NEEDS);
        match (is_more(first, second), is_more(second, first)) {
            (true, _) => named_first,
            (_, true) => named_last && !named_first,
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::text::normal;

    #[test]
    fn more_is_needed_than_there_is() {
        for line in [
            "tensor blk.31 needs 512 MiB, card has 80 MiB left, stop",
            "model requires more system memory (41.3 GiB) than is available (15.8 GiB)",
            "weights take 26.1 GiB of VRAM, GPU has 22.4 GiB",
            "Attempting to allocate 1.50G. That was not possible. There are 812.00M free.",
            "GPU memory: 4.2 GiB free, the model needs 13.1 GiB",
            "requested=\"41.3 GiB\" available=16970870784 total=\"15.5 GiB\" free=\"13.8 GiB\"",
            "pod limit is 2Gi, tensors need 6.1Gi of memory",
        ] {
            let line = normal(line);
            assert!(does_not_fit(&line), "{line}");
        }
    }

    #[test]
    fn what_fits_or_tells_no_need_is_well() {
        for line in [
            "model needs 6.1 GiB, GPU has 22.4 GiB free",
            "GPU memory: 22.4 GiB free, the model needs 13.1 GiB",
            "memory usage 412 MB of 2.0 GB",
            "allocated 10 GiB, limit 16 GiB",
            "read 26.1 GiB in 4 s, 3.1 GiB/s",
            "é 1g 1g need",
            "",
        ] {
            let line = normal(line);
            assert!(!does_not_fit(&line), "{line}");
        }
    }
}
