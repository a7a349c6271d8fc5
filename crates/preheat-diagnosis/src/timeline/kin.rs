//! Processes of one kind, by whatever name somebody gave them: `2 drones`, of which `drone-0` is one.

/// So many lines tell how many there are.
const FIRST_LINES: u32 = 200;

/// Kinds that are kept.
const KINDS: usize = 16;

/// Somebody runs no more of one kind.
const MOST: u32 = 64;

/// What is counted and runs nothing.
const THINGS: [&str; 18] = [
    "file", "part", "chunk", "layer", "net", "model", "shape", "bucket", "request", "second",
    "minute", "token", "case", "row", "check", "test", "step", "round",
];

#[derive(Debug, Default)]
pub(crate) struct Kin {
    lines: u32,
    /// As several of them are called, without the sign of that.
    kinds: Vec<String>,
}

impl Kin {
    /// Takes a line in that may tell of several.
    pub(crate) fn announce(&mut self, text: &str) {
        if self.lines >= FIRST_LINES {
            return;
        }
        self.lines += 1;
        let mut words = text.split(' ').peekable();
        while let Some(word) = words.next() {
            let number = word.trim_start_matches(['(', 'x', '=']).parse::<u32>();
            let Some(kind) = words
                .peek()
                .filter(|_| number.is_ok_and(|n| (2..=MOST).contains(&n)))
            else {
                continue;
            };
            let kind = kind.trim_end_matches([',', '.', ';', ':', ')']);
            let kind = kind.strip_suffix('s').filter(|kind| kind.len() >= 3);
            if let Some(kind) = kind.filter(|_| self.kinds.len() < KINDS)
                && kind.bytes().all(|byte| byte.is_ascii_lowercase())
                && !THINGS.contains(&kind)
                && !self.kinds.iter().any(|known| known == kind)
            {
                self.kinds.push(kind.to_owned());
            }
        }
    }

    /// The number of the one that writes a line: `drone 0 born`, `minion(81) hi`.
    pub(crate) fn number(&self, text: &str) -> Option<u64> {
        let text = text.trim_start_matches('[');
        self.kinds.iter().find_map(|kind| {
            let behind = text.strip_prefix(kind.as_str())?;
            let digits = behind.trim_start_matches([' ', '#', '(', '[', ':', '.']);
            let end = digits.find(|c: char| !c.is_ascii_digit());
            digits[..end.unwrap_or(digits.len())].parse().ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_several_is_known_by_their_name() {
        let mut kin = Kin::default();
        assert_eq!(kin.number("drone 0 born"), None);
        kin.announce("4 layers, 2 requests, queen hive v3, 2 drones, patience=30s, 3 as, 1 cooks, 900 rows, 4 é");
        for (line, number) in [
            ("drone 0 born", Some(0)),
            ("[drone#12] born", Some(12)),
            ("drone(81) hi", Some(81)),
            ("drone", None),
            ("cook 1 hi", None),
            ("row 7 read", None),
            ("a 1", None),
        ] {
            assert_eq!(kin.number(line), number, "{line}");
        }
    }
}
