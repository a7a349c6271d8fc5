//! What a line names only to say that it is not so, or not yet: a denial, a question, a condition, code.

use super::list::List;
use super::phrases::Hit;
use crate::cause::Cause;
use crate::rules::Meaning;

/// Words in front of what is named that make it a thing of the past, of others or of advice.
const DENYING: [&str; 24] = [
    "fixed:",
    "fixes:",
    "fix:",
    "* fixed ",
    "- fixed ",
    "* fix ",
    "- fix ",
    "how to ",
    "to avoid ",
    "to prevent ",
    "avoids ",
    "prevents ",
    "no longer ",
    "instead of ",
    "in case of ",
    "do not ",
    "don't ",
    "never ",
    "must not ",
    "should not ",
    "e.g. ",
    "for example ",
    "considered ",
    "alternatives: ",
];

static DENIES: List = List::new(&[&DENYING]);

/// So far in front of what is named, and into it.
const DENIED_WITHIN: usize = 48;

/// Whether what a line names at a place did not happen: it is counted and the count is zero
/// (`failed=0`), or the words before it are those of release notes and advice.
pub(crate) fn is_denied(text: &str, hit: &Hit) -> bool {
    let (at, end) = (hit.at, hit.end);
    // That there is no device is what this one is about.
    let is_of_absence = hit.means == Meaning::Names(Cause::DeviceFallback);
    let from = text.floor_char_boundary(at.saturating_sub(DENIED_WITHIN));
    let to = text.floor_char_boundary(at + DENIED_WITHIN);
    let before = text[from..at].rsplit(". ").next().unwrap_or_default();
    let within = &text[at..to];
    let count = text[end..].trim_start_matches(['"', ' ', '=', ':']);
    // A blank alone may part the columns of a table.
    let has_value = text[end..text.len() - count.len()].contains(['=', ':']);
    let is_none = count.strip_prefix('0').is_some_and(|rest| {
        !rest
            .starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '/' | ':' | '\''))
    });
    let said = before.trim_start_matches([' ', ']', ':', '-']);
    let is_nothing = said == "no " || before.ends_with(" no ") || before.ends_with(" without ");
    let is_total = text.ends_with(" total 0");
    is_total
        || is_note(text)
        || is_code(text)
        || text.starts_with("<!")
        || is_question(text)
        || (text.contains("{{") && text.contains("}}"))
        || DENIES.is_in(before)
        || (is_nothing && !is_of_absence)
        || is_conditional(text, at)
        || within.contains(" no longer ")
        || (has_value && is_none)
}

/// Whether a line is one of a program, or of a change to one: `+    except OutOfMemoryError:`.
fn is_code(text: &str) -> bool {
    const BEGINNINGS: [&str; 16] = [
        "except ",
        "raise ",
        "def ",
        "class ",
        "return ",
        "import ",
        "catch (",
        "} catch",
        "throw new",
        "assert ",
        "print(",
        "log.",
        "logger.",
        "logging.",
        "console.",
        "fmt.",
    ];
    let said = text.trim_start_matches(['+', '-', ' ', '>']);
    BEGINNINGS.iter().any(|word| said.starts_with(word)) && said.ends_with([':', ')', '{', ';'])
}

/// Whether somebody asks people: `why was my pod OOMKilled?`. What programs ask is a guess.
fn is_question(text: &str) -> bool {
    const BEGINNINGS: [&str; 11] = [
        "why ",
        "what ",
        "how ",
        "who ",
        "when ",
        "does ",
        "did ",
        "is it ",
        "was it ",
        "has anyone",
        "anyone ",
    ];
    let said = text.trim_start_matches(['>', '-', '*', '#', ' ']);
    let asks = || text.ends_with('?') || text.contains("? ");
    BEGINNINGS.iter().any(|word| said.starts_with(word)) && asks()
}

/// Whether a line is one of release notes: `* Fixed: the server no longer …`.
fn is_note(text: &str) -> bool {
    const BEGINNINGS: [&str; 12] = [
        "fix ",
        "fix:",
        "fixed ",
        "fixed:",
        "fixes ",
        "fix(",
        "added:",
        "changed:",
        "removed:",
        "changelog",
        "feat:",
        "chore:",
    ];
    let said = text.trim_start_matches(['*', '-', ' ', '#']);
    BEGINNINGS.iter().any(|word| said.starts_with(word))
}

/// Whether the sentence so far is a condition, advice, or one of release notes: `if the pod is
/// OOMKilled, …`.
pub(super) fn is_conditional(text: &str, at: usize) -> bool {
    const BEGINNINGS: [&str; 15] = [
        "fixed: ",
        "make sure ",
        "avoid ",
        "do not ",
        "set `",
        "if ",
        "add ",
        "added ",
        "fix ",
        "fixed ",
        "removed ",
        "use ",
        "try ",
        "pass ",
        "run with ",
    ];
    const WITHIN: [&str; 2] = [" look for ", " check for "];
    let sentence = text[..at].rsplit(". ").next().unwrap_or_default();
    let said = sentence.trim_start_matches(|c: char| !c.is_ascii_alphabetic());
    BEGINNINGS.iter().any(|word| said.starts_with(word))
        || (said.starts_with("when ") && text.contains(" you "))
        || WITHIN.iter().any(|word| sentence.contains(word))
}

/// `nobody calls it at startup`, `not at start but …`
pub(super) fn is_negated(text: &str, at: usize) -> bool {
    let clause = text[..at].rsplit([',', ';', '.', ':', '(']).next();
    let mut words = clause.unwrap_or_default().split(' ');
    words.any(|word| {
        matches!(
            word,
            "not" | "nobody" | "nothing" | "never" | "isn't" | "wasn't" | "instead" | "rather"
        )
    })
}
