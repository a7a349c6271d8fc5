//! Lists of words that are looked for in one pass over a line.

use std::sync::OnceLock;

use aho_corasick::AhoCorasick;

/// Words of one list or of several, in whatever case.
pub(crate) struct List {
    words: &'static [&'static [&'static str]],
    automaton: OnceLock<AhoCorasick>,
}

/// Where a word stands, and which one it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    /// Which of the lists it is of.
    pub(crate) list: usize,
    /// Which of its list's words it is.
    pub(crate) word: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl List {
    pub(crate) const fn new(words: &'static [&'static [&'static str]]) -> Self {
        List {
            words,
            automaton: OnceLock::new(),
        }
    }

    /// Whether one of them stands where a word begins.
    pub(crate) fn begins_in(&self, text: &str) -> bool {
        self.all(text).any(|found| begins(text, found.start))
    }

    /// Whether one of them stands by itself.
    pub(crate) fn stands_in(&self, text: &str) -> bool {
        let is_inside =
            |found: &Found| text[found.end..].starts_with(|c: char| c.is_ascii_alphanumeric());
        let mut all = self.all(text);
        all.any(|found| begins(text, found.start) && !is_inside(&found))
    }

    /// Whether one of them stands anywhere.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        self.automaton().is_match(text)
    }

    /// Where those begin and end that stand where a word begins.
    pub(crate) fn places(&self, text: &str) -> Vec<(usize, usize)> {
        let own = self.all(text).filter(|found| begins(text, found.start));
        own.map(|found| (found.start, found.end)).collect()
    }

    /// Where the last one of them begins.
    pub(crate) fn last(&self, text: &str) -> Option<usize> {
        self.all(text).map(|found| found.start).max()
    }

    /// Every one of them, wherever it stands.
    pub(crate) fn all<'a>(&'a self, text: &'a str) -> impl Iterator<Item = Found> + 'a {
        let found = self.automaton().find_overlapping_iter(text);
        found.map(|found| {
            let (mut list, mut word) = (0, found.pattern().as_usize());
            while word >= self.words[list].len() {
                word -= self.words[list].len();
                list += 1;
            }
            Found {
                list,
                word,
                start: found.start(),
                end: found.end(),
            }
        })
    }

    fn automaton(&self) -> &AhoCorasick {
        self.automaton.get_or_init(|| {
            AhoCorasick::builder()
                .ascii_case_insensitive(true)
                .build(self.words.iter().copied().flatten())
                .expect("some hundred words make an automaton")
        })
    }
}

/// Whether a word may begin here.
pub(crate) fn begins(text: &str, at: usize) -> bool {
    !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_with_their_list_and_their_place() {
        static LIST: List = List::new(&[&["load", "model"], &["shop"]]);
        let all: Vec<_> = LIST.all("a Model reloads").collect();
        let told = |found: &Found| (found.list, found.word, found.start, found.end);
        let told: Vec<_> = all.iter().map(told).collect();
        assert_eq!(told, [(0, 1, 2, 7), (0, 0, 10, 14)]);
        assert_eq!(LIST.places("a Model reloads"), [(2, 7)]);
        assert_eq!(LIST.last("a Model reloads"), Some(10));
        assert!(LIST.is_in("workshops") && !LIST.begins_in("workshops"));
        assert!(LIST.begins_in("shops") && !LIST.stands_in("shops") && LIST.stands_in("a shop"));
        assert_eq!(
            LIST.all("shop")
                .next()
                .map(|found| (found.list, found.word)),
            Some((1, 0))
        );
    }
}
