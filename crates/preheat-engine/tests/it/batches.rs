//! What shares a batch with a text must not change its answer, and no batch may panic.

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::sync::OnceLock;

use preheat_engine::{Dtype, Instance, LoadSpec, RunError, TokenBatch, load};
use proptest::prelude::*;

use crate::model::{self, isas_and_dtypes, run};
use crate::tiny::{LAYERS, POSITIONS, Tiny, WORDS};

#[test]
fn an_answer_is_the_same_to_the_bit_in_every_batch() {
    let expected = model::expected();
    // Of very different lengths, more tokens than one group takes.
    let mut sequences = expected.ids.clone();
    for len in [1, 2, 3, 255, 256, 31, 33, 97, 48, 256] {
        sequences.push((0..len).map(|at| 1000 + at * 37 % 20_000).collect());
    }
    for (isa, dtype) in isas_and_dtypes() {
        let spec = LoadSpec {
            isa: Some(isa),
            dtype,
            threads: NonZeroUsize::new(2).unwrap(),
            ..LoadSpec::new(model::dir())
        };
        let mut engine = load(&spec).unwrap().engine.instance().unwrap();
        let together = run(&mut *engine, &sequences);
        sequences.reverse();
        let reversed = run(&mut *engine, &sequences);
        sequences.reverse();
        for (index, ids) in sequences.iter().enumerate() {
            let alone = run(&mut *engine, std::slice::from_ref(ids));
            let row = |rows: &preheat_engine::Matrix, at| bits(rows.iter().nth(at).unwrap());
            assert_eq!(
                bits(&alone.data),
                row(&together, index),
                "{isa}, {dtype:?}, sequence {index}"
            );
            let index = sequences.len() - 1 - index;
            assert_eq!(
                bits(&alone.data),
                row(&reversed, index),
                "{isa}, {dtype:?}, reversed"
            );
        }
    }
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|x| x.to_bits()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any sequences: those that fit give the bits they give alone, the others are refused.
    #[test]
    fn ragged_batches_of_any_composition(
        sequences in prop::collection::vec(
            prop::collection::vec(0..WORDS.len() as u32, 1..=POSITIONS), 0..24),
    ) {
        let mut engine = tiny_engine();
        let together = run(&mut *engine, &sequences);
        prop_assert_eq!(together.rows, sequences.len());
        for (ids, row) in sequences.iter().zip(together.iter()) {
            prop_assert!(row.iter().all(|x| x.is_finite()));
            let alone = run(&mut *engine, std::slice::from_ref(ids));
            prop_assert_eq!(bits(&alone.data), bits(row));
        }
    }

    #[test]
    fn bad_batches_are_refused_and_leave_the_engine_usable(
        before in 0usize..3,
        bad in prop_oneof![
            Just(vec![]),
            prop::collection::vec(0..WORDS.len() as u32, POSITIONS + 1..POSITIONS + 400),
            prop::collection::vec(WORDS.len() as u32.., 1..5),
        ],
    ) {
        let mut engine = tiny_engine();
        let good = vec![2, 5, 6, 3];
        let mut sequences = vec![good.clone(); before];
        sequences.push(bad);
        let batch: TokenBatch = sequences.iter().map(Vec::as_slice).collect();
        match engine.run(&batch) {
            Err(RunError::Input(text)) => {
                prop_assert!(text.contains(&format!("sequence {before} ")), "{}", text);
            }
            other => prop_assert!(false, "{:?}", other),
        }
        prop_assert_eq!(run(&mut *engine, &[good]).rows, 1);
    }
}

#[test]
fn what_nobody_waits_for_is_given_up_at_any_step_and_leaves_the_engine_usable() {
    let mut engine = tiny_engine();
    let sequences = vec![vec![2, 5, 6, 3], vec![2, 7, 3]];
    let whole = run(&mut *engine, &sequences);
    let batch: TokenBatch = sequences.iter().map(Vec::as_slice).collect();
    // It is asked before each half of a layer.
    for patience in 0..=2 * LAYERS {
        let left = Cell::new(patience);
        let is_wanted = || left.replace(left.get().saturating_sub(1)) > 0;
        let outcome = engine.run_while(&batch, &is_wanted);
        match patience < 2 * LAYERS {
            true => assert_eq!(outcome, Err(RunError::Abandoned), "{patience}"),
            false => assert_eq!(outcome.as_ref(), Ok(&whole)),
        }
        assert_eq!(run(&mut *engine, &sequences), whole);
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let dir = Tiny::bert().write();
    let sequences: Vec<Vec<u32>> = (1..40)
        .map(|len| (0..len).map(|at| at % WORDS.len() as u32).collect())
        .collect();
    let answer = |threads: usize, pin: bool, dtype: Dtype| {
        let threads = NonZeroUsize::new(threads).unwrap();
        let spec = LoadSpec {
            threads,
            pin,
            dtype,
            ..LoadSpec::new(dir.path())
        };
        let mut instance = load(&spec).unwrap().engine.instance().unwrap();
        let first = run(&mut *instance, &sequences);
        assert_eq!(run(&mut *instance, &sequences), first);
        first
    };
    for dtype in [Dtype::F32, Dtype::Bf16, Dtype::Int8] {
        let alone = answer(1, false, dtype);
        for threads in [2, 3, 7] {
            assert_eq!(answer(threads, false, dtype), alone);
            assert_eq!(answer(threads, true, dtype), alone);
        }
    }
}

fn tiny_engine() -> Box<dyn Instance> {
    static ENGINE: OnceLock<std::sync::Arc<dyn preheat_engine::Engine>> = OnceLock::new();
    let engine = ENGINE.get_or_init(|| {
        let dir = Tiny::bert().write();
        let threads = NonZeroUsize::new(2).unwrap();
        load(&LoadSpec {
            threads,
            ..LoadSpec::new(dir.path())
        })
        .unwrap()
        .engine
    });
    engine.instance().unwrap()
}

#[test]
fn nothing_in_gives_nothing_out() {
    let answer = tiny_engine().run(&TokenBatch::new()).unwrap();
    assert_eq!((answer.rows, answer.data.len()), (0, 0));
}

#[test]
fn instances_of_one_engine_run_side_by_side() {
    let model = model::loaded();
    let ids = model::encode(model, &["no request ever meets a cold model", "warm"]);
    let expected = run(&mut *model.engine.instance().unwrap(), &ids);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let (ids, expected) = (&ids, &expected);
            scope.spawn(move || {
                let mut instance = model.engine.instance().unwrap();
                for _ in 0..5 {
                    assert_eq!(&run(&mut *instance, ids), expected);
                }
            });
        }
    });
}
