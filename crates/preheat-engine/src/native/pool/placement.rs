//! Keeps workers off their caller's CPU.
//!
//! After a pause the kernel tends to wake a worker where its caller runs. The caller spins for it,
//! so it starts only when the caller's time slice is over, and the first request after a pause
//! takes several times as long as the next.

use std::sync::OnceLock;

use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_getcpu, sched_setaffinity};

pub(super) struct Placement {
    /// The CPUs that this process may use. Empty when workers are left where they are.
    cpus: Vec<usize>,
    /// Where the caller was when the workers were last placed.
    caller: Option<usize>,
}

impl Placement {
    /// Workers that outnumber the other CPUs are left alone: pushing them together helps no one.
    pub(super) fn new(pin: bool, workers: usize) -> Self {
        let mut cpus = Vec::new();
        if pin && let Ok(allowed) = sched_getaffinity(None) {
            cpus.extend((0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)));
        }
        if cpus.len() <= workers {
            cpus.clear();
        }
        Placement { cpus, caller: None }
    }

    /// Places the workers if the caller has moved since the last time.
    pub(super) fn settle<'a>(&mut self, workers: impl Iterator<Item = &'a OnceLock<Pid>>) {
        if self.cpus.is_empty() {
            return;
        }
        let caller = sched_getcpu();
        if self.caller == Some(caller) {
            return;
        }
        let mut others = CpuSet::new();
        for cpu in self.cpus.iter().filter(|cpu| **cpu != caller) {
            others.set(*cpu);
        }
        for worker in workers {
            // One that has not started yet is placed by a later run.
            let Some(worker) = worker.get() else { return };
            // Where this is forbidden, workers stay where they are: slower, not wrong.
            let _ = sched_setaffinity(Some(*worker), &others);
        }
        self.caller = Some(caller);
    }
}
