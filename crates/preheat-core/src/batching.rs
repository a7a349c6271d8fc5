//! Which of the waiting rows run together, and when.

use std::time::Duration;

use crate::moment::Moment;

/// One row that waits, as far as this decision needs to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Rows of one class may run together.
    pub class: usize,
    /// Tokens that the row takes up in a batch, padding included where the engine pads.
    pub cost: usize,
    pub since: Moment,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    pub max_rows: usize,
    pub max_cost: usize,
    /// How long a batch that is not full waits for rows that are known to be on their way.
    pub max_delay: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Nothing waits.
    Idle,
    /// Run these rows, given by their places in the queue, ascending.
    Run(Vec<usize>),
    /// More rows are being prepared: look again when they arrive, or at this moment.
    WaitUntil(Moment),
}

impl BatchLimits {
    /// Decides for an instance that is free now. `queue` is in order of arrival; `arriving` says
    /// how many accepted requests are still being tokenised.
    ///
    /// The oldest row always runs first, with those of its class that fit, oldest first: nobody
    /// is overtaken for ever. A lone request never waits: only rows already inside are waited for.
    #[must_use]
    pub fn next(&self, queue: &[Waiting], arriving: usize, now: Moment) -> Next {
        let Some(oldest) = queue.first() else {
            return Next::Idle;
        };
        let (batch, full) = self.fill(queue, oldest.class);
        let patience = oldest.since + self.max_delay;
        if full || arriving == 0 || now >= patience {
            Next::Run(batch)
        } else {
            Next::WaitUntil(patience)
        }
    }

    fn fill(&self, queue: &[Waiting], class: usize) -> (Vec<usize>, bool) {
        let mut batch = Vec::new();
        let mut cost = 0usize;
        for (place, row) in queue
            .iter()
            .enumerate()
            .filter(|(_, row)| row.class == class)
        {
            let after = cost.saturating_add(row.cost);
            // A single row above the limit runs alone: refusing it was admission's business.
            if batch.len() >= self.max_rows.max(1) || (!batch.is_empty() && after > self.max_cost) {
                return (batch, true);
            }
            cost = after;
            batch.push(place);
        }
        let full = batch.len() >= self.max_rows.max(1) || cost >= self.max_cost;
        (batch, full)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: BatchLimits = BatchLimits {
        max_rows: 3,
        max_cost: 100,
        max_delay: Duration::from_millis(2),
    };

    fn at(ms: u64) -> Moment {
        Moment::after_start(Duration::from_millis(ms))
    }

    fn rows(rows: &[(usize, usize)]) -> Vec<Waiting> {
        rows.iter()
            .map(|&(class, cost)| Waiting {
                class,
                cost,
                since: at(0),
            })
            .collect()
    }

    #[test]
    fn batches_form_around_the_oldest_row() {
        for (queue, want) in [
            (&[][..], Next::Idle),
            (&[(16, 10)], Next::Run(vec![0])),
            (&[(16, 10), (64, 50), (16, 10)], Next::Run(vec![0, 2])),
            (
                &[(64, 50), (16, 10), (64, 50), (64, 50)],
                Next::Run(vec![0, 2]),
            ),
            (
                &[(16, 10), (16, 10), (16, 10), (16, 10)],
                Next::Run(vec![0, 1, 2]),
            ),
            (&[(16, 400), (16, 1)], Next::Run(vec![0])),
        ] {
            assert_eq!(LIMITS.next(&rows(queue), 0, at(0)), want, "{queue:?}");
        }
    }

    #[test]
    fn only_rows_on_their_way_are_waited_for_and_not_for_long() {
        let queue = rows(&[(16, 10)]);
        assert_eq!(LIMITS.next(&queue, 1, at(1)), Next::WaitUntil(at(2)));
        assert_eq!(LIMITS.next(&queue, 1, at(2)), Next::Run(vec![0]));
        let full = rows(&[(16, 10); 3]);
        assert_eq!(LIMITS.next(&full, 1, at(0)), Next::Run(vec![0, 1, 2]));
    }

    proptest! {
        #[test]
        fn a_batch_is_of_one_class_within_the_limits_and_holds_the_oldest(
            queue in prop::collection::vec((0usize..3, 0usize..150), 1..40), arriving in 0usize..2,
        ) {
            let queue = rows(&queue);
            let Next::Run(batch) = LIMITS.next(&queue, arriving, at(9)) else {
                return Err(TestCaseError::fail("patience is over, yet nothing runs"));
            };
            prop_assert_eq!(batch[0], 0);
            prop_assert!(batch.is_sorted());
            prop_assert!(batch.len() <= LIMITS.max_rows);
            prop_assert!(batch.iter().all(|&i| queue[i].class == queue[0].class));
            let cost: usize = batch.iter().map(|&i| queue[i].cost).sum();
            prop_assert!(batch.len() == 1 || cost <= LIMITS.max_cost);
        }
    }
}
