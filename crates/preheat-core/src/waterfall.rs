//! Where the time of a cold start went.

use std::time::Duration;

use crate::moment::Moment;

/// One measured part of a cold start. Spans may overlap: stages run side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// `fetch`, `weights`, `tokenizer`, `engine`, `warm`, `prove`, `first_request`, …
    pub stage: String,
    pub start: Moment,
    pub took: Duration,
    pub bytes: Option<u64>,
    pub cpu: Option<Duration>,
}

/// All spans of one start, in the order in which they began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waterfall {
    spans: Vec<Span>,
}

impl Waterfall {
    pub fn push(&mut self, span: Span) {
        let at = self.spans.partition_point(|s| s.start <= span.start);
        self.spans.insert(at, span);
    }

    #[must_use]
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Time until `end` in which no span was running: what nobody accounted for.
    #[must_use]
    pub fn unaccounted(&self, end: Moment) -> Duration {
        let mut covered_to = Moment::START;
        let mut gaps = Duration::ZERO;
        for span in self.spans.iter().take_while(|s| s.start < end) {
            gaps += span.start.since(covered_to);
            covered_to = covered_to.max(span.start + span.took);
        }
        gaps + end.since(covered_to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(stage: &str, start: u64, took: u64) -> Span {
        Span {
            stage: stage.into(),
            start: Moment::after_start(Duration::from_millis(start)),
            took: Duration::from_millis(took),
            bytes: None,
            cpu: None,
        }
    }

    #[test]
    fn overlapping_stages_are_counted_once() {
        let mut waterfall = Waterfall::default();
        for s in [
            span("tokenizer", 2, 10),
            span("weights", 1, 4),
            span("warm", 15, 5),
        ] {
            waterfall.push(s);
        }
        let order: Vec<_> = waterfall.spans().iter().map(|s| s.stage.as_str()).collect();
        assert_eq!(order, ["weights", "tokenizer", "warm"]);
        let end = Moment::after_start(Duration::from_millis(21));
        assert_eq!(waterfall.unaccounted(end), Duration::from_millis(1 + 3 + 1));
    }
}
