//! A process that prepares itself behind those that serve.
//!
//! Behind means: a tenth of the share of one that serves where both want a CPU, and no taking it away on
//! waking. Where nobody wants the CPU, nothing is lost. A priority that is lowered cannot be raised
//! again without a right to it, so whether that is there is tried first: without it a process only
//! wakes more modestly, which can be taken back always. A control group of its own, where it has one,
//! weighs as little for as long. Elsewhere than on Linux nothing changes.

use std::sync::OnceLock;

use crate::cgroup::cell::Cell;

/// So much nicer: about a tenth of the weight.
const STEP: i32 = 10;

/// Priority that this process had before it stepped behind.
static BEFORE: OnceLock<i32> = OnceLock::new();

/// Puts the calling thread, and all that it will start, behind. For the first lines of a process.
pub fn step_behind() {
    if let Some(before) = system::step_behind() {
        // A second time there is nothing to remember.
        let _ = BEFORE.set(before);
    }
}

/// Takes it back for the whole process and for those that it has started. Does nothing where it was not
/// behind.
pub fn catch_up() {
    if let Some(before) = BEFORE.get() {
        system::raise(std::process::id(), *before);
        weigh_as_others(std::process::id());
    }
}

/// Takes it back for a child that stepped behind and has not caught up by itself, and for its own. Looks
/// at every process of the machine. False where nothing was behind.
#[must_use]
pub fn call_up(child: u32) -> bool {
    let raised = system::own().is_some_and(|own| system::raise(child, own));
    weigh_as_others(child);
    raised
}

fn weigh_as_others(process: u32) {
    if let Some(cell) = Cell::of(process) {
        cell.catch_up();
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::fs;

    use rustix::process::{Pid, getpid, getpriority_process, setpriority_process};

    use super::STEP;
    use crate::process_tree::below;
    use crate::thread::spawn_named;

    /// While threads are raised, those that are not yet may start others: looked at so often at most.
    const LOOKS: usize = 8;

    pub(super) fn own() -> Option<i32> {
        getpriority_process(Some(getpid())).ok()
    }

    pub(super) fn step_behind() -> Option<i32> {
        let before = own()?;
        if may_raise(before)
            && let Err(error) = setpriority_process(None, behind(before))
        {
            tracing::debug!(event = "step_behind", %error, "it prepares itself at ordinary priority");
        }
        set_policy(None, libc::SCHED_BATCH);
        Some(before)
    }

    /// Raises all threads that are behind, of a process and of those below it; others have a priority of
    /// their own.
    pub(super) fn raise(process: u32, before: i32) -> bool {
        for look in 0..LOOKS {
            let all = below(process).into_iter().chain([process]);
            let raised = all
                .flat_map(threads)
                .filter(|thread| raise_one(*thread, before))
                .count();
            if raised == 0 {
                return look > 0;
            }
        }
        true
    }

    /// False where there was nothing to do, or nothing that could be done.
    fn raise_one(thread: Pid, before: i32) -> bool {
        let modest =
            policy(thread) == libc::SCHED_BATCH && set_policy(Some(thread), libc::SCHED_OTHER);
        let nicer = getpriority_process(Some(thread)) == Ok(behind(before));
        let raised = nicer && setpriority_process(Some(thread), before).is_ok();
        modest || raised
    }

    fn behind(before: i32) -> i32 {
        (before + STEP).min(19)
    }

    /// Tried on a thread that is good for nothing else.
    fn may_raise(before: i32) -> bool {
        let trial = move || {
            setpriority_process(None, behind(before)).is_ok()
                && setpriority_process(None, before).is_ok()
        };
        spawn_named("priority", trial).is_ok_and(|thread| thread.join().unwrap_or(false))
    }

    fn threads(process: u32) -> Vec<Pid> {
        let entries = fs::read_dir(format!("/proc/{process}/task"));
        let names = entries.into_iter().flatten().flatten();
        names
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter_map(Pid::from_raw)
            .collect()
    }

    fn raw(thread: Option<Pid>) -> libc::pid_t {
        thread.map_or(0, |thread| thread.as_raw_nonzero().get())
    }

    #[expect(unsafe_code, reason = "no safe wrapper reads a scheduling policy")]
    fn policy(thread: Pid) -> libc::c_int {
        // SAFETY: takes a number and touches no memory.
        unsafe { libc::sched_getscheduler(raw(Some(thread))) }
    }

    /// None: the calling thread.
    #[expect(unsafe_code, reason = "no safe wrapper sets a scheduling policy")]
    fn set_policy(thread: Option<Pid>, policy: libc::c_int) -> bool {
        let parameter = libc::sched_param { sched_priority: 0 };
        // SAFETY: the parameter outlives the call.
        unsafe { libc::sched_setscheduler(raw(thread), policy, &raw const parameter) == 0 }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    pub(super) fn own() -> Option<i32> {
        None
    }

    pub(super) fn step_behind() -> Option<i32> {
        None
    }

    pub(super) fn raise(_process: u32, _before: i32) -> bool {
        false
    }
}
