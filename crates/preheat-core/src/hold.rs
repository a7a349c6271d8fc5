//! Requests that wait until a replica has a place for them.
//!
//! A queue bounded by count, bytes and time. Whoever would come too late is told so at once, with
//! the time when coming back makes sense; whoever is let in leaves one by one as permits free up,
//! first come, first served. A queue let go as a herd breaks the replica that it waited for.

mod forecast;

use std::collections::VecDeque;
use std::time::Duration;

pub use forecast::{FAR, Forecast, later_starts};

use crate::moment::Moment;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldPolicy {
    pub max_count: usize,
    pub max_bytes: u64,
    /// Longest wait for a first replica.
    pub longest: Duration,
}

impl Default for HoldPolicy {
    fn default() -> Self {
        HoldPolicy {
            max_count: 1024,
            max_bytes: 64_000_000,
            longest: Duration::from_secs(30),
        }
    }
}

/// A place in the queue. Later tickets are larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// One request that waits. `what` is whatever its owner needs to go on with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Held<T> {
    pub ticket: Ticket,
    pub what: T,
    pub bytes: u64,
    pub since: Moment,
    /// When waiting on is of no use.
    pub until: Moment,
}

/// Why a request was not let into the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    pub why: RefusalReason,
    /// When coming back makes sense.
    pub retry_after: Duration,
    /// Nothing is warm: 503 and not 429.
    pub nothing_warm: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalReason {
    /// As many as may wait are waiting.
    QueueFull,
    /// Those who wait hold as many bytes as may be held.
    BytesFull,
    /// It would be answered too late to be of use.
    TooLate,
}

impl RefusalReason {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            RefusalReason::QueueFull => "hold_full",
            RefusalReason::BytesFull => "hold_bytes_full",
            RefusalReason::TooLate => "too_late",
        }
    }
}

/// The queue of one service.
#[derive(Debug, Clone)]
pub struct Hold<T> {
    policy: HoldPolicy,
    queue: VecDeque<Held<T>>,
    bytes: u64,
    next: u64,
    /// Nothing was warm when those who wait began to come.
    from_zero: bool,
}

impl<T> Hold<T> {
    #[must_use]
    pub const fn new(policy: HoldPolicy) -> Self {
        Hold {
            policy,
            queue: VecDeque::new(),
            bytes: 0,
            next: 0,
            from_zero: false,
        }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Bytes held.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Lets a request wait, or says at once why not and when to come back. `patience` is what is
    /// left of the client's own deadline.
    ///
    /// # Errors
    /// [`Refusal`], together with the request itself.
    pub fn offer(
        &mut self,
        what: T,
        bytes: u64,
        patience: Duration,
        forecast: &Forecast,
        now: Moment,
    ) -> Result<Ticket, (T, Refusal)> {
        let budget = self.budget(patience, forecast);
        if let Some(why) = self.refuses(bytes, budget, forecast) {
            let refusal = Refusal {
                why,
                retry_after: forecast.retry_after(self.queue.len(), budget),
                nothing_warm: !forecast.is_warm(),
            };
            return Err((what, refusal));
        }
        self.from_zero = !forecast.is_warm() || (self.from_zero && !self.queue.is_empty());
        let ticket = Ticket(self.next);
        self.next += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        // The prediction may be wrong: whoever was let in on it stays as long as is of use to them.
        let until = now + patience.min(self.policy.longest);
        self.queue.push_back(Held {
            ticket,
            what,
            bytes,
            since: now,
            until,
        });
        Ok(ticket)
    }

    /// How long a request may wait: what the objective leaves over a steady answer while something
    /// serves, the client's patience while nothing does and until those who came then are served.
    /// Whoever comes a moment after a first replica stands behind them, and has as much patience.
    #[must_use]
    pub fn budget(&self, patience: Duration, forecast: &Forecast) -> Duration {
        let most = patience.min(self.policy.longest);
        let from_zero = self.from_zero && !self.queue.is_empty();
        if forecast.is_warm() && !from_zero {
            most.min(forecast.objective.saturating_sub(forecast.steady))
        } else {
            most
        }
    }

    /// The one who has waited longest, for a permit that is free: call once for each permit.
    pub fn release(&mut self, now: Moment) -> Option<Held<T>> {
        let at = self.queue.iter().position(|held| now <= held.until)?;
        self.take(at)
    }

    /// Those whose time is over, oldest first.
    pub fn expired(&mut self, now: Moment) -> Vec<Held<T>> {
        let mut over = Vec::new();
        let mut at = 0;
        while at < self.queue.len() {
            if self.queue[at].until < now {
                over.extend(self.take(at));
            } else {
                at += 1;
            }
        }
        over
    }

    /// When [`Hold::expired`] is to be asked next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        self.queue.iter().map(|held| held.until).min()
    }

    /// Its client has gone.
    pub fn cancel(&mut self, ticket: Ticket) -> Option<Held<T>> {
        let at = self
            .queue
            .binary_search_by_key(&ticket, |held| held.ticket)
            .ok()?;
        self.take(at)
    }

    /// Everybody, oldest first: what they waited for will not come.
    pub fn fail_all(&mut self) -> Vec<Held<T>> {
        self.bytes = 0;
        self.queue.drain(..).collect()
    }

    fn refuses(&self, bytes: u64, budget: Duration, forecast: &Forecast) -> Option<RefusalReason> {
        let ahead = self.queue.len();
        if ahead >= self.policy.max_count {
            Some(RefusalReason::QueueFull)
        } else if self.bytes.saturating_add(bytes) > self.policy.max_bytes {
            Some(RefusalReason::BytesFull)
        } else if forecast.wait(ahead).is_none_or(|wait| wait > budget) {
            Some(RefusalReason::TooLate)
        } else {
            None
        }
    }

    fn take(&mut self, at: usize) -> Option<Held<T>> {
        let held = self.queue.remove(at)?;
        self.bytes = self.bytes.saturating_sub(held.bytes);
        Some(held)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: HoldPolicy = HoldPolicy {
        max_count: 5,
        max_bytes: 100,
        longest: Duration::from_secs(30),
    };
    const PATIENT: Duration = Duration::from_secs(60);

    fn at(ms: u64) -> Moment {
        Moment::after_start(Duration::from_millis(ms))
    }

    fn serving(rate: f64) -> Forecast {
        Forecast {
            rate,
            coming: Vec::new(),
            arrivals: rate,
            steady: Duration::from_millis(100),
            objective: Duration::from_millis(200),
        }
    }

    fn cold(eta: Duration) -> Forecast {
        Forecast {
            rate: 0.0,
            coming: vec![(eta, 50.0)],
            ..serving(0.0)
        }
    }

    fn refused(result: Result<Ticket, (u32, Refusal)>) -> Refusal {
        result.map_err(|(_, refusal)| refusal).unwrap_err()
    }

    #[test]
    fn while_something_serves_the_budget_is_what_the_objective_leaves() {
        let mut hold = Hold::new(POLICY);
        // 20 a second: the third would wait 100 ms, the fourth 150.
        for what in 0..3 {
            assert!(hold.offer(what, 1, PATIENT, &serving(20.0), at(0)).is_ok());
        }
        let refusal = refused(hold.offer(3, 1, PATIENT, &serving(20.0), at(0)));
        assert_eq!(refusal.why, RefusalReason::TooLate);
        assert!(!refusal.nothing_warm);
        assert_eq!(refusal.retry_after, Duration::from_millis(50));
    }

    #[test]
    fn from_zero_the_clients_patience_decides() {
        let mut hold = Hold::new(POLICY);
        let soon = cold(Duration::from_secs(2));
        assert!(hold.offer(0, 1, PATIENT, &soon, at(0)).is_ok());
        let hasty = refused(hold.offer(1, 1, Duration::from_secs(1), &soon, at(0)));
        assert_eq!(hasty.why, RefusalReason::TooLate);
        assert!(hasty.nothing_warm);
        let late = refused(hold.offer(2, 1, PATIENT, &cold(Duration::from_secs(71)), at(0)));
        assert_eq!(late.why, RefusalReason::TooLate);
        assert_eq!(late.retry_after, Duration::from_millis(41_040));
    }

    #[test]
    fn whoever_comes_behind_a_queue_from_zero_may_wait_as_long() {
        let mut hold = Hold::new(POLICY);
        let soon = cold(Duration::from_secs(2));
        for what in 0..3 {
            assert!(hold.offer(what, 1, PATIENT, &soon, at(0)).is_ok());
        }
        // A first replica is warm; the fourth in line waits longer than the objective allows.
        assert!(hold.offer(3, 1, PATIENT, &serving(2.0), at(2_000)).is_ok());
        while hold.release(at(2_000)).is_some() {}
        assert!(hold.offer(4, 1, PATIENT, &serving(2.0), at(2_001)).is_ok());
        let refusal = refused(hold.offer(5, 1, PATIENT, &serving(2.0), at(2_002)));
        assert_eq!(refusal.why, RefusalReason::TooLate);
    }

    #[test]
    fn count_and_bytes_are_bounded() {
        let soon = cold(Duration::from_secs(2));
        let mut hold = Hold::new(POLICY);
        assert!(hold.offer(0, 60, PATIENT, &soon, at(0)).is_ok());
        let refusal = refused(hold.offer(1, 60, PATIENT, &soon, at(0)));
        assert_eq!(refusal.why, RefusalReason::BytesFull);
        for what in 1..5 {
            assert!(hold.offer(what, 1, PATIENT, &soon, at(0)).is_ok());
        }
        let refusal = refused(hold.offer(9, 1, PATIENT, &soon, at(0)));
        assert_eq!(refusal.why, RefusalReason::QueueFull);
        assert_eq!(hold.fail_all().len(), 5);
        assert_eq!((hold.len(), hold.bytes()), (0, 0));
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Offer(u64, u64),
        Release,
        Expire,
        Cancel(usize),
        Wait(u64),
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (1u64..60, 0u64..40_000).prop_map(|(bytes, ms)| Step::Offer(bytes, ms)),
            2 => Just(Step::Release),
            1 => Just(Step::Expire),
            1 => (0usize..60).prop_map(Step::Cancel),
            1 => (0u64..10_000).prop_map(Step::Wait),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whoever is let in leaves exactly once, in the order of arrival, and the bounds hold.
        #[test]
        fn nobody_is_lost_doubled_or_overtaken(steps in prop::collection::vec(any_step(), 0..120)) {
            let mut hold = Hold::new(POLICY);
            let soon = cold(Duration::from_secs(2));
            let (mut now, mut tickets, mut left, mut last) = (0, Vec::new(), Vec::new(), None);
            for step in steps {
                match step {
                    Step::Wait(ms) => now += ms,
                    Step::Offer(bytes, ms) => {
                        let patience = Duration::from_millis(ms);
                        let offered = hold.offer(tickets.len(), bytes, patience, &soon, at(now));
                        tickets.extend(offered.ok());
                    }
                    Step::Release => if let Some(held) = hold.release(at(now)) {
                        prop_assert!(at(now) <= held.until);
                        prop_assert!(last < Some(held.ticket));
                        last = Some(held.ticket);
                        left.push(held.ticket);
                    }
                    Step::Expire => left.extend(hold.expired(at(now)).iter().map(|h| h.ticket)),
                    Step::Cancel(which) => if let Some(ticket) = tickets.get(which) {
                        left.extend(hold.cancel(*ticket).map(|h| h.ticket));
                    }
                }
                prop_assert!(hold.len() <= POLICY.max_count && hold.bytes() <= POLICY.max_bytes);
            }
            left.extend(hold.fail_all().iter().map(|h| h.ticket));
            left.sort();
            prop_assert_eq!(left, tickets);
        }
    }
}
