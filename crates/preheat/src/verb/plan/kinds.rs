//! Requests by path and size, the first one of each kind kept to stand for the others.

use std::collections::BTreeMap;

use super::traffic::Seen;

/// Paths may be anything that clients make up, and a body some megabytes: beyond these a new kind is only
/// counted.
const MOST_KINDS: usize = 10_000;
const MOST_BYTES: usize = 64_000_000;

#[derive(Debug, Default)]
pub struct Kinds {
    pub counts: BTreeMap<(String, u32), (u64, Seen)>,
    /// Requests of kinds that found no room.
    pub others: u64,
    bytes: usize,
}

impl Kinds {
    pub fn count(&mut self, seen: Seen) {
        let size = seen.body.as_ref().map_or(0, |body| body.to_string().len());
        // Sizes that differ by less than a factor of two are alike.
        let class = usize::BITS - size.leading_zeros();
        let place = (seen.path.clone().unwrap_or_default(), class);
        if let Some((count, _)) = self.counts.get_mut(&place) {
            *count += 1;
            return;
        }
        let bytes = size + 2 * place.0.len();
        if self.counts.len() >= MOST_KINDS || self.bytes + bytes > MOST_BYTES {
            self.others += 1;
            return;
        }
        self.bytes += bytes;
        self.counts.insert(place, (1, seen));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_kept_is_bounded_and_what_is_not_is_counted() {
        let mut kinds = Kinds::default();
        let body = "x".repeat(1_500_000);
        for number in 0..200 {
            kinds.count(Seen {
                path: Some(format!("/{}", number % 100)),
                body: Some(json!(body)),
            });
        }
        let kept: u64 = kinds.counts.values().map(|(count, _)| count).sum();
        assert_eq!(kept + kinds.others, 200);
        assert!(kinds.bytes <= MOST_BYTES && kinds.others > 0);
        assert!(kinds.counts.values().all(|(count, _)| *count == 2));

        let mut kinds = Kinds::default();
        for number in 0..MOST_KINDS as u64 + 7 {
            let path = Some(format!("/{number}"));
            kinds.count(Seen { path, body: None });
        }
        assert_eq!((kinds.counts.len(), kinds.others), (MOST_KINDS, 7));
    }
}
