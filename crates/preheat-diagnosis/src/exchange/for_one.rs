//! For whom something is done, where a line calls one request by its name: `job 1: no tokenizer yet`.

use super::{CALLED, OTHER_WORDS};
use crate::line::list::List;

/// Words that only ever stand before what is done for one request.
const FOR_ONE: [&str; 6] = ["request id=", "q ", "picture ", "photo ", "page ", "clip "];

/// `job 1: no tokenizer yet`: what is done is done for a request that is called by its name.
pub(crate) fn is_for_one(text: &str) -> bool {
    static WORDS: List = List::new(&[&CALLED, &FOR_ONE]);
    let is_called = |end: usize| {
        let name = text[end..]
            .split(|c: char| !c.is_ascii_alphanumeric())
            .next();
        let name = name.unwrap_or_default();
        let behind = &text[end + name.len()..];
        let is_jobs = text[..end].ends_with("job ") && !behind.starts_with(':');
        name.bytes().any(|b| b.is_ascii_digit())
            && !is_jobs
            && !behind.starts_with(['/', '.'])
            && !behind.starts_with(" of ")
    };
    const PARTS: [&str; 12] = [
        "worker",
        "gpu",
        "device",
        "node",
        "pod",
        "process",
        "thread",
        "model",
        "rank",
        "replica",
        "shard",
        "container",
    ];
    let is_part = |start: usize| {
        let before = text[..start].trim_end_matches(['{', '(', ' ']);
        let last = before.rsplit([' ', '{', '(']).next();
        PARTS.contains(&last.unwrap_or_default())
    };
    let mut places = WORDS.places(text).into_iter();
    places.any(|(start, end)| is_called(end) && !is_part(start)) && !OTHER_WORDS.is_in(text)
}

/// `(trace=6626a134…,span=eb77…)`: what a logger that traces requests adds to whatever is written for one. Of a
/// start it writes zeros, or nothing.
pub(crate) fn is_traced(text: &str) -> bool {
    const TRACE_DIGITS: usize = 32;
    let of = |name: &str| text.split_once(name).map(|(_, behind)| behind);
    let id = of("trace=").or_else(|| of("trace id=")).unwrap_or_default();
    let digits = id.bytes().take_while(u8::is_ascii_hexdigit).count();
    let is_some = id[..digits].bytes().any(|digit| digit != b'0');
    digits == TRACE_DIGITS && is_some && text.contains("span")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::text::normal;

    #[test]
    fn who_traces_requests_names_one() {
        let one = "6626a1348c2711148c804b8069aa7c1d";
        let none = "0".repeat(32);
        for (line, want) in [
            (
                format!("tokenizer loaded (183ms) (trace={one},span=eb7740d7d00ffe47)"),
                true,
            ),
            (
                format!("[trace_id={one} span_id=eb7740d7d00ffe47] loading"),
                true,
            ),
            (format!("[trace_id={none} span_id=0] loading"), false),
            ("trace=8f2e68cb2170 span=4ad2 weights".to_owned(), false),
            ("stack trace=é".to_owned(), false),
        ] {
            assert_eq!(is_traced(&normal(&line)), want, "{line}");
        }
    }

    #[test]
    fn a_request_is_called_by_its_name_and_nobody_else_is() {
        for (line, is_one) in [
            ("job 1: no tokenizer yet", true),
            ("[req 00c1] tracing graph", true),
            ("r=1 lowering took 23.9s", true),
            ("q-81 reads the weights", true),
            ("picture 1: autotuning", true),
            ("id=1 context there", true),
            ("worker{id=1}: weights on device", false),
            ("job 7 started: reading 4 shards", false),
            ("warm-up request 1: tracing", false),
            ("request 1 of 5: tracing", false),
            ("call graph traced", false),
        ] {
            assert_eq!(is_for_one(&normal(line)), is_one, "{line}");
        }
    }
}
