//! What is to be served is found to be unfit, and whoever was to serve it leaves right behind that: a load
//! that fails, whatever either of them is called.

use super::cause::Cause;
use super::line::Parsed;
use super::rules::{CONSEQUENCE, Mark};
use super::talk::is_prose;
use super::timeline::Stream;
use super::{Diagnosis, Evidence};

/// So many lines on, somebody leaves for what was said.
const CLOSE: u64 = 5;

/// Some programs say that they end, and right behind that why.
const NEXT: u64 = 2;

/// What one process says of what it is to serve.
#[derive(Debug, Default)]
pub(crate) struct Unfit {
    /// Something is wrong with it.
    wrong: Option<Evidence>,
    /// The line that last told of its end.
    left: Option<u64>,
}

impl Unfit {
    /// What is wrong with it, if that is why it ends.
    fn take(&mut self, line: &Parsed<'_>) -> Option<Evidence> {
        let number = line.evidence.line;
        let is_near = |then: u64, lines: u64| number.saturating_sub(then) <= lines;
        let ends = [Mark::Leaves, Mark::Withheld, Mark::Died];
        if ends.into_iter().any(|mark| line.has(mark)) {
            self.left = Some(number);
        }
        if line.has(Mark::Faulty) && !line.has(Mark::Refused) {
            self.wrong = Some(line.evidence.clone());
        }
        self.wrong.take_if(|wrong| !is_near(wrong.line, CLOSE));
        let left = self.left.filter(|left| is_near(*left, NEXT))?;
        let is_why = |wrong: &mut Evidence| left >= wrong.line || wrong.line == number;
        self.wrong.take_if(is_why)
    }
}

impl Diagnosis {
    pub(super) fn unfit(&mut self, stream: &mut Stream, line: &Parsed<'_>) {
        let is_explained = || line.names_a_cause() && !line.names(Cause::LoadFailure);
        let is_told = || line.text.contains([':', '=', '|']) || !is_prose(&line.evidence.text);
        if stream.is_started() || is_explained() || line.has(Mark::Another) || !is_told() {
            return;
        }
        let wrong = stream.unfit.take(line);
        if let Some(wrong) = wrong.filter(|_| !stream.gate.has_failed()) {
            stream.failures.add(&wrong);
            self.see(Cause::LoadFailure, CONSEQUENCE, wrong, None, None);
        }
    }
}
