//! Between the proof and its first user, a replica's weights are kept near the processor.
//!
//! A replica that is proven and then left alone cools within milliseconds: neighbours push its
//! weights out of the shared cache, and its CPUs go to sleep. So one thread reads the weights again
//! and again until the first user comes, for a short while at most. It runs only where a CPU has
//! nothing else to do, and whoever wakes there has the CPU at once: nobody waits for it.

use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use preheat_engine::Engine;
use preheat_runtime::thread;

use crate::service::Service;

/// Whoever comes later finds a replica that rests: that is what it costs to cost nothing.
const LONGEST: Duration = Duration::from_secs(2);

/// Starts the reading, where there is a CPU to spare and something to read.
pub fn until_first_user(engine: Arc<dyn Engine>, service: Arc<Service>) {
    // With a single CPU to use, what is read now would be taken from the first user's share.
    if available_parallelism().is_ok_and(|cpus| cpus.get() < 2) {
        return;
    }
    let read = move || {
        let began = Instant::now();
        if thread::run_when_idle() {
            let mut pieces = 0..;
            while !service.has_visitor() && began.elapsed() < LONGEST {
                if !pieces.next().is_some_and(|piece| engine.reread(piece)) {
                    break;
                }
            }
        }
    };
    // Without it the first request takes a little longer, which is all that is lost.
    if let Err(error) = thread::spawn_named("keep-near", read) {
        tracing::debug!(event = "keep_near", %error, "no thread keeps the weights near");
    }
}
