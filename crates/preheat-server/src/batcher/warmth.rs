//! Which shapes have been run on which instance.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use preheat_core::ShapeBucket;

/// Remembers what was run. Shared by the warm-up, which covers, and the batcher, which meets.
#[derive(Debug, Clone)]
pub struct Coverage {
    shape_state: bool,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    runs: HashSet<(usize, Option<ShapeBucket>)>,
    planned: HashSet<ShapeBucket>,
    /// Users' requests by shape, since they were last taken.
    live: HashMap<ShapeBucket, u64>,
}

/// What a batch met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Met {
    /// The instance had not run this shape before.
    pub cold: bool,
    /// The plan covers this shape.
    pub planned: bool,
}

impl Coverage {
    /// `shape_state`: whether each shape has to be run for itself.
    #[must_use]
    pub fn new(shape_state: bool) -> Self {
        Coverage {
            shape_state,
            seen: Arc::default(),
        }
    }

    /// The plan stands for this shape.
    pub fn plan(&self, shape: ShapeBucket) {
        self.lock().planned.insert(shape);
    }

    /// This instance is about to run this shape.
    pub fn meet(&self, instance: usize, shape: ShapeBucket) -> Met {
        let key = self.shape_state.then_some(shape);
        let mut seen = self.lock();
        Met {
            cold: seen.runs.insert((instance, key)),
            planned: !self.shape_state || seen.planned.contains(&shape),
        }
    }

    /// It did not, after all: nobody waited for the end.
    pub fn unmeet(&self, instance: usize, shape: ShapeBucket) {
        let key = self.shape_state.then_some(shape);
        self.lock().runs.remove(&(instance, key));
    }

    /// So many users' requests were in a batch of this shape.
    pub fn served(&self, shape: ShapeBucket, requests: usize) {
        *self.lock().live.entry(shape).or_default() += requests as u64;
    }

    /// Users' requests by shape since the last call. There are no more shapes than classes.
    #[must_use]
    pub fn take_served(&self) -> HashMap<ShapeBucket, u64> {
        std::mem::take(&mut self.lock().live)
    }

    /// Whether a proof stands for this shape.
    #[must_use]
    pub fn is_planned(&self, shape: ShapeBucket) -> bool {
        !self.shape_state || self.lock().planned.contains(&shape)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
