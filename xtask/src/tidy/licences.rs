//! Licences and origins of dependencies. `deny.toml` holds the list; cargo-deny reads the same one
//! and more closely, but is not installed everywhere.

use super::tree::{Package, Tree};
use super::{Offence, Rule};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "licences",
        why: "preheat is one statically linked binary: only licences that deny.toml allows",
        check: licences,
    },
    Rule {
        name: "origins",
        why: "a dependency comes from the package registry, where a version never changes",
        check: origins,
    },
];

fn licences(tree: &Tree) -> Vec<Offence> {
    let Some(policy) = tree.file("deny.toml") else {
        return Vec::new();
    };
    let allowed = allowed(&policy.text);
    foreign(tree)
        .filter(|package| !passes(package.license.as_deref().unwrap_or_default(), &allowed))
        .map(|package| {
            let licence = package.license.as_deref().unwrap_or("no licence stated");
            format!("{} {}: {licence}", package.name, package.version)
        })
        .collect()
}

fn origins(tree: &Tree) -> Vec<Offence> {
    let elsewhere = |package: &&Package| {
        package
            .source
            .as_deref()
            .is_some_and(|source| !source.starts_with("registry+"))
    };
    foreign(tree)
        .filter(elsewhere)
        .map(|package| package.name.clone())
        .collect()
}

fn foreign(tree: &Tree) -> impl Iterator<Item = &Package> {
    tree.packages
        .iter()
        .filter(|package| package.source.is_some())
}

/// The quoted names of `allow = [ … ]` in the section `[licenses]`.
fn allowed(policy: &str) -> Vec<&str> {
    let section = policy.split_once("[licenses]").map_or("", |(_, rest)| rest);
    let list = section.split_once("allow = [").map_or("", |(_, rest)| rest);
    let list = list.split_once(']').map_or("", |(list, _)| list);
    list.split('"').skip(1).step_by(2).collect()
}

/// Every part joined by AND needs one alternative that is allowed. Expressions in use nest no
/// deeper than `(A OR B) AND C`.
fn passes(expression: &str, allowed: &[&str]) -> bool {
    let flat = expression.replace(['(', ')'], "").replace('/', " OR ");
    let one_of = |part: &str| {
        part.split(" OR ")
            .any(|name| allowed.contains(&name.trim()))
    };
    flat.split(" AND ").all(one_of)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "[licenses]\nallow = [\n  \"MIT\",\n  \"Apache-2.0\",\n]\n";

    fn foreign_package(name: &str, license: Option<&str>, source: &str) -> Package {
        Package {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            source: Some(source.to_owned()),
            license: license.map(str::to_owned),
            dependencies: Vec::new(),
        }
    }

    #[test]
    fn a_licence_outside_the_list_is_an_offence() {
        let packages = [
            ("good", Some("MIT OR GPL-3.0")),
            ("also-good", Some("(GPL-3.0 OR MIT) AND Apache-2.0")),
            ("old-style", Some("MIT/Apache-2.0")),
            ("bad", Some("MIT AND GPL-3.0")),
            ("silent", None),
        ];
        let packages = packages
            .iter()
            .map(|(name, l)| foreign_package(name, *l, "registry+x"));
        let mut tree = Tree::of(&[("deny.toml", POLICY)]);
        tree.packages = packages.collect();
        assert_eq!(
            licences(&tree),
            [
                "bad 1.0.0: MIT AND GPL-3.0",
                "silent 1.0.0: no licence stated"
            ]
        );
    }

    #[test]
    fn a_dependency_from_a_repository_is_an_offence() {
        let packages = vec![
            foreign_package("good", Some("MIT"), "registry+x"),
            foreign_package("bad", Some("MIT"), "git+x"),
        ];
        assert_eq!(
            origins(&Tree {
                packages,
                ..Tree::default()
            }),
            ["bad"]
        );
    }
}
