//! Rules of the house that neither the compiler nor clippy can check.
//!
//! A rule is a function from the whole tree to the offences in it, and says why it exists. Rules
//! look at text, not at syntax: simple enough to be read in a minute, strict enough in practice.

mod arrows;
mod files;
mod licences;
mod metrics;
mod purity;
mod tree;

use anyhow::{Result, bail};

use crate::shell;
use tree::Tree;

/// What a rule found: where and what, on one line.
type Offence = String;

struct Rule {
    name: &'static str,
    /// Shown beside the offences: the reason, so that nobody has to guess how to comply.
    why: &'static str,
    check: fn(&Tree) -> Vec<Offence>,
}

const RULES: &[&[Rule]] = &[
    arrows::RULES,
    purity::RULES,
    files::RULES,
    licences::RULES,
    metrics::RULES,
];

/// An error that lists every offence, rule by rule.
pub(crate) fn run() -> Result<()> {
    let report = report(&Tree::read(&shell::root())?);
    if report.is_empty() {
        return Ok(());
    }
    bail!("the tree is not tidy\n{report}")
}

fn report(tree: &Tree) -> String {
    let mut report = String::new();
    for rule in RULES.iter().copied().flatten() {
        let offences = (rule.check)(tree);
        if !offences.is_empty() {
            report += &format!(
                "\n{}: {}\n  {}\n",
                rule.name,
                rule.why,
                offences.join("\n  ")
            );
        }
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_tidy() {
        run().unwrap();
    }

    #[test]
    fn an_offence_is_reported_with_its_rule_and_reason() {
        let tree = Tree::of(&[("crates/preheat-core/src/mod.rs", "")]);
        let report = report(&tree);
        assert!(report.contains("no-mod-rs: "), "{report}");
        assert!(
            report.contains("\n  crates/preheat-core/src/mod.rs\n"),
            "{report}"
        );
    }
}
