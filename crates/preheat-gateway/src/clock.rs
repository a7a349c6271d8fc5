//! The gateway's time, as core knows it.

use std::time::Duration;

use preheat_core::Moment;
use tokio::time::Instant;

/// Copies show the same time. Stands still with tokio's clock in tests.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// `start`: when the process began.
    #[must_use]
    pub fn started_at(start: std::time::Instant) -> Self {
        Clock {
            start: Instant::from_std(start),
        }
    }

    /// Begins now.
    #[must_use]
    pub fn new() -> Self {
        Clock {
            start: Instant::now(),
        }
    }

    #[must_use]
    pub fn now(&self) -> Moment {
        Moment::after_start(self.start.elapsed())
    }

    /// The instant of a moment, for timers.
    #[must_use]
    pub fn instant(&self, moment: Moment) -> Instant {
        self.start + moment.since_start()
    }
}

/// Milliseconds with a thousandth as the last digit.
#[must_use]
pub fn millis(took: Duration) -> f64 {
    (took.as_secs_f64() * 1e6).round() / 1e3
}
