//! Autoscaling rules of other systems, written anew from what they publish.

mod hpa;
mod knative;
mod ray_serve;

pub(crate) use hpa::Hpa;
pub(crate) use knative::Knative;
pub(crate) use ray_serve::RayServe;

/// What such a rule looks at, once a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Observed {
    /// Seconds since the beginning.
    pub(crate) now: f64,
    pub(crate) ready: usize,
    pub(crate) starting: usize,
    /// Requests at replicas and waiting for one.
    pub(crate) requests: usize,
    /// Share of the ready replicas' time that is worked.
    pub(crate) busy: f64,
}

pub(crate) trait Rule {
    /// How many replicas there should be, before the bounds of the fleet. Called once a second.
    fn wanted(&mut self, seen: &Observed) -> usize;
}

/// No rule: always so many.
pub(crate) struct Always(pub(crate) usize);

impl Rule for Always {
    fn wanted(&mut self, _: &Observed) -> usize {
        self.0
    }
}

/// The samples of the last seconds, one a second.
#[derive(Debug, Clone, Default)]
pub(crate) struct Window {
    samples: std::collections::VecDeque<f64>,
    length: usize,
}

impl Window {
    pub(crate) fn of(seconds: usize) -> Self {
        Window {
            samples: std::collections::VecDeque::new(),
            length: seconds,
        }
    }

    pub(crate) fn push(&mut self, sample: f64) {
        if self.samples.len() == self.length {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    pub(crate) fn mean(&self) -> f64 {
        self.mean_of_last(self.length)
    }

    pub(crate) fn mean_of_last(&self, seconds: usize) -> f64 {
        let count = self.samples.len().min(seconds).max(1);
        self.samples.iter().rev().take(seconds).sum::<f64>() / count as f64
    }

    pub(crate) fn highest(&self) -> f64 {
        self.samples.iter().copied().fold(0.0, f64::max)
    }
}
