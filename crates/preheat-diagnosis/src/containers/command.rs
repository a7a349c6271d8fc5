//! What a container runs: its program, options and variables.

use super::Container;

impl Container {
    pub(super) fn env(&self, name: &str) -> Option<&str> {
        self.env
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// What follows an option within a variable that holds several.
    pub(super) fn within(&self, variable: &str, option: &str) -> Option<&str> {
        let mut words = self.env(variable)?.split_whitespace();
        let word = words.find(|word| word.starts_with(option))?;
        match word[option.len()..].strip_prefix('=') {
            Some(value) => Some(value),
            None if word == option => words.next(),
            None => None,
        }
    }

    pub(super) fn words(&self) -> impl Iterator<Item = &str> {
        self.command.iter().flat_map(|part| part.split_whitespace())
    }

    pub(super) fn says(&self, word: &str) -> bool {
        self.words().any(|known| known == word)
    }

    /// What follows an option, as its own word or behind `=`.
    pub(super) fn option(&self, name: &str) -> Option<&str> {
        let words: Vec<&str> = self.words().collect();
        let behind = words
            .iter()
            .position(|word| *word == name)
            .and_then(|at| words.get(at + 1).copied());
        behind.or_else(|| {
            words
                .iter()
                .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
        })
    }

    /// Switches and what stands behind each, after `=` or a blank.
    pub(super) fn switches(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let words: Vec<&str> = self.words().collect();
        let next: Vec<Option<&str>> = words
            .iter()
            .copied()
            .skip(1)
            .map(Some)
            .chain([None])
            .collect();
        let pairs = words.into_iter().zip(next);
        let switches = pairs.filter(|(word, _)| word.starts_with('-'));
        switches.map(|(word, next)| match word.split_once('=') {
            Some((switch, value)) => (switch, Some(value)),
            None => (word, next),
        })
    }

    pub(super) fn program(&self) -> String {
        let mut program = self.image.to_ascii_lowercase();
        for part in &self.command {
            program.push(' ');
            program.push_str(&part.to_ascii_lowercase());
        }
        program
    }
}

/// Whether a variable switches something on.
pub(super) fn is_on(value: &str) -> bool {
    matches!(
        value.trim().to_ascii_lowercase().as_str(),
        "1" | "true" | "yes" | "on"
    )
}
