//! A line of a log made comparable: without colours, in one case, with one kind of gap.

/// Longest text that is kept as evidence, in characters.
const SHOWN: usize = 300;

/// Without escape sequences and control characters.
pub(super) fn clean(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            c if c.is_control() || c == '\u{fffd}' => text.push(' '),
            c => text.push(c),
        }
    }
    text.trim().to_owned()
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

/// Lower case; `_`, `-` and white space are one blank. Phrases are written like this.
pub(super) fn normal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '_' | '-' | ' ' | '\t' => {
                if !out.ends_with(' ') {
                    out.push(' ');
                }
            }
            c => out.push(c.to_ascii_lowercase()),
        }
    }
    out
}

/// What is kept of a text that is shown to people.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// Who wrote a line, where a collector put that in front of it, and the rest of the line:
/// `web-1  | text` and `[pod/name/container] text`.
pub(super) fn stream(text: &str) -> (&str, &str) {
    if let Some(rest) = text.strip_prefix("[pod/")
        && let Some((name, rest)) = rest.split_once("] ")
    {
        return (name, rest);
    }
    if let Some((name, rest)) = text.split_once('|') {
        let name = name.trim_end();
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let counted = name.ends_with(|c: char| c.is_ascii_digit());
        if counted
            && name.len() <= 64
            && name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(is_name)
        {
            return (name, rest.trim_start());
        }
    }
    ("", text)
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
        assert_eq!(shown(&"ä".repeat(400)).chars().count(), SHOWN + 1);
    }

    #[test]
    fn a_collectors_prefix_names_the_stream() {
        assert_eq!(stream("web-1  | INFO ready"), ("web-1", "INFO ready"));
        assert_eq!(stream("[pod/a/b] x"), ("a/b", "x"));
        assert_eq!(
            stream("Loading: 100%|###| 3/3"),
            ("", "Loading: 100%|###| 3/3")
        );
        assert_eq!(stream("model | ready"), ("", "model | ready"));
    }
}
