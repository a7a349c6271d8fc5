//! Standard output: data, and nothing else.

use std::io::{self, Write};

use preheat_core::{Failure, FailureKind};

use crate::exit::staged;

/// Writes `text`. A reader that has gone (`| head`) is a quiet end.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(staged(
            "output",
            FailureKind::Internal,
            format!("standard output cannot be written: {error}"),
            "check where it goes: the disk may be full",
        )),
        _ => Ok(()),
    }
}

/// Writes a value on several lines, for people and programs alike.
pub fn json(value: &serde_json::Value) -> Result<(), Failure> {
    print(&format!("{value:#}\n"))
}

/// Standard error: talk. A closed one cannot be told about.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
