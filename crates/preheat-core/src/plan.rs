//! What is run before anyone is served.

use crate::shape::{Buckets, ShapeBucket};

/// One thing to run, and what must come of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    pub name: String,
    pub input: CaseInput,
    pub expect: Expectation,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaseInput {
    Texts(Vec<String>),
    /// So many texts of so many tokens each, special tokens included.
    Generate {
        texts: usize,
        tokens: usize,
    },
}

impl CaseInput {
    #[must_use]
    pub fn rows(&self) -> usize {
        match self {
            CaseInput::Texts(texts) => texts.len(),
            CaseInput::Generate { texts, .. } => *texts,
        }
    }
}

/// What a case's output must look like. Rows are always as many as were put in.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Expectation {
    pub dim: Option<usize>,
    pub golden: Option<Golden>,
}

/// Known answers: one row of numbers for each text, each number within `tolerance`.
#[derive(Debug, Clone, PartialEq)]
pub struct Golden {
    pub rows: Vec<Vec<f32>>,
    pub tolerance: f32,
}

/// What a model and its batcher can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelLimits {
    /// Rows in one batch.
    pub max_batch: usize,
    /// Tokens in one row.
    pub max_tokens: usize,
    /// Tokens in one batch.
    pub max_volume: usize,
    /// Whether the first run of a new shape costs extra.
    pub shape_state: bool,
}

/// Cases in the order in which they run, and what was changed to make them fit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WarmupPlan {
    pub cases: Vec<Case>,
    /// One sentence for each case that exceeded the model's limits.
    pub notes: Vec<String>,
}

/// An engine without per-shape state gains nothing from shapes larger than this many tokens:
/// running them is plain compute, which makes a start longer and no request faster.
const STATELESS_VOLUME: usize = 64;

impl WarmupPlan {
    /// A plan from the model's limits and the batcher's classes: every class when shapes have
    /// state, else the smallest length alone and in small batches, which already passes through all
    /// of the code and memory.
    #[must_use]
    pub fn derive(limits: &ModelLimits, buckets: &Buckets) -> Self {
        let shapes = buckets.all();
        let smallest = shapes.first().copied();
        let mut cases: Vec<_> = match limits.shape_state {
            true => {
                let fitting = shapes.iter().filter(|s| s.volume() <= limits.max_volume);
                fitting.map(|s| derived(*s, s.tokens)).collect()
            }
            false => {
                let few = |s: &&ShapeBucket| {
                    s.volume() <= STATELESS_VOLUME && Some(s.tokens) == smallest.map(|s| s.tokens)
                };
                // Any length of the class stands for it: one as a short text of a user's has.
                let half = |s: &ShapeBucket| derived(*s, s.tokens.div_ceil(2));
                shapes.iter().filter(few).map(half).collect()
            }
        };
        if cases.is_empty() {
            // Even the smallest class exceeds the cap: run that one, else nothing is proven.
            cases.extend(smallest.map(|s| derived(ShapeBucket::new(1, s.tokens), s.tokens)));
        }
        WarmupPlan {
            cases,
            notes: Vec::new(),
        }
    }

    /// A plan that the user gave, made to fit.
    #[must_use]
    pub fn given(cases: Vec<Case>, limits: &ModelLimits) -> Self {
        let mut plan = WarmupPlan::default();
        for mut case in cases {
            plan.notes.extend(clamp(&mut case, limits));
            plan.cases.push(case);
        }
        plan
    }
}

/// A case named after its class.
fn derived(shape: ShapeBucket, tokens: usize) -> Case {
    Case {
        name: shape.to_string(),
        input: CaseInput::Generate {
            texts: shape.batch,
            tokens,
        },
        expect: Expectation::default(),
    }
}

/// Makes a case fit, and says so. Lengths of literal texts are cut by the tokenizer as they would
/// be for a user, so only counts matter for those.
fn clamp(case: &mut Case, limits: &ModelLimits) -> Option<String> {
    let name = &case.name;
    match &mut case.input {
        CaseInput::Texts(texts) if texts.len() > limits.max_batch => {
            let note = format!(
                "case {name}: {} texts cut to {}",
                texts.len(),
                limits.max_batch
            );
            texts.truncate(limits.max_batch);
            if let Some(golden) = &mut case.expect.golden {
                golden.rows.truncate(limits.max_batch);
            }
            Some(note)
        }
        CaseInput::Texts(_) => None,
        CaseInput::Generate { texts, tokens } => {
            let asked = ShapeBucket::new(*texts, *tokens);
            *tokens = (*tokens).clamp(1, limits.max_tokens);
            let fits = (limits.max_volume / *tokens).max(1);
            *texts = (*texts).clamp(1, limits.max_batch.min(fits));
            let got = ShapeBucket::new(*texts, *tokens);
            (got != asked).then(|| format!("case {name}: {asked} clamped to {got}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limits(shape_state: bool) -> ModelLimits {
        ModelLimits {
            max_batch: 32,
            max_tokens: 256,
            max_volume: 2048,
            shape_state,
        }
    }

    fn buckets() -> Buckets {
        Buckets::new(&[1, 4, 16], &[16, 64], 32, 256)
    }

    #[test]
    fn a_stateful_engine_gets_every_class_that_fits_a_batch() {
        let names: Vec<_> = WarmupPlan::derive(&limits(true), &buckets())
            .cases
            .into_iter()
            .map(|c| c.name)
            .collect();
        assert_eq!(
            names,
            [
                "1x16", "1x64", "4x16", "1x256", "4x64", "16x16", "32x16", "4x256", "16x64",
                "32x64"
            ]
        );
    }

    #[test]
    fn a_stateless_engine_gets_the_smallest_length_in_small_batches() {
        let plan = WarmupPlan::derive(&limits(false), &buckets());
        let names: Vec<_> = plan.cases.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["1x16", "4x16"]);
    }

    #[test]
    fn what_exceeds_the_limits_is_cut_and_said() {
        let case = |input| Case {
            name: "big".into(),
            input,
            expect: Expectation::default(),
        };
        let plan = WarmupPlan::given(
            vec![
                case(CaseInput::Generate {
                    texts: 64,
                    tokens: 512,
                }),
                case(CaseInput::Texts(vec!["a".into(); 40])),
                case(CaseInput::Texts(vec!["a".into()])),
            ],
            &limits(true),
        );
        assert_eq!(
            plan.notes,
            [
                "case big: 64x512 clamped to 8x256",
                "case big: 40 texts cut to 32"
            ]
        );
        assert_eq!(
            plan.cases[0].input,
            CaseInput::Generate {
                texts: 8,
                tokens: 256
            }
        );
        assert_eq!(plan.cases[1].input.rows(), 32);
    }

    proptest! {
        #[test]
        fn no_plan_exceeds_the_limits(
            texts in 0usize..100, tokens in 0usize..1000,
            max_batch in 1usize..64, max_tokens in 1usize..600, max_volume in 1usize..9000,
            shape_state: bool,
        ) {
            let limits = ModelLimits { max_batch, max_tokens, max_volume, shape_state };
            let buckets = Buckets::new(&[1, 4, 16, 32], &[16, 64, 128], max_batch, max_tokens);
            let case = Case {
                name: "c".into(),
                input: CaseInput::Generate { texts, tokens },
                expect: Expectation::default(),
            };
            let derived = WarmupPlan::derive(&limits, &buckets);
            prop_assert!(!derived.cases.is_empty());
            for case in WarmupPlan::given(vec![case], &limits).cases.iter().chain(&derived.cases) {
                let CaseInput::Generate { texts, tokens } = case.input else { unreachable!() };
                prop_assert!(texts >= 1 && texts <= max_batch);
                prop_assert!(tokens >= 1 && tokens <= max_tokens);
                prop_assert!(texts == 1 || texts * tokens <= max_volume.max(STATELESS_VOLUME));
            }
        }
    }
}
