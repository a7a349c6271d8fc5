//! What differs from run to run and from machine to machine, taken out of what people read.

/// Behind a number, and what the two become.
const UNITS: [(&str, &str); 8] = [
    (" ms", "TIME"),
    (" µs", "TIME"),
    (" s", "TIME"),
    (" B", "SIZE"),
    (" kB", "SIZE"),
    (" MB", "SIZE"),
    (" GB", "SIZE"),
    (" TB", "SIZE"),
];

/// Where digits of digests begin to be digests.
const DIGEST: usize = 12;

/// Times, sizes, digests and ports; and what the test itself knows to differ. Widths of columns follow
/// from them, so gaps within a line are two spaces.
pub fn masked(text: &str, known: &[(&str, &str)]) -> String {
    text.lines()
        .map(|line| {
            let mut own = line.to_owned();
            for (from, to) in known {
                own = own.replace(from, to);
            }
            narrow(&figures(&own)) + "\n"
        })
        .collect()
}

fn figures(line: &str) -> String {
    let (mut out, mut rest) = (String::new(), line);
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '.';
        let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(length);
        if word.is_empty() {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        } else if let Some((unit, mask)) = unit(word, behind) {
            out += mask;
            rest = &behind[unit.len()..];
        } else {
            out += if behind.starts_with(" ago") {
                "TIME"
            } else if is_digest(word) {
                "DIGEST"
            } else if out.ends_with("127.0.0.1:") {
                "PORT"
            } else {
                word
            };
            rest = behind;
        }
    }
    out
}

fn unit(word: &str, behind: &str) -> Option<(&'static str, &'static str)> {
    word.parse::<f64>().ok()?;
    let ends = |unit: &str| {
        let after = behind.strip_prefix(unit)?;
        let next = after.chars().next();
        (!next.is_some_and(char::is_alphanumeric)).then_some(())
    };
    let mut all = UNITS.into_iter();
    all.find(|(unit, _)| ends(unit).is_some())
}

fn is_digest(word: &str) -> bool {
    let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    word.len() >= DIGEST && word.chars().all(is_hex)
}

fn narrow(line: &str) -> String {
    let text = line.trim_start();
    let indent = &line[..line.len() - text.len()];
    let parts = text
        .split("  ")
        .map(str::trim)
        .filter(|part| !part.is_empty());
    format!("{indent}{}", parts.collect::<Vec<_>>().join("  "))
}

#[test]
fn only_what_differs_is_masked() {
    for (text, want) in [
        ("3 cases of 12 in 84.1 ms", "3 cases of 12 in TIME"),
        ("tiny   14 B  5m10s ago", "tiny  SIZE  TIME ago"),
        ("http://127.0.0.1:4711/tiny/", "http://127.0.0.1:PORT/tiny/"),
        (
            "revision 620b26e363fc, 4 sources",
            "revision DIGEST, 4 sources",
        ),
        ("  a   b", "  a  b"),
        ("  here/a   1 B", "  CACHE/a  SIZE"),
    ] {
        let known = [("here", "CACHE")];
        assert_eq!(masked(text, &known), format!("{want}\n"), "{text}");
    }
}
