//! Packed weights are shared when they can be believed, and packed anew when not.

use std::fs;
use std::path::{Path, PathBuf};

use preheat_engine::load::ArtefactState;
use preheat_engine::{LoadSpec, LoadedModel, load};
use tempfile::TempDir;

use crate::model::{isas_and_dtypes, run};
use crate::tiny::{Tiny, WORDS};

/// A model and a directory for what is made of it.
struct Place {
    model: TempDir,
    artefacts: TempDir,
}

impl Place {
    fn new() -> Self {
        Place {
            model: Tiny::bert().write(),
            artefacts: TempDir::new().unwrap(),
        }
    }

    fn spec(&self) -> LoadSpec {
        let artefacts = Some(self.artefacts.path().join("made/when/needed"));
        LoadSpec {
            artefacts,
            ..LoadSpec::new(self.model.path())
        }
    }

    fn load(&self) -> LoadedModel {
        load(&self.spec()).unwrap()
    }

    fn files(&self, extension: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.spec().artefacts.unwrap()).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths
            .filter(|path| path.extension().is_some_and(|found| found == extension))
            .collect()
    }

    fn packed(&self) -> PathBuf {
        let files = self.files("packed");
        assert_eq!(files.len(), 1);
        files[0].clone()
    }
}

fn answer(model: &LoadedModel) -> Vec<f32> {
    let ids: Vec<u32> = (0..WORDS.len() as u32).collect();
    run(&mut *model.engine.instance().unwrap(), &[ids, vec![2, 3]]).data
}

/// Puts other bytes where a file is; the way a file comes to be damaged is not this one.
fn replace(path: &Path, bytes: &[u8], readonly: bool) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
    let mut permissions = fs::metadata(path).unwrap().permissions();
    permissions.set_readonly(readonly);
    fs::set_permissions(path, permissions).unwrap();
}

#[test]
fn the_second_load_maps_what_the_first_one_packed() {
    let place = Place::new();
    let private = load(&LoadSpec::new(place.model.path())).unwrap();
    assert_eq!(private.artefact, ArtefactState::Off);
    let first = place.load();
    assert_eq!(first.artefact, ArtefactState::Built);
    assert!(
        fs::metadata(place.packed())
            .unwrap()
            .permissions()
            .readonly()
    );
    let second = place.load();
    assert_eq!(second.artefact, ArtefactState::Mapped);
    assert_eq!(answer(&first), answer(&private));
    assert_eq!(answer(&second), answer(&private));
    assert_eq!(first.weights.sha256, second.weights.sha256);
    assert!(!second.weights.checked, "no one said which digest is right");
}

#[test]
fn a_damaged_artefact_is_replaced() {
    let place = Place::new();
    let expected = answer(&place.load());
    let whole = fs::read(place.packed()).unwrap();
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        bytes
    };
    let foreign = {
        let other = Place::new();
        let mut tiny = Tiny::bert();
        tiny.tensors
            .get_mut("encoder.layer.0.output.dense.bias")
            .unwrap()
            .data
            .fill(0.25);
        tiny.write_to(other.model.path());
        other.load();
        fs::read(other.packed()).unwrap()
    };
    assert_eq!(foreign.len(), whole.len());
    let mut longer = whole.clone();
    longer.extend([0; 64]);
    let last = whole.len() - 1;
    for (what, bytes, readonly) in [
        ("empty", vec![], true),
        ("half of it", whole[..whole.len() / 2].to_vec(), true),
        ("longer", longer, true),
        ("another magic", flipped(0), true),
        ("another checksum", flipped(9), true),
        ("another identity", flipped(40), true),
        ("the first number", flipped(4096), true),
        ("the last number", flipped(last), true),
        ("of another model", foreign, true),
        ("writable", whole.clone(), false),
    ] {
        replace(&place.packed(), &bytes, readonly);
        let model = place.load();
        assert!(
            matches!(model.artefact, ArtefactState::Rebuilt { .. }),
            "{what}"
        );
        assert_eq!(answer(&model), expected, "{what}");
        assert_eq!(fs::read(place.packed()).unwrap(), whole, "{what}");
        assert_eq!(place.load().artefact, ArtefactState::Mapped, "{what}");
    }
}

#[test]
fn whatever_changes_the_numbers_changes_the_artefact() {
    let place = Place::new();
    place.load();
    let ways: Vec<_> = isas_and_dtypes().collect();
    for &(isa, dtype) in &ways {
        load(&LoadSpec {
            isa: Some(isa),
            dtype,
            ..place.spec()
        })
        .unwrap();
    }
    assert_eq!(place.files("packed").len(), ways.len());

    let shorter = load(&LoadSpec {
        max_tokens: Some(9),
        ..place.spec()
    })
    .unwrap();
    assert_eq!(
        shorter.artefact,
        ArtefactState::Mapped,
        "a limit changes no number"
    );

    let before = answer(&place.load());
    let mut tiny = Tiny::bert();
    tiny.tensors
        .get_mut("embeddings.LayerNorm.bias")
        .unwrap()
        .data
        .fill(0.125);
    fs::remove_file(place.model.path().join("model.safetensors")).unwrap();
    tiny.write_to(place.model.path());
    let model = place.load();
    assert_eq!(model.artefact, ArtefactState::Built);
    assert_ne!(answer(&model), before);
    assert_eq!(
        answer(&model),
        answer(&load(&LoadSpec::new(place.model.path())).unwrap())
    );
}

#[test]
fn a_remembered_digest_is_that_of_the_file() {
    let place = Place::new();
    let sha256 = place.load().weights.sha256;
    let memory = place.files("sha256");
    assert_eq!(memory.len(), 1);
    assert!(
        fs::read_to_string(&memory[0])
            .unwrap()
            .contains(sha256.as_deref().unwrap())
    );

    let right = LoadSpec {
        expected_sha256: sha256.clone(),
        ..place.spec()
    };
    assert!(load(&right).unwrap().weights.checked);
    let wrong = LoadSpec {
        expected_sha256: Some("ab".repeat(32)),
        ..place.spec()
    };
    assert_eq!(load(&wrong).unwrap_err().code(), "checksum_wrong");

    for garbage in [
        "",
        "nonsense",
        &"0".repeat(64),
        &format!("device 1 {}", "0".repeat(64)),
    ] {
        replace(&memory[0], garbage.as_bytes(), false);
        assert_eq!(
            place.load().weights.sha256,
            sha256,
            "{garbage:?} is not believed"
        );
    }
}

#[test]
fn a_directory_that_cannot_be_used_costs_sharing_and_nothing_else() {
    let place = Place::new();
    let expected = answer(&place.load());
    let file = place.artefacts.path().join("a file");
    fs::write(&file, "not a directory").unwrap();
    let spec = LoadSpec {
        artefacts: Some(file),
        ..place.spec()
    };
    let model = load(&spec).unwrap();
    assert!(matches!(model.artefact, ArtefactState::Unavailable { .. }));
    assert_eq!(answer(&model), expected);

    // A directory where the file should be: it can neither be mapped nor replaced.
    let packed = place.packed();
    fs::remove_file(&packed).unwrap();
    fs::create_dir(&packed).unwrap();
    let model = place.load();
    assert!(matches!(model.artefact, ArtefactState::Unavailable { .. }));
    assert_eq!(answer(&model), expected);
}

#[test]
fn what_a_crash_left_is_cleared_away() {
    let place = Place::new();
    place.load();
    let packed = place.packed();
    let left = packed.with_extension("new");
    fs::rename(&packed, &left).unwrap();
    assert_eq!(place.load().artefact, ArtefactState::Built);
    assert!(!left.exists());
}

#[test]
fn replicas_that_start_together_pack_once() {
    let place = Place::new();
    let states: Vec<ArtefactState> = std::thread::scope(|scope| {
        let loads: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| place.load().artefact))
            .collect();
        loads.into_iter().map(|load| load.join().unwrap()).collect()
    });
    let built = states
        .iter()
        .filter(|state| **state == ArtefactState::Built)
        .count();
    let mapped = states
        .iter()
        .filter(|state| **state == ArtefactState::Mapped)
        .count();
    assert_eq!((built, mapped), (1, 5), "{states:?}");
}
