//! `preheat record`: requests of users as they come to a running replica or gateway, into a file that
//! warm-up plans and `preheat plan` read.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use preheat_core::{Failure, FailureKind};
use tempfile::NamedTempFile;
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
    let not_written = |error: std::io::Error| unwritten("record", &args.out, &error);
    let mut file = private(&args.out).map_err(not_written)?;
    let (mut seen, mut written) = (0, 0);
    let listening = listen(&target, args.time, |line| {
        seen += 1;
        if (seen - 1) % args.every == 0 {
            file.write_all(line.as_bytes())?;
            file.write_all(b"\n")?;
            written += 1;
        }
        Ok(written < args.max)
    });
    process::runtime()?
        .block_on(listening)?
        .map_err(not_written)?;
    if written > 0 {
        let kept = file.persist(&args.out);
        kept.map_err(|failed| not_written(failed.error))?;
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

/// What users sent is nobody else's to read. A file of its own until something was recorded: an
/// earlier recording is not given up for a server that does not answer.
fn private(out: &Path) -> std::io::Result<NamedTempFile> {
    let dir = out.parent().filter(|dir| !dir.as_os_str().is_empty());
    tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(dir.unwrap_or(Path::new(".")))
}

/// Hands on every line that comes within the time, until one is enough.
pub async fn listen(
    target: &Target,
    time: Duration,
    mut take: impl FnMut(&str) -> std::io::Result<bool>,
) -> Result<std::io::Result<()>, Failure> {
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
    Ok(Ok(()))
}

fn failed(cause: impl Into<String>, remedy: impl Into<String>) -> Failure {
    staged("record", FailureKind::Internal, cause, remedy)
}
