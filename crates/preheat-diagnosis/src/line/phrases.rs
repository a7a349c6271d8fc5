//! Which rules hold for a line: all phrases of all rules are looked for in one pass.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use crate::cause::Cause;
use crate::rules::{self, AND, Beside, Mark, Meaning, Pair};

use super::wording::tells_an_error;

/// A rule that holds for a line, and the place of its first word.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Hit {
    pub(crate) rule: usize,
    pub(crate) means: Meaning,
    pub(crate) confidence: f64,
    pub(crate) at: usize,
    pub(crate) end: usize,
}

impl Hit {
    /// A mark that no phrase of a rule tells, for a whole line.
    pub(crate) fn mark(mark: Mark) -> Self {
        Hit::whole(Meaning::Marks(mark), 1.0)
    }

    /// The same for a cause.
    pub(crate) fn names(cause: Cause, confidence: f64) -> Self {
        Hit::whole(Meaning::Names(cause), confidence)
    }

    pub(crate) fn names_a_cause(&self) -> bool {
        matches!(self.means, Meaning::Names(_))
    }

    fn whole(means: Meaning, confidence: f64) -> Self {
        Hit {
            rule: usize::MAX,
            means,
            confidence,
            at: 0,
            end: 0,
        }
    }
}

/// Between the words of a pair lie at most so many bytes.
const NEAR: usize = 32;

/// Or one name of at most so many: a path, an address.
const NAME: usize = 200;

/// Places of one word that are kept of a line.
const REPEATED: usize = 4;

/// Where a word stands.
#[derive(Clone, Copy)]
struct Place {
    word: usize,
    start: usize,
    end: usize,
    /// A folder is called so, which says nothing of what is done.
    in_path: bool,
}

impl Place {
    fn is_near(&self, other: &Place, text: &str) -> bool {
        let between = |first: &Place, second: &Place| text.get(first.end..second.start);
        let between = between(self, other).or_else(|| between(other, self));
        between.is_some_and(|between| {
            let is_one_name = between.len() <= NAME && between.trim().split(' ').count() == 1;
            between.len() <= NEAR || is_one_name
        })
    }
}

/// The words of a line that rules know: a handful, so they are looked through one by one, once it is
/// known that a word is among them. Most words that rules ask for are not.
struct Places {
    all: Vec<Place>,
    is_there: Vec<bool>,
}

impl Places {
    fn add(&mut self, place: Place) {
        self.is_there[place.word] = true;
        self.all.push(place);
    }

    fn first(&self, word: usize) -> Option<&Place> {
        self.all.iter().find(|place| place.word == word)
    }

    fn has_all(&self, phrase: &[usize]) -> bool {
        phrase.iter().all(|word| self.is_there[*word])
    }

    fn count(&self, word: usize) -> usize {
        match self.is_there[word] {
            true => self.all.iter().filter(|place| place.word == word).count(),
            false => 0,
        }
    }

    fn of<'a>(&'a self, words: &'a [usize]) -> impl Iterator<Item = &'a Place> {
        self.all.iter().filter(|place| words.contains(&place.word))
    }

    fn spoken<'a>(&'a self, words: &'a [usize]) -> impl Iterator<Item = &'a Place> {
        self.of(words).filter(|place| !place.in_path)
    }

    fn pair(&self, [one, other]: &[Vec<usize>; 2], text: &str) -> Option<(usize, usize)> {
        self.spoken(one).find_map(|first| {
            let second = self
                .spoken(other)
                .find(|second| first.is_near(second, text))?;
            Some((first.start.min(second.start), first.end.max(second.end)))
        })
    }
}

/// The words of all phrases, each once.
#[derive(Default)]
struct Words(Vec<&'static str>);

impl Words {
    fn id(&mut self, word: &'static str) -> usize {
        let known = self.0.iter().position(|known| *known == word);
        known.unwrap_or_else(|| {
            self.0.push(word);
            self.0.len() - 1
        })
    }

    fn split(&mut self, phrase: &'static str) -> Vec<usize> {
        phrase.split(AND).map(|word| self.id(word)).collect()
    }

    fn ids(&mut self, words: &[&'static str]) -> Vec<usize> {
        words.iter().map(|word| self.id(word)).collect()
    }
}

struct Compiled {
    means: Meaning,
    confidence: f64,
    says: Vec<Vec<usize>>,
    pairs: Vec<[Vec<usize>; 2]>,
    except: Vec<Vec<usize>>,
    asks_for_an_error: bool,
    /// One of them must be there, if there are any.
    beside: Vec<usize>,
}

pub(crate) struct Phrases {
    words: AhoCorasick,
    /// Rules in which a word is the first of a phrase, or of a pair: without it they do not hold.
    used_by: Vec<Vec<usize>>,
    rules: Vec<Compiled>,
}

impl Phrases {
    pub(crate) fn shared() -> &'static Phrases {
        static SHARED: LazyLock<Phrases> = LazyLock::new(Phrases::compile);
        &SHARED
    }

    fn compile() -> Self {
        let mut words = Words::default();
        let rules: Vec<Compiled> = rules::all()
            .map(|rule| Compiled {
                means: rule.means,
                confidence: rule.confidence,
                says: rule.says.iter().map(|phrase| words.split(phrase)).collect(),
                pairs: rule
                    .pairs
                    .iter()
                    .map(|Pair(one, other)| [words.ids(one), words.ids(other)])
                    .collect(),
                except: rule
                    .except
                    .iter()
                    .map(|phrase| words.split(phrase))
                    .collect(),
                asks_for_an_error: matches!(rule.beside, Beside::Error),
                beside: match rule.beside {
                    Beside::Words(beside) => words.ids(beside),
                    Beside::Anything | Beside::Error => Vec::new(),
                },
            })
            .collect();
        let mut used_by = vec![Vec::new(); words.0.len()];
        for (index, rule) in rules.iter().enumerate() {
            let paired = rule.pairs.iter().flat_map(|pair| &pair[0]);
            let first = rule.says.iter().filter_map(|phrase| phrase.first());
            for word in first.chain(paired) {
                if used_by[*word].last() != Some(&index) {
                    used_by[*word].push(index);
                }
            }
        }
        let words = AhoCorasick::new(words.0).expect("a few hundred short words make an automaton");
        Phrases {
            words,
            used_by,
            rules,
        }
    }

    /// Every rule that holds for a normalised line.
    pub(crate) fn holding(&self, text: &str) -> Vec<Hit> {
        let mut places = Places {
            all: Vec::new(),
            is_there: vec![false; self.used_by.len()],
        };
        let mut candidates: Vec<usize> = Vec::new();
        for found in self.words.find_overlapping_iter(text) {
            let (start, end) = (found.start(), found.end());
            if !begins_a_word(text.as_bytes(), start) {
                continue;
            }
            let word = found.pattern().as_usize();
            match places.count(word) {
                0 => candidates.extend(&self.used_by[word]),
                REPEATED.. => continue,
                _ => {}
            }
            let before = start.checked_sub(1).map(|at| text.as_bytes()[at]);
            places.add(Place {
                word,
                start,
                end,
                in_path: before == Some(b'/'),
            });
        }
        candidates.sort_unstable();
        candidates.dedup();
        candidates
            .into_iter()
            .filter_map(|index| self.hit(index, &places, text))
            .collect()
    }

    fn hit(&self, index: usize, places: &Places, text: &str) -> Option<Hit> {
        let rule = &self.rules[index];
        if rule.except.iter().any(|phrase| places.has_all(phrase)) {
            return None;
        }
        let held = rule.says.iter().filter(|phrase| places.has_all(phrase));
        let said = held.flatten().filter_map(|word| places.first(*word));
        let said = said.map(|place| (place.start, place.end)).min();
        let paired = || {
            rule.pairs
                .iter()
                .filter_map(|pair| places.pair(pair, text))
                .min()
        };
        let (at, end) = said.or_else(paired)?;
        let is_beside = |word: &usize| places.is_there[*word];
        let is_alone = !rule.beside.is_empty() && !rule.beside.iter().any(is_beside);
        if is_alone || (rule.asks_for_an_error && !tells_an_error(text)) {
            return None;
        }
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
