//! A process that is of no use without the one that started it.

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

/// The parent that was named is not, or no longer, the one that started this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("process {expected} did not start this one, or has ended")]
pub struct NotOurParent {
    pub expected: u32,
}

/// From now on the kernel ends this process together with its parent, however that ends. Elsewhere
/// than on Linux the parent has to see to it.
///
/// # Errors
/// When the parent has gone before the kernel could be told.
pub fn end_with(parent: u32) -> Result<(), NotOurParent> {
    #[cfg(target_os = "linux")]
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        tracing::warn!(event = "parent_unwatched", %error, "this process may outlive its parent");
    }
    let actual = getppid().map(Pid::as_raw_nonzero);
    match actual.is_some_and(|pid| u32::try_from(pid.get()) == Ok(parent)) {
        true => Ok(()),
        false => Err(NotOurParent { expected: parent }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_is_not_our_parent() {
        let own = std::process::id();
        assert_eq!(end_with(own), Err(NotOurParent { expected: own }));
    }
}
