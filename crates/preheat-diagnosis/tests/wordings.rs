//! Short texts in the wording of many servers, to practise on and to keep: each says something that a
//! rule was made more general for, or looks as if it did.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests are tests"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use preheat_diagnosis::{Cause, Diagnosis, input};

/// Of the labelled causes, and of the found ones.
const WANTED: f64 = 0.95;

#[test]
fn what_servers_say_is_understood() {
    for file in [
        "servers",
        "starts",
        "platforms",
        "timelines",
        "words",
        "waiting",
        "plain",
        "terse",
        "manifests",
        "scenarios",
        "latencies",
        "meanings",
        "endings",
        "places",
        "devices",
        "tries",
        "files",
        "kinds",
        "beside",
        "first-requests",
        "paying",
        "told",
        "times",
        "fates",
        "failing",
        "openings",
        "kept",
        "rising",
        "whose",
    ] {
        judge(file);
    }
}

#[test]
fn what_other_programs_say_yields_nothing() {
    judge("healthy");
    judge("quiet");
    judge("unlike");
    judge("others");
    judge("near");
    judge("unkept");
    judge("bystanders");
}

fn judge(file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/wordings/{file}.txt"));
    let text = fs::read_to_string(path).unwrap();
    let (mut right, mut missed, mut invented) = (0, Vec::new(), Vec::new());
    for (name, wanted, log) in texts(&text) {
        let found = found(name, log);
        right += wanted.intersection(&found).count();
        missed.extend(wanted.difference(&found).map(|id| format!("{name}: {id}")));
        invented.extend(found.difference(&wanted).map(|id| format!("{name}: {id}")));
    }
    println!("{file}: right {right}, missed {missed:?}, invented {invented:?}");
    let share = |wrong: usize| right as f64 / (right + wrong).max(1) as f64;
    assert!(share(missed.len()) >= WANTED || missed.is_empty(), "{file}");
    assert!(
        share(invented.len()) >= WANTED || invented.is_empty(),
        "{file}"
    );
}

/// `@@ name: cause, cause`, and below it the text.
fn texts(all: &str) -> impl Iterator<Item = (&str, BTreeSet<&str>, &str)> {
    let ids: BTreeSet<&str> = Cause::ALL.iter().map(|cause| cause.about().id).collect();
    all.split("@@ ").skip(1).map(move |block| {
        let (head, log) = block.split_once('\n').unwrap();
        let (name, causes) = head.split_once(':').unwrap();
        let causes = causes
            .split(',')
            .map(str::trim)
            .filter(|cause| !cause.is_empty());
        let causes: BTreeSet<&str> = causes.collect();
        assert!(causes.is_subset(&ids), "{name}: {causes:?}");
        (name, causes, log)
    })
}

fn found(name: &str, log: &str) -> BTreeSet<&'static str> {
    let mut diagnosis = Diagnosis::new();
    input::read(name, log.as_bytes(), &mut diagnosis).unwrap();
    let findings = diagnosis.report().findings;
    findings
        .iter()
        .map(|finding| finding.cause.about().id)
        .collect()
}
