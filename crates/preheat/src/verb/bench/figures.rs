//! What was measured, and how it is shown: as a table, or as JSON.

use std::time::Duration;

use preheat_server::human;
use serde_json::{Value, json};

use crate::table::{Column, Table, folded, plain};

/// A series of requests.
#[derive(Debug, Clone, Default)]
pub struct Part {
    /// What each answered request took, in the order of asking.
    pub took: Vec<Duration>,
    pub errors: usize,
    /// The first of them.
    pub error: Option<String>,
    /// From the first question to the last answer.
    pub whole: Duration,
}

#[derive(Debug, Clone)]
pub struct Figures {
    pub server: String,
    pub texts: usize,
    pub words: usize,
    pub clients: usize,
    pub first: Part,
    pub steady: Part,
    pub load: Part,
}

impl Part {
    pub fn asked(&self) -> usize {
        self.took.len() + self.errors
    }

    pub fn note(&mut self, answer: Result<Duration, String>) {
        match answer {
            Ok(took) => self.took.push(took),
            Err(error) => {
                self.errors += 1;
                self.error.get_or_insert(error);
            }
        }
    }

    pub fn join(&mut self, other: Part) {
        self.took.extend(other.took);
        self.errors += other.errors;
        self.error = self.error.take().or(other.error);
    }

    /// The smallest value that so many percent of all do not exceed.
    fn percentile(&self, percent: usize) -> Option<Duration> {
        let mut sorted = self.took.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100);
        sorted.get(rank.saturating_sub(1)).copied()
    }

    fn rate(&self) -> f64 {
        self.took.len() as f64 / self.whole.as_secs_f64().max(1e-9)
    }

    fn row(&self, name: &str) -> [String; 8] {
        let time = |percent| self.percentile(percent).map_or("-".into(), human::time);
        [
            name.to_owned(),
            self.took.len().to_string(),
            self.errors.to_string(),
            format!("{:.1}", self.rate()),
            time(50),
            time(95),
            time(99),
            time(100),
        ]
    }

    fn as_json(&self) -> Value {
        let ms = |percent| self.percentile(percent).map(millis);
        json!({
            "answered": self.took.len(),
            "errors": self.errors,
            "error": self.error,
            "rate_per_second": round(self.rate()),
            "p50_ms": ms(50), "p95_ms": ms(95), "p99_ms": ms(99), "max_ms": ms(100),
        })
    }
}

impl Figures {
    /// Why there is nothing to conclude from, if so.
    pub fn failure(&self) -> Option<String> {
        let parts = [&self.first, &self.steady, &self.load];
        let answered = parts.iter().any(|part| !part.took.is_empty());
        let error = parts.iter().find_map(|part| part.error.clone());
        let error = error.unwrap_or_else(|| "the time was up before one was sent".into());
        (!answered).then(|| format!("no request was answered: {error}"))
    }

    /// `width`: of the terminal, where there is one.
    pub fn as_text(&self, width: Option<usize>) -> String {
        let Figures { texts, words, .. } = self;
        let first: Vec<_> = self.first.took.iter().copied().map(human::time).collect();
        let mut text = format!(
            "{}: texts in a request: {texts}, words in a text: {words}\n\n",
            plain(&self.server)
        );
        text += &format!("first requests, in order: {}\n\n", first.join(", "));
        text += &self.table().within(width);
        if let Some(ratio) = self.ratio() {
            text += &format!("\nfirst request: {ratio:.2}x the steady median\n");
        }
        let parts = [&self.first, &self.steady, &self.load];
        if let Some(error) = parts.iter().find_map(|part| part.error.as_ref()) {
            text += &format!("first error: {}\n", plain(error));
        }
        text += "\n";
        for limit in self.limits() {
            text += &format!("- {limit}\n");
        }
        folded(&text, width)
    }

    pub fn as_json(&self) -> Value {
        let first: Vec<f64> = self.first.took.iter().copied().map(millis).collect();
        json!({
            "server": self.server,
            "texts": self.texts,
            "words": self.words,
            "clients": self.clients,
            "first_ms": first,
            "first_to_steady": self.ratio().map(round),
            "first": self.first.as_json(),
            "steady": self.steady.as_json(),
            "load": self.load.as_json(),
            "limits": self.limits(),
        })
    }

    fn table(&self) -> Table {
        let numbers = ["answered", "errors", "per s", "p50", "p95", "p99", "max"];
        let mut columns = vec![Column::Left("part")];
        columns.extend(numbers.map(Column::Right));
        let mut table = Table::new(columns);
        let load = format!("load, {} clients", self.clients);
        let parts = [
            ("first", &self.first),
            ("steady", &self.steady),
            (load.as_str(), &self.load),
        ];
        for (name, part) in parts {
            let row = part.row(name);
            table.row(row.each_ref().map(String::as_str));
        }
        table
    }

    /// The very first request over the steady median.
    fn ratio(&self) -> Option<f64> {
        let (first, steady) = (self.first.took.first()?, self.steady.percentile(50)?);
        (!steady.is_zero()).then(|| first.as_secs_f64() / steady.as_secs_f64())
    }

    /// What these figures do not say.
    fn limits(&self) -> [String; 3] {
        let above = self.steady.took.len() / 100;
        [
            "times include this client and the network; on one machine both sides share its CPUs"
                .into(),
            format!(
                "each client waits for its answers, so the load is what {} of them could ask for, \
                 not the most that the server can take",
                self.clients
            ),
            format!("{above} of the steady requests lie beyond p99"),
        ]
    }
}

fn millis(time: Duration) -> f64 {
    round(time.as_secs_f64() * 1e3)
}

fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(ms: impl IntoIterator<Item = u64>) -> Part {
        Part {
            took: ms.into_iter().map(Duration::from_millis).collect(),
            whole: Duration::from_secs(1),
            ..Part::default()
        }
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let hundred = part(1..=100);
        let of = |percent| hundred.percentile(percent).unwrap().as_millis();
        assert_eq!([50, 95, 99, 100].map(of), [50, 95, 99, 100]);
        assert_eq!(part([7]).percentile(50), Some(Duration::from_millis(7)));
        assert_eq!(part([]).percentile(50), None);
    }

    #[test]
    fn what_was_measured_is_shown_with_its_limits() {
        let mut load = part([4; 3]);
        load.note(Err("status 503".into()));
        let figures = Figures {
            server: "http://127.0.0.1:8000".into(),
            texts: 1,
            words: 2,
            clients: 2,
            first: part([3, 2]),
            steady: part([2; 200]),
            load,
        };
        assert_eq!(figures.failure(), None);
        insta::assert_snapshot!(figures.as_text(None));
        for width in [60, 80, 120] {
            insta::assert_snapshot!(
                format!("figures_in_{width}_columns"),
                figures.as_text(Some(width))
            );
        }
        let json = figures.as_json();
        assert_eq!(json["first_ms"], json!([3.0, 2.0]));
        assert_eq!(json["first_to_steady"], json!(1.5));
        assert_eq!(
            (&json["load"]["errors"], &json["steady"]["p99_ms"]),
            (&json!(1), &json!(2.0))
        );
    }
}
