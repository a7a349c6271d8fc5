//! Books, reports and manuals: a title, sentences, and what they quote.

use super::{has_level, is_heading};

/// Sentences that are kept of a text.
const SENTENCES: usize = 4_096;

/// Languages of what is shown to be run, and has not run.
const CODE: [&str; 14] = [
    "py",
    "python",
    "rust",
    "rs",
    "go",
    "js",
    "javascript",
    "ts",
    "typescript",
    "java",
    "c",
    "cpp",
    "cs",
    "toml",
];

/// A book, a report or a remark under a title speaks of what happens, and tells of no day on which it did.
#[derive(Debug, Default)]
pub(super) struct Writing {
    /// Its first line is a heading with room below it, or underlined.
    is_titled: bool,
    may_be_titled: bool,
    tells_when: bool,
    /// Within what is quoted, whether it is code.
    is_code: Option<bool>,
    /// The lines of its sentences.
    sentences: Vec<u64>,
}

impl Writing {
    pub(super) fn take(&mut self, line: &str, number: u64) {
        let text = line.trim();
        match number {
            1 if names_no_case(text) => {
                self.is_titled = is_heading(line);
                self.may_be_titled = !self.is_titled;
            }
            2 if !text.is_empty() => self.is_titled = self.may_be_titled && is_rule(text),
            _ => {}
        }
        if !self.is_titled || self.sentences.len() >= SENTENCES {
            return;
        }
        if let Some(language) = text.strip_prefix("```") {
            let name = language.split(|c: char| !c.is_ascii_alphanumeric()).next();
            let is_code = name.is_some_and(|name| CODE.contains(&name));
            self.is_code = self.is_code.is_none().then_some(is_code);
        } else if self.is_code.is_none() {
            self.tells_when |= has_time_of_day(text);
        }
        let is_said = self.is_code.unwrap_or_else(|| is_said(line));
        self.sentences.extend(is_said.then_some(number));
    }

    pub(super) fn is_said(&self, number: u64) -> bool {
        !self.tells_when && self.sentences.binary_search(&number).is_ok()
    }
}

/// `# 7. Compiled artefacts`, and not `# PM-218` or `# Postmortem: search down`, which befell somebody.
fn names_no_case(line: &str) -> bool {
    const CASES: [&str; 14] = [
        "mortem", "incident", "outage", "ticket", "timeline", "bug", "retro", "notes", "diary",
        "slow", "crash", "hang", "stuck", "down",
    ];
    let text = line.trim_start_matches('#').trim_start();
    let text = text
        .trim_start_matches(|c: char| c.is_ascii_digit())
        .to_lowercase();
    !text.contains(|c: char| c.is_ascii_digit()) && !CASES.iter().any(|case| text.contains(case))
}

/// `=====`, below a title
fn is_rule(text: &str) -> bool {
    text.len() >= 3 && text.trim_start_matches(['=', '-', '*', '~']).is_empty()
}

/// `09:31`
fn has_time_of_day(text: &str) -> bool {
    let is_time = |four: &[u8]| four.iter().all(u8::is_ascii_digit);
    text.as_bytes()
        .windows(5)
        .any(|w| w[2] == b':' && is_time(&w[..2]) && is_time(&w[3..]))
}

/// Four words one after another, or a link, and no quotation.
fn is_said(line: &str) -> bool {
    let is_word = |word: &str| {
        let word = word.trim_matches(|c: char| c.is_ascii_punctuation());
        !word.is_empty() && word.chars().all(|c| c.is_alphabetic() || "'-".contains(c))
    };
    let is_sentence = |part: &str| {
        let mut row = 0;
        part.split(' ').any(|word| {
            row = if is_word(word) { row + 1 } else { 0 };
            row == 4
        })
    };
    let is_quoted = line.starts_with("    ") || line.starts_with(['\t', '>']) || has_level(line);
    !is_quoted && (line.split('`').step_by(2).any(is_sentence) || line.contains("]("))
}
