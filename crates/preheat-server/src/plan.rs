//! From a plan to things that can be run: texts for every case.

use preheat_core::{Case, CaseInput, Expectation, ShapeBucket, WarmupPlan};
use preheat_engine::picture::drawn;
use preheat_engine::{Batch, Signature, Task, Tokenizer};

use crate::model::Loaded;
use crate::sample::{self, Sample};
use crate::settings::ModelSettings;

/// A case with what is asked for and what runs for it.
#[derive(Debug, Clone)]
pub struct Ready {
    pub case: Case,
    pub sample: Sample,
    /// The tokens of its texts.
    tokens: Vec<Vec<u32>>,
}

impl Ready {
    #[must_use]
    pub fn rows(&self) -> usize {
        self.sample.rows()
    }

    #[must_use]
    pub fn batch(&self) -> Batch {
        sample::batch(&self.sample, &self.tokens)
    }

    /// Whether its rows would show that they were mixed up. One text, or the same one several times,
    /// could be swapped with itself unnoticed; texts of one length never meet padding.
    #[must_use]
    pub fn is_telling(&self) -> bool {
        !matches!(self.case.input, CaseInput::Generate { .. }) && !self.sample.is_alike()
    }

    /// At most so many rows of it: what fits into one request of a client.
    #[must_use]
    pub fn cut(&self, rows: usize) -> Self {
        let mut cut = self.clone();
        cut.sample = self.sample.part(0, rows);
        cut.tokens.truncate(rows);
        if let Some(golden) = &mut cut.case.expect.golden {
            golden.rows.truncate(rows);
        }
        if rows < self.rows() {
            for (_, shape) in &mut cut.case.expect.shapes {
                shape.iter_mut().take(1).for_each(|first| *first = rows);
            }
        }
        cut
    }
}

/// The cases to run, and what was changed to make them fit.
///
/// # Errors
/// When a case cannot be prepared: which, and why.
pub fn ready(model: &ModelSettings, loaded: &Loaded) -> Result<(Vec<Ready>, Vec<String>), String> {
    let plan = plan(model, loaded)?;
    let mut notes = plan.notes;
    let mut cases = Vec::with_capacity(plan.cases.len());
    for (number, case) in plan.cases.into_iter().enumerate() {
        let name = case.name.clone();
        let of_case = |problem| format!("case {name}: {problem}");
        let mut ready = prepared(case, number, loaded).map_err(of_case)?;
        let (rows, most) = (ready.rows(), loaded.limits.max_batch);
        if rows > most {
            notes.push(format!("case {name}: {rows} rows cut to {most}"));
            ready = ready.cut(most);
        }
        cases.push(ready);
    }
    Ok((cases, notes))
}

/// A case for a shape that no plan has.
///
/// # Errors
/// For models of tensors: what is in those, only a plan can know.
pub fn generated(shape: ShapeBucket, loaded: &Loaded) -> Result<Ready, String> {
    let case = Case {
        name: format!("drift {shape}"),
        input: CaseInput::Generate {
            texts: shape.batch,
            tokens: shape.tokens,
        },
        expect: Expectation::default(),
    };
    prepared(case, 0, loaded)
}

fn plan(model: &ModelSettings, loaded: &Loaded) -> Result<WarmupPlan, String> {
    let limits = loaded.limits;
    let given = !model.cases.is_empty();
    let signature = &loaded.info.signature;
    if signature.task.takes_texts() {
        return Ok(match given {
            true => WarmupPlan::given(model.cases.clone(), &limits),
            false => WarmupPlan::derive(&limits, &loaded.buckets),
        });
    }
    let batches = loaded.buckets.batches();
    let mut plan = match given {
        true => WarmupPlan::given(model.cases.clone(), &limits),
        false => WarmupPlan::tensors(&signature.inputs, signature.batched, batches)
            .map_err(|open| format!("{open}: give a warm-up case with its shape"))?,
    };
    if given && signature.batched {
        plan.every_batch(batches);
    }
    let has_image = plan
        .cases
        .iter()
        .any(|case| matches!(case.input, CaseInput::Image(_)));
    if signature.task == Task::Image && !has_image {
        for (name, jpeg) in [("png", false), ("jpeg", true)] {
            plan.cases.push(Case {
                name: name.into(),
                input: CaseInput::Image(drawn(1, jpeg).map_err(|e| e.to_string())?),
                expect: Expectation::default(),
            });
        }
    }
    Ok(plan)
}

fn prepared(case: Case, number: usize, loaded: &Loaded) -> Result<Ready, String> {
    let signature = &loaded.info.signature;
    let sample = match (&case.input, &loaded.tokenizer) {
        (CaseInput::Texts(texts), Some(_)) => of_texts(texts.clone(), signature),
        (CaseInput::Generate { texts, tokens }, Some(tokenizer)) => {
            of_texts(generate(tokenizer, *texts, *tokens), signature)
        }
        (CaseInput::Tensors(planned), None) => Sample::Tensors {
            tensors: sample::tensors(planned, signature, number as u64)?,
            batched: signature.batched,
        },
        (CaseInput::Image(encoded), None) => {
            let pictures = loaded
                .pictures
                .as_ref()
                .ok_or("the model takes no images")?;
            let tensor = pictures
                .reader
                .read(encoded)
                .map_err(|error| error.to_string())?;
            Sample::Image {
                encoded: encoded.clone().into(),
                tensors: vec![tensor],
                softmax: pictures.softmax,
            }
        }
        (CaseInput::Texts(_) | CaseInput::Generate { .. }, None) => {
            return Err("the model takes tensors, not texts".into());
        }
        (CaseInput::Tensors(_) | CaseInput::Image(_), Some(_)) => {
            return Err("the model takes texts".into());
        }
    };
    let tokens = tokens(&sample, loaded)?;
    Ok(Ready {
        case,
        sample,
        tokens,
    })
}

/// The tokens of a sample's texts.
fn tokens(sample: &Sample, loaded: &Loaded) -> Result<Vec<Vec<u32>>, String> {
    match (sample, &loaded.tokenizer) {
        (Sample::Texts(texts) | Sample::Classified { texts, .. }, Some(tokenizer)) => {
            let prompt = tokenizer.prompts().usual();
            let rows = texts.iter().map(|text| match prompt {
                "" => tokenizer.encode(text),
                prompt => tokenizer.encode(&format!("{prompt}{text}")),
            });
            rows.collect::<Result<_, _>>()
                .map_err(|error| error.to_string())
        }
        _ => Ok(Vec::new()),
    }
}

/// What runs on an engine for a sample that is no case.
///
/// # Errors
/// When a text has no tokens: why.
pub fn batch(sample: &Sample, loaded: &Loaded) -> Result<Batch, String> {
    Ok(sample::batch(sample, &tokens(sample, loaded)?))
}

fn of_texts(texts: Vec<String>, signature: &Signature) -> Sample {
    match signature.task {
        Task::Classify => Sample::Classified {
            texts,
            labels: signature.labels.clone(),
        },
        _ => Sample::Texts(texts),
    }
}

/// Texts of our own, no two alike, for a check that must notice when answers are swapped. Each has a
/// word more than the one before, so that an engine which pads has something to pad. Nothing for
/// models of tensors: what is in those, only a plan can know.
#[must_use]
pub fn distinct(loaded: &Loaded, rows: usize) -> Option<Sample> {
    loaded.tokenizer.as_ref()?;
    let texts = (0..rows).map(|row| words(row, row + 1)).collect();
    Some(of_texts(texts, &loaded.info.signature))
}

/// Words that most vocabularies hold whole, so that one word is one token; mixed, so that a case
/// is not one token repeated.
const WORDS: &[&str] = &[
    "time", "water", "house", "light", "music", "world", "story", "river", "paper", "green",
    "night", "stone", "table", "voice", "south", "field",
];

/// `count` texts of `tokens` tokens each, special ones and those of the model's prompt included, no two alike as far as the words
/// reach. A vocabulary that splits the words gives longer texts, which are cut as a user's would be.
pub fn generate(tokenizer: &Tokenizer, count: usize, tokens: usize) -> Vec<String> {
    let specials = tokenizer.encode(tokenizer.prompts().usual());
    let specials = specials.map_or(0, |row| row.len());
    let words = tokens.saturating_sub(specials).max(1);
    (0..count).map(|text| self::words(text, words)).collect()
}

/// So many words; each text begins with another.
fn words(text: usize, count: usize) -> String {
    let word = |i: usize| WORDS[(text * 5 + i * 7 + i / WORDS.len()) % WORDS.len()];
    (0..count).map(word).collect::<Vec<_>>().join(" ")
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
