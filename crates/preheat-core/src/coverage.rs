//! The fewest cases that stand for a wanted share of traffic.

/// What covers a share, and how much of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Covered<T> {
    /// With how often each was seen, the most frequent first.
    pub cases: Vec<(T, u64)>,
    pub seen: u64,
    pub total: u64,
}

impl<T> Covered<T> {
    #[must_use]
    pub fn share(&self) -> f64 {
        if self.total == 0 {
            return 0.0;
        }
        self.seen as f64 / self.total as f64
    }
}

/// Takes the most frequent first, until `share` of all that was seen is covered or `most` are taken:
/// each stands for itself alone, so no smaller choice covers as much. Of equals the earlier one comes
/// first, so that the same traffic gives the same plan.
#[must_use]
pub fn cover<T>(counts: impl IntoIterator<Item = (T, u64)>, share: f64, most: usize) -> Covered<T> {
    let mut counts: Vec<(T, u64)> = counts.into_iter().filter(|(_, count)| *count > 0).collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let total: u64 = counts.iter().map(|(_, count)| count).sum();
    let mut covered = Covered {
        cases: Vec::new(),
        seen: 0,
        total,
    };
    for (case, count) in counts {
        if covered.cases.len() >= most || covered.seen as f64 >= share * total as f64 {
            break;
        }
        covered.seen += count;
        covered.cases.push((case, count));
    }
    covered
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn covers_the_share_with_no_case_too_many(
            counts in prop::collection::vec(0u64..1000, 0..20), share in 0.0f64..1.0,
        ) {
            let covered = cover(counts.iter().copied().enumerate(), share, usize::MAX);
            let total: u64 = counts.iter().sum();
            prop_assert_eq!(covered.total, total);
            prop_assert!(covered.seen as f64 >= share * total as f64);
            if let Some((_, last)) = covered.cases.last() {
                prop_assert!(((covered.seen - last) as f64) < share * total as f64);
                // Nothing that was left out was seen more often.
                let taken: Vec<usize> = covered.cases.iter().map(|(at, _)| *at).collect();
                let left = counts.iter().enumerate().filter(|(at, _)| !taken.contains(at));
                prop_assert!(left.map(|(_, count)| count).max() <= Some(last));
            }
        }

        #[test]
        fn never_takes_more_than_it_may(counts in prop::collection::vec(1u64..9, 0..20), most in 0usize..5) {
            let covered = cover(counts.iter().copied().enumerate(), 1.0, most);
            prop_assert_eq!(covered.cases.len(), most.min(counts.len()));
        }
    }
}
