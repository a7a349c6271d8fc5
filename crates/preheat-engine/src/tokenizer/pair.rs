//! How two texts become one sequence: what stands before, between and behind them, and whether the
//! model tells their tokens apart.

use tokenizers::Tokenizer as Library;

use crate::engine::SECOND;

/// Special tokens of a pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) before: Vec<u32>,
    pub(super) between: Vec<u32>,
    pub(super) after: Vec<u32>,
    /// Tokens from the second text on are marked.
    pub(super) marked: bool,
}

impl Pair {
    /// Seen from what the crate makes of a pair of letters; none where that follows no such form.
    pub(super) fn of(library: &Library) -> Option<Self> {
        let plain = |text| library.encode_fast(text, false).ok();
        let (first, second) = (plain("a")?, plain("b")?);
        let whole = library.encode_fast(("a", "b"), true).ok()?;
        let (ids, types) = (whole.get_ids(), whole.get_type_ids());
        let find = |part: &[u32], from: usize| {
            let windows = ids.get(from..)?.windows(part.len().max(1));
            let mut places = windows.enumerate().filter(|(_, window)| *window == part);
            Some(from + places.next()?.0)
        };
        let begin = find(first.get_ids(), 0)?;
        let end = begin + first.len();
        let again = find(second.get_ids(), end)?;
        let marked = match types.iter().position(|&kind| kind != 0) {
            None => false,
            Some(place) if place == again && types[again..].iter().all(|&kind| kind == 1) => true,
            Some(_) => return None,
        };
        Some(Pair {
            before: ids[..begin].to_vec(),
            between: ids[end..again].to_vec(),
            after: ids[again + second.len()..].to_vec(),
            marked,
        })
    }

    pub(super) fn specials(&self) -> usize {
        self.before.len() + self.between.len() + self.after.len()
    }

    /// One sequence of at most `most` ids: the longer text loses its end first.
    pub(super) fn join(&self, first: &[u32], second: &[u32], most: usize) -> Vec<u32> {
        let room = most.saturating_sub(self.specials());
        let (kept, other) = lengths(first.len(), second.len(), room);
        let mark = if self.marked { SECOND } else { 0 };
        let mut ids = self.before.clone();
        ids.extend(&first[..kept]);
        ids.extend(&self.between);
        let behind = second[..other].iter().chain(&self.after);
        ids.extend(behind.map(|id| id | mark));
        ids
    }
}

/// How much of each text stays.
fn lengths(first: usize, second: usize, room: usize) -> (usize, usize) {
    let (short, long) = (first.min(second), first.max(second));
    if short + long <= room {
        return (first, second);
    }
    let (short, long) = match room.saturating_sub(short) {
        // The shorter one stays whole.
        rest if rest >= short => (short, rest),
        _ => (room / 2, room - room / 2),
    };
    if first <= second {
        (short, long)
    } else {
        (long, short)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_text_is_cut_first() {
        for (first, second, room, kept) in [
            (3, 4, 7, (3, 4)),
            (3, 9, 7, (3, 4)),
            (9, 3, 7, (4, 3)),
            (9, 9, 7, (3, 4)),
            (9, 5, 7, (4, 3)),
            (0, 9, 7, (0, 7)),
            (5, 5, 0, (0, 0)),
        ] {
            assert_eq!(
                lengths(first, second, room),
                kept,
                "{first} and {second} in {room}"
            );
        }
    }
}
