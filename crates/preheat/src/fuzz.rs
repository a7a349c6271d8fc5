//! What users hand in as files, mangled: every reader says what is wrong or takes it, none panics.
//!
//! A few hundred inputs for each reader in the ordinary tests; `cargo xtask fuzz` goes on for minutes.
//! Seeds are the files that the repository ships, so that a mutation reaches far.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Parser;
use tempfile::TempDir;

use crate::cli::{Cli, Verb};
use crate::config::{self, Flags};
use crate::verb::fuzzed;

/// Seconds for each reader; without it a fixed number of inputs.
const SECONDS: &str = "PREHEAT_FUZZ_SECONDS";
const INPUTS: u64 = 300;
const LONGEST: usize = 1 << 20;
/// Beyond what was there before: readers must not keep what they read many times over.
const MOST_GROWTH_KB: u64 = 1 << 20;

/// One reader: the ending of its file, its seeds, and the reader.
struct Target {
    name: &'static str,
    ending: &'static str,
    seeds: Vec<PathBuf>,
    read: fn(&Path),
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "{folder}/*{ending}");
    found
}

fn configuration(path: &Path) {
    if let Ok(effective) = config::resolve(Some(path), None, &Flags::default(), |_| None) {
        fuzzed::configured(&effective);
    }
}

fn plan(path: &Path) {
    let args = ["preheat", "probe", "http://127.0.0.1:9", "--plan"];
    let path = path.to_string_lossy();
    let args = args.into_iter().chain([&*path]);
    let Verb::Probe(args) = Cli::try_parse_from(args).unwrap().verb else {
        unreachable!("probe was typed");
    };
    fuzzed::plan(&args);
}

fn targets() -> Vec<Target> {
    vec![
        Target {
            name: "configuration",
            ending: "toml",
            seeds: files("examples", "preheat.toml"),
            read: configuration,
        },
        Target {
            name: "configuration in YAML",
            ending: "yaml",
            seeds: files("deploy", ".yaml"),
            read: configuration,
        },
        Target {
            name: "configuration in JSON",
            ending: "json",
            seeds: files("deploy", "report.json"),
            read: configuration,
        },
        Target {
            name: "plan",
            ending: "toml",
            seeds: files("examples/own-plan", ".toml"),
            read: plan,
        },
        Target {
            name: "scenario",
            ending: "toml",
            seeds: files("examples/simulate", ".toml"),
            read: fuzzed::scenario,
        },
        Target {
            name: "measured replica",
            ending: "json",
            seeds: files("deploy", "report.json"),
            read: fuzzed::measured,
        },
        Target {
            name: "report for init",
            ending: "json",
            seeds: files("deploy", "report.json"),
            read: fuzzed::deployed,
        },
        Target {
            name: "logs",
            ending: "log",
            seeds: files("crates/preheat-diagnosis/tests/corpus", ""),
            read: fuzzed::diagnosed,
        },
        Target {
            name: "manifests",
            ending: "yaml",
            seeds: files("deploy", ".yaml"),
            read: fuzzed::diagnosed,
        },
    ]
}

/// Small, fast and the same on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, most: usize) -> usize {
        (self.roll() % most.max(1) as u64) as usize
    }
}

/// What breaks readers most often.
const WORDS: [&str; 24] = [
    "-1",
    "0",
    "1e400",
    "-0.0",
    "NaN",
    "99999999999999999999999999",
    "18446744073709551616s",
    "9e18d",
    "\"\"",
    "\u{0}",
    "\u{202e}",
    "\u{feff}",
    "[[[[[[[[",
    "{{{{{{{{",
    "\n- - - - -",
    "&a *a",
    "<<: *a",
    "\\u0000",
    "\r",
    "\"\"\"",
    "---\n",
    "null",
    "true",
    "ms",
];

fn mangled(dice: &mut Dice, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds[dice.below(seeds.len())].clone();
    for _ in 0..=dice.below(6) {
        let at = dice.below(bytes.len() + 1);
        let until = (at + dice.below(64)).min(bytes.len());
        match dice.below(7) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..until)),
            2 => drop(bytes.splice(at..at, WORDS[dice.below(WORDS.len())].bytes())),
            3 => drop(bytes.splice(at..until, WORDS[dice.below(WORDS.len())].bytes())),
            4 => {
                let piece = bytes[at..until].repeat(1 + dice.below(200));
                drop(bytes.splice(at..at, piece));
            }
            5 => {
                let other = &seeds[dice.below(seeds.len())];
                let from = dice.below(other.len() + 1);
                let piece = other[from..(from + 200).min(other.len())].to_vec();
                drop(bytes.splice(at..until, piece));
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << dice.below(8);
                }
            }
        }
    }
    bytes.truncate(LONGEST);
    bytes
}

fn fuzz(target: &Target, lasts: Option<Duration>) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(format!("input.{}", target.ending));
    let seeds: Vec<_> = target
        .seeds
        .iter()
        .map(|seed| fs::read(seed).unwrap())
        .collect();
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let began = Instant::now();
    let mut inputs = 0;
    while lasts.map_or(inputs < INPUTS, |lasts| began.elapsed() < lasts) {
        let bytes = mangled(&mut dice, &seeds);
        fs::write(&path, &bytes).unwrap();
        if catch_unwind(AssertUnwindSafe(|| (target.read)(&path))).is_err() {
            let kept = root()
                .join("target")
                .join(format!("fuzz-{}", target.name.replace(' ', "-")));
            fs::write(&kept, &bytes).unwrap();
            panic!(
                "the reader of a {} panics at {}",
                target.name,
                kept.display()
            );
        }
        inputs += 1;
    }
    println!(
        "{}: {inputs} inputs in {:.0?}",
        target.name,
        began.elapsed()
    );
}

/// The most memory that this process ever held, where the system tells.
fn peak_kb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    number.and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[test]
fn no_reader_panics_whatever_it_is_given() {
    let lasts = std::env::var(SECONDS)
        .ok()
        .map(|text| Duration::from_secs(text.parse().unwrap()));
    let before = peak_kb();
    for target in targets() {
        fuzz(&target, lasts);
    }
    let grown = peak_kb().saturating_sub(before);
    assert!(grown < MOST_GROWTH_KB, "{grown} kB more than before");
}
