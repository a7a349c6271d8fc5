//! Packed weights are shared when they can be believed, and packed anew when not.

use std::fs;
use std::path::{Path, PathBuf};

use preheat_engine::load::ArtefactState;
use preheat_engine::store::{list, verify};
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
    let mut memory = place.files("sha256");
    assert_eq!(memory.len(), 2, "of the weights and of the tokenizer");
    memory.retain(|file| {
        let text = fs::read_to_string(file).unwrap();
        text.contains(sha256.as_deref().unwrap())
    });
    assert_eq!(memory.len(), 1);

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
    // On a full disk, what was written in vain would be part of the trouble.
    assert_eq!(place.files("new"), Vec::<PathBuf>::new());
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
fn what_was_read_once_is_read_again_only_when_the_file_is_another() {
    let place = Place::new();
    let expected = answer(&place.load());
    let seal = |kind: &str| {
        let [file] = &place.files(kind)[..] else {
            panic!("one {kind}")
        };
        (file.clone(), file.with_extension("seal"))
    };
    for kind in ["packed", "tokenizer"] {
        let (file, seal) = seal(kind);
        let sealed = fs::read_to_string(&seal).unwrap();
        // A seal that someone else wrote, of another file or another checksum, is not believed.
        for other in [
            "",
            "nonsense",
            &sealed.replace("inode ", "inode 1"),
            &sealed[..sealed.len() - 2],
        ] {
            fs::write(&seal, other).unwrap();
            assert_eq!(place.load().artefact, ArtefactState::Mapped);
            assert_eq!(fs::read_to_string(&seal).unwrap(), sealed, "{other:?}");
        }
        // Damage behind an intact seal: the file is another one, and is read.
        let mut bytes = fs::read(&file).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        replace(&file, &bytes, true);
        let model = place.load();
        assert_eq!(answer(&model), expected);
        assert_ne!(fs::read(&file).unwrap(), bytes, "it was made again");
    }
}

#[test]
fn the_store_keeps_within_its_size_and_keeps_what_is_in_use() {
    let place = Place::new();
    let in_use = place.load();
    let size = fs::metadata(place.packed()).unwrap().len();
    let limit = 3 * size;
    let load_another = |number: u8| {
        let dir = TempDir::new().unwrap();
        let mut tiny = Tiny::bert();
        let bias = tiny.tensors.get_mut("embeddings.LayerNorm.bias").unwrap();
        bias.data.fill(f32::from(number));
        tiny.write_to(dir.path());
        let model = load(&LoadSpec {
            artefacts: place.spec().artefacts,
            artefacts_limit: limit,
            ..LoadSpec::new(dir.path())
        })
        .unwrap();
        assert_eq!(model.artefact, ArtefactState::Built);
    };
    let first = place.packed();
    for number in 0..6 {
        load_another(number);
        assert!(first.exists(), "it is mapped");
    }
    let found = list(&place.spec().artefacts.unwrap()).unwrap();
    assert!(found.iter().map(|artefact| artefact.bytes).sum::<u64>() <= limit);
    assert!(found.len() >= 2);
    let mapped = found
        .iter()
        .find(|artefact| artefact.path == first)
        .unwrap();
    assert!(mapped.in_use && verify(mapped).unwrap());
    let made_from = mapped.made_from.as_deref().unwrap();
    assert!(
        made_from.contains(in_use.weights.sha256.as_deref().unwrap()),
        "{made_from}"
    );

    drop(in_use);
    load_another(7);
    assert!(!first.exists(), "it was used longest ago");
}

#[test]
fn verification_reads_everything() {
    let place = Place::new();
    place.load();
    let dir = place.spec().artefacts.unwrap();
    for artefact in list(&dir).unwrap() {
        assert!(verify(&artefact).unwrap());
        let mut bytes = fs::read(&artefact.path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        replace(&artefact.path, &bytes, true);
        assert!(!verify(&artefact).unwrap());
    }
    assert_eq!(list(&dir.join("nowhere")).unwrap(), []);
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
