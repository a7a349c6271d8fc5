//! Standard output: data, and nothing else.

use std::io::{self, Write};

use preheat_core::{Failure, FailureKind};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

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

/// Whether whoever read standard output has gone (`| head`): who writes on and on must ask, as writing
/// does not tell, and there may be nothing to write.
pub fn is_gone() -> bool {
    let out = io::stdout();
    let mut asked = [PollFd::new(&out, PollFlags::empty())];
    let at_once = Timespec::default();
    // What cannot be asked is taken for a reader.
    let told = poll(&mut asked, Some(&at_once)).is_ok();
    told && asked[0]
        .revents()
        .intersects(PollFlags::ERR | PollFlags::HUP)
}

/// Standard error: talk. A closed one cannot be told about.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
