//! Threads for connections that mostly pass bytes on.
//!
//! On a runtime that shares its tasks, whoever wakes one wakes an idle thread as well, lest it be
//! late; and that thread then finds a few microseconds of work. A proxy has nothing but such tasks,
//! and the waking costs it more than they do. A lane is a thread whose tasks are its own: a
//! connection stays on the lane that it is given, and so do the connections that are opened for it.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::cpu;
use crate::thread::spawn_named;

thread_local! {
    static HERE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The lane on whose thread this is called.
#[must_use]
pub fn here() -> Option<usize> {
    HERE.get()
}

/// Some lanes. Clones share them; they end with the last.
#[derive(Debug, Clone)]
pub struct Lanes(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    lanes: Vec<Lane>,
    _stop: DropGuard,
}

#[derive(Debug)]
struct Lane {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
}

/// A connection's place on a lane, until dropped.
#[derive(Debug)]
pub struct Place {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
}

impl Lanes {
    /// One for each CPU that this process may use.
    ///
    /// # Errors
    /// When the system has no thread or no event queue left to give.
    pub fn start() -> io::Result<Self> {
        let stop = CancellationToken::new();
        let guard = stop.clone().drop_guard();
        let count = cpu::usable().get();
        let lanes = (0..count).map(|number| lane(number, stop.clone()));
        Ok(Lanes(Arc::new(Inner {
            lanes: lanes.collect::<io::Result<_>>()?,
            _stop: guard,
        })))
    }

    /// A place where the fewest connections are.
    #[must_use]
    pub fn place(&self) -> Place {
        let connections = |lane: &&Lane| lane.connections.load(Ordering::Relaxed);
        let lane = self.0.lanes.iter().min_by_key(connections);
        let lane = lane.expect("there is one lane at least");
        lane.connections.fetch_add(1, Ordering::Relaxed);
        Place {
            runtime: lane.runtime.clone(),
            connections: Arc::clone(&lane.connections),
        }
    }
}

impl Place {
    #[must_use]
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

fn lane(number: usize, stop: CancellationToken) -> io::Result<Lane> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    spawn_named(&format!("lane {number}"), move || {
        HERE.set(Some(number));
        runtime.block_on(stop.cancelled());
        // A task that blocks must not keep the process.
        runtime.shutdown_background();
    })?;
    Ok(Lane {
        runtime: handle,
        connections: Arc::default(),
    })
}
