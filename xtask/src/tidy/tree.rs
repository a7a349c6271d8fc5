//! What rules look at: the files git knows or would add, and the packages cargo knows.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::shell;

#[derive(Default)]
pub(super) struct Tree {
    pub(super) files: Vec<File>,
    pub(super) packages: Vec<Package>,
}

pub(super) struct File {
    /// Relative to the root, with `/`.
    pub(super) path: String,
    pub(super) size: usize,
    /// Empty when the file is not text.
    pub(super) text: String,
}

#[derive(Deserialize)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    /// None for ours.
    pub(super) source: Option<String>,
    pub(super) license: Option<String>,
    pub(super) dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
pub(super) struct Dependency {
    pub(super) name: String,
    /// None for a normal one, else `dev` or `build`.
    pub(super) kind: Option<String>,
}

impl Tree {
    pub(super) fn read(root: &Path) -> Result<Self> {
        let list = [
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ];
        let names = shell::output(&mut shell::command("git", &list))?;
        let files = names.split('\0').filter(|name| !name.is_empty());
        // A file that is gone from the disk but not yet from the index is no longer ours to judge.
        let files = files.filter_map(|path| File::read(root, path)).collect();

        let args = ["metadata", "--format-version", "1", "--locked"];
        let metadata = shell::output(&mut shell::command("cargo", &args))?;
        let metadata: Metadata = serde_json::from_str(&metadata).context("cargo metadata")?;
        Ok(Tree {
            files,
            packages: metadata.packages,
        })
    }

    /// Our own packages.
    pub(super) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages
            .iter()
            .filter(|package| package.source.is_none())
    }

    pub(super) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| File {
            path: (*path).to_owned(),
            size: text.len(),
            text: (*text).to_owned(),
        };
        Tree {
            files: files.iter().map(file).collect(),
            packages: Vec::new(),
        }
    }
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

impl File {
    fn read(root: &Path, path: &str) -> Option<Self> {
        let bytes = fs::read(root.join(path)).ok()?;
        let size = bytes.len();
        let text = String::from_utf8(bytes).unwrap_or_default();
        Some(File {
            path: path.to_owned(),
            size,
            text,
        })
    }

    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Those who generate it say so in the first line, or in the name where others write the file.
    pub(super) fn is_generated(&self) -> bool {
        let first = self.text.lines().next();
        first.is_some_and(|line| line.contains("Generated from")) || self.path.ends_with(".gen.ts")
    }

    /// The crate a source file of ours belongs to, when it is code of the product: not a test, an
    /// example or a tool.
    pub(super) fn product_crate(&self) -> Option<&str> {
        let (name, rest) = self.path.strip_prefix("crates/")?.split_once('/')?;
        let inside = rest.starts_with("src/") && self.is_rust() && !rest.ends_with("tests.rs");
        inside.then_some(name)
    }

    /// Lines of code with their numbers: comments left out, and unit tests, which may do what the
    /// product may not.
    pub(super) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let tests = self
            .text
            .find("#[cfg(test)]\nmod tests")
            .unwrap_or(self.text.len());
        let lines = self.text[..tests]
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line));
        lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}
