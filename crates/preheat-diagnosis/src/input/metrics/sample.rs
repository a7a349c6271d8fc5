//! One line of metrics: `name{label="value"} 12.3`.

use super::Placed;

/// Labels of one sample that are read.
const LABELS: usize = 32;

/// One of them.
#[derive(Debug, PartialEq)]
pub(super) struct Sample<'a> {
    pub(super) name: &'a str,
    pub(super) labels: Vec<(&'a str, &'a str)>,
    pub(super) value: f64,
}

/// What a figure is, by how its name ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Bucket,
    Sum,
    Count,
    Max,
    Quantile,
    Plain,
}

impl Kind {
    /// Of many, and not of one.
    pub(super) fn is_counted(self) -> bool {
        self != Kind::Plain
    }
}

/// None if a line is none.
pub(super) fn sample(line: &str) -> Option<Sample<'_>> {
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | ':')))?;
    let (name, rest) = line.split_at(end);
    let is_name = name.contains('_') && name.starts_with(|c: char| c.is_ascii_lowercase());
    if !is_name {
        return None;
    }
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let mut words = rest.strip_prefix(' ')?.split_whitespace();
    let value = words.next()?.parse::<f64>().ok()?;
    // A time stamp may follow, and nothing else.
    let stamp = words.next();
    let is_end = stamp.is_none_or(|stamp| stamp.parse::<f64>().is_ok() || stamp == "#");
    is_end.then_some(Sample {
        name,
        labels,
        value,
    })
}

type Labels<'a> = (Vec<(&'a str, &'a str)>, &'a str);

fn labels(mut rest: &str) -> Option<Labels<'_>> {
    let mut all = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((all, rest));
        }
        let (name, behind) = rest.split_once("=\"")?;
        let (value, behind) = behind.split_once('"')?;
        if all.len() == LABELS {
            return None;
        }
        all.push((name, value));
        rest = behind;
    }
}

impl<'a> Sample<'a> {
    /// What it is called without its unit, what it is, and what it is worth in milliseconds; none if it is
    /// no time.
    pub(super) fn timed(&self) -> Option<(&'a str, Kind, f64)> {
        const ENDS: [(&str, Kind); 4] = [
            ("_bucket", Kind::Bucket),
            ("_sum", Kind::Sum),
            ("_count", Kind::Count),
            ("_max", Kind::Max),
        ];
        const UNITS: [(&str, f64); 8] = [
            ("_milliseconds", 1.0),
            ("_millis", 1.0),
            ("_ms", 1.0),
            ("_microseconds", 1e-3),
            ("_us", 1e-3),
            ("_seconds", 1e3),
            ("_secs", 1e3),
            ("_sec", 1e3),
        ];
        let mut ends = ENDS.iter();
        let ended = ends.find_map(|(end, kind)| Some((self.name.strip_suffix(end)?, *kind)));
        let is_quantile = self.label("quantile").is_some();
        let (name, kind) = ended.unwrap_or((
            self.name,
            match is_quantile {
                true => Kind::Quantile,
                false => Kind::Plain,
            },
        ));
        let mut units = UNITS.iter();
        let told = units.find_map(|(unit, factor)| Some((name.strip_suffix(unit)?, *factor)));
        let of_total = || {
            self.name
                .strip_suffix("_seconds_total")
                .map(|name| (name, 1e3))
        };
        let (base, factor) = told.or_else(of_total)?;
        let is_time = !base.ends_with("start_time") && !base.ends_with("last") && self.value >= 0.0;
        is_time.then_some((base, kind, factor))
    }

    pub(super) fn label(&self, name: &str) -> Option<&'a str> {
        let mut own = self.labels.iter();
        own.find(|(known, _)| *known == name)
            .map(|(_, value)| *value)
    }

    /// Labels that tell one figure from another.
    pub(super) fn key(&self) -> String {
        let mut key = String::new();
        for (name, value) in &self.labels {
            if !matches!(*name, "le" | "quantile") && !ORDINALS.contains(name) {
                key.extend([" ", name, "=", value]);
            }
        }
        key
    }

    /// Values of labels, as words.
    pub(super) fn told(&self) -> String {
        let values = self.labels.iter().map(|(_, value)| *value);
        values
            .collect::<Vec<_>>()
            .join(" ")
            .replace(['_', '/', '.'], " ")
    }

    /// The how many-th request it is of.
    pub(super) fn ordinal(&self) -> Option<u64> {
        ORDINALS
            .iter()
            .find_map(|name| self.label(name)?.parse().ok())
    }

    pub(super) fn is_of_probes(&self) -> bool {
        const PROBES: [&str; 7] = [
            "/health",
            "/ready",
            "/live",
            "/metrics",
            "/ping",
            "/startup",
            "/v2/health",
        ];
        let mut values = self.labels.iter();
        values.any(|(_, value)| PROBES.iter().any(|probe| value.starts_with(probe)))
    }

    fn says(&self, words: &str, list: &[&str]) -> bool {
        let values = self.labels.iter().map(|(_, value)| *value);
        let mut all = values.chain([words]);
        all.any(|told| {
            let mut own = told.split(|c: char| !c.is_ascii_alphanumeric());
            own.any(|word| list.contains(&word.to_ascii_lowercase().as_str()))
        })
    }

    pub(super) fn is_first(&self, words: &str) -> bool {
        self.says(words, &["first", "cold", "initial", "1st"])
    }

    pub(super) fn is_steady(&self, words: &str) -> bool {
        let list = [
            "steady",
            "warm",
            "subsequent",
            "later",
            "rest",
            "hot",
            "median",
            "p50",
        ];
        self.says(words, &list)
    }

    pub(super) fn placed(&self, words: &str, ordinal: Option<u64>) -> Placed {
        const REQUESTS: [&str; 11] = [
            "request",
            "requests",
            "first",
            "lazy",
            "serving",
            "inference",
            "traffic",
            "demand",
            "handler",
            "inline",
            "runtime",
        ];
        let is_of_one = ordinal.map(|nth| nth > 0);
        match is_of_one.unwrap_or_else(|| self.says(words, &REQUESTS)) {
            true => Placed::AtRequest,
            false => Placed::AtStart,
        }
    }
}

/// Labels whose numbers count requests.
const ORDINALS: [&str; 11] = [
    "n",
    "ordinal",
    "request",
    "req",
    "call",
    "index",
    "i",
    "seq",
    "nth",
    "idx",
    "request_number",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_and_other_lines_are_not() {
        let read = sample("a_seconds{n=\"1\",path=\"/x,y\"} 2.5 1769508000").expect("read");
        assert_eq!(read.labels, [("n", "1"), ("path", "/x,y")]);
        assert_eq!((read.value, read.ordinal()), (2.5, Some(1)));
        assert_eq!(read.timed(), Some(("a", Kind::Plain, 1e3)));
        for (line, want) in [
            (
                "a_seconds_bucket{le=\"+Inf\"} 3",
                Some(("a", Kind::Bucket, 1e3)),
            ),
            ("a_ms_sum 3", Some(("a", Kind::Sum, 1.0))),
            (
                "a_seconds{quantile=\"0.5\"} 3",
                Some(("a", Kind::Quantile, 1e3)),
            ),
            ("a_seconds_max{x=\"1\"} 3", Some(("a", Kind::Max, 1e3))),
            ("process_start_time_seconds 1.7e+09", None),
            ("requests_total 3", None),
        ] {
            assert_eq!(sample(line).and_then(|read| read.timed()), want, "{line}");
        }
        for line in [
            "",
            "loaded model_x in 3 s",
            "model_x 3 seconds",
            "a_seconds{n=\"1\" 3",
            "A_seconds 3",
            "é_s 3",
        ] {
            assert_eq!(sample(line), None, "{line}");
        }
    }
}
