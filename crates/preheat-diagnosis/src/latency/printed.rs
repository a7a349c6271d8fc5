//! What a client prints of its requests: `curl -w "%{time_total}"`, a loop with a clock in it.

/// More words are no figures that a client was told to print.
const PRINTED: usize = 12;

/// Somebody has a client print what each of its requests takes.
pub(super) fn times_a_loop(shown: &str) -> bool {
    const LOOPS: [&str; 4] = ["for ", "while ", "seq ", "repeat "];
    const CLOCKS: [&str; 6] = [
        "time -f",
        "time.time()",
        "perf_counter",
        "%e",
        "monotonic()",
        "date +%s",
    ];
    const ASKS: [&str; 7] = [
        "curl",
        "client",
        "requests.",
        "predict",
        "infer",
        "post(",
        "embed",
    ];
    let has = |words: &[&str]| words.iter().any(|word| shown.contains(word));
    (shown.contains('%') && shown.contains("%{time_"))
        || (has(&LOOPS) && has(&CLOCKS) && has(&ASKS))
}

/// What a request took, on a line of little but figures.
pub(super) fn printed_ms(text: &str) -> Option<f64> {
    let words = text.split([' ', '=', ':']);
    let words: Vec<&str> = words.map(|w| w.strip_suffix('s').unwrap_or(w)).collect();
    let is_alone = words.len() == 1;
    let is_seconds = |word: &&str| {
        let fraction = word.split_once('.').map(|(_, fraction)| fraction);
        let least = if is_alone { 1 } else { 3 };
        fraction.is_some_and(|f| f.len() >= least && f.bytes().all(|b| b.is_ascii_digit()))
    };
    let total = words.iter().position(|word| *word == "total");
    let mut behind = words.iter().skip(total.unwrap_or(words.len()));
    let told = behind.find(|word| is_seconds(word));
    let told = told.or_else(|| words.iter().rev().find(|word| is_seconds(word)));
    let seconds = told.and_then(|told| told.parse::<f64>().ok());
    seconds.filter(|_| words.len() <= PRINTED).map(|s| s * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_took_what_is_printed_of_it() {
        for (line, want) in [
            ("200 64.207713s", Some(64_207.713)),
            ("5.9s", Some(5_900.0)),
            ("200 ttfb=4.812207 total=5.930112", Some(5_930.112)),
            ("08:30:01", None),
            ("200 1.2", None),
            ("", None),
        ] {
            assert_eq!(
                printed_ms(line).map(f64::round),
                want.map(f64::round),
                "{line}"
            );
        }
    }
}
