//! When requests arrive.

use std::time::Duration;

use crate::random::Random;

/// Arrivals over time: parts that follow one another.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Traffic {
    pub parts: Vec<Part>,
}

/// One stretch of traffic.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    pub name: String,
    pub lasts: Duration,
    pub shape: Shape,
    pub arrivals: Arrivals,
}

/// Requests a second over one part.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    Steady(f64),
    /// Evenly from one rate to another.
    Ramp {
        from: f64,
        to: f64,
    },
    /// `peak` for `length` out of every `every`, `base` in between; the part begins between two.
    Bursts {
        base: f64,
        peak: f64,
        every: Duration,
        length: Duration,
    },
    /// At these times after the part's beginning, in order.
    Recorded(Vec<Duration>),
}

/// How the gaps between requests are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrivals {
    /// Many users who know nothing of one another.
    Poisson,
    /// A metronome.
    Even,
}

impl Traffic {
    #[must_use]
    pub fn lasts(&self) -> Duration {
        self.parts.iter().map(|part| part.lasts).sum()
    }

    /// The highest rate of any moment.
    #[must_use]
    pub fn peak(&self) -> f64 {
        self.parts.iter().map(Part::peak).fold(0.0, f64::max)
    }

    /// When each part begins, in nanoseconds.
    pub(crate) fn begins(&self) -> Vec<u64> {
        let mut at = 0;
        let begin = |part: &Part| {
            let begins = at;
            at += nanos(part.lasts);
            begins
        };
        self.parts.iter().map(begin).collect()
    }

    pub(crate) fn times(&self, random: Random) -> Times<'_> {
        Times {
            traffic: self,
            random,
            part: 0,
            begun: 0,
            at: 0.0,
            recorded: 0,
        }
    }
}

impl Part {
    fn peak(&self) -> f64 {
        match &self.shape {
            Shape::Steady(rate) => *rate,
            Shape::Ramp { from, to } => from.max(*to),
            Shape::Bursts { base, peak, .. } => base.max(*peak),
            Shape::Recorded(times) => busiest_second(times),
        }
    }

    /// Requests a second, so many seconds into the part.
    fn rate(&self, at: f64) -> f64 {
        match &self.shape {
            Shape::Steady(rate) => *rate,
            Shape::Ramp { from, to } => {
                let share = at / self.lasts.as_secs_f64().max(1e-9);
                from + (to - from) * share.clamp(0.0, 1.0)
            }
            Shape::Bursts {
                base,
                peak,
                every,
                length,
            } => {
                let every = every.as_secs_f64().max(1e-3);
                let quiet = (every - length.as_secs_f64()).max(0.0);
                if at % every >= quiet { *peak } else { *base }
            }
            Shape::Recorded(_) => 0.0,
        }
    }
}

fn busiest_second(times: &[Duration]) -> f64 {
    let (mut first, mut most) = (0, 0);
    for (last, time) in times.iter().enumerate() {
        while *time >= times[first] + Duration::from_secs(1) {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    most as f64
}

/// Arrival times in nanoseconds, ascending.
pub(crate) struct Times<'a> {
    traffic: &'a Traffic,
    random: Random,
    part: usize,
    /// When the part began, in nanoseconds.
    begun: u64,
    /// Seconds into the part.
    at: f64,
    recorded: usize,
}

impl Iterator for Times<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        loop {
            let part = self.traffic.parts.get(self.part)?;
            if let Some(time) = self.within(part) {
                return Some(self.begun + (time * 1e9) as u64);
            }
            self.begun += nanos(part.lasts);
            self.part += 1;
            self.at = 0.0;
            self.recorded = 0;
        }
    }
}

impl Times<'_> {
    fn within(&mut self, part: &Part) -> Option<f64> {
        let end = part.lasts.as_secs_f64();
        if let Shape::Recorded(times) = &part.shape {
            let time = times.get(self.recorded)?.as_secs_f64();
            self.recorded += 1;
            return (time < end).then_some(time);
        }
        let peak = part.peak();
        if peak <= 0.0 {
            return None;
        }
        match part.arrivals {
            Arrivals::Poisson => self.thinned(part, peak, end),
            Arrivals::Even => self.even(part, peak, end),
        }
    }

    /// Candidates at the peak rate, each kept with the share of the rate then.
    fn thinned(&mut self, part: &Part, peak: f64, end: f64) -> Option<f64> {
        loop {
            self.at += self.random.gap(peak);
            if self.at >= end {
                return None;
            }
            let steady = matches!(part.shape, Shape::Steady(_));
            if steady || self.random.unit() * peak < part.rate(self.at) {
                return Some(self.at);
            }
        }
    }

    /// One request each time that the rate has added up to one.
    fn even(&mut self, part: &Part, peak: f64, end: f64) -> Option<f64> {
        let step = 1.0 / (16.0 * peak);
        let mut owed = 0.0;
        while owed < 1.0 - 1e-9 {
            owed += part.rate(self.at) * step;
            self.at += step;
            if self.at >= end {
                return None;
            }
        }
        Some(self.at)
    }
}

pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(shape: Shape, arrivals: Arrivals) -> Traffic {
        let part = Part {
            name: String::new(),
            lasts: Duration::from_secs(100),
            shape,
            arrivals,
        };
        Traffic {
            parts: vec![part.clone(), part],
        }
    }

    fn times(traffic: &Traffic) -> Vec<u64> {
        traffic.times(Random::stream(7, 1)).collect()
    }

    #[test]
    fn rates_are_what_was_asked_for() {
        let bursts = Shape::Bursts {
            base: 10.0,
            peak: 110.0,
            every: Duration::from_secs(50),
            length: Duration::from_secs(10),
        };
        for (shape, want) in [
            (Shape::Steady(50.0), 10_000.0),
            (
                Shape::Ramp {
                    from: 0.0,
                    to: 100.0,
                },
                10_000.0,
            ),
            (bursts, 6_000.0),
        ] {
            for arrivals in [Arrivals::Poisson, Arrivals::Even] {
                let times = times(&part(shape.clone(), arrivals));
                let off = times.len() as f64 / want - 1.0;
                assert!(off.abs() < 0.06, "{shape:?} {arrivals:?}: {}", times.len());
                assert!(times.is_sorted() && times.last() < Some(&200_000_000_000));
            }
        }
    }

    #[test]
    fn a_recording_is_played_as_it_was() {
        let recorded = [0, 10, 10, 20, 999].map(Duration::from_millis).to_vec();
        let traffic = part(Shape::Recorded(recorded), Arrivals::Poisson);
        let ms: Vec<_> = times(&traffic).iter().map(|t| t / 1_000_000).collect();
        assert_eq!(ms[..5], [0, 10, 10, 20, 999]);
        assert_eq!(ms[5..], [100_000, 100_010, 100_010, 100_020, 100_999]);
        assert!((traffic.peak() - 5.0).abs() < 1e-9);
    }
}
