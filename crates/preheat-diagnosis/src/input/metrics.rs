//! Metrics as Prometheus has them: what a server exposes, scraped once or several times, and what queries
//! gave. Names and labels tell what a figure is of, so each is read with all of them.

use std::collections::BTreeMap;

use crate::latency::{points, says_fresh};
use crate::line::text::normal;
use crate::traced::{Span, Trace, begins, part};
use crate::{Diagnosis, Evidence};

mod judged;
mod sample;

use judged::Scraped;
pub(super) use judged::is_of_requests;
use sample::{Kind, Sample, sample};

/// Figures that are told apart.
const KEPT: usize = 4096;

/// Points of a figure that are kept.
const POINTS: usize = 4096;

/// Lines among which remarks about what follows are looked for.
const REMARKS: u64 = 20_000;

/// What a metric is said to be, by its name.
type Helps = BTreeMap<String, String>;

#[derive(Debug, Default)]
pub(super) struct Metrics {
    helps: Helps,
    is_exposed: bool,
    /// Somebody says that what is scraped has just begun.
    is_fresh: bool,
    /// Of requests, by name and labels.
    scraped: BTreeMap<String, Scraped>,
    /// What queries gave, by what was asked for.
    points: BTreeMap<String, Points>,
    /// The newest query, if it is about what requests take.
    query: Option<String>,
    /// What follows are points of this.
    key: Option<String>,
    /// Steps of a start or of a request, by their place in the text.
    steps: Vec<(Span, Placed)>,
    /// Steps that were not done when they were scraped, of a server that calls itself ready.
    undone: Vec<String>,
    ready: Option<bool>,
    /// The newest sum of a step, which is that step's time if it was done once.
    sum: Option<(String, Span, Placed)>,
    firsts: Vec<(String, f64, u64)>,
    steady: Vec<(String, f64)>,
    ordered: BTreeMap<String, Vec<(u64, f64, u64)>>,
}

#[derive(Debug, Default)]
struct Points {
    line: u64,
    ms: Vec<f64>,
}

/// When something was done.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Placed {
    AtStart,
    AtRequest,
}

impl Metrics {
    /// Takes a line in; true if it is nothing that should be read as a sentence.
    pub(super) fn take(&mut self, number: u64, text: &str) -> bool {
        let line = text.trim();
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap_or((rest, ""));
            if self.helps.len() < KEPT {
                self.helps.insert(name.to_owned(), normal(help));
            }
            self.is_exposed = true;
            return true;
        }
        if line.starts_with("# TYPE ") {
            self.is_exposed = true;
            return true;
        }
        let is_remark = number <= REMARKS && line.starts_with(['#', '$', '=', '-']);
        if is_remark {
            self.is_fresh |= says_fresh(&normal(line)) || is_young(line);
            self.asks(line);
        }
        if line.ends_with(['>', ']']) && self.point(number, line) {
            return true;
        }
        match sample(line) {
            Some(sample) if self.is_exposed || !sample.labels.is_empty() => {
                self.sample(number, &sample)
            }
            _ => false,
        }
    }

    /// `promtool query range … 'histogram_quantile(0.99, …)'`, `curl …/api/v1/query_range?query=…`.
    fn asks(&mut self, line: &str) {
        let is_query = line.contains("quantile")
            || line.contains("query")
            || line.contains("promql")
            || line.contains("rate(");
        if is_query && !line.contains("=> ") {
            // What is asked for stands in quotes, behind from when and where.
            let quoted = line.split_once('\'').map(|(_, rest)| rest);
            let told = normal(quoted.unwrap_or(line));
            let is_told = is_of_requests(&told, "") && !told.contains("throttl");
            self.query = is_told.then_some(told);
        }
    }

    /// `12.4 @[1769508000]`, and the head of such points.
    fn point(&mut self, number: u64, line: &str) -> bool {
        if let Some(head) = line.strip_suffix("=>") {
            let key = format!("{} {head}", self.query.as_deref().unwrap_or_default());
            self.key = is_of_requests(&normal(&key), "").then_some(key);
            return false;
        }
        let Some((value, rest)) = line.split_once(" @[") else {
            return false;
        };
        let (head, value) = value.rsplit_once("=> ").unwrap_or(("", value));
        let Ok(value) = value.trim().parse::<f64>() else {
            return false;
        };
        if !rest.trim_end().ends_with(']') {
            return false;
        }
        let query = self.query.clone().unwrap_or_default();
        let key = match head.is_empty() {
            true => self.key.clone(),
            false => Some(format!("{query} {}", head.trim())),
        };
        let Some(key) = key.filter(|key| is_of_requests(&normal(key), "")) else {
            return false;
        };
        self.add_point(key, number, value * factor(&query));
        true
    }

    /// `stage_seconds_sum{stage="cuda_context_create"} 4.87`, and a count of one.
    fn once(
        &mut self,
        line: u64,
        kind: Kind,
        sample: &Sample<'_>,
        (key, words, took_ms): (&str, &str, f64),
    ) {
        let sum = self.sum.take().filter(|(known, ..)| known == key);
        match kind {
            Kind::Sum => {
                let span = Span {
                    name: sample.told(),
                    fields: String::new(),
                    start_ms: None,
                    took_ms,
                    line,
                };
                let is_made = part(&span).is_some() && begins(&span.name);
                self.sum = is_made.then(|| (key.to_owned(), span, sample.placed(words, None)));
            }
            Kind::Count if sample.value == 1.0 && self.steps.len() < KEPT => {
                let step = sum.map(|(_, span, placed)| (span, placed));
                // A scrape that comes again tells of the same step.
                let is_new = |(span, _): &(Span, _)| {
                    let mut known = self.steps.iter();
                    span.took_ms > 0.0 && !known.any(|(step, _)| step.name == span.name)
                };
                self.steps.extend(step.filter(is_new));
            }
            _ => {}
        }
    }

    fn add_point(&mut self, key: String, number: u64, ms: f64) {
        if self.points.len() < KEPT || self.points.contains_key(&key) {
            let points = self.points.entry(key).or_default();
            points.line = if points.line == 0 {
                number
            } else {
                points.line
            };
            if points.ms.len() < POINTS {
                points.ms.push(ms);
            }
        }
    }

    fn sample(&mut self, number: u64, sample: &Sample<'_>) -> bool {
        let Some((base, kind, factor)) = sample.timed() else {
            if sample.name.ends_with("_ready") {
                self.ready = Some(sample.value == 1.0);
                // What is not done yet may be the start's.
                if self.ready == Some(false) {
                    self.undone.clear();
                }
            }
            return false;
        };
        let help = self.helps.get(sample.name).or_else(|| self.helps.get(base));
        let help = help.map(String::as_str).unwrap_or_default();
        let words = normal(base);
        let ms = sample.value * factor;
        let of_requests = is_of_requests(&words, help) && !sample.is_of_probes();
        if kind.is_counted() {
            if of_requests {
                let key = format!("{base}{}", sample.key());
                self.once(number, kind, sample, (&key, &words, ms));
                if self.scraped.len() < KEPT || self.scraped.contains_key(&key) {
                    let scraped = self.scraped.entry(key).or_default();
                    scraped.add(kind, sample, factor, number);
                }
            }
            return true;
        }
        let told = format!("{words} {}", sample.told());
        let span = Span {
            name: told.clone(),
            fields: help.to_owned(),
            start_ms: None,
            took_ms: ms,
            line: number,
        };
        let ordinal = sample.ordinal();
        let is_part = part(&span).is_some();
        if !of_requests || (is_part && begins(&told)) {
            if is_part && ms > 0.0 {
                let is_late = self.ready == Some(true) && self.undone.contains(&told);
                let placed = match is_late {
                    true => Placed::AtRequest,
                    false => sample.placed(&words, ordinal),
                };
                self.steps.push((span, placed));
            } else if is_part
                && self.ready != Some(false)
                && self.undone.len() < KEPT
                && !self.undone.contains(&told)
            {
                self.undone.push(told);
            }
            return true;
        }
        if let Some(nth) = ordinal {
            let key = format!("{base}{}", sample.key());
            self.ordered.entry(key).or_default().push((nth, ms, number));
        } else if sample.is_first(&words) {
            self.firsts.push((base.to_owned(), ms, number));
        } else if sample.is_steady(&words) {
            self.steady.push((base.to_owned(), ms));
        }
        true
    }

    /// What all of it comes to.
    pub(super) fn finish(self, source: &str, diagnosis: &mut Diagnosis) {
        let evidence = |line: u64, text: &str| Evidence {
            source: source.to_owned(),
            line,
            pod: None,
            text: text.to_owned(),
        };
        for (key, scraped) in &self.scraped {
            if let Some((first, steady)) = scraped.slow(self.is_fresh) {
                diagnosis.measured(first, steady, &evidence(scraped.line, key));
            }
        }
        for (key, told) in &self.points {
            if let Some((first, steady)) = points::fallen(&told.ms) {
                diagnosis.measured(first, steady, &evidence(told.line, key));
            }
        }
        for (key, mut told) in self.ordered {
            told.sort_by_key(|(nth, ..)| *nth);
            let ms: Vec<f64> = told.iter().map(|(_, ms, _)| *ms).collect();
            let first = told.first().filter(|_| told.len() >= 3);
            if let (Some((first, steady)), Some((.., line))) = (points::fallen(&ms), first) {
                diagnosis.measured(first, steady, &evidence(*line, &key));
            }
        }
        let usual = self.scraped.values().filter_map(Scraped::usual);
        let steady = self.steady.iter().map(|(_, ms)| *ms).chain(usual);
        if let Some(steady) = steady.reduce(f64::min) {
            for (key, first, line) in &self.firsts {
                if *first >= 3.0 * steady && first - steady >= 100.0 {
                    diagnosis.measured(*first, steady, &evidence(*line, key));
                }
            }
        }
        let of = |at: Placed| -> Vec<Span> {
            let own = self.steps.iter().filter(|(_, placed)| *placed == at);
            own.map(|(span, _)| span.clone()).collect()
        };
        let trace = |name: &str, steps: Vec<Span>| Trace {
            root: Span {
                name: name.to_owned(),
                fields: String::new(),
                start_ms: None,
                took_ms: 0.0,
                line: steps.first().map_or(0, |step| step.line),
            },
            steps,
        };
        let start = trace("start", of(Placed::AtStart));
        diagnosis.steps(source, &start);
        diagnosis.steps(source, &trace("request", of(Placed::AtRequest)));
    }
}

/// What a query's numbers are worth in milliseconds.
fn factor(query: &str) -> f64 {
    let is_ms = ["milliseconds", " ms", "millis", "*1000", "* 1000"]
        .iter()
        .any(|unit| query.contains(unit));
    if is_ms { 1.0 } else { 1e3 }
}

/// `(pod ttsd-0, up 58 s)`: it has run for minutes at most.
fn is_young(line: &str) -> bool {
    const LONGEST_MS: f64 = 20.0 * 60e3;
    let line = normal(line);
    let begin = [" up ", "uptime ", "uptime: ", "uptime=", "age ", "age: "];
    let mut told = begin
        .iter()
        .filter_map(|word| Some(&line[line.find(word)? + word.len()..]));
    told.any(|rest| {
        let amounts = crate::line::amount::amounts(rest);
        let first = amounts.first().filter(|amount| amount.start == 0);
        let minutes = || {
            let (number, unit) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
            let is_minutes = unit.starts_with('m') && !unit.starts_with("mo");
            number.parse::<f64>().ok().filter(|_| is_minutes)
        };
        let told = first.map(|amount| amount.ms);
        told.or_else(|| minutes().map(|minutes| minutes * 60e3))
            .is_some_and(|ms| ms <= LONGEST_MS)
    })
}
