//! A model small enough to be served in a test and large enough to be cut in the middle, and the
//! archives it comes in.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use preheat_engine::source::{FetchError, FetchOptions, Fetched, NoProgress, SourceRef, fetch};
use zip::write::SimpleFileOptions;

pub(crate) const WEIGHTS: &str = "model.safetensors";

pub(crate) type Files = Vec<(&'static str, Vec<u8>)>;

/// Weights of three megabytes that do not compress.
pub(crate) fn files() -> Files {
    files_of(3 << 20)
}

pub(crate) fn small_files() -> Files {
    files_of(50_000)
}

fn files_of(weights: usize) -> Files {
    vec![
        ("config.json", br#"{"hidden_size": 4}"#.to_vec()),
        ("tokenizer.json", b"{}".to_vec()),
        ("1_Pooling/config.json", b"{}".to_vec()),
        (WEIGHTS, noise(weights)),
    ]
}

/// Weights in two files, and the index that names them.
pub(crate) fn sharded() -> Files {
    let parts = [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ];
    let index = serde_json::json!({ "weight_map": { "a": parts[0], "b": parts[1] } });
    vec![
        ("config.json", b"{}".to_vec()),
        ("tokenizer.json", b"{}".to_vec()),
        ("model.safetensors.index.json", index.to_string().into()),
        (parts[0], noise(100)),
        (parts[1], noise(200)),
    ]
}

pub(crate) fn bytes_of(files: &Files, name: &str) -> Vec<u8> {
    files
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, bytes)| bytes.clone())
        .unwrap()
}

/// Xorshift: the same bytes each time.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        })
        .collect()
}

pub(crate) fn write_to(dir: &Path, files: &Files) {
    for (name, bytes) in files {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// What is on the disk is what the source had, byte for byte, and nothing else.
pub(crate) fn assert_holds(fetched: &Fetched, files: &Files) {
    let mut expected: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    let mut listed: Vec<&str> = fetched
        .files
        .iter()
        .map(|file| file.name.as_str())
        .collect();
    expected.sort_unstable();
    listed.sort_unstable();
    assert_eq!(listed, expected);
    for (name, bytes) in files {
        assert!(
            fs::read(fetched.dir.join(name)).unwrap() == *bytes,
            "{name} differs"
        );
    }
}

pub(crate) fn zip<'a>(entries: impl IntoIterator<Item = (String, &'a [u8])>) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

pub(crate) fn tar_gz<'a>(entries: impl IntoIterator<Item = (String, &'a [u8])>) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, bytes) in entries {
        let mut header = tar::Header::new_ustar();
        // Written by hand: the library rightly refuses the names that hostile archives have.
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append(&header, bytes).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

/// The model under a directory, as archives have it.
pub(crate) fn under<'a>(
    root: &str,
    files: &'a Files,
) -> impl Iterator<Item = (String, &'a [u8])> + use<'a> {
    let root = root.to_owned();
    files
        .iter()
        .map(move |(name, bytes)| (format!("{root}{name}"), bytes.as_slice()))
}

pub(crate) async fn get(source: &str, options: &FetchOptions) -> Result<Fetched, FetchError> {
    fetch(&SourceRef::parse(source).unwrap(), options, &NoProgress).await
}
