//! Named operating system threads. The only user of [`std::thread::Builder`].

use std::io;
use std::thread::{Builder, JoinHandle};

/// Starts a thread whose name shows up in debuggers and in `/proc`.
///
/// # Errors
/// When the system has no thread left to give.
pub fn spawn_named<F, T>(name: &str, f: F) -> io::Result<JoinHandle<T>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Builder::new().name(name.to_owned()).spawn(f)
}

/// Enough for threads that answer to be put first, little enough not to starve beside strangers.
const GIVE_WAY: i32 = 5;

/// Puts the calling thread, which computes, behind those that answer; threads that it starts
/// inherit that. On Linux the priority is each thread's own; elsewhere nothing changes.
pub fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, GIVE_WAY) {
        tracing::debug!(event = "give_way", %error, "a compute thread runs at ordinary priority");
    }
}
