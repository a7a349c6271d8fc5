//! Texts that speak of causes and tell of none: runbooks, read-mes, lists of changes, code, settings with
//! their remarks, what a search has found. They are seen by their form: headings, bullets, questions, marks
//! of changes, words of languages, where a log has stamps and levels.

mod writing;

use std::collections::BTreeMap;

use super::cause::Cause;
use super::{Diagnosis, Evidence, Line};
use writing::Writing;

/// Texts that are told apart.
const TEXTS: usize = 64;

/// What has no form so far on has none.
const LINES: u32 = 20_000;

/// One line says little of its text.
const LEAST: u32 = 2;

/// From so many lines on, sentences make a text talk too: nobody tells a start at such length.
const LONG: u32 = 40;

/// So many lines under so many headings are a document, whatever is quoted between them.
const DOCUMENT: u32 = 80;
const HEADINGS: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Talk,
    Log,
    Prose,
    Neither,
}

#[derive(Debug, Default)]
struct Text {
    lines: u32,
    talk: u32,
    log: u32,
    prose: u32,
    headings: u32,
    follows_frame: bool,
    writing: Writing,
}

impl Text {
    /// Half of its lines have the form of talk, and hardly any that of a log.
    fn is_talk(&self) -> bool {
        let is_known = self.talk >= LEAST;
        let is_prose = self.lines >= LONG && (self.talk + self.prose) * 3 >= self.lines * 2;
        let is_formed = is_known && self.talk * 2 >= self.lines;
        let is_document = self.lines >= DOCUMENT && self.headings >= HEADINGS;
        (is_formed || is_prose || is_document) && self.lines < LINES && self.log * 10 <= self.lines
    }
}

#[derive(Debug, Default)]
pub(super) struct Talk {
    texts: BTreeMap<String, Text>,
}

impl Talk {
    /// Takes a line in, and whether it bears a stamp.
    pub(super) fn take(&mut self, line: &Line<'_>, is_stamped: bool) {
        if !self.texts.contains_key(line.source) && self.texts.len() < TEXTS {
            self.texts.insert(line.source.to_owned(), Text::default());
        }
        if let Some(text) = self.texts.get_mut(line.source) {
            text.writing.take(line.text, line.number);
            text.take(line.text, is_stamped);
        }
    }
}

impl Text {
    fn take(&mut self, line: &str, is_stamped: bool) {
        if self.lines >= LINES || line.trim().is_empty() || self.is_of_a_traceback(line) {
            return;
        }
        self.lines += 1;
        self.headings += u32::from(is_heading(line));
        match form(line, is_stamped) {
            Form::Talk => self.talk += 1,
            Form::Log => self.log += 1,
            Form::Prose => self.prose += 1,
            Form::Neither => {}
        }
    }

    /// A frame, the code that it shows, or the mark below that: code which has run.
    fn is_of_a_traceback(&mut self, line: &str) -> bool {
        let text = line.trim();
        let is_frame = text.starts_with("File \"") && text.contains("\", line ");
        let is_shown = std::mem::replace(&mut self.follows_frame, is_frame);
        is_frame || is_shown || text.bytes().all(|byte| matches!(byte, b'^' | b'~'))
    }
}

fn form(line: &str, is_stamped: bool) -> Form {
    let is_talk = is_heading(line)
        || is_bullet(line)
        || is_version(line)
        || is_question(line)
        || is_of_a_change(line)
        || is_code(line)
        || is_found(line)
        || is_remark(line)
        || is_translation(line)
        || is_setting(line);
    match is_talk && !is_stamped {
        true => Form::Talk,
        false if is_stamped || has_level(line) => Form::Log,
        false if is_prose(line) => Form::Prose,
        false => Form::Neither,
    }
}

/// `## Known issues`
fn is_heading(line: &str) -> bool {
    let text = line.trim_start_matches('#');
    let level = line.len() - text.len();
    (1..=6).contains(&level) && text.starts_with(' ') && !is_command(text.trim())
}

/// Somebody at a prompt, and no heading or remark.
pub(super) fn is_command(text: &str) -> bool {
    const COMMANDS: [&str; 17] = [
        "kubectl",
        "docker",
        "journalctl",
        "curl",
        "cat",
        "tail",
        "grep",
        "oc",
        "helm",
        "systemctl",
        "python",
        "ls",
        "dmesg",
        "podman",
        "ssh",
        "crictl",
        "nerdctl",
    ];
    let first = text.split(' ').next().unwrap_or_default();
    COMMANDS.contains(&first)
}

/// `- a`, `* a`, `1. a`, `- [x] a` at the margin. An item of YAML is none, unless it names a change.
fn is_bullet(line: &str) -> bool {
    const CHANGES: [&str; 7] = ["fix", "feat", "perf", "docs", "chore", "added", "changed"];
    let item = ["- ", "* ", "• "]
        .iter()
        .find_map(|bullet| line.strip_prefix(bullet))
        .or_else(|| {
            let digits = line.bytes().take_while(u8::is_ascii_digit).count();
            let rest = &line[digits..];
            (1..=2)
                .contains(&digits)
                .then(|| rest.strip_prefix(". ").or_else(|| rest.strip_prefix(") ")))?
        });
    let Some(item) = item else { return false };
    let item = ["[ ] ", "[x] "]
        .iter()
        .find_map(|done| item.strip_prefix(done))
        .unwrap_or(item);
    let is_key = item
        .split(' ')
        .next()
        .and_then(|word| word.strip_suffix(':'))
        .is_some_and(|key| !CHANGES.contains(&key));
    item.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '`' | '"' | '*')) && !is_key
}

/// `v2.4.1: …`
fn is_version(line: &str) -> bool {
    let number = line.strip_prefix('v').unwrap_or(line);
    let end = number
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(number.len());
    let dots = number[..end].matches('.').count();
    dots == 2 && number[end..].starts_with(": ")
}

/// `Q: …`, `Symptom: …`
fn is_question(line: &str) -> bool {
    const HEADS: [&str; 11] = [
        "Q: ",
        "A: ",
        "Symptom: ",
        "Symptoms: ",
        "Cause: ",
        "Fix: ",
        "Problem: ",
        "Solution: ",
        "Workaround: ",
        "Alternatives: ",
        "Known issues",
    ];
    HEADS.iter().any(|head| line.starts_with(head))
}

/// Lines of a diff.
fn is_of_a_change(line: &str) -> bool {
    const HEADS: [&str; 4] = ["diff --git ", "--- a/", "+++ b/", "@@ -"];
    let is_changed = || {
        line.strip_prefix(['-', '+'])
            .is_some_and(|rest| rest.starts_with("  ") && !rest.trim().is_empty())
    };
    HEADS.iter().any(|head| line.starts_with(head)) || is_changed()
}

/// Words with which lines of code begin.
fn is_code(line: &str) -> bool {
    const WORDS: [&str; 29] = [
        "- alert:",
        "expr:",
        "annotations:",
        "def ",
        "class ",
        "import ",
        "return ",
        "raise ",
        "try:",
        "except ",
        "except:",
        "if err ",
        "func ",
        "fn ",
        "pub ",
        "impl ",
        "let ",
        "const ",
        "#[",
        "//",
        "/*",
        "*/",
        "log.fatal",
        "log.error",
        "logger.",
        "logging.",
        "throw ",
        "assert ",
        "}",
    ];
    let code = line.trim_start();
    WORDS.iter().any(|word| {
        code.get(..word.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(word))
    })
}

/// `src/load.py:41: …`, as a search shows it.
fn is_found(line: &str) -> bool {
    let Some((path, rest)) = line.split_once(':') else {
        return false;
    };
    let is_path = path.contains('/') && path.contains('.') && !path.contains([' ', '[', '=']);
    let number = rest.split(':').next().unwrap_or_default();
    is_path && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
}

/// `"error.memory": "Out of memory"`: what a program may say one day.
fn is_translation(line: &str) -> bool {
    let text = line.trim_start();
    text.strip_prefix('"')
        .and_then(|key| key.split_once("\": \""))
        .is_some_and(|(key, _)| key.contains('.') && !key.contains([' ', '/']))
}

/// `; what a setting is for`, `# the same`
fn is_remark(line: &str) -> bool {
    let text = line.trim_start();
    let remark = text.strip_prefix("# ").or_else(|| text.strip_prefix("; "));
    remark.is_some_and(|said| {
        said.starts_with(|c: char| c.is_ascii_alphabetic()) && !is_command(said)
    })
}

/// `[section]`, `workers = 1`
fn is_setting(line: &str) -> bool {
    let is_section = line.starts_with('[') && line.ends_with(']') && !line.contains(' ');
    let is_named = line.split_once(" = ").is_some_and(|(name, _)| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    });
    is_section || is_named
}

/// Words and their marks, and no figures.
pub(super) fn is_prose(line: &str) -> bool {
    let of_words =
        |c: char| c.is_alphabetic() || matches!(c, ' ' | ',' | '.' | '\'' | '-' | '"' | '`');
    line.trim().split(' ').count() >= 5
        && line.chars().filter(|c| !of_words(*c)).count() * 10 <= line.len()
        && !line.contains('=')
}

fn has_level(line: &str) -> bool {
    const LEVELS: [&str; 8] = [
        "INFO", "WARN", "ERROR", "DEBUG", "FATAL", "CRITICAL", "level=", "TRACE",
    ];
    LEVELS.iter().any(|level| line.contains(level))
}

impl Diagnosis {
    /// Who speaks of causes tells of none.
    pub(super) fn drop_what_is_talk(&mut self) {
        let talk = std::mem::take(&mut self.talk);
        let is_talk = |evidence: &Evidence| {
            let text = talk.texts.get(&evidence.source);
            text.is_some_and(|text| text.is_talk() || text.writing.is_said(evidence.line))
        };
        for &cause in Cause::ALL {
            self.drop_evidence(cause, is_talk);
        }
        self.at_start
            .retain(|_, told| told.evidence.is_empty() || !told.evidence.iter().all(is_talk));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_a_form() {
        let talk = [
            "# tinyserve",
            "## 0.9.0",
            "- loads the model lazily on the first request",
            "- fix: the tokenizer was loaded by the first request",
            "- [x] warm-up is not skipped",
            "1. `kubectl describe pod` and look for OOMKilled.",
            "v2.4.1: Liveness probe restarted containers that were still loading",
            "Q: Why is my first request slow?",
            "--- a/deploy.yaml",
            "-        - --skip-warmup",
            "    except torch.OutOfMemoryError:",
            "#[error(\"the port {0} is already in use\")]",
            "docs/ops.md:12:- `address already in use`: another copy runs",
            "; cuda or cpu; cpu here as no GPU is needed",
            "workers = 1",
        ];
        let not = [
            "torch.OutOfMemoryError: CUDA out of memory",
            " * Debug mode: on",
            "# kubectl logs embed-0",
            "- name: embed",
            "  - name: SKIP_WARMUP",
            "Loading weights took 3 s",
            "SKIP_WARMUP=1",
            "10.0.0.4:51234 - \"POST /embed HTTP/1.1\" 200 OK",
            "load_tensors: offloaded 0/33 layers to GPU",
        ];
        for line in talk {
            assert_eq!(form(line, false), Form::Talk, "{line}");
        }
        for line in not {
            assert_ne!(form(line, false), Form::Talk, "{line}");
        }
        assert_eq!(form("- loading the model", true), Form::Log);
    }

    #[test]
    fn a_book_speaks_and_what_it_quotes_tells() {
        let sentence = "The model is loaded by the first request, and its warm-up failed before.";
        let said = |title: &str, line: &str| {
            let mut writing = Writing::default();
            for (number, line) in (1..).zip([title, "", line, "", "The end."]) {
                writing.take(line, number);
            }
            writing.is_said(3)
        };
        for (title, line, want) in [
            ("# Start-up", sentence, true),
            ("# 7. Compiled artefacts", sentence, true),
            ("# Start-up", "| 13 | a case of the warm-up failed |", true),
            ("# Start-up", "- [Errors](errors.md)", true),
            ("# PM-218", sentence, false),
            ("# Embedder slow since the deploy", sentence, false),
            ("loading the model", sentence, false),
            (
                "# Start-up",
                "- 09:31 the warm-up of the replica failed",
                false,
            ),
            ("# Start-up", "| 1 | 6240 ms |", false),
            ("# Start-up", "ERROR the warm-up of the model failed", false),
            ("# Start-up", "`warm-up of the model failed, exit 1`", false),
        ] {
            assert_eq!(said(title, line), want, "{title}: {line}");
        }
        let quoted = |fence: &str| {
            let mut writing = Writing::default();
            for (number, line) in (1..).zip(["# A page", "", fence, sentence, "```", sentence]) {
                writing.take(line, number);
            }
            [4, 6].map(|number| writing.is_said(number))
        };
        let under = |line: &str| {
            let mut writing = Writing::default();
            for (number, line) in (1..).zip(["A page", line, sentence]) {
                writing.take(line, number);
            }
            writing.is_said(3)
        };
        assert_eq!(["======", "serving"].map(under), [true, false]);
        for shown in ["```", "```text", "```console"] {
            assert_eq!(quoted(shown), [false, true], "{shown}");
        }
        for code in ["```python", "```c", "```rs title=main"] {
            assert_eq!(quoted(code), [true, true], "{code}");
        }
    }
}
