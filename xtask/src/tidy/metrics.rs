//! Metric names: each constant is documented.

use super::tree::Tree;
use super::{Offence, Rule};

pub(super) const RULES: &[Rule] = &[Rule {
    name: "metrics-documented",
    why: "a metric nobody can look up is noise: describe it in docs/reference",
    check: metrics_documented,
}];

const CONSTANTS: &str = "crates/preheat-api/src/metrics";
const DOCS: &str = "docs/reference/metrics";

fn metrics_documented(tree: &Tree) -> Vec<Offence> {
    let docs: Vec<_> = tree
        .files
        .iter()
        .filter(|file| file.path.starts_with(DOCS))
        .collect();
    if docs.is_empty() {
        return Vec::new();
    }
    tree.files
        .iter()
        .filter(|file| file.path.starts_with(CONSTANTS))
        .flat_map(|file| file.code())
        .flat_map(|(_, line)| metric_names(line))
        .filter(|name| !docs.iter().any(|file| file.text.contains(name)))
        .map(str::to_owned)
        .collect()
}

/// String literals that look like one of our metrics.
fn metric_names(line: &str) -> impl Iterator<Item = &str> {
    let literals = line.split('"').skip(1).step_by(2);
    literals.filter(|text| text.starts_with("preheat_") && !text.contains(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_undocumented_metric_is_an_offence_once_there_are_docs() {
        let constants = "HELD \"preheat_held\" \"Requests that wait\"\n\
                         INFLIGHT \"preheat_inflight\" \"Requests being served\"\n";
        let source = ("crates/preheat-api/src/metrics.rs", constants);
        let docs = (
            "docs/reference/metrics.md",
            "`preheat_inflight`: requests being served",
        );
        assert_eq!(
            metrics_documented(&Tree::of(&[source, docs])),
            ["preheat_held"]
        );
        assert!(metrics_documented(&Tree::of(&[source])).is_empty());
    }
}
