//! Where the frames of tracebacks stand: they lie between what fails and what was raised, and do not part them.

/// Tracebacks that are kept.
const KEPT: usize = 256;

/// Frames and lines of code without more than so many others between them are one traceback.
const GAP: u64 = 2;

#[derive(Debug)]
struct Traceback {
    source: String,
    from: u64,
    to: u64,
}

#[derive(Debug, Default)]
pub(super) struct Frames(Vec<Traceback>);

impl Frames {
    pub(super) fn add(&mut self, source: &str, line: u64) {
        let newest = self.0.last_mut();
        if let Some(known) = newest
            .filter(|t| t.source == source && (t.to..=t.to.saturating_add(GAP)).contains(&line))
        {
            known.to = line;
        } else if self.0.len() < KEPT {
            self.0.push(Traceback {
                source: source.to_owned(),
                from: line,
                to: line,
            });
        }
    }

    /// Lines between two of one text, without those of tracebacks.
    pub(super) fn apart(&self, source: &str, one: u64, other: u64) -> u64 {
        let (from, to) = (one.min(other), one.max(other));
        let within =
            |known: &&Traceback| known.source == source && known.from > from && known.to < to;
        let frames = self.0.iter().filter(within);
        let lines: u64 = frames.map(|known| known.to - known.from + 1).sum();
        (to - from).saturating_sub(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_between_two_lines_are_not_counted() {
        let mut frames = Frames::default();
        for line in [5, 6, 8, 20, 21] {
            frames.add("log", line);
        }
        assert_eq!(frames.apart("log", 3, 10), 3);
        assert_eq!(frames.apart("log", 30, 3), 21);
        assert_eq!(frames.apart("log", 6, 10), 4);
        assert_eq!(frames.apart("other", 3, 10), 7);
        // A text whose numbers begin again.
        frames.add("log", 1);
        assert_eq!(frames.apart("log", 0, 2), 1);
        frames.add("log", u64::MAX);
        assert_eq!(frames.apart("log", 3, 10), 3);
    }
}
