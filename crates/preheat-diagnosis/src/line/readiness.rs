//! Whether a line claims readiness: of the whole server, and not of a part or of a wish.

/// Whether a line claims readiness, where no phrase tells it.
pub(super) fn says_ready(text: &str) -> bool {
    is_all_ready(without_fields(text)) || takes_traffic(text)
}

/// Without fields that follow what is said: `reviews@vm ready. logger=celery.apps.worker pid=7`.
fn without_fields(text: &str) -> &str {
    let mut said = text;
    while let Some((before, last)) = said.rsplit_once(' ')
        && last.contains('=')
    {
        said = before;
    }
    said
}

/// Whether what is called ready at a place is a part of a server, or is said not to be: `HuggingFaceTokenizer ready
/// after 2.9 s`, `ready_to_serve=false`.
pub(super) fn is_of_a_part(text: &str, at: usize) -> bool {
    const PARTS: [&str; 18] = [
        "tokenizer",
        "tokeniser",
        "session",
        "weights",
        "context",
        "device",
        "kernels",
        "graph",
        "graphs",
        "shard",
        "cache",
        "vocabulary",
        "vocab",
        "dataset",
        "database",
        "connection",
        "pool",
        "index",
    ];
    let (before, behind) = text.split_at(at);
    let mut words = before.split_whitespace().rev();
    let subject = words.find(|word| !matches!(*word, "is" | "are" | "now" | "was" | "got"));
    let subject = subject.unwrap_or_default();
    let is_part = behind.starts_with("ready")
        && PARTS
            .iter()
            .any(|part| subject.trim_end_matches("fast").ends_with(part));
    let value = behind.split_once(['=', ':']).map(|(name, value)| {
        let is_name = name.split(' ').count() <= 4;
        is_name && matches!(first_word(value), "false" | "no" | "0" | "off")
    });
    is_part || value == Some(true)
}

fn first_word(value: &str) -> &str {
    let value = value.trim_start_matches(['"', '\'', ' ']);
    let end = value.find(|c: char| !c.is_ascii_alphanumeric());
    &value[..end.unwrap_or(value.len())]
}

/// `emb-0   1/1   Running   0   41s`, `target 10.0.1.5:8000 is healthy`: what those say who send
/// requests there.
fn takes_traffic(text: &str) -> bool {
    const BEHIND: [&str; 7] = [
        "target ",
        "backend ",
        "upstream ",
        "instance ",
        "endpoint ",
        "member ",
        "[lb",
    ];
    // As many containers are ready as there are.
    let is_row = || {
        let (before, behind) = text.split_once(" running ").unwrap_or_default();
        // How often it was restarted.
        let is_counted = behind
            .trim_start()
            .starts_with(|c: char| c.is_ascii_digit());
        let count = before.trim_end().rsplit(' ').next().filter(|_| is_counted);
        let counted = count.and_then(|count| count.split_once('/'));
        counted.is_some_and(|(ready, all)| {
            ready == all && ready != "0" && ready.bytes().all(|b| b.is_ascii_digit())
        })
    };
    let is_sent_to = || {
        BEHIND.iter().any(|who| text.contains(who))
            && !["unhealthy", "no healthy", "not healthy", "0 healthy"]
                .iter()
                .any(|not| text.contains(not))
    };
    // Triton's table of what it serves.
    let is_listed = || text.starts_with("| ") && text.trim_end().ends_with("| ready |");
    is_row() || is_listed() || (text.contains("healthy") && is_sent_to())
}

/// Whether readiness is all that a line tells: `INFO ready`, `ready level=info`.
fn is_all_ready(text: &str) -> bool {
    // Hardly any line has the word, and to tell that is cheaper than to look at each of its words.
    if !text.contains("ready") {
        return false;
    }
    let is_level = |word: &&str| {
        let is_stamp = word.starts_with(|c: char| c.is_ascii_digit()) && word.contains(':');
        let word = word.trim_matches(|c: char| !c.is_ascii_alphabetic());
        is_stamp
            || matches!(
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
    // Behind it stand fields, whose values may have several words.
    let is_all = first == Some("ready") && words.next().is_none_or(|word| word.contains('='));
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
        // `ready: false` and `ready: 0/3` are states.
        let is_said = behind.strip_prefix(": ").is_some_and(|rest| {
            let mut words = rest.split(' ');
            words.clone().count() >= 3
                && words.all(|word| !matches!(word, "false" | "no" | "not" | "never" | "false,"))
                && rest.starts_with(|c: char| c.is_ascii_alphabetic())
        });
        let is_parts = PARTS.iter().any(|part| of.ends_with(part));
        begins && (goes_on || is_said || behind.is_empty()) && !is_parts
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

/// Whether people tell that requests came before what they needed: `the probe says ok right after bind(); the
/// model needs another minute, and whoever comes in that minute sees a 500`.
pub(super) fn admits_early(text: &str) -> bool {
    const LONGEST: usize = 1200;
    const CLAIMED: [&str; 12] = [
        "ready",
        "readiness",
        "healthz",
        "probe",
        "traffic",
        "load balancer",
        "endpoints",
        "rotation",
        "green",
        "says ok",
        "answers 200",
        "returns 200",
    ];
    const NEEDED: [&str; 9] = [
        "model",
        "weights",
        "checkpoint",
        "compil",
        "loading",
        "loaded",
        "kernels",
        "warm",
        "encoder",
    ];
    const SUFFERED: [&str; 17] = [
        " 500",
        " 502",
        " 503",
        "fail",
        "slow",
        " wait",
        "cold",
        "error",
        "timed out",
        "time out",
        "no model",
        "hung",
        "took",
        "none",
        "seconds",
        "refused",
        "unavailable",
    ];
    const DENIED: [&str; 22] = [
        "stays",
        "stay ",
        "until all",
        "until model",
        "until weights",
        "until it",
        "no longer",
        "nobody",
        "never",
        "not ready",
        "unready",
        "kept out",
        "probe failed",
        "startup probe",
        "liveness",
        "connection refused",
        "back off",
        "restart",
        "would ",
        "if ",
        "fixed",
        "oom",
    ];
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let is_prose = || {
        let blanks = text.bytes().filter(|byte| *byte == b' ').count();
        blanks >= 10 && text.matches('=').count() < 2
    };
    text.len() <= LONGEST
        && is_prose()
        && has(&CLAIMED)
        && has(&NEEDED)
        && has(&SUFFERED)
        && !has(&DENIED)
}

#[cfg(test)]
mod tests {
    use super::super::text::normal;
    use super::*;

    #[test]
    fn a_claim_is_made_in_many_forms() {
        for text in [
            "emb-0        1/1     Running   0          41s",
            "target 10.0.1.5:8000 is healthy (2 of 2 checks)",
        ] {
            assert!(says_ready(&normal(text)), "{text}");
        }
        for text in [
            "emb-0        0/1     Running   0          41s",
            "Ready             False",
            // What holds at the end, where somebody asks how a pod is.
            "Ready             True",
            "target 10.0.1.5:8000 is unhealthy",
            "step 3/3 running on gpu",
        ] {
            assert!(!says_ready(&normal(text)), "{text}");
        }
    }

    #[test]
    fn parts_and_denials_are_no_claims() {
        let is_none = |text: &str| {
            let text = normal(text);
            is_of_a_part(&text, text.find("ready").expect("a word"))
        };
        for text in [
            "HuggingFaceTokenizer ready after 2.9 s",
            "the CUDA context is ready (0.8 s)",
            "ready_to_serve=false",
            "ready for traffic: no",
        ] {
            assert!(is_none(text), "{text}");
        }
        for text in [
            "server is ready",
            "ready to serve on port 80",
            "model ready in 3 s",
            "ready: true",
        ] {
            assert!(!is_none(text), "{text}");
        }
    }

    #[test]
    fn people_tell_that_requests_came_too_early() {
        for text in [
            "The probe asks /healthz, which says ok right after bind(); the model needs another minute, and whoever comes in that minute sees a 500.",
            "Kubernetes thinks the pod is ready after 2 s. The checkpoint takes 55 s. All requests in between fail with \"no model\".",
            "Traffic was switched to the new revision while its replicas were still compiling; the first calls took 40 s.",
        ] {
            assert!(admits_early(&normal(text)), "{text}");
        }
        for text in [
            "Readiness stays red until all shapes were run; meanwhile the old replicas answer, and no model is slow.",
            "Liveness probe failed while the model was still loading: connection refused, so the container was killed",
            "ready=true model=a took=3 s, another minute of traffic was ok",
        ] {
            assert!(!admits_early(&normal(text)), "{text}");
        }
    }
}
