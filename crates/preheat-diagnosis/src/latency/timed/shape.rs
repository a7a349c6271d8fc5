//! What lines of one kind have in common, whatever the request.

/// Words that may differ from one such line to the next.
const VARYING: [&str; 24] = [
    "info", "warn", "warning", "debug", "trace", "notice", "error", "slow", "cold", "first",
    "second", "third", "fourth", "fifth", "sixth", "last", "next", "final", "initial", "again",
    "another", "i", "w", "d",
];

/// Fields whose values tell what a line is about.
const KEPT: [&str; 12] = [
    "msg", "message", "event", "path", "uri", "url", "route", "endpoint", "method", "op", "rpc",
    "handler",
];

/// Longest common part that is kept.
const LONGEST: usize = 120;

/// A line without what differs from one request to the next: numbers, names of requests, levels, what
/// stands in parentheses.
pub(in crate::latency) fn shape(text: &str) -> String {
    let mut shape = String::new();
    let mut depth = 0_usize;
    let (mut is_name, mut is_quoted) = (false, false);
    for word in text.split(' ') {
        // What somebody asked for: `tag "red fox": 31 ms`.
        let was_quoted = is_quoted;
        if was_quoted || word.starts_with('"') {
            is_quoted = word.matches('"').count() % 2 == usize::from(!was_quoted);
            continue;
        }
        let is_within = depth > 0;
        depth += word.matches('(').count();
        depth = depth.saturating_sub(word.matches(')').count());
        if is_within || word.starts_with('(') || shape.len() > LONGEST {
            continue;
        }
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        let is_field = word.contains('=');
        let kept = match is_field {
            true if KEPT.contains(&key) => value,
            true => key,
            false => word,
        };
        // `nmt.translate[81ac]`
        let kept = kept
            .find('[')
            .filter(|at| *at > 0)
            .map_or(kept, |at| &kept[..at]);
        let kept = kept.trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != '/');
        let is_id = is_name || is_numbered(kept) || is_hex(kept);
        is_name = is_a_name(word);
        if !is_id && !kept.is_empty() && !VARYING.contains(&kept) {
            // One record, two records.
            let one = kept.strip_suffix('s').filter(|one| one.len() > 2);
            shape.extend([one.unwrap_or(kept), " "]);
        }
    }
    shape
}

/// What follows is what a request is called: `id: abc`, `trace abc`.
fn is_a_name(word: &str) -> bool {
    ["id:", "rid:", "trace", "reqid:", "trace:", "user:"].contains(&word)
}

fn is_numbered(word: &str) -> bool {
    // A path may have a version in it.
    !word.starts_with('/') && word.bytes().any(|byte| byte.is_ascii_digit())
}

fn is_hex(word: &str) -> bool {
    word.len() >= 6 && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}
