//! Lists of words that are looked for in one pass over a line.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

/// Words of one list.
pub(crate) struct List(LazyLock<AhoCorasick, fn() -> AhoCorasick>);

impl List {
    pub(crate) const fn new(build: fn() -> AhoCorasick) -> Self {
        List(LazyLock::new(build))
    }

    /// Whether one of them stands where a word begins.
    pub(crate) fn begins_in(&self, text: &str) -> bool {
        let mut found = self.0.find_overlapping_iter(text);
        found.any(|found| begins(text, found.start()))
    }

    /// Whether one of them stands anywhere.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// Where those begin and end that stand where a word begins.
    pub(crate) fn places(&self, text: &str) -> Vec<(usize, usize)> {
        let found = self.0.find_overlapping_iter(text);
        let own = found.filter(|found| begins(text, found.start()));
        own.map(|found| (found.start(), found.end())).collect()
    }

    /// Where the last one of them begins.
    pub(crate) fn last(&self, text: &str) -> Option<usize> {
        let found = self.0.find_overlapping_iter(text);
        found.map(|found| found.start()).max()
    }
}

/// An automaton of a few words, in whatever case.
pub(crate) fn automaton(words: &[&str]) -> AhoCorasick {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build(words)
        .expect("a few words make an automaton")
}

/// Whether a word may begin here.
pub(crate) fn begins(text: &str, at: usize) -> bool {
    !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric())
}
