//! What users hand in as files, mangled: every reader says what is wrong or takes it, none panics.
//!
//! A few hundred inputs for each reader in the ordinary tests; `cargo xtask fuzz` goes on for minutes.
//! Seeds are the files that the repository ships, so that a mutation reaches far.

mod targets;

use std::env;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use targets::{Target, root, targets};

/// Seconds for each reader; without it a fixed number of inputs.
const SECONDS: &str = "PREHEAT_FUZZ_SECONDS";
/// The reader to take, by its name; without it all of them.
const ONLY: &str = "PREHEAT_FUZZ_ONLY";
/// Another number gives other inputs; the same one the same.
const SEED: &str = "PREHEAT_FUZZ_SEED";
const INPUTS: u64 = 300;
const LONGEST: usize = 1 << 20;
/// Beyond what was there before: readers must not keep what they read many times over.
const MOST_GROWTH_KB: u64 = 1 << 20;

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

fn fuzz(target: &Target, lasts: Option<Duration>, seed: u64) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(format!("input.{}", target.ending));
    // Never 0, which these dice would stay at.
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15 ^ seed.max(1));
    let began = Instant::now();
    let mut inputs = 0;
    while lasts.map_or(inputs < INPUTS, |lasts| began.elapsed() < lasts) {
        let bytes = mangled(&mut dice, &target.seeds);
        // Writing over a file makes some file systems wait for the disk.
        let _ = fs::remove_file(&path);
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
    let number = |name| env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let (lasts, seed) = (number(SECONDS), number(SEED).unwrap_or_default());
    let only = env::var(ONLY).ok();
    let before = peak_kb();
    let mut all = targets();
    all.retain(|target| only.as_ref().is_none_or(|name| target.name == name));
    assert!(!all.is_empty(), "no reader is called {only:?}");
    for target in &all {
        fuzz(target, lasts.map(Duration::from_secs), seed);
    }
    let grown = peak_kb().saturating_sub(before);
    assert!(grown < MOST_GROWTH_KB, "{grown} kB more than before");
}
