//! Times below a line that says what they are, and in which unit: `TTFT in request order (ms):`, and then
//! `7102.3 43.1 42.0`, or `#0 8.91` and `#1 0.33`.

use super::lists::unit;
use super::timed::{Sure, is_of_others, sure};

/// A head that was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) stream: u32,
    /// What a number below is worth in milliseconds.
    factor: f64,
}

impl Head {
    /// None if a line is no such head.
    pub(super) fn of(text: &str, stream: u32) -> Option<Self> {
        let said = text.strip_suffix(':')?;
        let factor = unit(said).filter(|_| sure(said) > Sure::Likely && !is_of_others(said))?;
        Some(Head { stream, factor })
    }

    /// Times on a line of nothing but numbers, the first of which may count the others.
    pub(super) fn times(&self, text: &str) -> Vec<f64> {
        let signs = [' ', ',', ';', '[', ']', '|', ':', '\t'];
        let words = text.split(signs).filter(|word| !word.is_empty());
        let number = |word: &str| {
            let number = word.trim_start_matches('#').parse::<f64>().ok();
            number.filter(|number| number.is_finite() && *number >= 0.0)
        };
        let numbers: Option<Vec<f64>> = words.map(number).collect();
        let numbers = numbers.unwrap_or_default();
        let from = usize::from(numbers.len() == 2);
        numbers[from..]
            .iter()
            .map(|number| number * self.factor)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::text::normal;

    #[test]
    fn numbers_below_a_head_are_times() {
        let head = |text: &str| Head::of(&normal(text), 1);
        let listed = head("profile.json -> TTFT in request order (ms):").expect("a head");
        assert_eq!(listed.times("7102.3 43.1 42.0"), [7102.3, 43.1, 42.0]);
        let rows = head("one prompt each, seconds:").expect("a head");
        assert_eq!(rows.times("#0  8.91"), [8910.0]);
        assert_eq!(rows.times("0.33"), [330.0]);
        assert_eq!(rows.times("all of them were answered"), [0.0; 0]);
        for text in ["warm-up requests, ms:", "files in order:", "requests (ms)"] {
            assert!(head(text).is_none(), "{text}");
        }
    }
}
