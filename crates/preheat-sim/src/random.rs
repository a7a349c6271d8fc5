//! Random numbers that are the same on every run of a seed.
//!
//! A counter, hashed: any number of independent streams without state to share, so that one request
//! costs the same whichever strategy serves it, and strategies differ by what they do alone.

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: u64,
}

/// The odd constant of splitmix64: the golden ratio in 64 bits.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Random {
    /// One stream for each purpose of a seed.
    pub(crate) fn stream(seed: u64, purpose: u64) -> Self {
        Random {
            state: mix(seed ^ mix(purpose.wrapping_mul(GOLDEN))),
        }
    }

    /// The numbers that belong to one thing of a stream, by its number.
    pub(crate) fn of(&self, thing: u64) -> Self {
        Random {
            state: mix(self.state ^ mix(thing.wrapping_add(GOLDEN))),
        }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// In [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Time to the next event of a Poisson process of this rate.
    pub(crate) fn gap(&mut self, rate: f64) -> f64 {
        -(1.0 - self.unit()).ln() / rate
    }

    /// Of a normal distribution with mean 0 and deviation 1.
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spread_as_they_should_be() {
        let mut random = Random::stream(1, 2);
        let count = 100_000;
        let mean = |draw: &mut dyn FnMut() -> f64| {
            (0..count).map(|_| draw()).sum::<f64>() / f64::from(count)
        };
        assert!((mean(&mut || random.unit()) - 0.5).abs() < 0.005);
        assert!((mean(&mut || random.gap(4.0)) - 0.25).abs() < 0.005);
        assert!(mean(&mut || random.normal()).abs() < 0.02);
        assert!((mean(&mut || random.normal().powi(2)) - 1.0).abs() < 0.02);
    }

    #[test]
    fn streams_and_things_differ_and_repeat() {
        let draw = |seed, purpose, thing| Random::stream(seed, purpose).of(thing).next();
        assert_eq!(draw(1, 1, 1), draw(1, 1, 1));
        let all = [draw(1, 1, 1), draw(2, 1, 1), draw(1, 2, 1), draw(1, 1, 2)];
        assert!((1..4).all(|at| !all[..at].contains(&all[at])));
    }
}
