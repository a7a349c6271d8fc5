//! Points in time as core knows them: a distance from the start of the process.

use std::ops::{Add, Sub};
use std::time::Duration;

/// Monotonic time since process start. Made by whoever owns a clock; core only compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(Duration);

impl Moment {
    pub const START: Moment = Moment(Duration::ZERO);

    #[must_use]
    pub const fn after_start(elapsed: Duration) -> Self {
        Moment(elapsed)
    }

    #[must_use]
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// Zero when `earlier` is in fact later: two clocks' readings may cross by a hair.
    #[must_use]
    pub fn since(self, earlier: Moment) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;
    fn add(self, by: Duration) -> Moment {
        Moment(self.0.saturating_add(by))
    }
}

impl Sub for Moment {
    type Output = Duration;
    fn sub(self, earlier: Moment) -> Duration {
        self.since(earlier)
    }
}
