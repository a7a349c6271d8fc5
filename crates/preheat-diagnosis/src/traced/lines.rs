//! Traces between the lines of a log: which lines are parts of a request, and tell what each took.

/// What somebody may wait for until there is a replica at all.
const REPLICAS: [&str; 10] = [
    "replica",
    "pod",
    "container",
    "instance",
    "endpoint",
    "backend",
    "capacity",
    "sandbox",
    "upstream",
    "scale",
];

#[derive(Debug, Default)]
pub(crate) struct Spans {
    /// Objects that follow are parts of what is told around them.
    is_trace: bool,
    /// What is told is a request, and no start.
    is_of_request: bool,
}

impl Spans {
    /// Takes every line in, as it is normalised.
    pub(crate) fn take(&mut self, text: &str) {
        if !["span", "trace", "\"request"]
            .iter()
            .any(|word| text.contains(word))
        {
            return;
        }
        self.is_trace |= ["\"spans\"", "\"spanset\"", "\"scopespans\""]
            .iter()
            .any(|name| text.contains(name));
        self.is_of_request |= is_root(text) && is_of_request(text);
    }

    /// Whether a line is a part of something that is told as a whole.
    pub(crate) fn is_part(&self, text: &str) -> bool {
        let is_named = || text.contains("name=") || text.contains("operation=");
        let is_object = self.is_trace && !text.contains("\":") && is_named();
        (is_object || is_child(text)) && text.contains("dur")
    }

    /// Whether that is a request, as far as is known.
    pub(crate) fn is_of_request(&self, text: &str) -> bool {
        let parent = text.split_once("parent").map(|(_, parent)| parent);
        self.is_of_request || parent.is_some_and(is_of_request)
    }

    /// Whether a part was spent until there was a replica.
    pub(crate) fn is_wait(text: &str) -> bool {
        let waits = text.find("wait").or_else(|| text.find("cold start"));
        waits.is_some_and(|at| REPLICAS.iter().any(|word| text[at..].contains(word)))
    }
}

/// `span=forward parent=POST /predict`
fn is_child(text: &str) -> bool {
    text.contains("span")
        && [
            "parent=",
            "parentid=",
            "parentspanid=",
            "parent id=",
            "parent span id=",
        ]
        .iter()
        .any(|name| text.contains(name))
}

/// Words of the whole, whatever it is called.
fn is_root(text: &str) -> bool {
    text.contains("trace") || text.contains("request") || text.contains("span=")
}

fn is_of_request(text: &str) -> bool {
    const ASKED: [&str; 9] = [
        "post /",
        "get /",
        "put /",
        "request",
        "rpc",
        "http.server",
        "predict",
        "infer",
        "invoke",
    ];
    const STARTS: [&str; 5] = ["startup", "start up", "boot", "init", "warm"];
    ASKED.iter().any(|word| text.contains(word)) && !STARTS.iter().any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::text::normal;

    fn spans(lines: &[&str]) -> Spans {
        let mut spans = Spans::default();
        lines.iter().for_each(|line| spans.take(&normal(line)));
        spans
    }

    #[test]
    fn parts_of_a_request_are_told_by_their_whole() {
        let traced = spans(&[
            "\"rootTraceName\": \"POST /v1/completions\",",
            "\"spans\": [",
        ]);
        let part = normal("name=load_weights durationMs=11020");
        assert!(traced.is_part(&part) && traced.is_of_request(&part));
        let child = normal("span=forward parent=POST /predict duration_ms=12");
        assert!(spans(&[]).is_part(&child) && spans(&[]).is_of_request(&child));
        let start = spans(&["\"traceName\": \"startup\",", "\"spans\": ["]);
        assert!(start.is_part(&part) && !start.is_of_request(&part));
        for text in [
            "name=worker-1 duration=3s",
            "loaded in 3 s",
            "span=forward duration=3 s",
        ] {
            assert!(!spans(&[]).is_part(&normal(text)), "{text}");
        }
    }

    #[test]
    fn a_wait_for_a_replica_is_told_in_many_forms() {
        for text in [
            "name=interceptor.wait_for_replica durationms=22140",
            "name=activator.waitforpod durationms=2",
            "cold start of container",
        ] {
            assert!(Spans::is_wait(&normal(text)), "{text}");
        }
        assert!(!Spans::is_wait(&normal("name=queue.wait durationMs=12")));
    }
}
