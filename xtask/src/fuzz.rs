//! `cargo xtask fuzz`: the fuzzer of the tests, for minutes instead of a few hundred inputs.

use anyhow::Result;

use crate::shell;

pub(crate) fn run(minutes: u64) -> Result<()> {
    let args = [
        "test",
        "--locked",
        "-p",
        "preheat",
        "--bin",
        "preheat",
        "fuzz::",
        "--",
        "--nocapture",
    ];
    let mut fuzz = shell::command("cargo", &args);
    fuzz.env("PREHEAT_FUZZ_SECONDS", (minutes * 60).to_string());
    shell::run(fuzz)
}
