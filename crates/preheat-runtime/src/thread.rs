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

/// Lets the calling thread run only where a CPU has nothing else to do: whoever wakes there takes
/// the CPU from it at once. False where the system has no such class; the thread is as it was then.
#[must_use]
pub fn run_when_idle() -> bool {
    #[cfg(target_os = "linux")]
    #[expect(unsafe_code, reason = "no safe wrapper sets a scheduling policy")]
    {
        let parameter = libc::sched_param { sched_priority: 0 };
        // SAFETY: the parameter outlives the call, and 0 names the calling thread.
        unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameter) == 0 }
    }
    #[cfg(not(target_os = "linux"))]
    false
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
