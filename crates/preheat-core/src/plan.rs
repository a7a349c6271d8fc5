//! What is run before anyone is served.

use crate::shape::{Buckets, ShapeBucket};
use crate::tensor::{Fill, PlannedTensor, TensorSpec};

/// One thing to run, and what must come of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    pub name: String,
    pub input: CaseInput,
    pub expect: Expectation,
}

#[derive(Debug, Clone, PartialEq)]
pub enum CaseInput {
    Texts(Vec<String>),
    /// So many texts of so many tokens each, special tokens included.
    Generate {
        texts: usize,
        tokens: usize,
    },
    Tensors(Vec<PlannedTensor>),
    /// One encoded image, as a client would send it.
    Image(Vec<u8>),
}

impl CaseInput {
    /// Tensors count by the first dimension of the first of them.
    #[must_use]
    pub fn rows(&self) -> usize {
        match self {
            CaseInput::Texts(texts) => texts.len(),
            CaseInput::Generate { texts, .. } => *texts,
            CaseInput::Tensors(tensors) => {
                let first = tensors.first().and_then(|tensor| tensor.shape.first());
                first.copied().unwrap_or(1)
            }
            CaseInput::Image(_) => 1,
        }
    }
}

/// What a case's output must look like. Rows are always as many as were put in.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Expectation {
    pub dim: Option<usize>,
    pub golden: Option<Golden>,
    /// Shapes of output tensors, by name.
    pub shapes: Vec<(String, Vec<usize>)>,
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
                // Any length of the class stands for it: one as a user's short text has.
                let short = |s: &ShapeBucket| derived(*s, s.tokens.div_ceil(4));
                shapes.iter().filter(few).map(short).collect()
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

    /// A plan for a model of tensors: its declared inputs, once for each edge of the batch classes.
    ///
    /// # Errors
    /// Names the first dimension, besides that of the rows, that is not declared.
    pub fn tensors(inputs: &[TensorSpec], batched: bool, edges: &[usize]) -> Result<Self, String> {
        let edges = if batched { edges } else { &[1] };
        let cases = edges.iter().map(|&rows| {
            let tensors = inputs.iter().map(|spec| planned(spec, batched, rows));
            Ok(Case {
                name: format!("{rows}-row{}", if rows == 1 { "" } else { "s" }),
                input: CaseInput::Tensors(tensors.collect::<Result<_, String>>()?),
                expect: Expectation::default(),
            })
        });
        Ok(WarmupPlan {
            cases: cases.collect::<Result<_, String>>()?,
            notes: Vec::new(),
        })
    }

    /// Adds to each case of tensors the batch sizes that it does not speak of: users ask for them
    /// whether the plan does or not.
    pub fn every_batch(&mut self, edges: &[usize]) {
        let mut known: Vec<_> = self.cases.iter().filter_map(shapes).collect();
        for case in self.cases.clone() {
            let CaseInput::Tensors(tensors) = &case.input else {
                continue;
            };
            for &rows in edges {
                let mut tensors = tensors.clone();
                let firsts = tensors.iter_mut().filter_map(|t| t.shape.first_mut());
                firsts.for_each(|first| *first = rows);
                let more = Case {
                    name: format!("{}@{rows}", case.name),
                    input: CaseInput::Tensors(tensors),
                    expect: Expectation::default(),
                };
                let shapes = shapes(&more).unwrap_or_default();
                if !known.contains(&shapes) {
                    known.push(shapes);
                    self.cases.push(more);
                }
            }
        }
        self.cases.sort_by_key(|case| case.input.rows());
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

fn planned(spec: &TensorSpec, batched: bool, rows: usize) -> Result<PlannedTensor, String> {
    let dim = |(place, dim): (usize, &Option<usize>)| match dim {
        _ if batched && place == 0 => Ok(rows),
        Some(dim) => Ok(*dim),
        None => Err(format!(
            "input '{}' may have any size in dimension {place}",
            spec.name
        )),
    };
    Ok(PlannedTensor {
        name: spec.name.clone(),
        element: Some(spec.element),
        shape: spec
            .shape
            .iter()
            .flatten()
            .enumerate()
            .map(dim)
            .collect::<Result<_, _>>()?,
        fill: Fill::RANDOM,
    })
}

/// What tells one case of tensors from another, as far as warmth goes.
fn shapes(case: &Case) -> Option<Vec<(String, Vec<usize>)>> {
    let CaseInput::Tensors(tensors) = &case.input else {
        return None;
    };
    Some(
        tensors
            .iter()
            .map(|t| (t.name.clone(), t.shape.clone()))
            .collect(),
    )
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
        CaseInput::Texts(_) | CaseInput::Tensors(_) | CaseInput::Image(_) => None,
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

    #[test]
    fn a_model_of_tensors_is_warmed_at_every_batch_size() {
        let spec = |shape| TensorSpec {
            name: "x".into(),
            element: crate::Element::F32,
            shape: Some(shape),
        };
        let plan = WarmupPlan::tensors(&[spec(vec![None, Some(3)])], true, &[1, 4]).unwrap();
        let rows: Vec<_> = plan.cases.iter().map(|c| c.input.rows()).collect();
        assert_eq!(rows, [1, 4]);
        let open = WarmupPlan::tensors(&[spec(vec![None, None])], true, &[1]).unwrap_err();
        assert_eq!(open, "input 'x' may have any size in dimension 1");

        let mut given = WarmupPlan {
            cases: plan.cases[1..].to_vec(),
            notes: Vec::new(),
        };
        given.cases[0].name = "mine".into();
        given.every_batch(&[1, 4, 8]);
        let names: Vec<_> = given.cases.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["mine@1", "mine", "mine@8"]);
        given.every_batch(&[1, 4, 8]);
        assert_eq!(given.cases.len(), 3, "nothing is planned twice");
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
