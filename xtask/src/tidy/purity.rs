//! Which crate may do what: clocks, files, threads, environment, serialisation.

use super::tree::{File, Tree};
use super::{Offence, Rule};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "core-is-pure",
        why: "core and diagnosis take time, randomness and observations as arguments, so that it can be simulated",
        check: core_is_pure,
    },
    Rule {
        name: "serialise-in-api",
        why: "what goes over the wire or into a file has one home, preheat-api; \
              an engine may read the formats of its model files, never write a shape of ours",
        check: serialise_in_api,
    },
    Rule {
        name: "spawn-in-runtime",
        why: "nothing is spawned and forgotten: preheat-runtime tracks every task and thread; \
              an engine's compute threads are its own",
        check: spawn_in_runtime,
    },
    Rule {
        name: "environment-in-binary",
        why: "only the binary reads arguments and environment; everyone else is told",
        check: environment_in_binary,
    },
];

fn core_is_pure(tree: &Tree) -> Vec<Offence> {
    let impure = [
        "Instant::now",
        "SystemTime",
        "std::fs",
        "std::net",
        "std::thread",
        "std::env",
        "std::process",
        ".await",
    ];
    let is_pure = |name: &str| matches!(name, "preheat-core" | "preheat-diagnosis");
    found(tree, is_pure, &impure)
}

fn serialise_in_api(tree: &Tree) -> Vec<Offence> {
    let mut offences = derives(tree, "Serialize", &["preheat-api"]);
    offences.extend(derives(
        tree,
        "Deserialize",
        &["preheat-api", "preheat-engine"],
    ));
    offences
}

fn spawn_in_runtime(tree: &Tree) -> Vec<Offence> {
    // `spawn_blocking` is not meant: whoever calls it awaits it.
    let tasks = ["tokio::spawn", "task::spawn(", "task::spawn_local("];
    let threads = ["thread::spawn(", "thread::Builder", "thread::scope"];
    let mut offences = found(tree, |name| name != "preheat-runtime", &tasks);
    offences.extend(found(
        tree,
        |name| name != "preheat-runtime" && name != "preheat-engine",
        &threads,
    ));
    offences
}

fn environment_in_binary(tree: &Tree) -> Vec<Offence> {
    found(
        tree,
        |name| name != "preheat",
        &["std::env::", "env::var", "env::args"],
    )
}

/// Lines of the product, in the crates asked for, that hold one of the words.
fn found(tree: &Tree, in_crate: fn(&str) -> bool, words: &[&str]) -> Vec<Offence> {
    product(tree, in_crate)
        .flat_map(|file| file.code().map(move |line| (file, line)))
        .filter_map(|(file, (number, line))| {
            let word = words.iter().find(|word| line.contains(**word))?;
            Some(format!("{}:{number}: {word}", file.path))
        })
        .collect()
}

/// Derives of a trait outside its homes.
fn derives(tree: &Tree, name: &str, homes: &[&str]) -> Vec<Offence> {
    let outside = |file: &&File| {
        file.product_crate()
            .is_some_and(|krate| !homes.contains(&krate))
    };
    tree.files
        .iter()
        .filter(outside)
        .flat_map(|file| file.code().map(move |line| (file, line)))
        .filter(|(_, (_, line))| derives_on(line, name))
        .map(|(file, (number, _))| format!("{}:{number}: derive({name})", file.path))
        .collect()
}

/// Whole words only: `Deserialize` does not hold `Serialize`, but `serde::Serialize` does.
fn derives_on(line: &str, name: &str) -> bool {
    let Some((_, list)) = line.split_once("derive(") else {
        return false;
    };
    list.split(|c: char| !c.is_alphanumeric() && c != '_')
        .any(|word| word == name)
}

fn product(tree: &Tree, in_crate: fn(&str) -> bool) -> impl Iterator<Item = &File> {
    tree.files
        .iter()
        .filter(move |file| file.product_crate().is_some_and(in_crate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_in_core_is_an_offence_elsewhere_it_is_not() {
        let tree = Tree::of(&[
            (
                "crates/preheat-core/src/slo.rs",
                "// Instant::now\nlet now = Instant::now();",
            ),
            (
                "crates/preheat-server/src/slo.rs",
                "let now = Instant::now();",
            ),
        ]);
        assert_eq!(
            core_is_pure(&tree),
            ["crates/preheat-core/src/slo.rs:2: Instant::now"]
        );
    }

    #[test]
    fn unit_tests_may_do_what_the_product_may_not() {
        let text = "\nfn f() {}\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n";
        let tree = Tree::of(&[("crates/preheat-core/src/slo.rs", text)]);
        assert!(core_is_pure(&tree).is_empty());
    }

    #[test]
    fn a_serialised_shape_outside_api_is_an_offence() {
        let both = "#[derive(Debug, serde::Serialize, Deserialize)]";
        let tree = Tree::of(&[
            ("crates/preheat-api/src/config.rs", both),
            ("crates/preheat-engine/src/config.rs", both),
            (
                "crates/preheat-server/src/config.rs",
                "#[derive(Deserialize)]",
            ),
            ("crates/preheat/tests/it/main.rs", both),
        ]);
        assert_eq!(
            serialise_in_api(&tree),
            [
                "crates/preheat-engine/src/config.rs:1: derive(Serialize)",
                "crates/preheat-server/src/config.rs:1: derive(Deserialize)",
            ]
        );
    }

    #[test]
    fn a_task_or_thread_outside_runtime_is_an_offence() {
        let tree = Tree::of(&[
            (
                "crates/preheat-runtime/src/tasks.rs",
                "tokio::spawn(f); thread::Builder::new()",
            ),
            (
                "crates/preheat-engine/src/pool.rs",
                "thread::Builder::new()",
            ),
            ("crates/preheat-engine/src/fetch.rs", "tokio::spawn(f)"),
            (
                "crates/preheat-server/src/driver.rs",
                "std::thread::spawn(f)",
            ),
        ]);
        assert_eq!(
            spawn_in_runtime(&tree),
            [
                "crates/preheat-engine/src/fetch.rs:1: tokio::spawn",
                "crates/preheat-server/src/driver.rs:1: thread::spawn(",
            ]
        );
    }

    #[test]
    fn reading_the_environment_outside_the_binary_is_an_offence() {
        let tree = Tree::of(&[
            ("crates/preheat/src/settings.rs", "std::env::var(name)"),
            ("crates/preheat-engine/src/fetch.rs", "std::env::var(name)"),
        ]);
        let offence = "crates/preheat-engine/src/fetch.rs:1: std::env::";
        assert_eq!(environment_in_binary(&tree), [offence]);
    }
}
