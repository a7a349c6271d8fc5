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
