//! The same figure at several times, one after the other: whether it begins high and falls.

/// It falls to so much of what it was.
const RATIO: f64 = 3.0;

/// And by so much.
const SLACK_MS: f64 = 100.0;

/// What it was at first, and what it is in the end; none unless it fell for good.
pub(crate) fn fallen(points: &[f64]) -> Option<(f64, f64)> {
    let told: Vec<f64> = points
        .iter()
        .copied()
        .filter(|ms| ms.is_finite() && *ms > 0.0)
        .collect();
    let first = told.len().div_ceil(3);
    let (at, peak) = told
        .iter()
        .copied()
        .enumerate()
        .take(first)
        .max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    let behind = told.get(at + 1..)?;
    let mut settled = behind.get(behind.len() / 2..)?.to_vec();
    settled.sort_by(f64::total_cmp);
    let steady = *settled.get(settled.len() / 2)?;
    let begins_low = told[..at].iter().any(|ms| *ms < peak / RATIO);
    let stays = settled.iter().all(|ms| *ms <= peak / 2.0);
    let is_slow = peak >= RATIO * steady && peak - steady >= SLACK_MS;
    (is_slow && stays && !begins_low).then_some((peak, steady))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_begins_high_and_stays_low_has_fallen() {
        for (points, want) in [
            (&[9e3, 8e3, 300.0, 110.0, 100.0][..], Some((9e3, 110.0))),
            (&[12e3, f64::NAN, 90.0, 91.0], Some((12e3, 91.0))),
            (&[7e3, 60.0], Some((7e3, 60.0))),
            (&[90.0, 95.0, 9e3, 91.0, 90.0], None),
            (&[90.0, 9e3, 91.0, 90.0], None),
            (&[9e3, 90.0, 91.0, 9e3, 8e3], None),
            (&[100.0, 90.0, 91.0], None),
            (&[180.0, 40.0, 41.0], Some((180.0, 41.0))),
            (&[9e3], None),
            (&[], None),
        ] {
            assert_eq!(fallen(points), want, "{points:?}");
        }
    }
}
