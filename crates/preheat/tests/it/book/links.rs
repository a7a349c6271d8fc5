//! What the pages point at is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::source;

/// Every page, relative to the book's sources.
pub fn pages(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "md") {
                let name = path.strip_prefix(folder).unwrap();
                found.insert(name.to_string_lossy().into_owned());
            }
        }
    }
    found.remove("SUMMARY.md");
    found
}

/// Targets of `[words](target)` and `{{#include target}}`, without their fragments.
fn targets(page: &str) -> Vec<&str> {
    let links = page
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    let includes = page.split("{{#include ").skip(1);
    let includes = includes.filter_map(|rest| rest.split("}}").next());
    links
        .chain(includes)
        .map(|target| target.split('#').next().unwrap())
        .filter(|target| !target.is_empty() && !target.contains("://"))
        .collect()
}

#[test]
fn links_lead_somewhere() {
    for name in pages(&source()) {
        let page = source().join(&name);
        let text = fs::read_to_string(&page).unwrap();
        for target in targets(&text) {
            let file = page.parent().unwrap().join(target);
            assert!(file.exists(), "{name}: {target}");
        }
    }
}

#[test]
fn the_summary_names_every_page_once() {
    let summary = fs::read_to_string(source().join("SUMMARY.md")).unwrap();
    let named = targets(&summary);
    let unique: BTreeSet<String> = named.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(named.len(), unique.len());
    assert_eq!(unique, pages(&source()));
}

#[test]
fn targets_are_found() {
    let page = "[a](b.md#c) ![d](e/f.svg) {{#include ../g.md}} [h](https://i) [j](#k)";
    assert_eq!(targets(page), ["b.md", "e/f.svg", "../g.md"]);
}
