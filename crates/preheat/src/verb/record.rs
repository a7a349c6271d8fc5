//! `preheat record`: requests of users as they come to a running replica or gateway, into a file that
//! warm-up plans and `preheat plan` read.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use preheat_core::{Failure, FailureKind};
use preheat_runtime::Urgency;
use tempfile::TempPath;
use tokio::time::{Instant, timeout_at};

use super::process;
use crate::cli::{RecordArgs, Target};
use crate::client::{Client, ClientError};
use crate::exit::{WAIT_TIMED_OUT, staged, unwritten};
use crate::out::say;

/// Where a replica and a gateway tell them.
const PATH: &str = "/v1/requests";

/// A line holds a request body, and those are bounded.
const LONGEST_LINE: usize = 16 << 20;

pub fn run(args: &RecordArgs) -> Result<ExitCode, Failure> {
    let target = Target {
        url: args.url.clone(),
        key: args.key.clone(),
        json: false,
    };
    let not_written = |error: io::Error| unwritten("record", &args.out, &error);
    let mut sheet = Sheet::of(&args.out).map_err(not_written)?;
    let (mut seen, mut written) = (0, 0);
    let listening = listen(&target, args.time, |line| {
        seen += 1;
        if (seen - 1) % args.every == 0 {
            sheet.file.write_all(line.as_bytes())?;
            sheet.file.write_all(b"\n")?;
            written += 1;
        }
        Ok(written < args.max)
    });
    process::runtime()?
        .block_on(until_interrupted(listening))?
        .map_err(not_written)?;
    if written > 0 {
        sheet.keep().map_err(not_written)?;
    }
    say(&format!(
        "{written} of {seen} requests written to {}",
        args.out.display()
    ));
    match written {
        0 => Ok(ExitCode::from(WAIT_TIMED_OUT)),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Whoever has enough before the time is up keeps what there is.
async fn until_interrupted(
    listening: impl Future<Output = Result<io::Result<()>, Failure>>,
) -> Result<io::Result<()>, Failure> {
    let shutdown = process::interrupted("record")?;
    tokio::select! {
        over = listening => over,
        () = shutdown.reached(Urgency::Drain) => Ok(Ok(())),
    }
}

/// Where lines go. What users sent is nobody else's to read. A file of its own until something was
/// recorded: an earlier recording is not given up for a server that does not answer. A device or a
/// pipe is written into as it is: in its place no file may be put.
struct Sheet {
    file: File,
    new: Option<(TempPath, PathBuf)>,
}

impl Sheet {
    fn of(out: &Path) -> io::Result<Self> {
        let there = match fs::metadata(out) {
            Ok(there) => Some(there),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let out = match there {
            Some(there) if !there.is_file() => {
                let file = File::options().write(true).open(out)?;
                return Ok(Sheet { file, new: None });
            }
            // The file itself, and not the link to it.
            Some(_) => fs::canonicalize(out)?,
            None => out.to_owned(),
        };
        let dir = out.parent().filter(|dir| !dir.as_os_str().is_empty());
        let new = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o600))
            .tempfile_in(dir.unwrap_or(Path::new(".")))?;
        let (file, new) = new.into_parts();
        let new = Some((new, out));
        Ok(Sheet { file, new })
    }

    fn keep(self) -> io::Result<()> {
        match self.new {
            Some((new, out)) => new.persist(out).map_err(|failed| failed.error),
            None => Ok(()),
        }
    }
}

/// Hands on every line that comes within the time, until one is enough.
pub async fn listen(
    target: &Target,
    time: Duration,
    mut take: impl FnMut(&str) -> io::Result<bool>,
) -> Result<io::Result<()>, Failure> {
    let deadline = Instant::now() + time;
    let unreachable = |error: ClientError| failed(error.to_string(), error.remedy());
    let client = Client::of(target).map_err(unreachable)?;
    let mut response = client.stream(PATH, time).await.map_err(unreachable)?;
    let mut rest: Vec<u8> = Vec::new();
    let mut cut = false;
    // Its end, or ours.
    while let Ok(Ok(Some(piece))) = timeout_at(deadline, response.chunk()).await {
        rest.extend_from_slice(&piece);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            // The end of a line that was too long is no line.
            if std::mem::take(&mut cut) {
                continue;
            }
            match take(String::from_utf8_lossy(&line).trim_end()) {
                Ok(true) => {}
                Ok(false) => return Ok(Ok(())),
                Err(error) => return Ok(Err(error)),
            }
        }
        if rest.len() > LONGEST_LINE {
            rest.clear();
            cut = true;
        }
    }
    if Instant::now() < deadline {
        say(&format!(
            "{} ended it before the time was up",
            client.server()
        ));
    }
    Ok(Ok(()))
}

fn failed(cause: impl Into<String>, remedy: impl Into<String>) -> Failure {
    staged("record", FailureKind::Internal, cause, remedy)
}
