//! Programs that set-up calls, and how to come by each.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::shell;

struct Tool {
    name: &'static str,
    /// Ends with 0 when the tool is there.
    probe: &'static [&'static str],
    debian_package: &'static str,
    elsewhere: &'static str,
}

const TOOLS: &[Tool] = &[
    Tool {
        name: "python3 (3.11 or newer)",
        probe: &[
            "python3",
            "-c",
            "import sys; sys.exit(sys.version_info < (3, 11))",
        ],
        debian_package: "python3",
        elsewhere: "install Python 3.11 or newer",
    },
    Tool {
        name: "Python's venv module",
        probe: &["python3", "-c", "import ensurepip, venv"],
        debian_package: "python3-venv",
        elsewhere: "install the venv module of your Python",
    },
    Tool {
        name: "node",
        probe: &["node", "--version"],
        debian_package: "nodejs",
        elsewhere: "install Node.js 20.19 or newer",
    },
    Tool {
        name: "npm",
        probe: &["npm", "--version"],
        debian_package: "npm",
        elsewhere: "install npm; it comes with Node.js",
    },
    Tool {
        name: "chromium",
        probe: &["test", "-x", "/usr/bin/chromium"],
        debian_package: "chromium",
        elsewhere: "install Chromium as /usr/bin/chromium, for the dashboard's tests",
    },
];

/// Passes when every tool is there. As root on Debian, installs what is missing first.
pub(crate) fn ensure() -> Result<()> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    if Path::new("/etc/debian_version").exists() && is_root() {
        let packages: Vec<_> = missing.iter().map(|tool| tool.debian_package).collect();
        println!("installing {}", packages.join(" "));
        shell::run(shell::command("apt-get", &["update", "--quiet"]))?;
        let mut install = shell::command("apt-get", &["install", "--quiet", "--yes"]);
        install
            .args(&packages)
            .env("DEBIAN_FRONTEND", "noninteractive");
        shell::run(install)?;
    }
    match self::missing().as_slice() {
        [] => Ok(()),
        missing => bail!("{}", explain(missing)),
    }
}

fn missing() -> Vec<&'static Tool> {
    TOOLS.iter().filter(|tool| !is_there(tool)).collect()
}

fn is_there(tool: &Tool) -> bool {
    let (program, args) = tool.probe.split_first().expect("a probe names its program");
    let status = Command::new(program)
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

fn is_root() -> bool {
    shell::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

fn explain(missing: &[&Tool]) -> String {
    let line = |tool: &&Tool| {
        format!(
            "\n  {}: {} (Debian: {})",
            tool.name, tool.elsewhere, tool.debian_package
        )
    };
    let lines: String = missing.iter().map(line).collect();
    format!("set-up needs programs that are not here:{lines}")
}
