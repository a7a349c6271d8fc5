//! Whether a line claims readiness: of the whole server, and not of a part or of a wish.

/// Whether readiness is all that a line tells: `INFO ready`, `ready level=info`.
pub(super) fn says_ready(text: &str) -> bool {
    // Hardly any line has the word, and to tell that is cheaper than to look at each of its words.
    if !text.contains("ready") {
        return false;
    }
    let is_level = |word: &&str| {
        let word = word.trim_matches(|c: char| !c.is_ascii_alphabetic());
        matches!(
            word,
            "" | "info"
                | "notice"
                | "debug"
                | "startup"
                | "server"
                | "main"
                | "app"
                | "health"
                | "http"
                | "boot"
                | "lifecycle"
                | "readiness"
                | "serve"
        )
    };
    let mut words = text.split_whitespace().skip_while(is_level);
    let first = words.next().map(|word| word.trim_end_matches(['.', '!']));
    let is_all = first == Some("ready") && words.all(|word| word.contains('='));
    is_all || ends_ready(text) || begins_ready(text) || is_last_word(text)
}

/// `depth INFO READY`: behind names and a level stands nothing else.
fn is_last_word(text: &str) -> bool {
    // Parts of a server are ready before it is, and what is said of it may be a wish.
    const OTHERS: [&str; 24] = [
        "not",
        "never",
        "until",
        "when",
        "once",
        "if",
        "getting",
        "almost",
        "nearly",
        "shard",
        "engine",
        "backend",
        "tokenizer",
        "session",
        "database",
        "redis",
        "dataset",
        "weights",
        "worker",
        "isn't",
        "pod",
        "be",
        "get",
        "cache",
    ];
    let said = text.trim_end_matches(['.', '!']);
    let Some(before) = said.strip_suffix("ready") else {
        return false;
    };
    let mut names = before.split_whitespace();
    let is_apart = before.ends_with([' ', ']', ':']);
    let of = |name: &str| {
        name.trim_matches(|c: char| !c.is_ascii_alphabetic())
            .to_owned()
    };
    is_apart
        && names.clone().count() <= 4
        && names.all(|name| {
            !name.starts_with(|c: char| c.is_ascii_digit()) && !OTHERS.contains(&of(name).as_str())
        })
}

/// `INFO app: ready, listening on :80`, `boot | ready on :80`: what is said begins so, and of no part.
fn begins_ready(text: &str) -> bool {
    const PARTS: [&str; 8] = [
        "tokenizer",
        "session",
        "engine",
        "backend",
        "weights",
        "device",
        "context",
        "shard",
    ];
    // To tell that it is not there is cheaper than to look for its places.
    if !text.contains("ready") {
        return false;
    }
    text.match_indices("ready").any(|(at, word)| {
        let (before, behind) = (&text[..at], &text[at + word.len()..]);
        let said = before.trim_end();
        let begins = said.is_empty() || said.ends_with([':', ']', '|', '>']);
        let of = said.trim_end_matches([':', ']', '|', '>']);
        let goes_on = [",", ";", ".", "!", " on ", " in ", " at ", " after ", " ("]
            .iter()
            .any(|sign| behind.starts_with(sign));
        let is_parts = PARTS.iter().any(|part| of.ends_with(part));
        begins && (goes_on || behind.is_empty()) && !is_parts
    })
}

/// `server::http: Ready`, `http/server.rs:1853: Ready`: behind a place in code stands nothing else.
fn ends_ready(text: &str) -> bool {
    let before = text.trim_end_matches(['.', '!']).strip_suffix(": ready");
    let place = before.and_then(|before| before.rsplit(' ').next());
    place.is_some_and(|place| {
        let is_line = place.contains('.') && place.ends_with(|c: char| c.is_ascii_digit());
        place.contains("::") || is_line
    })
}
