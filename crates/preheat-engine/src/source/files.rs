//! Which files make a model, and what is known about each.

use super::error::FetchError;
use crate::digest;

/// One file of a fetched model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFacts {
    /// Relative to the model's directory, with `/` between the parts.
    pub name: String,
    pub bytes: u64,
    pub sha256: String,
}

/// In order of preference; one is fetched.
const WEIGHTS: [&str; 5] = {
    let [safetensors, bin, pt, pth] = crate::load::WEIGHTS;
    [safetensors, bin, pt, pth, ONNX]
};
/// Says itself what it takes and gives, so nothing need stand beside it. Whatever it was called in
/// an archive, this is its name here.
const ONNX: &str = "model.onnx";
/// Where exporters put ONNX files beside other weights.
pub(super) const ONNX_FOLDER: &str = "onnx";
/// The one of the usual name there.
pub(crate) const ONNX_IN_FOLDER: &str = "onnx/model.onnx";
/// Says which tensor is in which part.
pub(super) const INDEX: &str = crate::load::INDEX;
pub(super) const CONFIG: &str = "config.json";
pub(crate) const TOKENIZER: &str = "tokenizer.json";
const OTHERS: [&str; 8] = [
    TOKENIZER,
    "tokenizer_config.json",
    "vocab.txt",
    "special_tokens_map.json",
    "modules.json",
    "1_Pooling/config.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
];

/// Every name that a source may be asked for, the weights last.
pub(super) fn known<'a>() -> impl Iterator<Item = &'a str> {
    beside_weights().chain(WEIGHTS)
}

pub(super) fn beside_weights<'a>() -> impl Iterator<Item = &'a str> {
    [CONFIG].into_iter().chain(OTHERS)
}

pub(super) fn is_weights(name: &str) -> bool {
    WEIGHTS.contains(&name) || name == ONNX_IN_FOLDER || is_part(name)
}

/// Whether a file is worth a look where a model's weights are searched for.
pub(super) fn may_be_weights(name: &str) -> bool {
    is_weights(name) || name == INDEX || name.contains(".onnx")
}

/// Whether these weights need nothing beside them.
pub(super) fn stand_alone(weights: &str) -> bool {
    weights.ends_with(".onnx")
}

pub(super) fn is_optional(name: &str) -> bool {
    OTHERS.contains(&name)
}

/// The files to take out of those that a source has: small ones first, so that a source that is
/// none fails before the long transfer.
pub(super) fn select(place: &str, names: &[&str]) -> Result<Vec<String>, FetchError> {
    let not_a_model = |missing| FetchError::NotAModel {
        place: place.to_owned(),
        missing,
    };
    let weights = weights(names);
    match weights.first() {
        Some(file) if stand_alone(file) => return Ok(of_onnx(file, names)),
        _ if !names.contains(&CONFIG) => return Err(not_a_model(CONFIG)),
        None => {
            return Err(not_a_model(
                "model.safetensors, whole or in parts, pytorch_model.bin or model.onnx",
            ));
        }
        Some(_) => {}
    }
    let beside = beside_weights().filter(|name| names.contains(name));
    Ok(beside.chain(weights).map(str::to_owned).collect())
}

/// The best kind of weights among these names.
fn weights<'a>(names: &[&'a str]) -> Vec<&'a str> {
    for kind in WEIGHTS.into_iter().chain([ONNX_IN_FOLDER]) {
        if names.contains(&kind) {
            return vec![kind];
        }
        let parts = parts(names);
        if kind == WEIGHTS[0] && names.contains(&INDEX) && !parts.is_empty() {
            return [INDEX].into_iter().chain(parts).collect();
        }
    }
    Vec::new()
}

/// An ONNX file with what belongs to it among these names.
pub(super) fn of_onnx(file: &str, names: &[&str]) -> Vec<String> {
    let folder = texts_of(file, |name| names.contains(&name));
    let beside = beside_weights().map(|name| format!("{folder}{name}"));
    let beside = beside.filter(|name| names.contains(&&name[..]));
    let data = names.iter().copied().filter(|name| is_data_of(name, file));
    let own = [file].into_iter().chain(data).map(str::to_owned);
    beside.chain(own).collect()
}

/// The folder of a model, as a prefix, that has the tokenizer of one of its ONNX files and whatever
/// else is said of texts. Exporters repeat some of that beside the file; only where the model's own
/// directory has no tokenizer, that is all there is.
pub(crate) fn texts_of(file: &str, has: impl Fn(&str) -> bool) -> &str {
    let folder = file.rfind('/').map_or("", |at| &file[..=at]);
    let is_there = |folder: &str| has(&format!("{folder}{TOKENIZER}"));
    match is_there("") || !is_there(folder) {
        true => "",
        false => folder,
    }
}

/// The parts of a set that is whole, in order. Others, of which some are missing, are none of a model.
fn parts<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let part = |name: &&'a str| part(name).map(|(number, of)| (of, number, *name));
    let mut all: Vec<_> = names.iter().filter_map(part).collect();
    all.sort_unstable();
    let mut sets = all.chunk_by(|a, b| a.0 == b.0);
    let whole = sets.find(|set| set.iter().map(|part| part.1).eq(1..=set[0].0));
    whole.map_or_else(Vec::new, |set| set.iter().map(|part| part.2).collect())
}

pub(super) fn is_part(name: &str) -> bool {
    part(name).is_some()
}

/// Which one of how many: `model-00002-of-00003.safetensors`.
fn part(name: &str) -> Option<(u32, u32)> {
    let rest = name.strip_prefix("model-")?.strip_suffix(".safetensors")?;
    let (number, of) = rest.split_once("-of-")?;
    let read = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits)
    };
    Some((read(number)?, read(of)?))
}

/// Weights of an ONNX file that lie outside it, by the names that exporters give them.
pub(super) fn is_data_of(name: &str, onnx: &str) -> bool {
    let rest = name.strip_prefix(onnx);
    rest.is_some_and(|rest| rest.starts_with("_data") || rest.starts_with(".data"))
}

/// The ONNX file among these paths: the one whose path ends so, or the only one.
pub(super) fn onnx(
    place: &str,
    paths: &[impl AsRef<str>],
    end: Option<&str>,
) -> Result<Option<String>, FetchError> {
    let ends = |path: &&str| match end {
        Some(end) => *path == end || path.ends_with(&format!("/{end}")),
        None => path.ends_with(".onnx"),
    };
    let found: Vec<&str> = paths.iter().map(AsRef::as_ref).filter(ends).collect();
    match (found.as_slice(), end) {
        ([], None) => Ok(None),
        ([one], _) => Ok(Some((*one).to_owned())),
        ([], Some(end)) => Err(FetchError::Archive {
            file: place.to_owned(),
            reason: format!("it holds no {end}"),
        }),
        ([one, other, ..], _) => Err(FetchError::Archive {
            file: place.to_owned(),
            reason: format!(
                "it holds several ONNX files, `{one}` and `{other}` among them: name one, \
                 behind `#` or by its path"
            ),
        }),
    }
}

/// The one directory among these paths that holds a model, as a prefix: empty or ending in `/`.
pub(super) fn root(place: &str, paths: &[String]) -> Result<String, FetchError> {
    let has = |path: &str| paths.iter().any(|p| p == path);
    let mut roots = paths.iter().filter_map(|path| {
        let prefix = path.strip_suffix(CONFIG)?;
        let is_directory = prefix.is_empty() || prefix.ends_with('/');
        let mut known = WEIGHTS.iter().chain([&INDEX]);
        let has_weights = known.any(|name| has(&format!("{prefix}{name}")));
        (is_directory && has_weights).then_some(prefix)
    });
    match (roots.next(), roots.next()) {
        (Some(root), None) => Ok(root.to_owned()),
        (Some(one), Some(other)) => Err(FetchError::Archive {
            file: place.to_owned(),
            reason: format!("it holds more than one model, `{one}` and `{other}` among them"),
        }),
        (None, _) => Err(FetchError::NotAModel {
            place: place.to_owned(),
            missing: "a directory with config.json and weights, nor an ONNX file",
        }),
    }
}

/// Digest over names and contents. Sizes follow from contents, the order does not count.
pub(super) fn revision(files: &[FileFacts]) -> String {
    let mut lines: Vec<String> = files
        .iter()
        .map(|file| format!("{}  {}\n", file.sha256, file.name))
        .collect();
    lines.sort();
    digest::of_bytes(lines.concat().as_bytes())
}

/// Whether the known digests of a model are those of these files.
pub(super) fn agree(files: &[FileFacts], pins: &[(&str, &str)]) -> bool {
    files.iter().all(|file| {
        pins.iter()
            .all(|(name, sha256)| *name != file.name || *sha256 == file.sha256)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn the_weights_come_last_and_safetensors_is_preferred() {
        let all: Vec<&str> = known().chain([INDEX, ONNX_IN_FOLDER]).collect();
        let files = select("x", &all).unwrap();
        assert_eq!(files[0], "config.json");
        assert_eq!(files.last().unwrap(), "model.safetensors");
        let files = select("x", &["config.json", "pytorch_model.bin"]);
        assert_eq!(files.unwrap(), ["config.json", "pytorch_model.bin"]);
    }

    #[test]
    fn weights_in_parts_and_onnx_files_in_their_folder_are_found() {
        let parts = [
            "model-00002-of-00002.safetensors",
            "config.json",
            "pytorch_model.bin",
            "model.safetensors.index.json",
            "model-00001-of-00002.safetensors",
            "model-fast.safetensors",
            "onnx/model.onnx",
        ];
        assert_eq!(
            select("x", &parts).unwrap(),
            ["config.json", INDEX, parts[4], parts[0]]
        );
        // Some of a set, and leftovers of another.
        let without = |missing: usize| {
            let mut some = parts.to_vec();
            some.remove(missing);
            some.push("model-00001-of-00003.safetensors");
            select("x", &some).unwrap()
        };
        assert_eq!(without(5), ["config.json", INDEX, parts[4], parts[0]]);
        assert_eq!(without(0), ["config.json", "pytorch_model.bin"]);
        let onnx = [
            "onnx/model.onnx",
            "onnx/model.onnx_data",
            "onnx/model_quantized.onnx",
            "tokenizer.json",
        ];
        assert_eq!(
            select("x", &onnx).unwrap(),
            ["tokenizer.json", "onnx/model.onnx", "onnx/model.onnx_data"]
        );
        let twice = ["onnx/model.onnx", "onnx/tokenizer.json", "modules.json"];
        assert_eq!(
            select("x", &twice).unwrap(),
            ["onnx/tokenizer.json", "onnx/model.onnx"]
        );
        let twice = [&twice[..], &["tokenizer.json"]].concat();
        assert_eq!(
            select("x", &twice).unwrap(),
            ["tokenizer.json", "modules.json", "onnx/model.onnx"]
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        for (has, missing) in [
            ("model.safetensors", "config.json"),
            ("config.json", "pytorch_model.bin"),
        ] {
            let error = select("x", &[has]).unwrap_err();
            assert!(error.to_string().contains(missing), "{error}");
        }
    }

    #[test]
    fn the_model_is_found_inside_an_archive() {
        let found = root(
            "x",
            &paths(&[
                "p/__init__.py",
                "p/m/config.json",
                "p/m/1_Pooling/config.json",
                "p/m/model.safetensors",
            ]),
        );
        assert_eq!(found.unwrap(), "p/m/");
        assert_eq!(
            root("x", &paths(&["config.json", "model.safetensors"])).unwrap(),
            ""
        );
        assert!(root("x", &paths(&["not-config.json", "not-model.safetensors"])).is_err());
        let two = [
            "a/config.json",
            "a/model.safetensors",
            "b/config.json",
            "b/pytorch_model.bin",
        ];
        assert!(
            root("x", &paths(&two))
                .unwrap_err()
                .to_string()
                .contains("more than one")
        );
    }

    #[test]
    fn an_onnx_file_is_found_by_the_end_of_its_path() {
        let paths = paths(&["p/a.onnx", "p/b/a.onnx", "p/c.onnx", "p/readme.txt"]);
        let find = |end| onnx("x", &paths, end).map_err(|e| e.to_string());
        assert_eq!(find(Some("c.onnx")).unwrap().as_deref(), Some("p/c.onnx"));
        assert_eq!(
            find(Some("b/a.onnx")).unwrap().as_deref(),
            Some("p/b/a.onnx")
        );
        assert!(find(Some("a.onnx")).unwrap_err().contains("several"));
        assert!(find(Some("d.onnx")).unwrap_err().contains("no d.onnx"));
        assert!(find(None).unwrap_err().contains("several"));
        assert_eq!(onnx("x", &paths[3..], None).unwrap(), None);
        assert_eq!(select("x", &[ONNX]).unwrap(), [ONNX]);
    }

    #[test]
    fn the_revision_depends_on_content_alone() {
        let file = |name: &str, sha256: &str| FileFacts {
            name: name.into(),
            bytes: 1,
            sha256: sha256.into(),
        };
        let a = revision(&[file("a", "1"), file("b", "2")]);
        assert_eq!(a, revision(&[file("b", "2"), file("a", "1")]));
        assert_ne!(a, revision(&[file("a", "2"), file("b", "1")]));
        assert_ne!(a, revision(&[file("a", "1")]));
    }
}
