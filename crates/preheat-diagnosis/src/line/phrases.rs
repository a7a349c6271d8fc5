//! Which rules hold for a line: all phrases of all rules are looked for in one pass.

mod places;

use std::collections::HashMap;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use crate::cause::Cause;
use crate::rules::{self, AND, Beside, Mark, Meaning, Pair, Part, Rule};

use super::wording::tells_an_error;
use places::{LISTED, MARKED, Marked, Place, Places, Span};

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

    /// Whether it says something by itself. Other words only tell of those that do when something happens,
    /// or that it does.
    pub(crate) fn may_matter_alone(&self) -> bool {
        !matches!(
            self.means,
            Meaning::Marks(
                Mark::Action
                    | Mark::AtStart
                    | Mark::AtRequest
                    | Mark::Absent
                    | Mark::Rate
                    | Mark::Another
                    | Mark::Several
                    | Mark::Checks
                    | Mark::MayCheck
                    | Mark::Loads
                    | Mark::AskedDevice
                    | Mark::Traffic
                    | Mark::Uptime
                    | Mark::SparesDevice
                    | Mark::AsksLife
                    | Mark::HealthIsReady
            )
        )
    }

    /// Whether it says something that a closer look does not tell better.
    pub(crate) fn is_more_than_a_look(&self) -> bool {
        !matches!(
            self.means,
            Meaning::Marks(
                Mark::Asked
                    | Mark::Opens
                    | Mark::Meanwhile
                    | Mark::Sends
                    | Mark::Setting
                    | Mark::Needs
                    | Mark::MayWait
                    | Mark::Impatient
                    | Mark::Percent
                    | Mark::MayRefuse
            )
        )
    }

    /// Whether it puts what is done into the start or into a request.
    pub(crate) fn tells_when(&self) -> bool {
        [Mark::AtRequest, Mark::AtStart]
            .map(Meaning::Marks)
            .contains(&self.means)
    }

    pub(crate) fn names_a_cause(&self) -> bool {
        matches!(self.means, Meaning::Names(_))
    }

    pub(crate) fn part(&self) -> Option<Part> {
        match self.means {
            Meaning::Does(part) => Some(part),
            _ => None,
        }
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

/// Places of one word that are kept of a line.
const REPEATED: usize = 4;

/// The words of all phrases, each once, and the lists that ask whether one of theirs is there.
#[derive(Default)]
struct Words {
    all: Vec<&'static str>,
    ids: HashMap<&'static str, usize>,
    lists: Vec<Vec<usize>>,
}

impl Words {
    fn id(&mut self, word: &'static str) -> usize {
        *self.ids.entry(word).or_insert_with(|| {
            self.all.push(word);
            self.all.len() - 1
        })
    }

    fn split(&mut self, phrase: &'static str) -> Vec<usize> {
        phrase.split(AND).map(|word| self.id(word)).collect()
    }

    fn ids(&mut self, words: &[&'static str]) -> Vec<usize> {
        words.iter().map(|word| self.id(word)).collect()
    }

    /// The number of a list, which is the same for the same words.
    fn list(&mut self, words: &[&'static str]) -> usize {
        let ids = self.ids(words);
        let known = self.lists.iter().position(|known| *known == ids);
        known.unwrap_or_else(|| {
            self.lists.push(ids);
            self.lists.len() - 1
        })
    }

    /// Which lists each word is of.
    fn of_words(&self) -> Vec<Vec<usize>> {
        let mut lists = vec![Vec::new(); self.all.len()];
        for (list, words) in self.lists.iter().enumerate() {
            words.iter().for_each(|word| lists[*word].push(list));
        }
        lists
    }
}

struct Compiled {
    means: Meaning,
    confidence: f64,
    /// Which words are of either list, by their number, and the second list.
    pairs: Vec<([Marked; 2], usize)>,
    except: Vec<Vec<usize>>,
    asks_for_an_error: bool,
    /// Lists of which one word must be there.
    beside: Vec<usize>,
}

impl Compiled {
    fn of(rule: &Rule, words: &mut Words) -> Self {
        Compiled {
            means: rule.means,
            confidence: rule.confidence,
            pairs: Vec::new(),
            except: rule
                .except
                .iter()
                .map(|phrase| words.split(phrase))
                .collect(),
            asks_for_an_error: matches!(rule.beside, Beside::Error),
            beside: match rule.beside {
                Beside::Words(beside) => vec![words.list(beside)],
                Beside::All(lists) => lists.iter().map(|list| words.list(list)).collect(),
                Beside::Anything | Beside::Error => Vec::new(),
            },
        }
    }

    /// Whether nothing on the line speaks against it.
    fn stands(&self, places: &Places, text: &str) -> bool {
        self.beside.iter().all(|list| places.has_any(*list))
            && !self.except.iter().any(|phrase| places.has_all(phrase))
            && (!self.asks_for_an_error || tells_an_error(text))
    }
}

/// What a word may begin: phrases of rules, and pairs.
#[derive(Default, Clone)]
struct Begins {
    /// Rules that say no more than the word.
    alone: Vec<usize>,
    phrases: Vec<(usize, Vec<usize>)>,
    pairs: Vec<(usize, usize)>,
    lists: Vec<usize>,
}

pub(crate) struct Phrases {
    words: AhoCorasick,
    begins: Vec<Begins>,
    rules: Vec<Compiled>,
    /// Which words stand at the end of names that people make up: `WhisperTokenizerFast`.
    of_names: Marked,
}

/// Words that say the same inside of a name.
const OF_NAMES: [&str; 2] = ["tokenizer", "tokeniser"];

impl Phrases {
    pub(crate) fn shared() -> &'static Phrases {
        static SHARED: LazyLock<Phrases> = LazyLock::new(Phrases::compile);
        &SHARED
    }

    fn compile() -> Self {
        let mut words = Words::default();
        let mut rules: Vec<Compiled> = rules::all()
            .map(|rule| Compiled::of(rule, &mut words))
            .collect();
        let said: Vec<Vec<Vec<usize>>> = rules::all()
            .map(|rule| rule.says.iter().map(|phrase| words.split(phrase)).collect())
            .collect();
        let paired: Vec<Vec<([Vec<usize>; 2], usize)>> = rules::all()
            .map(|rule| {
                let lists = rule.pairs.iter();
                lists
                    .map(|Pair(one, other)| ([words.ids(one), words.ids(other)], words.list(other)))
                    .collect()
            })
            .collect();
        let count = words.all.len();
        assert!(count <= MARKED * 64, "{count} words, and room for fewer");
        assert!(
            words.lists.len() <= LISTED * 64,
            "there is room for fewer lists"
        );
        let mut begins = vec![Begins::default(); count];
        for (begins, lists) in begins.iter_mut().zip(words.of_words()) {
            begins.lists = lists;
        }
        for (rule, phrases) in said.into_iter().enumerate() {
            for phrase in phrases {
                let begins = &mut begins[phrase[0]];
                match phrase.len() {
                    1 => begins.alone.push(rule),
                    _ => begins.phrases.push((rule, phrase)),
                }
            }
        }
        for (rule, pairs) in paired.into_iter().enumerate() {
            for (index, (pair, other)) in pairs.iter().enumerate() {
                for word in &pair[0] {
                    begins[*word].pairs.push((rule, index));
                }
                rules[rule]
                    .pairs
                    .push((pair.each_ref().map(|list| Marked::of(list)), *other));
            }
        }
        let names = words.all.iter().enumerate();
        let names = names.filter(|(_, word)| OF_NAMES.contains(word));
        let of_names = Marked::of(&names.map(|(word, _)| word).collect::<Vec<_>>());
        let words = AhoCorasick::builder()
            .dense_depth(4)
            .build(words.all)
            .expect("some thousand short words make an automaton");
        Phrases {
            words,
            begins,
            rules,
            of_names,
        }
    }

    /// Whether a word that begins inside of another one says what it says alone. What takes tokens apart is
    /// not what puts them together.
    fn ends_a_name(&self, word: usize, before: &str) -> bool {
        self.of_names.has(word) && !before.ends_with("de")
    }

    /// Every rule that holds for a normalised line.
    pub(crate) fn holding(&self, text: &str) -> Vec<Hit> {
        let mut places = Places {
            all: Vec::new(),
            there: Marked::none(),
            lists: [0; LISTED],
        };
        let mut found_words: Vec<usize> = Vec::new();
        for found in self.words.find_overlapping_iter(text) {
            let (start, end) = (found.start(), found.end());
            let word = found.pattern().as_usize();
            if !begins_a_word(text.as_bytes(), start) && !self.ends_a_name(word, &text[..start]) {
                continue;
            }
            match places.count(word) {
                0 => {
                    found_words.push(word);
                    for list in &self.begins[word].lists {
                        places.lists[list / 64] |= 1 << (list % 64);
                    }
                }
                REPEATED.. => continue,
                _ => {}
            }
            let before = start.checked_sub(1).map(|at| text.as_bytes()[at]);
            places.add(Place {
                word,
                start,
                end,
                in_path: before == Some(b'/') || (before == Some(b'=') && is_named(text, start)),
            });
        }
        if found_words.is_empty() {
            return Vec::new();
        }
        let said = self.said(&found_words, &places);
        let paired = self.paired(&found_words, &places, &said, text);
        let mut hits: Vec<Hit> = said
            .into_iter()
            .chain(paired)
            .filter(|(rule, _)| self.rules[*rule].stands(&places, text))
            .map(|(rule, (at, end))| Hit {
                rule,
                means: self.rules[rule].means,
                confidence: self.rules[rule].confidence,
                at,
                end,
            })
            .collect();
        hits.sort_unstable_by_key(|hit| hit.rule);
        hits
    }

    /// Rules of which a phrase is on the line, and where its first word is.
    fn said(&self, words: &[usize], places: &Places) -> Vec<(usize, Span)> {
        let phrases = words.iter().flat_map(|word| &self.begins[*word].phrases);
        let held = phrases.filter(|(_, phrase)| places.has_all(phrase));
        let alone = words.iter().flat_map(|word| {
            let first = places.first(*word).map(|place| (place.start, place.end));
            let rules = self.begins[*word].alone.iter();
            first
                .into_iter()
                .flat_map(move |first| rules.clone().map(move |rule| (*rule, first)))
        });
        let mut said: Vec<(usize, Span)> = held
            .filter_map(|(rule, phrase)| {
                let words = phrase.iter().filter_map(|word| places.first(*word));
                let first = words.map(|place| (place.start, place.end)).min()?;
                Some((*rule, first))
            })
            .chain(alone)
            .collect();
        first_of_each(&mut said);
        said
    }

    /// Rules of which only a pair is there, and where it is.
    fn paired(
        &self,
        words: &[usize],
        places: &Places,
        said: &[(usize, Span)],
        text: &str,
    ) -> Vec<(usize, Span)> {
        let pairs = words.iter().flat_map(|word| &self.begins[*word].pairs);
        let may_hold =
            |(rule, pair): &(usize, usize)| places.has_any(self.rules[*rule].pairs[*pair].1);
        let mut pairs: Vec<(usize, usize)> = pairs.copied().filter(may_hold).collect();
        pairs.sort_unstable();
        pairs.dedup();
        let is_said = |rule: usize| said.binary_search_by_key(&rule, |(rule, _)| *rule).is_ok();
        let mut paired: Vec<(usize, Span)> = pairs
            .into_iter()
            .filter(|(rule, _)| !is_said(*rule))
            .filter_map(|(rule, pair)| {
                Some((rule, places.pair(&self.rules[rule].pairs[pair].0, text)?))
            })
            .collect();
        first_of_each(&mut paired);
        paired
    }
}

/// The first place for each rule.
fn first_of_each(found: &mut Vec<(usize, Span)>) {
    found.sort_unstable();
    found.dedup_by_key(|(rule, _)| *rule);
}

/// `svc=reranker`: what a service is called.
fn is_named(text: &str, at: usize) -> bool {
    const NAMES: [&str; 8] = [
        "svc=",
        "service=",
        "app=",
        "name=",
        "logger=",
        "component=",
        "container=",
        "job=",
    ];
    NAMES.iter().any(|name| text[..at].ends_with(name))
}

fn begins_a_word(text: &[u8], at: usize) -> bool {
    let inside = |b: u8| b.is_ascii_alphanumeric();
    at == 0 || !inside(text[at - 1]) || !inside(text[at])
}
