//! The processes that write into one stream.

/// Numbers of processes that are kept.
const NUMBERS: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Processes {
    /// Those whose start is not over.
    pending: u32,
    running: u32,
    most_running: u32,
    /// The numbers of those that run, as far as they are told.
    numbers: Vec<u64>,
    /// One has begun without telling its number.
    is_unnumbered: bool,
    are_managed: bool,
}

impl Processes {
    pub(super) fn are_starting(&self) -> bool {
        self.pending > 0
    }

    pub(super) fn are_several(&self) -> bool {
        self.most_running > 1
    }

    pub(super) fn are_gone(&self) -> bool {
        self.running == 0
    }

    pub(super) fn is_numbered(&self, number: u64) -> bool {
        self.numbers.contains(&number)
    }

    /// A manager tells of each that begins.
    pub(super) fn are_managed(&self) -> bool {
        self.are_managed
    }

    /// A manager has started one.
    pub(super) fn booted(&mut self, number: Option<u64>) {
        self.begins(false);
        let number = number.filter(|_| self.numbers.len() < NUMBERS);
        self.numbers.extend(number);
        self.are_managed = true;
    }

    /// One tells that it begins.
    pub(super) fn started(&mut self, number: Option<u64>) {
        let is_known = self.is_known(number);
        self.begins(is_known);
    }

    fn begins(&mut self, is_known: bool) {
        if !is_known {
            self.pending += 1;
            self.running += 1;
        }
        self.pending = self.pending.max(1);
        self.most_running = self.most_running.max(self.running);
    }

    /// Whether one that begins was told of before, under its number or without one.
    fn is_known(&mut self, number: Option<u64>) -> bool {
        let Some(number) = number else {
            self.is_unnumbered = true;
            return false;
        };
        if self.numbers.contains(&number) {
            return true;
        }
        if self.numbers.len() < NUMBERS {
            self.numbers.push(number);
        }
        std::mem::take(&mut self.is_unnumbered)
    }

    /// The start of one is over.
    pub(super) fn completed(&mut self) {
        self.pending = self.pending.saturating_sub(1);
    }

    pub(super) fn ended(&mut self, number: Option<u64>) {
        self.numbers.retain(|known| Some(*known) != number);
        self.running = self.running.saturating_sub(1);
        self.pending = self.pending.min(self.running);
    }
}
