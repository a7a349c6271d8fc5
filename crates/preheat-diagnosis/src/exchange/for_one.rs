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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::text::normal;

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
