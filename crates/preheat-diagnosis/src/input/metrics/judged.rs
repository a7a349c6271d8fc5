//! What the figures of many requests say of the first ones.

use super::sample::{Kind, Sample};
use crate::latency::{is_of_others, points};

/// Scrapes and buckets that are kept.
const KEPT: usize = 512;

/// A few requests took so many times what a usual one takes, and so much.
const RATIO: f64 = 8.0;
const LEAST_MS: f64 = 1e3;

/// Fewer requests say nothing of what is usual.
const FEW: f64 = 5.0;

/// After more requests nobody can tell which were the first.
const MANY: f64 = 1000.0;

/// Whether a figure is of what requests take.
pub(in crate::input) fn is_of_requests(words: &str, help: &str) -> bool {
    const ASKED: [&str; 25] = [
        "request",
        "response",
        "latenc",
        "infer",
        "predict",
        "call",
        "query",
        "rpc",
        "generate",
        "generation",
        "e2e",
        "ttft",
        "time to first",
        "first token",
        "embed",
        "synth",
        "transcri",
        "translat",
        "rerank",
        "scor",
        "classif",
        "handler",
        "grpc server",
        "http server",
        "completion",
    ];
    const OTHERS: [&str; 12] = [
        "client",
        "outgoing",
        "upstream dns",
        "redis",
        "queue",
        "gc",
        "scrape",
        "train",
        "batch wait",
        "download",
        "throttl",
        "cpu",
    ];
    let has = |list: &[&str], text: &str| list.iter().any(|word| text.contains(word));
    (has(&ASKED, words) || has(&ASKED, help)) && !has(&OTHERS, words) && !is_of_others(words)
}

/// All that was scraped of one figure.
#[derive(Debug, Default)]
pub(super) struct Scraped {
    pub(super) line: u64,
    /// Upper bounds in milliseconds with what lies below, of the newest scrape.
    buckets: Vec<(f64, f64)>,
    sums: Vec<f64>,
    counts: Vec<f64>,
    longest: Option<f64>,
    /// By quantile, of each scrape.
    quantiles: Vec<(f64, Vec<f64>)>,
}

impl Scraped {
    pub(super) fn add(&mut self, kind: Kind, sample: &Sample<'_>, factor: f64, line: u64) {
        if self.line == 0 {
            self.line = line;
        }
        let ms = sample.value * factor;
        match kind {
            Kind::Bucket => {
                let bound = sample.label("le").and_then(|le| le.parse::<f64>().ok());
                let Some(bound) = bound.map(|bound| bound * factor) else {
                    return;
                };
                // Another scrape begins with the lowest bound.
                if self.buckets.last().is_some_and(|(last, _)| bound <= *last) {
                    self.buckets.clear();
                }
                if self.buckets.len() < KEPT {
                    self.buckets.push((bound, sample.value));
                }
            }
            Kind::Sum if self.sums.len() < KEPT => self.sums.push(ms),
            Kind::Count if self.counts.len() < KEPT => self.counts.push(sample.value),
            Kind::Max => self.longest = Some(self.longest.map_or(ms, |known| known.max(ms))),
            Kind::Quantile => {
                let share = sample.label("quantile").and_then(|told| told.parse().ok());
                let Some(share) = share else { return };
                let known = self.quantiles.iter().position(|(known, _)| *known == share);
                let at = known.unwrap_or(self.quantiles.len());
                if known.is_none() && at < KEPT {
                    self.quantiles.push((share, Vec::new()));
                }
                if let Some((_, all)) = self
                    .quantiles
                    .get_mut(at)
                    .filter(|(_, all)| all.len() < KEPT)
                {
                    all.push(ms);
                }
            }
            _ => {}
        }
    }

    fn quantile(&self, from: f64, to: f64) -> Option<f64> {
        let mut all = self.quantiles.iter();
        let (_, all) = all.find(|(share, _)| (from..=to).contains(share))?;
        all.last().copied().filter(|ms| ms.is_finite())
    }

    /// What a usual request takes.
    pub(super) fn usual(&self) -> Option<f64> {
        self.quantile(0.5, 0.5).or_else(|| self.median_bound())
    }

    fn total(&self) -> Option<f64> {
        let bucketed = self.buckets.last().map(|(_, count)| *count);
        self.counts.last().copied().or(bucketed)
    }

    fn median_bound(&self) -> Option<f64> {
        let (_, total) = self.buckets.last()?;
        let mut all = self.buckets.iter();
        let (bound, _) = all.find(|(_, count)| *count >= total / 2.0)?;
        bound.is_finite().then_some(*bound)
    }

    /// What the first requests took, and what usual ones take, where the first ones can be told from those.
    pub(super) fn slow(&self, is_fresh: bool) -> Option<(f64, f64)> {
        let by_scrapes = self.fallen();
        let total = self.total().unwrap_or(0.0);
        let is_told = is_fresh && (FEW..=MANY).contains(&total);
        by_scrapes.or_else(|| {
            let few = is_told.then(|| self.few(total)).flatten();
            few.filter(|(first, usual)| *first >= RATIO * usual && *first >= LEAST_MS)
        })
    }

    /// From one scrape to the next.
    fn fallen(&self) -> Option<(f64, f64)> {
        let high = self.quantiles.iter().filter(|(share, _)| *share >= 0.9);
        let by_quantile = high.filter(|(_, all)| all.len() >= 2);
        let mut by_quantile = by_quantile.filter_map(|(_, all)| points::fallen(all));
        by_quantile.next().or_else(|| {
            let both: Vec<(f64, f64)> = (self.sums.iter().copied())
                .zip(self.counts.iter().copied())
                .collect();
            let (sum, count) = *both.first().filter(|(_, count)| *count <= MANY)?;
            let first = (count > 0.0).then(|| sum / count)?;
            let later = both.windows(2).filter_map(|pair| {
                let (sums, counts) = (pair[1].0 - pair[0].0, pair[1].1 - pair[0].1);
                (counts > 0.0 && sums >= 0.0).then(|| sums / counts)
            });
            let means: Vec<f64> = [first].into_iter().chain(later).collect();
            points::fallen(&means).filter(|_| means.len() >= 2)
        })
    }

    /// A few of them took far longer than the others.
    fn few(&self, total: f64) -> Option<(f64, f64)> {
        let most = (total * 0.1).max(1.0);
        if let Some(usual) = self.median_bound() {
            // How many took longer than what is told of.
            let from = (RATIO * usual).max(LEAST_MS);
            let bounds = self.buckets.iter().filter(|(bound, _)| *bound >= from);
            let (bound, below) = bounds.min_by(|(a, _), (b, _)| a.total_cmp(b))?;
            let slow = total - below;
            return (slow >= 1.0 && slow <= most && bound.is_finite()).then_some((*bound, usual));
        }
        let sum = *self.sums.last()?;
        if let Some(longest) = self.longest {
            let usual = (sum - longest) / (total - 1.0);
            return (usual > 0.0).then_some((longest, usual));
        }
        let usual = self.quantile(0.5, 0.5)?;
        let high = self.quantile(0.75, 0.95).unwrap_or(usual);
        let left = sum - total * high;
        (high <= 3.0 * usual).then_some((left, usual))
    }
}
