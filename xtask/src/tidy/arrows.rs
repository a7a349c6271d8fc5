//! Which crate may use which.

use super::tree::{Package, Tree};
use super::{Offence, Rule};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "arrows",
        why: "crates depend in one direction; a new edge is an architecture decision (docs/adr)",
        check: arrows,
    },
    Rule {
        name: "core-manifest",
        why: "core decides and does nothing: no runtime, no serialisation, no logging",
        check: core_manifest,
    },
];

/// Left may use right.
const ARROWS: &[(&str, &[&str])] = &[
    ("preheat-core", &[]),
    ("preheat-api", &["preheat-core"]),
    ("preheat-diagnosis", &[]),
    ("preheat-runtime", &[]),
    ("preheat-dashboard", &[]),
    ("preheat-engine", &["preheat-core"]),
    (
        "preheat-server",
        &[
            "preheat-core",
            "preheat-api",
            "preheat-runtime",
            "preheat-engine",
            "preheat-dashboard",
        ],
    ),
    (
        "preheat-gateway",
        &[
            "preheat-core",
            "preheat-api",
            "preheat-runtime",
            "preheat-dashboard",
        ],
    ),
    (
        "preheat-operator",
        &["preheat-core", "preheat-api", "preheat-runtime"],
    ),
    (
        "preheat-sim",
        &["preheat-core", "preheat-server", "preheat-gateway"],
    ),
    (
        "preheat",
        &[
            "preheat-core",
            "preheat-api",
            "preheat-diagnosis",
            "preheat-runtime",
            "preheat-engine",
            "preheat-server",
            "preheat-gateway",
            "preheat-operator",
            "preheat-sim",
        ],
    ),
    ("xtask", &["preheat-api"]),
];

const NOT_IN_CORE: &[&str] = &[
    "tokio",
    "serde",
    "serde_json",
    "tracing",
    "futures-util",
    "libc",
];

fn arrows(tree: &Tree) -> Vec<Offence> {
    tree.members()
        .flat_map(|package| arrows_of(package, tree))
        .collect()
}

fn arrows_of(package: &Package, tree: &Tree) -> Vec<Offence> {
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == package.name) else {
        return vec![format!(
            "{} has no place in the map of crates",
            package.name
        )];
    };
    let ours = |name: &str| tree.members().any(|member| member.name == name);
    used(package)
        .filter(|name| ours(name) && !allowed.contains(name))
        .map(|name| format!("{} → {name}", package.name))
        .collect()
}

fn core_manifest(tree: &Tree) -> Vec<Offence> {
    tree.members()
        .filter(|package| package.name == "preheat-core")
        .flat_map(used)
        .filter(|name| NOT_IN_CORE.contains(name))
        .map(|name| format!("preheat-core → {name}"))
        .collect()
}

/// What a package is built from; what its tests use is their own affair.
fn used(package: &Package) -> impl Iterator<Item = &str> {
    let built_from = package
        .dependencies
        .iter()
        .filter(|d| d.kind.as_deref() != Some("dev"));
    built_from.map(|dependency| dependency.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::super::tree::Dependency;
    use super::*;

    fn package(name: &str, uses: &[(&str, Option<&str>)]) -> Package {
        let dependency = |(name, kind): &(&str, Option<&str>)| Dependency {
            name: (*name).to_owned(),
            kind: kind.map(str::to_owned),
        };
        Package {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            source: None,
            license: None,
            dependencies: uses.iter().map(dependency).collect(),
        }
    }

    #[test]
    fn an_arrow_against_the_map_is_an_offence() {
        let packages = vec![
            package("preheat-core", &[]),
            package("preheat-server", &[("preheat-core", None), ("tokio", None)]),
            package("preheat-engine", &[("preheat-server", None)]),
            package("preheat-api", &[("preheat-server", Some("dev"))]),
            package("preheat-utils", &[]),
        ];
        let tree = Tree {
            packages,
            ..Tree::default()
        };
        assert_eq!(
            arrows(&tree),
            [
                "preheat-engine → preheat-server",
                "preheat-utils has no place in the map of crates"
            ]
        );
    }

    #[test]
    fn a_runtime_in_core_is_an_offence() {
        let packages = vec![package(
            "preheat-core",
            &[("tokio", None), ("thiserror", None)],
        )];
        let tree = Tree {
            packages,
            ..Tree::default()
        };
        assert_eq!(core_manifest(&tree), ["preheat-core → tokio"]);
    }
}
