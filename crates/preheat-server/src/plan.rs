//! From a plan to things that can be run: texts for every case.

use preheat_core::{Case, CaseInput, WarmupPlan};
use preheat_engine::Tokenizer;

use crate::model::Loaded;
use crate::settings::ModelSettings;

/// A case with its texts and their tokens.
#[derive(Debug, Clone)]
pub struct Ready {
    pub case: Case,
    pub texts: Vec<String>,
    pub rows: Vec<Vec<u32>>,
}

impl Ready {
    /// At most so many rows of it: what fits into one request of a client.
    #[must_use]
    pub fn cut(&self, rows: usize) -> Self {
        let mut cut = self.clone();
        cut.texts.truncate(rows);
        cut.rows.truncate(rows);
        if let Some(golden) = &mut cut.case.expect.golden {
            golden.rows.truncate(rows);
        }
        cut
    }
}

/// The cases to run, and what was changed to make them fit.
///
/// # Errors
/// When a text of a case cannot be tokenised: the text and why.
pub fn ready(model: &ModelSettings, loaded: &Loaded) -> Result<(Vec<Ready>, Vec<String>), String> {
    let limits = loaded.limits;
    let plan = if model.cases.is_empty() {
        WarmupPlan::derive(&limits, &loaded.buckets)
    } else {
        WarmupPlan::given(model.cases.clone(), &limits)
    };
    let cases = plan
        .cases
        .into_iter()
        .map(|case| {
            let texts = match &case.input {
                CaseInput::Texts(texts) => texts.clone(),
                CaseInput::Generate { texts, tokens } => {
                    generate(&loaded.tokenizer, *texts, *tokens)
                }
            };
            let rows = texts
                .iter()
                .map(|text| {
                    loaded
                        .tokenizer
                        .encode(text)
                        .map_err(|e| format!("case {}: {e}", case.name))
                })
                .collect::<Result<_, _>>()?;
            Ok(Ready { case, texts, rows })
        })
        .collect::<Result<_, String>>()?;
    Ok((cases, plan.notes))
}

/// Words that most vocabularies hold whole, so that one word is one token; mixed, so that a case
/// is not one token repeated.
const WORDS: &[&str] = &[
    "time", "water", "house", "light", "music", "world", "story", "river", "paper", "green",
    "night", "stone", "table", "voice", "south", "field",
];

/// `count` texts of `tokens` tokens each, special tokens included, no two alike as far as the words
/// reach. A vocabulary that splits the words gives longer texts, which are cut as a user's would be.
pub fn generate(tokenizer: &Tokenizer, count: usize, tokens: usize) -> Vec<String> {
    let specials = tokenizer.encode("").map_or(0, |row| row.len());
    let words = tokens.saturating_sub(specials).max(1);
    (0..count)
        .map(|text| {
            let word = |i: usize| WORDS[(text * 5 + i * 7 + i / WORDS.len()) % WORDS.len()];
            (0..words).map(word).collect::<Vec<_>>().join(" ")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_texts_have_as_many_tokens_as_asked_for() {
        let tokenizer = Tokenizer::whitespace(256, 1000);
        // This tokenizer gives an empty text one token, as a model gives it its special ones.
        let texts = generate(&tokenizer, 3, 17);
        assert_eq!(texts.len(), 3);
        assert!(texts.iter().all(|t| t.split(' ').count() == 16));
        assert_ne!(texts[0], texts[1]);
    }
}
