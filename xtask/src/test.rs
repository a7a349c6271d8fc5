//! `cargo xtask test`: everything that must hold before a change goes in, cheapest first.
//!
//! The one place that says what that is; the continuous integration calls this and nothing else.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::{bench, codegen, dashboard, setup, shell, tidy};

enum Outcome {
    Passed,
    /// Passed, with lines worth repeating at the end.
    Summary(Vec<String>),
    /// Not run, and why.
    Skipped(&'static str),
}

struct Step {
    name: &'static str,
    run: fn() -> Result<Outcome>,
}

const STEPS: &[Step] = &[
    Step {
        name: "setup",
        run: || passed(setup::run()),
    },
    Step {
        name: "format",
        run: || passed(cargo(&["fmt", "--all", "--check"])),
    },
    Step {
        name: "spelling",
        run: spelling,
    },
    Step {
        name: "tidy",
        run: || passed(tidy::run()),
    },
    Step {
        name: "dependencies",
        run: dependencies,
    },
    Step {
        name: "generated files",
        run: || passed(codegen::check()),
    },
    Step {
        name: "dashboard",
        run: || passed(dashboard::check()),
    },
    Step {
        name: "lints",
        run: lints,
    },
    Step {
        name: "tests",
        run: tests,
    },
    Step {
        name: "chaos",
        run: || passed(bench::short_chaos()),
    },
    Step {
        name: "browser",
        run: || passed(dashboard::browser()),
    },
];

/// Runs every step; stops at the first that fails.
pub(crate) fn run() -> Result<()> {
    let mut report = Vec::new();
    for step in STEPS {
        println!("\n── {} ──", step.name);
        let start = Instant::now();
        let result = (step.run)();
        report.extend(lines(step.name, &result, start.elapsed()));
        if let Err(error) = result {
            print(&report);
            return Err(error.context(step.name));
        }
    }
    print(&report);
    Ok(())
}

fn lines(name: &str, result: &Result<Outcome>, took: Duration) -> Vec<String> {
    let line = |word: &str| format!("{word:<7} {name:<16} {:>7.1} s", took.as_secs_f64());
    match result {
        Ok(Outcome::Passed) => vec![line("passed")],
        Ok(Outcome::Skipped(reason)) => vec![format!("{}  {reason}", line("skipped"))],
        Ok(Outcome::Summary(summary)) => {
            let mut lines = vec![line("passed")];
            lines.extend(summary.iter().map(|text| format!("          {text}")));
            lines
        }
        Err(_) => vec![line("FAILED")],
    }
}

fn print(report: &[String]) {
    println!("\n{}", report.join("\n"));
}

fn spelling() -> Result<Outcome> {
    passed(shell::run(shell::command(
        "target/venv/bin/typos",
        &["--format", "brief"],
    )))
}

fn dependencies() -> Result<Outcome> {
    let mut probe = Command::new("cargo");
    probe
        .args(["deny", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if !probe.status().is_ok_and(|status| status.success()) {
        let reason = "cargo-deny is not installed (cargo install cargo-deny); \
                      tidy has checked licences and origins";
        return Ok(Outcome::Skipped(reason));
    }
    // Advisories change without a change of ours, so they cannot gate one.
    passed(cargo(&[
        "deny",
        "--offline",
        "check",
        "licenses",
        "bans",
        "sources",
    ]))
}

fn lints() -> Result<Outcome> {
    let args = [
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    passed(cargo(&args))
}

/// Passes cargo's output on as it comes and keeps its summary lines.
fn tests() -> Result<Outcome> {
    let mut child = shell::command(
        "cargo",
        &["test", "--locked", "--workspace", "--no-fail-fast"],
    )
    .stdout(Stdio::piped())
    .spawn()?;
    let stdout = child.stdout.take().expect("stdout was asked for as a pipe");
    let mut summary = Vec::new();
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        println!("{line}");
        // Documentation tests and binaries without any test say nothing worth repeating.
        if line.starts_with("test result:") && !line.contains(" 0 passed; 0 failed") {
            summary.push(line);
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("cargo test failed ({status})\n{}", summary.join("\n"));
    }
    Ok(Outcome::Summary(summary))
}

fn cargo(args: &[&str]) -> Result<()> {
    shell::run(shell::command("cargo", args))
}

fn passed(result: Result<()>) -> Result<Outcome> {
    result.map(|()| Outcome::Passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_says_what_was_skipped_and_repeats_summaries() {
        let took = Duration::from_millis(1500);
        let skipped = lines("dependencies", &Ok(Outcome::Skipped("not installed")), took);
        assert_eq!(
            skipped,
            ["skipped dependencies         1.5 s  not installed"]
        );
        let summary = Outcome::Summary(vec!["test result: ok".to_owned()]);
        let expected = [
            "passed  tests                1.5 s",
            "          test result: ok",
        ];
        assert_eq!(lines("tests", &Ok(summary), took), expected);
        let failed = lines("tests", &Err(anyhow::anyhow!("no")), took);
        assert_eq!(failed, ["FAILED  tests                1.5 s"]);
    }
}
