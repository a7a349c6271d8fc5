//! Whether a replica still prepares itself behind those that serve.

/// Calling up means a look at every process of the machine, and the fleet loop turns at every event, so
/// what has come of it is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lag {
    /// Nothing is behind, or nothing any more.
    No,
    /// It steps behind, with its first lines.
    Behind,
    /// It was called up; a thread may have stepped behind at that very moment.
    CalledUp,
}

impl Lag {
    /// `call_up` says whether there was anything to call up.
    pub(super) fn end(&mut self, call_up: impl FnOnce() -> bool) {
        if *self == Lag::No {
            return;
        }
        *self = match (*self, call_up()) {
            (_, true) => Lag::CalledUp,
            (Lag::Behind, false) => Lag::Behind,
            (Lag::No | Lag::CalledUp, false) => Lag::No,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often one is looked at in ten turns, with what each look finds.
    fn looks(mut lag: Lag, finds: &[bool]) -> usize {
        let mut looks = 0;
        for _ in 0..10 {
            lag.end(|| {
                looks += 1;
                finds.get(looks - 1).copied().unwrap_or_default()
            });
        }
        looks
    }

    #[test]
    fn one_that_was_called_up_is_looked_at_once_more_and_then_left_alone() {
        assert_eq!(looks(Lag::Behind, &[true]), 2);
        assert_eq!(looks(Lag::Behind, &[true, true]), 3);
    }

    #[test]
    fn one_that_has_not_stepped_behind_yet_is_waited_for() {
        assert_eq!(looks(Lag::Behind, &[]), 10);
        assert_eq!(looks(Lag::Behind, &[false, false, true]), 4);
    }

    #[test]
    fn one_that_was_never_behind_is_not_looked_at() {
        assert_eq!(looks(Lag::No, &[true]), 0);
    }
}
