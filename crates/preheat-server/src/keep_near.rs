//! Between the proof and its first user, a replica's weights are kept near the processor.
//!
//! A replica that is proven and then left alone cools within milliseconds: neighbours push its
//! weights out of the shared cache, and its CPUs go to sleep. So threads read the weights again
//! and again until the first user comes, for a short while at most. They run only where a CPU has
//! nothing else to do, and whoever wakes there has the CPU at once: nobody waits for it.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use preheat_engine::Engine;
use preheat_runtime::thread;

use crate::service::Service;

/// Whoever comes later finds a replica that rests: that is what it costs to cost nothing.
const LONGEST: Duration = Duration::from_secs(2);

/// Threads that read: one fills the pauses of one CPU, and the weights are lost faster than that.
const READERS: usize = 2;

/// Starts the reading, where there is a CPU to spare and something to read.
pub fn until_first_user(engine: &Arc<dyn Engine>, service: &Arc<Service>) {
    let cpus = available_parallelism().map_or(1, NonZeroUsize::get);
    // With a single CPU to use, what is read now would be taken from the first user's share.
    let readers = if cpus < 2 { 0 } else { READERS };
    for reader in 0..readers {
        let (engine, service) = (Arc::clone(engine), Arc::clone(service));
        // Each its own pieces; together all of them.
        let pieces = (reader..).step_by(readers);
        let read = move || read(pieces, &*engine, &service);
        // Without it the first request takes a little longer, which is all that is lost.
        if let Err(error) = thread::spawn_named("keep-near", read) {
            tracing::debug!(event = "keep_near", %error, "no thread keeps the weights near");
        }
    }
}

fn read(mut pieces: impl Iterator<Item = usize>, engine: &dyn Engine, service: &Service) {
    let began = Instant::now();
    if !thread::run_when_idle() {
        return;
    }
    while !service.has_visitor() && began.elapsed() < LONGEST {
        if !pieces.next().is_some_and(|piece| engine.reread(piece)) {
            return;
        }
    }
}
