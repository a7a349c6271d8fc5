//! One replica as the balancer knows it: permits, latency, probation, ejection.

use std::time::Duration;

use super::latency::PeakEwma;
use super::{BalancePolicy, Crowd};
use crate::moment::Moment;

/// A replica in rotation. Plain state: whoever owns it passes time and outcomes in.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    concurrency: usize,
    in_flight: usize,
    latency: PeakEwma,
    /// Its latency never settled: used when nothing better is free.
    degraded: bool,
    probation: Option<Probation>,
    failures_in_a_row: u32,
    ejection: Option<Ejection>,
}

/// How a replica comes into rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Its first requests are few at a time, whatever its permits.
    Newcomer,
    /// It has been asked to work at its full concurrency before (its proof did, or it served
    /// already): all permits at once, watched over its first requests all the same.
    Tried,
}

/// What a replica's proof says about it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Credentials {
    /// Steady latency through its front door.
    pub steady: Duration,
    /// Requests that may be in flight at once.
    pub concurrency: usize,
    pub degraded: bool,
    pub entry: Entry,
}

/// A newcomer's first requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Probation {
    cap: usize,
    seen: u32,
    missed: u32,
}

/// Out of rotation after failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ejection {
    until: Moment,
    /// How often in a row: decides the next pause.
    times: u32,
}

/// How a request ended, as far as its replica is judged by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Answered, after this long.
    Answered(Duration),
    /// The replica's own fault: no connection, reset, time-out, 5xx. Its duration says nothing.
    Failed,
    /// Nobody's fault, or the client's: cancelled, malformed.
    Void,
}

/// What follows from the end of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consequence {
    None,
    /// It missed the objective in its probation: it goes back to warming.
    BackToWarming {
        seen: u32,
        missed: u32,
    },
    /// It has passed its probation.
    Passed,
    /// It failed too often in a row.
    Ejected {
        until: Moment,
    },
}

impl Endpoint {
    #[must_use]
    pub fn new(who: Credentials, policy: &BalancePolicy, now: Moment) -> Self {
        let cap = match who.entry {
            Entry::Newcomer => policy.probation_in_flight,
            Entry::Tried => usize::MAX,
        };
        Endpoint {
            concurrency: who.concurrency.max(1),
            in_flight: 0,
            latency: PeakEwma::seeded(who.steady, now),
            degraded: who.degraded,
            probation: (policy.probation_requests > 0).then_some(Probation {
                cap: cap.max(1),
                seen: 0,
                missed: 0,
            }),
            failures_in_a_row: 0,
            ejection: None,
        }
    }

    /// With requests that it works on since it was here before.
    #[must_use]
    pub fn working_on(self, in_flight: usize) -> Self {
        Endpoint { in_flight, ..self }
    }

    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Requests that may be in flight now: fewer in probation.
    #[must_use]
    pub fn permits(&self) -> usize {
        self.probation
            .map_or(self.concurrency, |p| p.cap.min(self.concurrency))
    }

    #[must_use]
    pub fn free(&self) -> usize {
        self.permits().saturating_sub(self.in_flight)
    }

    #[must_use]
    pub fn is_on_probation(&self) -> bool {
        self.probation.is_some()
    }

    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.degraded
    }

    #[must_use]
    pub fn is_ejected(&self, now: Moment) -> bool {
        self.ejection.is_some_and(|e| now < e.until)
    }

    /// When an ejected replica is tried again.
    #[must_use]
    pub fn ejected_until(&self, now: Moment) -> Option<Moment> {
        self.ejection.map(|e| e.until).filter(|until| now < *until)
    }

    /// Takes a permit. False: none is free, and nothing changed.
    #[must_use]
    pub fn begin(&mut self) -> bool {
        let free = self.free() > 0;
        self.in_flight += usize::from(free);
        free
    }

    /// Gives the permit back: the response body has ended, or there never was one.
    ///
    /// `crowd` is the set as it stands now, this replica included: nobody is sent away if too few
    /// would stay.
    pub fn end(
        &mut self,
        ended: Ended,
        crowd: Crowd,
        policy: &BalancePolicy,
        now: Moment,
    ) -> Consequence {
        self.in_flight = self.in_flight.saturating_sub(1);
        match ended {
            Ended::Void => Consequence::None,
            Ended::Answered(took) => {
                self.failures_in_a_row = 0;
                if self.ejection.is_some_and(|e| e.until <= now) {
                    self.ejection = None;
                }
                self.latency.learn(took, now, policy.decay);
                self.watch(took > policy.slo.threshold, crowd, policy)
            }
            Ended::Failed => match self.watch(true, crowd, policy) {
                Consequence::None => self.failed(crowd, policy, now),
                judged => {
                    self.failures_in_a_row += 1;
                    judged
                }
            },
        }
    }

    /// Latency × (in flight + 1), in seconds: what one more request would cost here.
    #[must_use]
    pub fn cost(&self, policy: &BalancePolicy, now: Moment) -> f64 {
        self.latency.seconds(now, policy.decay) * (self.in_flight + 1) as f64
    }

    fn watch(&mut self, missed: bool, crowd: Crowd, policy: &BalancePolicy) -> Consequence {
        let Some(probation) = &mut self.probation else {
            return Consequence::None;
        };
        probation.seen += 1;
        probation.missed += u32::from(missed);
        let Probation { seen, missed, .. } = *probation;
        let too_many = missed > policy.slo.may_miss(policy.probation_requests);
        if too_many && crowd.others() > 0 {
            Consequence::BackToWarming { seen, missed }
        } else if seen >= policy.probation_requests {
            // Alone and slow is still better than nobody.
            self.probation = None;
            Consequence::Passed
        } else {
            Consequence::None
        }
    }

    fn failed(&mut self, crowd: Crowd, policy: &BalancePolicy, now: Moment) -> Consequence {
        self.failures_in_a_row += 1;
        let enough = self.failures_in_a_row >= policy.failures_to_eject;
        if !enough || self.is_ejected(now) || !crowd.spares_one_more() {
            return Consequence::None;
        }
        let times = self.ejection.map_or(0, |e| e.times);
        let pause = policy
            .first_ejection
            .saturating_mul(1 << times.min(16))
            .min(policy.longest_ejection);
        let until = now + pause;
        self.ejection = Some(Ejection {
            until,
            times: times.saturating_add(1),
        });
        // One failure on its return sends it away again, for longer.
        self.failures_in_a_row = policy.failures_to_eject.saturating_sub(1);
        Consequence::Ejected { until }
    }
}

impl AsRef<Endpoint> for Endpoint {
    fn as_ref(&self) -> &Endpoint {
        self
    }
}
