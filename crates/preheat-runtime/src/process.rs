//! Processes that are not our children: whether one is still the same, and when it ends.

use std::io;

use rustix::process::{Pid, test_kill_process};

#[cfg(target_os = "linux")]
use {
    rustix::process::{PidfdFlags, pidfd_open},
    std::os::fd::OwnedFd,
    tokio::io::{Interest, unix::AsyncFd},
};

/// A process that somebody else has started.
#[derive(Debug)]
pub struct Stranger {
    pid: Pid,
    #[cfg(target_os = "linux")]
    end: AsyncFd<OwnedFd>,
}

/// When a process began, in the system's own measure: with its number it names one process and no
/// later one. None where the system does not tell, or there is no such process.
#[must_use]
pub fn started(pid: u32) -> Option<u64> {
    // The name may hold anything, brackets and spaces included.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    // The 22nd of all, after number and name.
    fields.split_whitespace().nth(19)?.parse().ok()
}

impl Stranger {
    /// The process of this number, if it is the one that began then. Inside a runtime.
    ///
    /// # Errors
    /// When there is none, or another one.
    pub fn of(pid: u32, began: Option<u64>) -> io::Result<Self> {
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        let id = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let id = id.ok_or_else(gone)?;
        test_kill_process(id)?;
        let stranger = Stranger {
            pid: id,
            #[cfg(target_os = "linux")]
            end: watched(id)?,
        };
        // Looked at last: from here on the number cannot be given to another one unseen.
        // Where nobody says when a process began, nobody knows whether it is the same.
        match began.is_some() && started(pid) == began {
            true => Ok(stranger),
            false => Err(gone()),
        }
    }

    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Returns when it has ended.
    pub async fn ended(&self) {
        #[cfg(target_os = "linux")]
        // Readable once it has ended; an error means that nobody can tell any more.
        let _ = self.end.readable().await;
        #[cfg(not(target_os = "linux"))]
        while test_kill_process(self.pid).is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

/// A descriptor that is readable once the process has ended.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "tokio asks for a promise about the descriptor")]
fn watched(pid: Pid) -> io::Result<AsyncFd<OwnedFd>> {
    let descriptor = pidfd_open(pid, PidfdFlags::empty())?;
    // SAFETY: the descriptor is owned by what is returned, and nobody else closes it.
    let watched = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) };
    watched.map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_process_is_known_by_its_beginning_and_seen_to_end() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id();
        let began = started(pid);
        assert!(Stranger::of(pid, Some(1)).is_err(), "another one");
        let stranger = Stranger::of(pid, began).unwrap();
        let ended = tokio::time::timeout(Duration::from_millis(20), stranger.ended()).await;
        assert!(ended.is_err(), "it lives");
        child.kill().unwrap();
        stranger.ended().await;
        child.wait().unwrap();
        assert!(Stranger::of(pid, began).is_err());
    }
}
