//! What share of the weights' files the system had kept in memory, as figures tell it.

use super::line::list::List;

/// What the operating system keeps of files.
const CACHES: [&str; 10] = [
    "meminfo",
    "filesystem cache",
    "page cache",
    "pagecache",
    "file cache",
    "buff/cache",
    "mincore",
    "fincore",
    "vmtouch",
    "resident pages",
];

/// The same, where the files are named right there.
const KEPT: [&str; 4] = ["cached", "resident", "in core", "in memory"];

/// Whose files these are.
const FILES: [&str; 8] = [
    "model",
    "weight",
    "checkpoint",
    "safetensors",
    ".gguf",
    ".bin",
    ".pt",
    "shard",
];

/// Other caches.
const OTHERS: [&str; 9] = [
    "kv cache", "prefix", "response", "answer", "token", "image", "hit rate", "redis", "already",
];

/// Less is next to nothing.
const SHARE: f64 = 0.2;

/// So much came into memory only now, in GB.
const READ_GB: f64 = 1.0;
const GROWTH: f64 = 4.0;

/// Whether a normalised line tells in figures that next to nothing of the files was kept.
pub(super) fn tells_cold(text: &str) -> bool {
    let has_digits = text.bytes().any(|byte| byte.is_ascii_digit());
    if !has_digits {
        return false;
    }
    if faulted(text) {
        return true;
    }
    is_of_cache(text)
        && !NOT_OF_FILES.is_in(text)
        && (is_small(text) || (OF_SYSTEM.is_in(text) && grew(text)))
}

static OF_SYSTEM: List = List::new(&[&CACHES]);
static IN_MEMORY: List = List::new(&[&KEPT]);
static OF_MODELS: List = List::new(&[&FILES]);
static NOT_OF_FILES: List = List::new(&[&OTHERS]);

fn is_of_cache(text: &str) -> bool {
    OF_SYSTEM.is_in(text) || (IN_MEMORY.is_in(text) && OF_MODELS.is_in(text))
}

/// So many pages had to be read one by one.
const FAULTS: f64 = 1e3;

/// `pgmajfault of replica 1: 88412`
fn faulted(text: &str) -> bool {
    // Hardly any line tells of one, and to tell that is cheaper than to look for each name.
    text.contains("fault")
        && ["majfault", "major faults", "major page faults"]
            .iter()
            .any(|name| {
                let behind = text.split_once(name).map(|(_, behind)| behind);
                let last = behind.and_then(|behind| behind.split([':', '=']).nth(1));
                last.and_then(|last| number_behind(last, 0))
                    .is_some_and(|count| count >= FAULTS)
            })
}

/// `3 % … in page cache`, `resident 0 of 26 GB`
fn is_small(text: &str) -> bool {
    let shares = text.match_indices('%').filter_map(|(at, _)| {
        let percent = number_before(text, at)?;
        near_cache(text, at).then_some(percent / 100.0)
    });
    let named = ["pct", "percent"]
        .iter()
        .flat_map(|name| text.match_indices(name));
    let named = named.filter_map(|(at, name)| {
        let value = text[at + name.len()..].trim_start_matches(['"', ':', '=', ' ']);
        let percent = number_behind(value, 0)?;
        near_cache(text, at).then_some(percent / 100.0)
    });
    let shares = shares.chain(named);
    // Shards and layers are counted as well, sizes are not.
    let is_size = |at: usize| {
        let rest = text[at..].trim_start();
        let unit = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        ["gb", "gib", "mb", "mib", "pages"]
            .iter()
            .any(|name| unit.trim_start().starts_with(name))
    };
    let parts = ["of", "/"].iter().flat_map(|sign| text.match_indices(sign));
    let parts = parts.filter_map(|(at, sign)| {
        let part = number_before(text, at)?;
        let whole = number_behind(text, at + sign.len())?;
        (whole > part && is_size(at + sign.len()) && near_cache(text, at)).then_some(part / whole)
    });
    shares.chain(parts).any(|share| share <= SHARE)
}

/// `page cache went from 2 GB to 133 GB`
fn grew(text: &str) -> bool {
    let Some((_, rest)) = text.split_once(" from ") else {
        return false;
    };
    let Some((before, after)) = rest.split_once(" to ") else {
        return false;
    };
    let is_size = |said: &str| ["gb", "gib", " g"].iter().any(|unit| said.contains(unit));
    let figures = number_behind(before, 0).zip(number_behind(after, 0));
    is_size(after)
        && figures.is_some_and(|(few, many)| many - few >= READ_GB && many >= GROWTH * few)
}

/// Names of a cache stand this near to its figure, in bytes.
const NEAR: usize = 48;

fn near_cache(text: &str, at: usize) -> bool {
    let from = text.floor_char_boundary(at.saturating_sub(NEAR));
    let until = text.ceil_char_boundary((at + NEAR).min(text.len()));
    let near = &text[from..until];
    OF_SYSTEM.is_in(near) || IN_MEMORY.is_in(near)
}

fn number_before(text: &str, at: usize) -> Option<f64> {
    let before = text[..at].trim_end();
    let before = ["gib", "gb", "mib", "mb", "pages", "g"]
        .iter()
        .find_map(|unit| before.strip_suffix(unit))
        .unwrap_or(before)
        .trim_end();
    let start = before
        .trim_end_matches(|c: char| c.is_ascii_digit() || c == '.')
        .len();
    let is_begin = !before[..start].ends_with(|c: char| c.is_ascii_alphanumeric());
    before[start..].parse().ok().filter(|_| is_begin)
}

fn number_behind(text: &str, at: usize) -> Option<f64> {
    let behind = text[at..].trim_start();
    let end = behind.find(|c: char| !c.is_ascii_digit() && c != '.');
    behind[..end.unwrap_or(behind.len())]
        .trim_end_matches('.')
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::super::line::text::normal;
    use super::*;

    #[test]
    fn figures_tell_that_nothing_was_kept() {
        for text in [
            "mincore: 3 % of /models/llama.safetensors in page cache",
            "| g-29 (booted 4 min ago) | 0 of 26 GB of the model cached | 171 s |",
            "page cache of the node went from 2 GB to 133 GB meanwhile",
            "fincore model.gguf: 0.4/13.2 GiB resident",
            "weights: cached by the system 2%",
            "pgmajfault of replica 1: 88412",
            "Resident Pages: 310/979210  1M/3G  0.0317%",
            "vmtouch /m/codellama-34b.Q4_K_M.gguf: Resident Pages: 1203/4933841  4M/18G  0.0244%",
        ] {
            assert!(tells_cold(&normal(text)), "{text}");
        }
        for text in [
            "mincore: 97 % of /models/llama.safetensors in page cache",
            "kv cache usage: 0.0 % of the model's blocks cached",
            "page cache of the node went from 120 GB to 133 GB meanwhile",
            "26 of 26 GB of the model cached",
            "prefix cache hit rate of the model: 0%",
            "model cached",
            "pgmajfault of replica 2: 3",
            "loaded 1 of 7 shards, cached",
        ] {
            assert!(!tells_cold(&normal(text)), "{text}");
        }
    }
}
