//! Which rules hold for a line: all phrases of all rules are looked for in one pass.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::rules::{self, AND, Mark, Meaning};

/// A rule that holds for a line, and the place of its first word.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Hit {
    pub(super) rule: usize,
    pub(super) means: Meaning,
    pub(super) confidence: f64,
    pub(super) at: usize,
    pub(super) end: usize,
}

impl Hit {
    /// A mark that no phrase of a rule tells, for a whole line.
    pub(super) fn mark(mark: Mark) -> Self {
        Hit {
            rule: usize::MAX,
            means: Meaning::Marks(mark),
            confidence: 1.0,
            at: 0,
            end: 0,
        }
    }
}

struct Compiled {
    means: Meaning,
    confidence: f64,
    says: Vec<Vec<usize>>,
    except: Vec<Vec<usize>>,
}

pub(super) struct Phrases {
    words: AhoCorasick,
    /// Rules in which a word stands among the phrases.
    used_by: Vec<Vec<usize>>,
    rules: Vec<Compiled>,
}

impl Phrases {
    pub(super) fn shared() -> &'static Phrases {
        static SHARED: LazyLock<Phrases> = LazyLock::new(Phrases::compile);
        &SHARED
    }

    fn compile() -> Self {
        let mut words: Vec<&'static str> = Vec::new();
        let mut split = |phrase: &'static str| -> Vec<usize> {
            let id = |word| {
                let known = words.iter().position(|w| *w == word);
                known.unwrap_or_else(|| {
                    words.push(word);
                    words.len() - 1
                })
            };
            phrase.split(AND).map(id).collect()
        };
        let rules: Vec<Compiled> = rules::all()
            .map(|rule| Compiled {
                means: rule.means,
                confidence: rule.confidence,
                says: rule.says.iter().map(|phrase| split(phrase)).collect(),
                except: rule.except.iter().map(|phrase| split(phrase)).collect(),
            })
            .collect();
        let mut used_by = vec![Vec::new(); words.len()];
        for (index, rule) in rules.iter().enumerate() {
            for word in rule.says.iter().flatten() {
                if used_by[*word].last() != Some(&index) {
                    used_by[*word].push(index);
                }
            }
        }
        let words = AhoCorasick::new(words).expect("a few hundred short words make an automaton");
        Phrases {
            words,
            used_by,
            rules,
        }
    }

    /// Every rule that holds for a normalised line.
    pub(super) fn holding(&self, text: &str) -> Vec<Hit> {
        let mut places: Vec<Option<(usize, usize)>> = Vec::new();
        let mut candidates: Vec<usize> = Vec::new();
        for found in self.words.find_overlapping_iter(text) {
            if !begins_a_word(text.as_bytes(), found.start()) {
                continue;
            }
            if places.is_empty() {
                places = vec![None; self.used_by.len()];
            }
            let word = found.pattern().as_usize();
            if places[word].is_none() {
                places[word] = Some((found.start(), found.end()));
                candidates.extend(&self.used_by[word]);
            }
        }
        candidates.sort_unstable();
        candidates.dedup();
        candidates
            .into_iter()
            .filter_map(|index| self.hit(index, &places))
            .collect()
    }

    fn hit(&self, index: usize, places: &[Option<(usize, usize)>]) -> Option<Hit> {
        let rule = &self.rules[index];
        let all = |phrase: &Vec<usize>| phrase.iter().all(|word| places[*word].is_some());
        if rule.except.iter().any(all) {
            return None;
        }
        let held = rule.says.iter().filter(|phrase| all(phrase));
        let (at, end) = held.flatten().filter_map(|word| places[*word]).min()?;
        let confidence = rule.confidence;
        Some(Hit {
            rule: index,
            means: rule.means,
            confidence,
            at,
            end,
        })
    }
}

fn begins_a_word(text: &[u8], at: usize) -> bool {
    let inside = |b: u8| b.is_ascii_alphanumeric();
    at == 0 || !inside(text[at - 1]) || !inside(text[at])
}
