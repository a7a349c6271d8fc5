//! How a batch is cut into groups that fit the memory of an instance.

use crate::engine::TokenBatch;

/// Whole sequences that follow each other, as many as fit into `tokens`.
pub(super) struct Group<'a> {
    pub(super) ids: &'a [u32],
    /// Boundaries of the sequences in the whole batch; `ids` begins at the first of them.
    offsets: &'a [usize],
}

impl Group<'_> {
    pub(super) fn rows(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Where each sequence begins and ends in `ids`.
    pub(super) fn spans(&self) -> impl Iterator<Item = (usize, usize)> {
        let first = self.offsets[0];
        self.offsets
            .windows(2)
            .map(move |pair| (pair[0] - first, pair[1] - first))
    }
}

pub(super) fn groups(batch: &TokenBatch, tokens: usize) -> impl Iterator<Item = Group<'_>> {
    let (ids, mut offsets) = batch.parts();
    std::iter::from_fn(move || {
        let first = *offsets.first()?;
        let fit = offsets.partition_point(|&offset| offset - first <= tokens);
        if fit < 2 {
            return None;
        }
        let group = Group {
            ids: &ids[first..offsets[fit - 1]],
            offsets: &offsets[..fit],
        };
        offsets = &offsets[fit - 1..];
        Some(group)
    })
}
