//! Texts through ONNX files: the same vectors as the native engine's, and sentence-transformers'.

use std::fs;
use std::path::Path;

use preheat_engine::bake::bake;
use preheat_engine::load::ArtefactState;
use preheat_engine::onnx::{self, LoadedOnnx, OnnxSpec};
use preheat_engine::prepare::ModelSpec;
use preheat_engine::{LoadError, LoadSpec, RunError, Task, TokenBatch, TokenizerForm, load};
use serde_json::json;
use tempfile::TempDir;

use crate::baked::fetched;
use crate::export::{Encoder, export};
use crate::model::{self, cosine, run};
use crate::onnx::library;
use crate::tiny::{HEADS, HIDDEN, LAYERS, Tiny, WORDS};

/// A model's directory with an ONNX file in place of its weights.
fn exported(dir: &Path, encoder: &Encoder) -> TempDir {
    let made = TempDir::new().unwrap();
    for file in [
        "config.json",
        "tokenizer.json",
        "modules.json",
        "sentence_bert_config.json",
    ] {
        if dir.join(file).is_file() {
            fs::copy(dir.join(file), made.path().join(file)).unwrap();
        }
    }
    let pooling = "1_Pooling/config.json";
    fs::create_dir(made.path().join("1_Pooling")).unwrap();
    fs::copy(dir.join(pooling), made.path().join(pooling)).unwrap();
    export(
        &dir.join("model.safetensors"),
        encoder,
        &made.path().join("model.onnx"),
    );
    made
}

pub(crate) fn tiny() -> TempDir {
    let (layers, heads, hidden) = (LAYERS, HEADS, HIDDEN);
    let encoder = Encoder {
        layers,
        heads,
        hidden,
        eps: 1e-12,
    };
    exported(Tiny::bert().write().path(), &encoder)
}

fn opened(dir: &Path, on_library: bool) -> LoadedOnnx {
    onnx::load(&OnnxSpec {
        library: on_library.then(library),
        ..OnnxSpec::new(dir.join("model.onnx"))
    })
    .unwrap()
}

fn real() -> TempDir {
    let encoder = Encoder {
        layers: 6,
        heads: 12,
        hidden: 384,
        eps: 1e-12,
    };
    exported(&model::dir(), &encoder)
}

#[test]
fn the_real_model_gives_the_vectors_of_sentence_transformers() {
    let dir = real();
    let expected = model::expected();
    for on_library in [true, false] {
        let model = opened(dir.path(), on_library);
        let info = model.engine.info();
        assert_eq!(
            (info.signature.task, info.dim, info.max_tokens),
            (Task::Embed, 384, 256)
        );
        assert_eq!(info.pooling, "mean");
        let tokenizer = model.tokenizer.as_ref().unwrap();
        let ids: Vec<Vec<u32>> = expected
            .texts
            .iter()
            .map(|text| tokenizer.encode(text).unwrap())
            .collect();
        assert_eq!(ids, expected.ids);
        let mut engine = model.engine.instance().unwrap();
        let together = run(&mut *engine, &ids);
        for (index, ids) in ids
            .iter()
            .enumerate()
            .step_by(if on_library { 1 } else { 5 })
        {
            let alone = run(&mut *engine, std::slice::from_ref(ids));
            for found in [&alone.data[..], together.iter().nth(index).unwrap()] {
                let cosine = cosine(found, &expected.vectors[index]);
                assert!(cosine >= 0.999_99, "{cosine} on {}", info.name);
            }
        }
    }
}

#[test]
fn every_pooling_is_that_of_the_native_engine() {
    let (layers, heads, hidden) = (LAYERS, HEADS, HIDDEN);
    let encoder = Encoder {
        layers,
        heads,
        hidden,
        eps: 1e-12,
    };
    for pooling in [
        "pooling_mode_mean_tokens",
        "pooling_mode_cls_token",
        "pooling_mode_max_tokens",
    ] {
        let mut tiny = Tiny::bert();
        tiny.pooling = json!({ pooling: true });
        let native = tiny.write();
        let dir = exported(native.path(), &encoder);
        let sequence = |length: u32| (0..length).map(|at| at * 7 % WORDS.len() as u32).collect();
        let texts: Vec<Vec<u32>> = [3, 60, 2, 59, 1, 30].map(sequence).to_vec();
        let native = load(&LoadSpec::new(native.path())).unwrap();
        let wanted = run(&mut *native.engine.instance().unwrap(), &texts);
        for on_library in [true, false] {
            let model = opened(dir.path(), on_library);
            let found = run(&mut *model.engine.instance().unwrap(), &texts);
            assert_eq!((found.rows, found.cols), (wanted.rows, wanted.cols));
            let off = found
                .data
                .iter()
                .zip(&wanted.data)
                .map(|(a, b)| (a - b).abs());
            let off = off.fold(0.0, f32::max);
            assert!(off < 1e-5, "{pooling}: off by {off}");
        }
    }
}

#[test]
fn what_the_model_has_no_numbers_for_is_refused() {
    let dir = tiny();
    let mut engine = opened(dir.path(), true).engine.instance().unwrap();
    for ids in [vec![], vec![WORDS.len() as u32], vec![4; 71]] {
        let batch: TokenBatch = [&ids[..]].into_iter().collect();
        assert!(
            matches!(engine.run(&batch), Err(RunError::Input(_))),
            "{ids:?}"
        );
    }
    assert_eq!(engine.run(&TokenBatch::new()).unwrap().rows, 0);
}

/// Tensors, where the user says so or no tokenizer lies beside the file; no embedding of what is
/// none.
#[test]
fn the_task_is_what_files_and_user_say() {
    let dir = tiny();
    let file = dir.path().join("model.onnx");
    let task = |task, file: &Path| {
        let spec = OnnxSpec {
            task,
            ..OnnxSpec::new(file)
        };
        onnx::load(&spec).map(|model| model.engine.info().signature.task)
    };
    assert_eq!(task(None, &file).unwrap(), Task::Embed);
    assert_eq!(task(Some(Task::Tensors), &file).unwrap(), Task::Tensors);
    fs::remove_file(dir.path().join("config.json")).unwrap();
    assert_eq!(
        task(None, &file).unwrap(),
        Task::Embed,
        "a tokenizer knows its vocabulary"
    );
    fs::remove_file(dir.path().join("tokenizer.json")).unwrap();
    assert_eq!(task(None, &file).unwrap(), Task::Tensors);
    task(Some(Task::Embed), &file).unwrap_err();
    let sound = model::dir().join("../onnx/silero_vad_16k_op15.onnx");
    let error = task(Some(Task::Embed), &sound).unwrap_err();
    assert!(matches!(error, LoadError::Onnx { .. }), "{error}");
}

/// The second load maps what the first one made, a damaged one is made again, and answers are the
/// same to the bit.
#[test]
fn what_the_library_made_is_kept() {
    let (dir, artefacts) = (tiny(), TempDir::new().unwrap());
    let spec = OnnxSpec {
        library: Some(library()),
        artefacts: Some(artefacts.path().to_owned()),
        ..OnnxSpec::new(dir.path().join("model.onnx"))
    };
    let answer = |model: &LoadedOnnx| {
        let mut engine = model.engine.instance().unwrap();
        run(&mut *engine, &[vec![2, 7, 9, 11, 3], vec![2, 3]]).data
    };
    let plain = answer(&opened(dir.path(), true));
    let first = onnx::load(&spec).unwrap();
    assert_eq!(first.artefact, ArtefactState::Built);
    let second = onnx::load(&spec).unwrap();
    assert_eq!(second.artefact, ArtefactState::Mapped);
    let again = [answer(&first), answer(&second), answer(&second)];
    assert!(again.iter().all(|found| *found == plain));

    let kept = || {
        let mut files = fs::read_dir(artefacts.path())
            .unwrap()
            .map(|entry| entry.unwrap().path());
        files
            .find(|path| path.extension().is_some_and(|kind| kind == "session"))
            .unwrap()
    };
    let whole = fs::read(kept()).unwrap();
    for at in [0, 20, 4096, whole.len() / 2, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        let path = kept();
        fs::remove_file(&path).unwrap();
        fs::write(&path, bytes).unwrap();
        let mut permissions = fs::metadata(&path).unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&path, permissions).unwrap();
        let model = onnx::load(&spec).unwrap();
        assert!(
            matches!(model.artefact, ArtefactState::Rebuilt { .. }),
            "byte {at}"
        );
        assert_eq!(answer(&model), plain);
    }
}

/// So large are weights outside of the graph, as kernels read them.
#[test]
fn the_real_model_answers_the_same_from_what_was_kept() {
    let (dir, artefacts) = (real(), TempDir::new().unwrap());
    let spec = OnnxSpec {
        library: Some(library()),
        artefacts: Some(artefacts.path().to_owned()),
        ..OnnxSpec::new(dir.path().join("model.onnx"))
    };
    let ids = model::expected().ids;
    let answer = |model: &LoadedOnnx| run(&mut *model.engine.instance().unwrap(), &ids).data;
    let plain = answer(&opened(dir.path(), true));
    for state in [ArtefactState::Built, ArtefactState::Mapped] {
        let model = onnx::load(&spec).unwrap();
        assert_eq!(model.artefact, state);
        assert!(answer(&model) == plain, "{state:?}");
    }
}

/// What the longest sequence takes is seen once, and taken without it from then on. A note that
/// makes no sense is written again, and no answer depends on one.
#[test]
fn the_memory_of_the_longest_sequence_is_noted() {
    let (dir, artefacts) = (tiny(), TempDir::new().unwrap());
    let spec = OnnxSpec {
        library: Some(library()),
        artefacts: Some(artefacts.path().to_owned()),
        ..OnnxSpec::new(dir.path().join("model.onnx"))
    };
    let model = onnx::load(&spec).unwrap();
    let longest = vec![vec![3; model.engine.info().max_tokens], vec![2, 3]];
    let answer = || run(&mut *model.engine.instance().unwrap(), &longest).data;
    let seen = answer();
    let mut files = fs::read_dir(artefacts.path())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let note = files
        .find(|path| path.extension().is_some_and(|kind| kind == "note"))
        .unwrap();
    let noted = fs::read_to_string(&note).unwrap();
    let (begin, bytes) = noted.trim_end().rsplit_once(' ').unwrap();
    let bytes: usize = bytes.parse().unwrap();
    // Ids of one sequence at least, and no more than a few layers of so small a model.
    assert!((1 << 10..1 << 24).contains(&bytes), "{noted}");
    for (text, is_believed) in [
        (format!("{begin} {}\n", bytes + 4096), true),
        (format!("{begin} {}\n", usize::MAX), false),
        (format!("{begin} many\n"), false),
        (format!("bytes for another run: {bytes}\n"), false),
    ] {
        fs::write(&note, &text).unwrap();
        assert_eq!(answer(), seen, "{text}");
        let left = fs::read_to_string(&note).unwrap();
        assert_eq!(left == text, is_believed, "{text}: {left}");
    }
}

/// A store that cannot be written costs time, and nothing else.
#[test]
fn without_a_place_to_keep_it_the_file_itself_is_opened() {
    let dir = tiny();
    let spec = OnnxSpec {
        library: Some(library()),
        artefacts: Some(dir.path().join("model.onnx/not/a/directory")),
        ..OnnxSpec::new(dir.path().join("model.onnx"))
    };
    let model = onnx::load(&spec).unwrap();
    assert!(matches!(model.artefact, ArtefactState::Unavailable { .. }));
    run(&mut *model.engine.instance().unwrap(), &[vec![2, 3]]);
}

/// It would be waited for, and the start with it.
#[test]
fn a_pipe_in_place_of_a_tokenizer_is_refused() {
    let (dir, artefacts) = (tiny(), TempDir::new().unwrap());
    let pipe = dir.path().join("tokenizer.json");
    fs::remove_file(&pipe).unwrap();
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).unwrap();
    for artefacts in [None, Some(artefacts.path().to_owned())] {
        let spec = OnnxSpec {
            task: Some(Task::Embed),
            artefacts,
            ..OnnxSpec::new(dir.path().join("model.onnx"))
        };
        let error = onnx::load(&spec).unwrap_err();
        assert!(error.to_string().contains("tokenizer.json"), "{error}");
    }
}

/// As exporters write it: the file in a folder of its own, everything else around it.
#[test]
fn the_tokenizer_is_found_around_the_folder_of_an_onnx_file() {
    let dir = tiny();
    let folder = dir.path().join("onnx");
    fs::create_dir(&folder).unwrap();
    let beside = opened(dir.path(), false);
    fs::rename(dir.path().join("model.onnx"), folder.join("model.onnx")).unwrap();
    assert_eq!(onnx::find(dir.path()).unwrap(), folder.join("model.onnx"));
    let around = onnx::load(&OnnxSpec {
        root: dir.path().to_owned(),
        ..OnnxSpec::new(folder.join("model.onnx"))
    });
    let around = around.unwrap();
    let text = "a cold model never meets a request";
    let ids = |model: &LoadedOnnx| model.tokenizer.as_ref().unwrap().encode(text).unwrap();
    assert_eq!(ids(&around), ids(&beside));
    assert_eq!(around.engine.info().pooling, beside.engine.info().pooling);
}

/// What was made of a file in a folder is found again, with the tokenizer around it or without one.
#[test]
fn a_baked_onnx_file_in_a_folder_is_mapped_as_it_is() {
    let (place, model) = (TempDir::new().unwrap(), tiny());
    let folder = model.path().join("fp32/cpu");
    fs::create_dir_all(&folder).unwrap();
    fs::rename(model.path().join("model.onnx"), folder.join("model.onnx")).unwrap();
    for (task, to) in [(None, "texts"), (Some(Task::Tensors), "tensors")] {
        let spec = OnnxSpec {
            task,
            library: Some(library()),
            root: model.path().to_owned(),
            ..OnnxSpec::new(folder.join("model.onnx"))
        };
        let names = [
            "config.json",
            "tokenizer.json",
            "modules.json",
            "1_Pooling/config.json",
            "fp32/cpu/model.onnx",
        ];
        let baked = place.path().join(to);
        bake(
            &fetched(model.path(), &names),
            &ModelSpec::Onnx(spec.clone()),
            &baked,
        )
        .unwrap();
        let again = onnx::load(&OnnxSpec {
            file: baked.join("fp32/cpu/model.onnx"),
            root: baked,
            ..spec
        })
        .unwrap();
        assert_eq!(again.artefact, ArtefactState::Mapped, "{to}");
        let mapped = TokenizerForm::Compiled(ArtefactState::Mapped);
        let form = task.is_none().then_some(mapped);
        assert_eq!(again.tokenizer_form, form, "{to}");
    }
}
