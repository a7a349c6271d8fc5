//! What load generators print in the end: the longest request against a usual one. The longest need not
//! have been the first, so it counts only where somebody says that the server had just begun, or where
//! another run of the same text took nothing like it.

use super::Evidence;
use crate::line::amount::{Amount, amounts};

/// Reports that are kept of one text.
const MOST: usize = 16;

/// The longest takes so many times what a usual one takes.
const RATIO: f64 = 8.0;

/// And so much more.
const SLACK_MS: f64 = 1e3;

/// What one run came to.
#[derive(Debug, Default, Clone)]
struct Report {
    longest: Option<(f64, Evidence)>,
    usual: Option<f64>,
}

#[derive(Debug, Default)]
pub(super) struct Reports {
    all: Vec<Report>,
    /// Somebody says that the server had just begun.
    is_fresh: bool,
    /// Who prints which columns.
    columns: Option<Columns>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Columns {
    /// `min  mean[+/-sd] median  max`
    Ab,
    /// `Avg  Stdev  Max`
    Spread,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Told {
    Longest(f64),
    Usual(f64),
    Both(f64, f64),
}

impl Reports {
    pub(super) fn fresh(&mut self) {
        self.is_fresh = true;
    }

    /// Takes a line in that may be one of a report.
    pub(super) fn take(&mut self, text: &str, evidence: impl FnOnce() -> Evidence) {
        if let Some(columns) = columns(text) {
            self.columns = Some(columns);
            return;
        }
        let Some(told) = told(text, self.columns) else {
            return;
        };
        let (longest, usual) = match told {
            Told::Longest(ms) => (Some(ms), None),
            Told::Usual(ms) => (None, Some(ms)),
            Told::Both(longest, usual) => (Some(longest), Some(usual)),
        };
        let is_told = |report: &Report| report.longest.is_some() && longest.is_some();
        let is_another = self.all.last().is_none_or(is_told);
        if is_another && self.all.len() < MOST {
            self.all.push(Report::default());
        }
        if let Some(report) = self.all.last_mut() {
            if let Some(ms) = longest.filter(|_| report.longest.is_none()) {
                report.longest = Some((ms, evidence()));
            }
            // A median is more usual than a mean, which holds the longest too.
            report.usual = [usual, report.usual].into_iter().flatten().reduce(f64::min);
        }
    }

    /// A run whose longest request was one of the first, and what a usual one takes.
    pub(super) fn slow(&self) -> Option<(f64, f64, &Evidence)> {
        let mut all = self.all.iter().enumerate();
        all.find_map(|(at, report)| {
            let (longest, evidence) = report.longest.as_ref()?;
            let usual = report.usual?;
            let is_slow = *longest >= RATIO * usual && longest - usual >= SLACK_MS;
            let later = self.all.get(at + 1..).unwrap_or_default();
            let mut others = later.iter().filter_map(|other| other.longest.as_ref());
            let is_over = !later.is_empty() && others.all(|(other, _)| 3.0 * other <= *longest);
            let is_first = at == 0;
            (is_slow && is_first && (self.is_fresh || is_over))
                .then_some((*longest, usual, evidence))
        })
    }
}

fn columns(text: &str) -> Option<Columns> {
    if text.contains("mean[+/ sd]") && text.contains("median") {
        return Some(Columns::Ab);
    }
    let is_spread = text.contains("stdev") && text.contains("avg") && text.contains("max");
    is_spread.then_some(Columns::Spread)
}

fn told(text: &str, columns: Option<Columns>) -> Option<Told> {
    let begins = |words: &[&str]| words.iter().any(|word| text.starts_with(word));
    let first = || amounts(text).first().map(|amount| amount.ms);
    if begins(&[
        "slowest",
        "longest transaction",
        "longest:",
        "max latency",
        "maximum latency",
    ]) {
        return first().or_else(|| bare(text, 1e3)).map(Told::Longest);
    }
    if begins(&[
        "50% in",
        "50 % in",
        "50.00% in",
        "median:",
        "median latency",
        "p50 latency",
    ]) {
        return first().map(Told::Usual);
    }
    if begins(&[
        "average:",
        "response time:",
        "avg latency",
        "average latency",
        "mean latency",
    ]) {
        return first().map(Told::Usual);
    }
    if begins(&["latencies [min, mean, 50,", "latencies [mean, 50,"]) {
        let all = amounts(text);
        let at = if text.contains("[min,") { 2 } else { 1 };
        return Some(Told::Both(all.last()?.ms, all.get(at)?.ms)).filter(|_| all.len() > at + 1);
    }
    if begins(&["http req duration", "iteration duration"]) {
        return begins(&["http"]).then(|| named(text)).flatten();
    }
    match columns? {
        Columns::Ab if begins(&["total:"]) => {
            let all: Vec<f64> = numbers(text);
            let both = all.get(4).zip(all.get(3));
            both.map(|(longest, usual)| Told::Both(*longest, *usual))
        }
        Columns::Spread if begins(&["latency "]) => {
            let all = amounts(text);
            // The mean holds the longest too; a distribution may follow.
            let both = all.get(2).zip(all.first());
            both.filter(|_| all.len() == 3)
                .map(|(longest, usual)| Told::Both(longest.ms, usual.ms))
        }
        _ => None,
    }
}

/// `avg=513.86ms min=388.2ms med=431.55ms max=18.44s`
fn named(text: &str) -> Option<Told> {
    let all = amounts(text);
    let of = |name: &str| {
        let at = text.find(name)? + name.len();
        let mut all = all.iter();
        all.find(|amount: &&Amount| amount.start == at)
            .map(|amount| amount.ms)
    };
    Some(Told::Both(of("max=")?, of("med=")?))
}

fn numbers(text: &str) -> Vec<f64> {
    text.split([' ', ':'])
        .filter_map(|word| word.parse().ok())
        .collect()
}

fn bare(text: &str, factor: f64) -> Option<f64> {
    numbers(text).first().map(|number| number * factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::text::normal;

    fn read(lines: &[&str], is_fresh: bool) -> Option<(f64, f64)> {
        let mut reports = Reports {
            is_fresh,
            ..Reports::default()
        };
        for line in lines {
            let evidence = || Evidence {
                source: String::new(),
                line: 1,
                pod: None,
                text: String::new(),
            };
            reports.take(&normal(line), evidence);
        }
        reports.slow().map(|(first, steady, _)| (first, steady))
    }

    #[test]
    fn reports_of_many_tools_are_read() {
        let tools: [&[&str]; 7] = [
            &[
                "Slowest:\t9.0000 secs",
                "Average:\t0.2000 secs",
                "50% in 0.1000 secs",
            ],
            &[
                "Latencies     [min, mean, 50, 90, 95, 99, max]  80ms, 200ms, 100ms, 1ms, 1ms, 1ms, 9s",
            ],
            &["http_req_duration..: avg=2s min=80ms med=100ms max=9s p(90)=1s p(95)=1s"],
            &[
                "              min  mean[+/-sd] median   max",
                "Total:         85  120 300.2    100   9000",
            ],
            &[
                "Thread Stats   Avg      Stdev     Max   +/- Stdev",
                "Latency   100ms  31.02ms 9s   97.71%",
            ],
            &[
                "Longest transaction:    9.00 secs",
                "Average latency: 100 ms",
            ],
            &["Slowest:   9 s", "Fastest:   80 ms", "50 % in 100 ms"],
        ];
        for lines in tools {
            assert_eq!(read(lines, true), Some((9e3, 100.0)), "{lines:?}");
            assert_eq!(read(lines, false), None, "{lines:?}");
        }
    }

    #[test]
    fn a_second_run_shows_that_the_first_one_paid() {
        let run =
            |longest: &str| vec![format!("Slowest: {longest} secs"), "50% in 0.1 secs".into()];
        let both = |a: &str, b: &str| {
            let lines: Vec<String> = [run(a), run(b)].concat();
            read(&lines.iter().map(String::as_str).collect::<Vec<_>>(), false)
        };
        assert_eq!(both("9.0", "0.3"), Some((9e3, 100.0)));
        assert_eq!(both("9.0", "8.1"), None);
        assert_eq!(both("0.3", "9.0"), None);
    }
}
