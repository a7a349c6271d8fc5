//! A line of a log made comparable: without colours, in one case, with one kind of gap.

use std::borrow::Cow;

/// Longest text that is kept as evidence, in characters.
const SHOWN: usize = 300;

/// Without escape sequences and control characters.
pub(crate) fn clean(raw: &str) -> Cow<'_, str> {
    if raw.bytes().all(|b| matches!(b, b' '..=b'~')) {
        return Cow::Borrowed(raw.trim());
    }
    let mut text = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            c if c.is_control() || c == '\u{fffd}' => text.push(' '),
            c => text.push(c),
        }
    }
    Cow::Owned(text.trim().to_owned())
}

/// What follows an ESC: `[…m` and its kin, or `]…BEL`.
fn skip_escape(chars: &mut std::str::Chars<'_>) {
    match chars.next() {
        Some('[') => {
            for c in chars.by_ref() {
                if ('\u{40}'..='\u{7e}').contains(&c) {
                    break;
                }
            }
        }
        Some(']') => {
            for c in chars.by_ref() {
                if matches!(c, '\u{7}' | '\u{1b}') {
                    break;
                }
            }
        }
        _ => {}
    }
}

/// Lower case; `_`, `-` and white space are one blank, and articles are left out. Phrases are written
/// like this.
pub(crate) fn normal(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut has_leader = false;
    for byte in text.bytes() {
        match byte {
            b'_' | b'-' | b' ' | b'\t' => {
                if out.last() != Some(&b' ') {
                    out.push(b' ');
                }
            }
            b'.' => {
                has_leader |= out.ends_with(b"...");
                out.push(byte);
            }
            byte => out.push(byte.to_ascii_lowercase()),
        }
    }
    let mut out = String::from_utf8(out).expect("bytes beyond ASCII are left as they are");
    if out.starts_with("the ") {
        out.replace_range(..4, "");
    }
    if out.contains(" the ") {
        out = out.replace(" the ", " ");
    }
    if has_leader {
        out = led(&out);
    }
    apart(out)
}

/// `device ......... cpu` is `device: cpu`.
fn led(text: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let is_leader = word.len() >= 4 && word.bytes().all(|byte| byte == b'.');
        match words.last_mut() {
            Some(last) if is_leader && !last.is_empty() => last.push(':'),
            _ => words.push(word.to_owned()),
        }
    }
    words.join(" ")
}

/// `WhisperTokenizerFast` is a tokenizer, as all classes are whose names end so.
fn apart(text: String) -> String {
    const NAME: &str = "tokenizer";
    // Hardly any line names one, and to tell that is cheaper than to look where.
    if !text.contains(NAME) {
        return text;
    }
    let is_joined = |at: usize| {
        let before = &text[..at];
        before.ends_with(|c: char| c.is_ascii_alphanumeric()) && !before.ends_with("de")
    };
    let joined: Vec<usize> = text
        .match_indices(NAME)
        .map(|(at, _)| at)
        .filter(|at| is_joined(*at))
        .collect();
    let mut text = text;
    for at in joined.into_iter().rev() {
        text.insert(at, ' ');
    }
    text
}

/// Where in its code a program writes a line, made a path: `model_loader.py:291` names a file, and
/// nothing that is done to a model.
pub(crate) fn located(text: &str) -> Cow<'_, str> {
    if !has_place(text) {
        return Cow::Borrowed(text);
    }
    let tokens: Vec<Cow<'_, str>> = text.split(' ').map(as_path).collect();
    Cow::Owned(tokens.join(" "))
}

fn has_place(text: &str) -> bool {
    const ENDINGS: [&str; 8] = [".py", ".cc", ".rs", ".cpp", ".h", ".cu", ".go", ".c"];
    // Most colons stand in times, behind a digit. A function may be named before the line.
    let is_candidate = |three: &[u8]| {
        let goes_on = three[2].is_ascii_alphanumeric() || three[2] == b'_';
        three[1] == b':' && three[0].is_ascii_lowercase() && goes_on
    };
    let mut windows = text.as_bytes().windows(3).enumerate();
    windows.any(|(before, three)| {
        is_candidate(three)
            && ENDINGS
                .iter()
                .any(|ending| text[..=before].ends_with(ending))
    })
}

fn as_path(token: &str) -> Cow<'_, str> {
    if !has_place(token) {
        return Cow::Borrowed(token);
    }
    let name = token.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    let opened = &token[..token.len() - name.len()];
    // What a function is called tells nothing of what happens, either: `app.py:load():18`.
    let (file, line) = name.split_once(':').unwrap_or((name, ""));
    let line = line.rsplit_once("():").map_or(line, |(_, line)| line);
    Cow::Owned(format!("{opened}/{}:{line}", file.replace(['_', '-'], "/")))
}

/// The digits that a text begins with, and the rest.
pub(crate) fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit());
    text.split_at(end.unwrap_or(text.len()))
}

/// What is kept of a text that is shown to people.
pub(crate) fn shown(text: &str) -> String {
    if text.len() <= SHOWN {
        return text.to_owned();
    }
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_and_noise_are_taken_off() {
        assert_eq!(
            clean("\u{1b}[32mINFO\u{1b}[0m: ready\r\u{0}"),
            "INFO: ready"
        );
        assert_eq!(clean("\u{1b}]0;title\u{7}x\u{1b}["), "x");
        assert_eq!(normal("CUDA_context-INIT  2 s"), "cuda context init 2 s");
        assert_eq!(normal("Loading the model"), "loading model");
        assert_eq!(shown(&"ä".repeat(400)).chars().count(), SHOWN + 1);
    }

    #[test]
    fn a_place_in_code_is_a_path() {
        assert_eq!(
            located("[model_loader.py:291] x_y"),
            "[/model/loader.py:291] x_y"
        );
        assert_eq!(located("[my_lazy.py:load():18] x"), "[/my/lazy.py:18] x");
        let elsewhere = "load_model: 3 at 10:00:01";
        assert_eq!(located(elsewhere), elsewhere);
    }
}
