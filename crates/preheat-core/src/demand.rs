//! How many requests a second there are, and soon will be.
//!
//! From arrivals, never from a queue's length: what is held during a cold start has arrived once,
//! and is no demand for more replicas the second time it is looked at.

mod recent;

use std::collections::VecDeque;
use std::time::Duration;

use recent::Recent;

use crate::moment::Moment;

/// Time over which arrivals are counted before the averages hear of them.
const BUCKET: Duration = Duration::from_millis(100);
const SLOW: f64 = 10.0;
const FAST: f64 = 2.0;
/// A fast average this many standard deviations above the slow one is no accident, although one looks
/// twice a second all day long.
const BEYOND_NOISE: f64 = 4.0;
/// Comparisons before a forecast may speak.
const TRIALS: u32 = 60;
/// A forecast must beat "as it is now" by this much. After a step, a line through it is right for
/// some seconds by accident and wildly wrong after that: that much must not be enough.
const BETTER: f64 = 0.8;
/// Predictions that wait for their time to come.
const PENDING: usize = 64;
const LONGEST_LEAD: Duration = Duration::from_secs(600);

/// Arrivals of one service, seen.
#[derive(Debug, Clone)]
pub struct Demand {
    begun: Moment,
    bucket_end: Moment,
    in_bucket: u64,
    recent: Recent,
    slow: Ewma,
    fast: Ewma,
    outlook: Outlook,
    last_arrival: Option<Moment>,
    peak: Peak,
}

/// Demand as of one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// What to provide for: the largest of the three below that may speak.
    pub wanted: f64,
    pub slow: f64,
    pub fast: f64,
    /// The fast average is beyond noise.
    pub surging: bool,
    /// One cold start ahead, once forecasts have proven better than "as it is now".
    pub forecast: Option<f64>,
}

impl Demand {
    /// `lead` is how far ahead a forecast is of use: the time of a cold start.
    #[must_use]
    pub fn new(lead: Duration, now: Moment) -> Self {
        Demand {
            begun: now,
            bucket_end: now + BUCKET,
            in_bucket: 0,
            recent: Recent::default(),
            slow: Ewma::default(),
            fast: Ewma::default(),
            outlook: Outlook::new(lead, now),
            last_arrival: None,
            peak: Peak::default(),
        }
    }

    /// One request came, whatever became of it.
    pub fn arrived(&mut self, now: Moment) {
        self.advance(now);
        self.in_bucket += 1;
        self.last_arrival = Some(now);
    }

    #[must_use]
    pub fn last_arrival(&self) -> Option<Moment> {
        self.last_arrival
    }

    /// The highest rate that lasted some seconds, remembered for a while: what a burst may bring.
    #[must_use]
    pub fn peak(&self) -> f64 {
        self.peak.value
    }

    /// Arrivals a second since they last changed by more than chance: true within a tenth of a second
    /// after a step, and steady where nothing changes. Good for telling somebody when to come back, not
    /// for starting replicas: a burst of a moment changes it too.
    pub fn latest(&mut self, now: Moment) -> f64 {
        self.advance(now);
        let open = BUCKET.saturating_sub(self.bucket_end.since(now));
        self.recent.rate(BUCKET, self.in_bucket, open)
    }

    /// Looks at the arrivals up to now.
    pub fn rate(&mut self, now: Moment) -> Rate {
        self.advance(now);
        let age = self.bucket_end.since(self.begun).as_secs_f64() - BUCKET.as_secs_f64();
        let (slow, fast) = (self.slow.rate(), self.fast.rate());
        // Variance of an exponentially weighted Poisson rate: rate ÷ (2 × time constant), and more
        // while little has been seen.
        let seen = (2.0 * FAST).min(age.max(BUCKET.as_secs_f64()));
        let noise = (slow.max(1.0 / seen) / seen).sqrt();
        let surging = fast > slow + BEYOND_NOISE * noise;
        let forecast = self.outlook.trusted();
        let wanted = slow
            .max(if surging { fast } else { 0.0 })
            .max(forecast.unwrap_or(0.0));
        Rate {
            wanted,
            slow,
            fast,
            surging,
            forecast,
        }
    }

    fn advance(&mut self, now: Moment) {
        let behind = now.since(self.bucket_end);
        if behind > Duration::from_secs(120) {
            // A long silence: every average is as good as zero, and no loop need go there.
            let whole = (behind.as_secs_f64() / BUCKET.as_secs_f64()).floor();
            self.close();
            self.recent.clear();
            self.slow.silence(whole);
            self.fast.silence(whole);
            self.bucket_end = self.bucket_end + BUCKET.mul_f64(whole);
            self.outlook.note(self.slow.rate(), self.bucket_end);
        }
        while now >= self.bucket_end {
            self.close();
            self.outlook.note(self.slow.rate(), self.bucket_end);
        }
    }

    fn close(&mut self) {
        let rate = self.in_bucket as f64 / BUCKET.as_secs_f64();
        self.slow.learn(rate, SLOW);
        self.fast.learn(rate, FAST);
        self.recent.close(self.in_bucket);
        self.in_bucket = 0;
        self.bucket_end = self.bucket_end + BUCKET;
        let age = self.bucket_end.since(self.begun).as_secs_f64();
        // A few seconds' mean: a bucket's own rate is mostly chance.
        if age > FAST {
            self.peak.note(self.fast.rate(), self.bucket_end);
        }
    }
}

/// An exponentially weighted mean that knows how much it has seen, so that it is right after one
/// second and not only after some time constants. Before that it is low: three requests in the first
/// tenth of a second are no thirty a second.
#[derive(Debug, Clone, Copy, Default)]
struct Ewma {
    sum: f64,
    weight: f64,
    one_second: f64,
}

impl Ewma {
    fn learn(&mut self, rate: f64, constant: f64) {
        let kept = (-BUCKET.as_secs_f64() / constant).exp();
        self.sum = self.sum * kept + rate * (1.0 - kept);
        self.weight = self.weight * kept + (1.0 - kept);
        self.one_second = 1.0 - (-1.0 / constant).exp();
    }

    fn silence(&mut self, buckets: f64) {
        if buckets > 0.0 {
            self.sum = 0.0;
            self.weight = 1.0;
        }
    }

    fn rate(self) -> f64 {
        let weight = self.weight.max(self.one_second);
        if weight > 0.0 { self.sum / weight } else { 0.0 }
    }
}

/// The highest rate of late; halves each [`Peak::HALF_LIFE`] without another.
#[derive(Debug, Clone, Copy, Default)]
struct Peak {
    value: f64,
    at: Moment,
}

impl Peak {
    const HALF_LIFE: f64 = 6.0 * 3600.0;

    fn note(&mut self, rate: f64, now: Moment) {
        let age = now.since(self.at).as_secs_f64();
        let faded = self.value * (-age / Self::HALF_LIFE).exp2();
        if rate >= faded || age >= 60.0 {
            self.value = rate.max(faded);
            self.at = now;
        }
    }
}

/// A straight line through now and one lead ago, and whether such lines have been right of late.
#[derive(Debug, Clone)]
struct Outlook {
    lead: Duration,
    step: Duration,
    next: Moment,
    /// The rate at past steps, one lead long; each is also the naive prediction of its time.
    past: VecDeque<f64>,
    /// Predictions whose time has not come.
    pending: VecDeque<(Moment, f64, f64)>,
    error: f64,
    naive_error: f64,
    trials: u32,
    latest: Option<f64>,
}

impl Outlook {
    fn new(lead: Duration, now: Moment) -> Self {
        let lead = lead.clamp(Duration::from_secs(1), LONGEST_LEAD);
        let step = (lead / PENDING as u32).max(Duration::from_secs(1));
        Outlook {
            lead,
            step,
            next: now + step,
            past: VecDeque::new(),
            pending: VecDeque::new(),
            error: 0.0,
            naive_error: 0.0,
            trials: 0,
            latest: None,
        }
    }

    fn trusted(&self) -> Option<f64> {
        let proven = self.trials >= TRIALS && self.error < BETTER * self.naive_error;
        self.latest.filter(|_| proven)
    }

    fn note(&mut self, rate: f64, now: Moment) {
        if now < self.next {
            return;
        }
        self.next = now + self.step;
        while let Some(&(due, predicted, naive)) = self.pending.front() {
            if due > now {
                break;
            }
            self.pending.pop_front();
            self.compare(rate, predicted, naive);
        }
        let steps = (self.lead.as_secs_f64() / self.step.as_secs_f64()).round() as usize;
        self.past.push_back(rate);
        if self.past.len() > steps.max(1) {
            let before = self.past.pop_front().unwrap_or(rate);
            // Never more than double: a line through noise must not ask for a city.
            let line = (2.0 * rate - before).clamp(0.0, 2.0 * rate);
            self.latest = Some(line);
            if self.pending.len() < 2 * PENDING {
                self.pending.push_back((now + self.lead, line, rate));
            }
        }
    }

    fn compare(&mut self, rate: f64, predicted: f64, naive: f64) {
        const WEIGHT: f64 = 1.0 / 64.0;
        let blend = |mean: f64, sample: f64| {
            if self.trials == 0 {
                sample
            } else {
                mean + WEIGHT * (sample - mean)
            }
        };
        let (error, naive_error) = (
            blend(self.error, (predicted - rate).abs()),
            blend(self.naive_error, (naive - rate).abs()),
        );
        (self.error, self.naive_error) = (error, naive_error);
        self.trials = self.trials.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: f64) -> Moment {
        Moment::after_start(Duration::from_secs_f64(secs))
    }

    /// Feeds evenly spaced arrivals of the rate that `rate_at` gives, and looks each second.
    fn looked(demand: &mut Demand, from: f64, to: f64, rate_at: impl Fn(f64) -> f64) -> Vec<Rate> {
        let (mut now, mut rates) = (from, Vec::new());
        while now < to {
            let next = now + 1.0 / rate_at(now).max(0.01);
            for second in (now as u64 + 1)..=(next.min(to) as u64) {
                rates.push(demand.rate(at(second as f64)));
            }
            now = next;
            if now < to {
                demand.arrived(at(now));
            }
        }
        rates
    }

    fn demand() -> Demand {
        Demand::new(Duration::from_secs(20), at(0.0))
    }

    #[test]
    fn a_steady_rate_is_seen_from_the_first_second() {
        let mut demand = demand();
        for rate in looked(&mut demand, 0.0, 60.0, |_| 50.0) {
            assert!((rate.wanted - 50.0).abs() < 6.0, "{rate:?}");
        }
    }

    #[test]
    fn a_step_is_seen_within_seconds_and_not_exceeded() {
        let mut demand = demand();
        looked(&mut demand, 0.0, 60.0, |_| 30.0);
        let rates = looked(&mut demand, 60.0, 90.0, |_| 180.0);
        assert!(rates[0].surging && rates[0].wanted > 60.0, "{:?}", rates[0]);
        assert!(rates[4].wanted > 150.0, "{:?}", rates[4]);
        assert!(rates.iter().all(|r| r.wanted < 190.0));
        assert!(demand.peak() > 160.0);
    }

    /// Arrivals at random at a rate, from one moment to another.
    fn poisson(demand: &mut Demand, dice: &mut Dice, from: f64, to: f64, rate: f64) {
        let mut now = from;
        loop {
            now -= dice.share().ln() / rate;
            if now >= to {
                return;
            }
            demand.arrived(at(now));
        }
    }

    struct Dice(u64);

    impl Dice {
        /// Above zero and up to one.
        fn share(&mut self) -> f64 {
            self.0 = self
                .0
                .wrapping_mul(0x5851_f42d_4c95_7f2d)
                .wrapping_add(0x1405_7b7e_f767_814f);
            ((self.0 >> 40) + 1) as f64 / (1u64 << 24) as f64
        }
    }

    /// How far off the latest rate is at p90 over seeds, so long after a step to 180 a second.
    fn off(from: f64, after: f64) -> f64 {
        let mut errors: Vec<f64> = (0..200)
            .map(|seed| {
                let (mut demand, mut dice) = (demand(), Dice(seed));
                poisson(&mut demand, &mut dice, 0.0, 20.0, from);
                poisson(&mut demand, &mut dice, 20.0, 20.0 + after, 180.0);
                (demand.latest(at(20.0 + after)) / 180.0 - 1.0).abs()
            })
            .collect();
        errors.sort_by(f64::total_cmp);
        errors[errors.len() * 9 / 10]
    }

    #[test]
    fn the_latest_arrivals_know_of_a_step_at_once_and_of_nothing_else() {
        for (from, after, most) in [
            (30.0, 0.15, 0.35),
            (30.0, 0.5, 0.2),
            (30.0, 3.0, 0.1),
            (600.0, 0.5, 0.2),
            (180.0, 3.0, 0.06),
        ] {
            let off = off(from, after);
            assert!(off <= most, "from {from}, after {after} s: {off:.2}");
        }
        let mut demand = demand();
        looked(&mut demand, 0.0, 60.0, |_| 180.0);
        assert!(demand.latest(at(60.5)) < 10.0, "nobody comes any more");
        assert!(demand.latest(at(70.0)) < 1e-9);
    }

    #[test]
    fn a_ramp_is_forecast_once_forecasts_have_proven_themselves() {
        let mut demand = demand();
        let rates = looked(&mut demand, 0.0, 200.0, |t| 10.0 + t);
        assert_eq!(rates[30].forecast, None, "nothing is proven yet");
        let last = rates.last().unwrap();
        let ahead = last.forecast.unwrap();
        assert!((210.0..235.0).contains(&ahead), "{last:?}");
        assert!((last.wanted - ahead).abs() < 1e-9);
    }

    #[test]
    fn a_long_silence_costs_nothing_and_leaves_nothing() {
        let mut demand = demand();
        looked(&mut demand, 0.0, 30.0, |_| 100.0);
        let rate = demand.rate(at(1e7));
        assert!(rate.wanted < 1e-6, "{rate:?}");
        demand.arrived(at(1e7 + 1.0));
        assert!(demand.rate(at(1e7 + 2.0)).wanted > 0.0);
    }
}
