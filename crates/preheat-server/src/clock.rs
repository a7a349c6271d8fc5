//! Process time: what core calls a moment.

use std::time::Duration;

use preheat_core::Moment;
use tokio::time::Instant;

/// Reads time since process start. Follows tokio's clock, so that tests can pause it.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock whose process started at `start`.
    #[must_use]
    pub fn started_at(start: std::time::Instant) -> Self {
        Clock {
            start: Instant::from_std(start),
        }
    }

    #[must_use]
    pub fn now(&self) -> Moment {
        Moment::after_start(self.start.elapsed())
    }

    #[must_use]
    pub fn at(&self, instant: std::time::Instant) -> Moment {
        Moment::after_start(Instant::from_std(instant).saturating_duration_since(self.start))
    }

    #[must_use]
    pub fn instant(&self, moment: Moment) -> Instant {
        self.start + moment.since_start()
    }
}

/// Milliseconds as reports give them: three digits behind the point.
#[must_use]
pub fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
