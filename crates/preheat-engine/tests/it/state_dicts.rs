//! PyTorch's files give what safetensors give, and run nothing.

use std::fs;
use std::io::Write;
use std::path::Path;

use preheat_engine::load::ArtefactState;
use preheat_engine::{LoadError, LoadSpec, LoadedModel, load};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::model::run;
use crate::tiny::Tiny;

/// How numbers are written, and what PyTorch calls a row of them.
#[derive(Clone, Copy)]
pub(crate) struct Numbers {
    storage: &'static str,
    bytes: fn(f32) -> Vec<u8>,
}

pub(crate) const F32: Numbers = Numbers {
    storage: "FloatStorage",
    bytes: |x| x.to_le_bytes().to_vec(),
};

/// The pickle of a state dict, as PyTorch writes it.
pub(crate) fn pickle(tiny: &Tiny, numbers: Numbers, prefix: &str) -> Vec<u8> {
    let mut out = b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01(".to_vec();
    for (index, (name, values)) in tiny.tensors.iter().enumerate() {
        text(&mut out, &format!("{prefix}{name}"));
        out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut out, "storage");
        out.extend(format!("ctorch\n{}\n", numbers.storage).bytes());
        text(&mut out, &index.to_string());
        text(&mut out, "cpu");
        int(&mut out, values.data.len());
        out.extend(b"tQK\x00(");
        values.shape.iter().for_each(|size| int(&mut out, *size));
        out.extend(b"t(");
        for at in 0..values.shape.len() {
            int(&mut out, values.shape[at + 1..].iter().product());
        }
        out.extend(b"t\x89h\x00)RtR");
    }
    out.extend(b"u}");
    text(&mut out, "_metadata");
    out.extend(b"}sb.");
    out
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'X');
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.bytes());
}

fn int(out: &mut Vec<u8>, number: usize) {
    out.push(b'J');
    out.extend((number as u32).to_le_bytes());
}

pub(crate) fn zipped(tiny: &Tiny, numbers: Numbers, pickle: &[u8]) -> Vec<u8> {
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    zip.start_file("model/data.pkl", stored).unwrap();
    zip.write_all(pickle).unwrap();
    zip.start_file("model/byteorder", stored).unwrap();
    zip.write_all(b"little").unwrap();
    for (index, values) in tiny.tensors.values().enumerate() {
        zip.start_file(format!("model/data/{index}"), stored.with_alignment(64))
            .unwrap();
        let data: Vec<u8> = values
            .data
            .iter()
            .flat_map(|x| (numbers.bytes)(*x))
            .collect();
        zip.write_all(&data).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

pub(crate) fn legacy(tiny: &Tiny, numbers: Numbers, pickle: &[u8]) -> Vec<u8> {
    let mut out =
        b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}(".to_vec();
    text(&mut out, "little_endian");
    out.extend(b"\x88u.");
    out.extend(pickle);
    out.extend(b"\x80\x02](");
    (0..tiny.tensors.len()).for_each(|index| text(&mut out, &index.to_string()));
    out.extend(b"e.");
    for values in tiny.tensors.values() {
        out.extend((values.data.len() as u64).to_le_bytes());
        out.extend(values.data.iter().flat_map(|x| (numbers.bytes)(*x)));
    }
    out
}

/// The model with these bytes in place of its weights.
fn written(tiny: &Tiny, file: &str, bytes: &[u8]) -> TempDir {
    let dir = tiny.write();
    fs::remove_file(dir.path().join("model.safetensors")).unwrap();
    fs::write(dir.path().join(file), bytes).unwrap();
    dir
}

fn answer(model: &LoadedModel) -> Vec<f32> {
    run(
        &mut *model.engine.instance().unwrap(),
        &[vec![2, 5, 6, 3], vec![2, 3]],
    )
    .data
}

fn fault(dir: &Path) -> LoadError {
    load(&LoadSpec::new(dir)).unwrap_err()
}

#[test]
fn state_dicts_of_every_age_give_the_same_answers() {
    let tiny = Tiny::bert();
    let expected = answer(&load(&LoadSpec::new(tiny.write().path())).unwrap());
    let plain = pickle(&tiny, F32, "");
    let prefixed = pickle(&tiny, F32, "bert.");
    let inner = &plain[2..plain.len() - 1];
    let mut wrapped = b"\x80\x02}(".to_vec();
    text(&mut wrapped, "epoch");
    int(&mut wrapped, 3);
    text(&mut wrapped, "state_dict");
    wrapped.extend(inner);
    wrapped.extend(b"u.");
    for (file, pickle) in [
        ("pytorch_model.bin", &plain),
        ("model.pt", &prefixed),
        ("model.pth", &wrapped),
    ] {
        for bytes in [zipped(&tiny, F32, pickle), legacy(&tiny, F32, pickle)] {
            let dir = written(&tiny, file, &bytes);
            let artefacts = TempDir::new().unwrap();
            let spec = LoadSpec {
                artefacts: Some(artefacts.path().to_owned()),
                ..LoadSpec::new(dir.path())
            };
            assert_eq!(answer(&load(&spec).unwrap()), expected, "{file}");
            let again = load(&spec).unwrap();
            assert_eq!(
                (again.artefact.clone(), answer(&again)),
                (ArtefactState::Mapped, expected.clone())
            );
        }
    }
}

#[test]
fn half_numbers_are_read_exactly() {
    let mut tiny = Tiny::bert();
    for values in tiny.tensors.values_mut() {
        // What both kinds of half numbers hold.
        values
            .data
            .iter_mut()
            .for_each(|x| *x = (*x * 64.0).round() / 64.0);
    }
    let expected = answer(&load(&LoadSpec::new(tiny.write().path())).unwrap());
    let half = |x: f32| {
        let bits = x.to_bits();
        let (sign, exponent) = (
            (bits >> 16 & 0x8000) as u16,
            (bits >> 23 & 0xff) as i32 - 112,
        );
        let bits = if x == 0.0 {
            0
        } else {
            (exponent as u16) << 10 | (bits >> 13 & 0x3ff) as u16
        };
        (sign | bits).to_le_bytes().to_vec()
    };
    let brain = |x: f32| ((x.to_bits() >> 16) as u16).to_le_bytes().to_vec();
    for numbers in [
        Numbers {
            storage: "HalfStorage",
            bytes: half,
        },
        Numbers {
            storage: "BFloat16Storage",
            bytes: brain,
        },
    ] {
        let pickle = pickle(&tiny, numbers, "");
        for bytes in [
            zipped(&tiny, numbers, &pickle),
            legacy(&tiny, numbers, &pickle),
        ] {
            let dir = written(&tiny, "pytorch_model.bin", &bytes);
            assert_eq!(answer(&load(&LoadSpec::new(dir.path())).unwrap()), expected);
        }
    }
    let double = Numbers {
        storage: "DoubleStorage",
        bytes: |x| f64::from(x).to_le_bytes().to_vec(),
    };
    let bytes = zipped(&tiny, double, &pickle(&tiny, double, ""));
    let error = fault(written(&tiny, "pytorch_model.bin", &bytes).path());
    assert!(matches!(&error, LoadError::TensorDtype { found, .. } if found == "F64"));
}

#[test]
fn a_pickle_that_wants_to_run_something_is_refused_by_name() {
    let tiny = Tiny::bert();
    let marker = tiny.write().path().join("it-ran");
    let command = format!("touch {}", marker.display());
    let mut system = b"\x80\x02cos\nsystem\n(".to_vec();
    text(&mut system, &command);
    system.extend(b"tR.");
    let mut stacked = b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93(".to_vec();
    text(&mut stacked, "print(1)");
    stacked.extend(b"tR.");
    let mut hidden = pickle(&tiny, F32, "");
    hidden.truncate(hidden.len() - 1);
    hidden.extend(b"0csubprocess\nPopen\n(tR.");
    for (pickle, name) in [
        (&system, "os.system"),
        (&stacked, "builtins.eval"),
        (&hidden, "subprocess.Popen"),
        (&b"\x80\x02ctorch.hub\nload\n.".to_vec(), "torch.hub.load"),
    ] {
        for bytes in [zipped(&tiny, F32, pickle), legacy(&tiny, F32, pickle)] {
            let error = fault(written(&tiny, "pytorch_model.bin", &bytes).path());
            assert!(
                matches!(&error, LoadError::Pickle { name: found, .. } if found == name),
                "{error}"
            );
            assert_eq!(error.code(), "pickle_refused");
            assert!(error.to_string().contains(name) && error.remedy().contains("safetensors"));
        }
    }
    assert!(!marker.exists());
}

#[test]
fn what_does_not_fit_together_is_named() {
    let tiny = Tiny::bert();
    let whole = pickle(&tiny, F32, "");
    let zip = zipped(&tiny, F32, &whole);
    for bytes in [zip, legacy(&tiny, F32, &whole)] {
        for keep in [0, 1, 4, 20, 300, bytes.len() / 2, bytes.len() - 1] {
            let error = fault(written(&tiny, "pytorch_model.bin", &bytes[..keep]).path());
            assert!(
                matches!(&error, LoadError::StateDict { .. }),
                "{keep}: {error}"
            );
        }
    }
    // A transposed matrix, and one that is larger than its storage.
    let place = |needle: &[u8]| {
        whole
            .windows(needle.len())
            .position(|w| w == needle)
            .unwrap()
    };
    let (rows, cols) = (crate::tiny::INNER as u8, crate::tiny::HIDDEN as u8);
    let shape = [
        b"(J",
        &[rows, 0, 0, 0][..],
        b"J",
        &[cols, 0, 0, 0],
        b"t(J",
        &[cols, 0, 0, 0],
    ]
    .concat();
    let at = place(&shape);
    for (offset, byte, expected) in [
        (shape.len() - 4, 1, "strides"),
        (2, rows + 1, "beyond its storage"),
    ] {
        let mut other = whole.clone();
        other[at + offset] = byte;
        let bytes = zipped(&tiny, F32, &other);
        let error = fault(written(&tiny, "pytorch_model.bin", &bytes).path());
        assert!(error.to_string().contains(expected), "{error}");
    }
    let error = fault(
        written(
            &tiny,
            "pytorch_model.bin",
            &zipped(&tiny, F32, b"\x80\x02}."),
        )
        .path(),
    );
    assert!(error.to_string().contains("no dict of tensors"), "{error}");
}
