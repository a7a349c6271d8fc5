//! `cargo xtask book`: the pages of `docs/book` as a site, and whether its links lead somewhere.
//!
//! mdBook leaves broken links be, so they are followed in what it made, fragments too.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Result, bail};

use crate::shell;

const MDBOOK: &str = "0.5.4";
const TOOLS: &str = "target/tools";
const SITE: &str = "target/book";
/// Made for other addresses: for any that is missing, and of all pages at once.
const DERIVED: [&str; 2] = ["404.html", "print.html"];

pub(crate) fn run() -> Result<()> {
    let program = mdbook()?;
    let site = shell::root().join(SITE);
    // Nothing of an earlier build may answer for a page that is gone.
    if site.exists() {
        fs::remove_dir_all(&site)?;
    }
    let site_argument = site.to_string_lossy();
    let mut build = shell::command(program, &["build", "docs/book", "-d", &site_argument]);
    build.env("MDBOOK_LOG", "warn");
    let told = build.output()?;
    let said = String::from_utf8_lossy(&told.stderr);
    if !told.status.success() || !said.trim().is_empty() {
        bail!("mdbook ({}):\n{said}", told.status);
    }
    let pages = pages(&site)?;
    let broken = broken(&site, &pages);
    if !broken.is_empty() {
        bail!("links that lead nowhere:\n{}", broken.join("\n"));
    }
    println!("{} pages in {SITE}", pages.len());
    Ok(())
}

/// mdBook in the version that is named here, without what only watches and serves.
fn mdbook() -> Result<PathBuf> {
    let program = shell::root().join(TOOLS).join("bin/mdbook");
    let wanted = format!("mdbook v{MDBOOK}");
    let is_there = program.exists()
        && shell::output(&mut shell::command(&program, &["--version"]))?.trim() == wanted;
    if !is_there {
        let install = ["install", "mdbook", "--version", MDBOOK, "--locked"];
        let lean = ["--no-default-features", "--features", "search"];
        let place = ["--force", "--root", TOOLS];
        let args = [&install[..], &lean, &place].concat();
        shell::run(shell::command("cargo", &args))?;
    }
    Ok(program)
}

struct Page {
    links: Vec<String>,
    anchors: BTreeSet<String>,
}

/// Every page by its path in the site.
fn pages(site: &Path) -> Result<BTreeMap<PathBuf, Page>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![site.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "html") {
                let name = path.strip_prefix(site)?.to_path_buf();
                found.insert(name, page(&fs::read_to_string(&path)?));
            }
        }
    }
    Ok(found)
}

fn page(html: &str) -> Page {
    let mut links = attributes(html, "href");
    links.extend(attributes(html, "src"));
    Page {
        links,
        anchors: attributes(html, "id").into_iter().collect(),
    }
}

/// Values of an attribute as mdBook writes it; in text that is shown, quotes are escaped.
fn attributes(html: &str, name: &str) -> Vec<String> {
    let opening = format!(" {name}=\"");
    html.match_indices(&opening)
        .map(|(at, found)| &html[at + found.len()..])
        .filter_map(|rest| rest.split_once('"'))
        .map(|(value, _)| value.to_owned())
        .collect()
}

fn broken(site: &Path, pages: &BTreeMap<PathBuf, Page>) -> Vec<String> {
    let mut broken = Vec::new();
    for (name, page) in pages {
        if DERIVED.iter().any(|derived| Path::new(derived) == name) {
            continue;
        }
        for link in &page.links {
            if !leads_somewhere(site, pages, name, link) {
                broken.push(format!("{}: {link}", name.display()));
            }
        }
    }
    broken
}

fn leads_somewhere(site: &Path, pages: &BTreeMap<PathBuf, Page>, from: &Path, link: &str) -> bool {
    // Other sites are not asked: a check must not need a network.
    if link.contains("://") || link.starts_with("data:") || link.starts_with("mailto:") {
        return true;
    }
    let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
    let target = match path {
        "" => from.to_path_buf(),
        _ => resolved(from, path),
    };
    let has_anchor = |page: &Page| fragment.is_empty() || page.anchors.contains(fragment);
    match pages.get(&target) {
        Some(page) => has_anchor(page),
        None => site.join(&target).is_file(),
    }
}

/// A path beside a page, with its `..` taken; what would leave the site stays outside of it.
fn resolved(from: &Path, path: &str) -> PathBuf {
    let mut target = from.parent().unwrap_or(Path::new("")).to_path_buf();
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir if target.pop() => {}
            Component::CurDir => {}
            other => target.push(other),
        }
    }
    target
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_a_page_an_anchor_or_nowhere() {
        let site = tempfile::tempdir().unwrap();
        let pages = BTreeMap::from([
            (
                "a.html".into(),
                page(r##"<h1 id="top"></h1><a href="in/b.html#deep">"##),
            ),
            ("in/b.html".into(), page(r#"<h2 id="deep"></h2>"#)),
        ]);
        let cases = [
            ("a.html", "in/b.html", true),
            ("a.html", "in/b.html#deep", true),
            ("a.html", "in/b.html#shallow", false),
            ("a.html", "#top", true),
            ("a.html", "#bottom", false),
            ("in/b.html", "../a.html", true),
            ("in/b.html", "a.html", false),
            ("in/b.html", "../../Cargo.toml", false),
            ("a.html", "https://example.org/gone", true),
        ];
        for (from, link, wanted) in cases {
            let is_there = leads_somewhere(site.path(), &pages, Path::new(from), link);
            assert_eq!(is_there, wanted, "{from} → {link}");
        }
        assert_eq!(pages[Path::new("a.html")].links, ["in/b.html#deep"]);
    }
}
