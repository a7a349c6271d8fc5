//! The small process between this program and a command that it starts.
//!
//! It runs the command in its own process group and ends with it. When its standard input closes,
//! which the kernel does when the process that holds the other end is gone, it ends the whole group
//! and everything below it. Polite signals pass it by: they go to the group, and the command decides.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, getpid, kill_current_process_group, kill_process};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use crate::process_tree;

/// Runs `command` to its end and answers with its exit code.
///
/// # Errors
/// When it cannot be started.
pub async fn keep(command: &[OsString]) -> io::Result<u8> {
    // A handler is not passed on to the command, as ignoring the signal would be.
    let mut heard = Vec::new();
    for kind in [
        SignalKind::terminate(),
        SignalKind::interrupt(),
        SignalKind::hangup(),
    ] {
        heard.push(signal(kind)?);
    }
    // Who leaves the group and loses its parent comes here, and can still be found.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_child_subreaper(Some(getpid())) {
        tracing::debug!(event = "not_a_reaper", %error, "orphans of the command go elsewhere");
    }
    let line = io::stdin().as_fd().try_clone_to_owned()?;
    let mut line = pipe::Receiver::from_owned_fd(line)?;
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .spawn()?;
    let status = tokio::select! {
        status = child.wait() => Some(status?),
        () = closed(&mut line) => None,
    };
    let own = u32::try_from(getpid().as_raw_nonzero().get()).unwrap_or_default();
    for pid in process_tree::below(own) {
        if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
            // It may be gone already.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    match status {
        Some(status) => Ok(code(status)),
        // This one with it: there is nobody left to tell.
        None => kill_current_process_group(Signal::KILL)
            .map(|()| 0)
            .map_err(Into::into),
    }
}

async fn closed(line: &mut pipe::Receiver) {
    let mut ignored = [0; 64];
    while line.read(&mut ignored).await.is_ok_and(|read| read > 0) {}
}

/// As shells give it: a signal's number on top of 128.
fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| Some(128 + status.signal()?));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
