//! What people type: the verbs, their answers and their exit codes.

mod exits;
mod gates;
mod looks;
mod mask;
mod models;
mod probe;
mod screen;
mod simulate;
mod traffic;
mod understand;

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A folder of one's own to call the binary in, with a home that nobody else has.
pub struct Shell {
    folder: TempDir,
    environment: Vec<(&'static str, String)>,
}

/// What came of a call.
#[derive(Debug)]
pub struct Called {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Shell {
    pub fn new() -> Self {
        Shell {
            folder: tempfile::tempdir().unwrap(),
            environment: Vec::new(),
        }
    }

    /// With a configuration file that every call finds.
    pub fn with(config: &str) -> Self {
        let shell = Shell::new();
        shell.write("preheat.toml", config);
        shell.env("PREHEAT_CONFIG", "preheat.toml")
    }

    pub fn env(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.to_owned()));
        self
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_preheat"));
        // A setting in the developer's shell must not change a test.
        command
            .args(args)
            .current_dir(self.path())
            .env_clear()
            .env("HOME", self.path())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    pub fn call<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Called {
        self.command(args).output().unwrap().into()
    }
}

impl From<Output> for Called {
    fn from(output: Output) -> Self {
        Called {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Called {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Both streams and the code, as a person sees them.
    pub fn whole(&self) -> String {
        let Called {
            code,
            stdout,
            stderr,
        } = self;
        format!("{stdout}── stderr ──\n{stderr}── code {code} ──\n")
    }
}
