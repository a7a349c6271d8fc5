//! Which result of a benchmark is its newest.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

const FOLDER: &str = "bench/results";
/// Of a date in a name: 2026-11-29.
const DATE: usize = 10;

/// The newest result of a scenario, without its ending; results are dated, counted within a day, and
/// never edited.
pub(super) fn newest(root: &Path, scenario: &str) -> Result<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join(FOLDER)).context(FOLDER)? {
        let name = entry?.file_name();
        let stem = name.to_str().and_then(|name| name.strip_suffix(".md"));
        found.extend(stem.map(str::to_owned));
    }
    let dated = found
        .into_iter()
        .filter_map(|stem| Some((age(&stem, scenario)?, stem)));
    let (_, stem) = dated
        .max()
        .with_context(|| format!("no result of {scenario} in {FOLDER}"))?;
    Ok(format!("{FOLDER}/{stem}"))
}

/// The date and the number within it; none for results of other scenarios.
fn age(stem: &str, scenario: &str) -> Option<(String, u32)> {
    let (date, rest) = stem.split_at_checked(DATE)?;
    let rest = rest.strip_prefix('-')?.strip_prefix(scenario)?;
    let number = match rest {
        "" => 1,
        _ => rest.strip_prefix('-')?.parse().ok()?,
    };
    Some((date.to_owned(), number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newest_of(files: &[&str]) -> Result<String> {
        let root = tempfile::tempdir()?;
        let folder = root.path().join(FOLDER);
        fs::create_dir_all(&folder)?;
        for file in files {
            fs::write(folder.join(file), "")?;
        }
        newest(root.path(), "start-up")
    }

    #[test]
    fn the_last_of_the_last_day() {
        let files = [
            "2026-11-27-start-up-10.md",
            "2026-11-27-start-up-9.md",
            "2026-11-27-start-up.md",
            "2026-11-22-start-up-11.md",
            "2026-11-30-start-up-later.md",
            "2026-11-30-onnx-start-up.md",
            "2026-11-30-start-up.json",
            "README.md",
        ];
        let newest = newest_of(&files).unwrap();
        assert_eq!(newest, "bench/results/2026-11-27-start-up-10");
    }

    #[test]
    fn none_is_an_error_that_names_what_is_missing() {
        let error = newest_of(&["2026-11-30-first-request.md"]).unwrap_err();
        assert!(error.to_string().contains("no result of start-up"));
    }
}
