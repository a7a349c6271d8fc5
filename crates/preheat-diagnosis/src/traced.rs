//! Requests and starts as traces tell them, spans within spans, each with its time: what they come to.
//! Some are exported ([`exported`]), some stand between the lines of a log ([`lines`]).

pub(crate) mod exported;
pub(crate) mod lines;
mod names;

use super::cause::Cause;
use super::latency::Sure;
use super::parts::{SMALL_LOAD_MS, lazily};
use super::rules::Part;
use super::timeline::LONG_MS;
use super::{Diagnosis, Evidence};

pub(crate) use names::{begins, part};
use names::{is_job, is_start, is_wait};

/// What takes less is nobody's wait for a start.
const LONG_WAIT_MS: f64 = 500.0;

/// A span that others repeat in so much of its time is no one's first use.
const REPEATED: f64 = 1.0 / 3.0;

/// Clocks of several machines.
const CLOCKS_MS: f64 = 50.0;

/// One step of a trace.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    pub name: String,
    /// What goes with it, as `key=value`.
    pub fields: String,
    /// On any clock.
    pub start_ms: Option<f64>,
    pub took_ms: f64,
    pub line: u64,
}

/// A trace: its root, and the steps of which it consists.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    pub root: Span,
    pub steps: Vec<Span>,
}

impl Diagnosis {
    /// Takes the traces of one text in.
    pub fn traces(&mut self, source: &str, mut traces: Vec<Trace>) {
        let begins = |trace: &Trace| trace.root.start_ms.unwrap_or(0.0);
        traces.sort_by(|a, b| begins(a).total_cmp(&begins(b)));
        for (at, trace) in traces.iter().enumerate() {
            let (before, behind) = (&traces[..at], traces.get(at + 1..));
            let others = before.iter().chain(behind.unwrap_or_default());
            self.trace(source, trace, &others.collect::<Vec<_>>());
        }
    }

    fn trace(&mut self, source: &str, trace: &Trace, others: &[&Trace]) {
        if is_job(&trace.root.name) {
            return;
        }
        let wait = trace.steps.iter().find(|step| is_wait(step));
        self.is_waited_for |= wait.is_some();
        let is_start = is_start(&trace.root.name);
        for step in &trace.steps {
            if is_repeated(step, others) || holds_others(step, trace) {
                continue;
            }
            let waited = wait.is_some_and(|wait| is_within(step, wait));
            self.step(source, step, is_start || waited);
        }
        if !is_start && wait.is_none() {
            let evidence = evidence(source, &trace.root);
            let kind = ["\u{6}", &trace.root.name].concat();
            self.latency
                .request(&kind, trace.root.took_ms, &evidence, Sure::Measured);
        }
    }

    /// Takes steps of a start or of a request in that nobody tells the whole time of.
    pub(crate) fn steps(&mut self, source: &str, trace: &Trace) {
        let is_at_start = is_start(&trace.root.name);
        for step in &trace.steps {
            self.step(source, step, is_at_start);
        }
    }

    fn step(&mut self, source: &str, step: &Span, is_at_start: bool) {
        let Some(part) = part(step) else { return };
        let evidence = evidence(source, step);
        let took = Some(step.took_ms);
        let least = if part == Part::Weights {
            SMALL_LOAD_MS
        } else {
            LONG_MS
        };
        match (part, lazily(part)) {
            (Part::Download, _) if step.took_ms >= LONG_WAIT_MS => {
                self.see(Cause::DownloadAtStart, 0.85, evidence, took, None);
            }
            (_, Some(cause)) if !is_at_start && step.took_ms >= least => {
                self.see(cause, 0.9, evidence, took, None);
            }
            (_, Some(_)) if is_at_start => {
                let key = (part, self.stream);
                let stage = self.at_start.entry(key).or_default();
                stage.add(evidence, 0.9, took, None);
            }
            _ => {}
        }
    }
}

fn evidence(source: &str, span: &Span) -> Evidence {
    Evidence {
        source: source.to_owned(),
        line: span.line,
        pod: None,
        text: format!("{} {} ms", span.name, span.took_ms),
    }
}

/// A step as long as its trace, which others are parts of.
fn holds_others(step: &Span, trace: &Trace) -> bool {
    let is_part = |other: &&Span| {
        let are_timed = step.start_ms.is_some() && other.start_ms.is_some();
        let is_own = other.line != step.line || other.name != step.name;
        let is_long = other.took_ms >= REPEATED * step.took_ms;
        are_timed && is_own && is_long && is_within(other, step) && part(other).is_some()
    };
    step.took_ms >= 0.9 * trace.root.took_ms && trace.steps.iter().any(|other| is_part(&other))
}

fn is_within(step: &Span, wait: &Span) -> bool {
    let Some((at, from)) = step.start_ms.zip(wait.start_ms) else {
        return true;
    };
    at + CLOCKS_MS >= from && at + step.took_ms <= from + wait.took_ms + CLOCKS_MS
}

/// Whether half of the others take as long for the same.
fn is_repeated(step: &Span, others: &[&Trace]) -> bool {
    let is_same =
        |other: &Span| other.name == step.name && other.took_ms >= REPEATED * step.took_ms;
    let same = others
        .iter()
        .filter(|trace| trace.steps.iter().any(is_same));
    !others.is_empty() && 2 * same.count() >= others.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(name: &str, start_ms: f64, took_ms: f64) -> Span {
        Span {
            name: name.to_owned(),
            fields: String::new(),
            start_ms: Some(start_ms),
            took_ms,
            line: 1,
        }
    }

    #[test]
    fn names_of_steps_tell_what_is_done() {
        for (name, want) in [
            ("load_tokenizer", Part::Tokenizer),
            ("tokenizer.from_pretrained (lazy)", Part::Tokenizer),
            ("cuda.create_context", Part::Context),
            ("cudaContextInit", Part::Context),
            ("cudaSetDevice", Part::Context),
            ("gpu.attach", Part::Context),
            ("model.load_weights", Part::Weights),
            ("ModelRegistry.loadModel", Part::Weights),
            ("torch.compile", Part::Kernels),
            ("triton.jit_compile", Part::Kernels),
            ("hf_hub.download_weights", Part::Download),
            ("snapshot_download", Part::Download),
        ] {
            assert_eq!(part(&span(name, 0.0, 900.0)), Some(want), "{name}");
        }
        for name in [
            "forward",
            "tokenizer.encode",
            "model.predict",
            "warmup.load_model",
            "redis.get",
            "SELECT model FROM items",
            "model",
            "encoder.run",
            "load_config",
            "vector_search",
            "POST /v1/embed",
            "queue.wait",
        ] {
            assert_eq!(part(&span(name, 0.0, 900.0)), None, "{name}");
        }
    }

    #[test]
    fn waits_for_a_replica_are_no_waits_for_a_turn() {
        assert!(is_wait(&span(
            "activator.wait_for_ready_endpoint",
            0.0,
            9e3
        )));
        assert!(is_wait(&span("hold until pod ready", 0.0, 9e3)));
        assert!(!is_wait(&span("queue.wait", 0.0, 9e3)));
        assert!(!is_wait(&span("wait_for_replica", 0.0, 9.0)));
    }

    fn found(traces: Vec<Trace>) -> Vec<&'static str> {
        let mut diagnosis = Diagnosis::new();
        diagnosis.traces("t.json", traces);
        let findings = diagnosis.report().findings;
        findings.iter().map(|f| f.cause.about().id).collect()
    }

    #[test]
    fn what_only_the_first_request_does_is_its_own() {
        let trace = |start: f64, load: f64| Trace {
            root: span("POST /embed", start, load + 90.0),
            steps: vec![
                span("model.load", start, load),
                span("forward", start + load, 80.0),
            ],
        };
        let first = vec![trace(0.0, 6_000.0), trace(9e3, 1.0), trace(10e3, 1.0)];
        assert_eq!(
            found(first),
            ["model-loaded-at-first-request", "warmed-by-traffic"]
        );
        let all = vec![trace(0.0, 6_000.0), trace(9e3, 5_900.0), trace(20e3, 6e3)];
        assert_eq!(found(all), [""; 0]);
    }

    #[test]
    fn what_a_job_does_nobody_waits_for() {
        let trace = Trace {
            root: span("train.job", 0.0, 900e3),
            steps: vec![
                span("load_checkpoint", 0.0, 30e3),
                span("torch.compile", 31e3, 60e3),
            ],
        };
        assert_eq!(found(vec![trace]), [""; 0]);
    }

    #[test]
    fn whoever_waits_for_a_replica_pays_for_its_start() {
        let trace = Trace {
            root: span("POST /x", 0.0, 20e3),
            steps: vec![
                span("wait_for_replica", 10.0, 18e3),
                span("load_weights", 3e3, 12e3),
                span("generate", 18.2e3, 1.7e3),
            ],
        };
        assert_eq!(found(vec![trace]), ["weights-at-start"]);
    }
}
