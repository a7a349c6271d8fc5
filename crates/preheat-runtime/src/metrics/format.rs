//! Which of the two formats a scraper wants, and the older one made of the newer.

use http::header::{ACCEPT, HeaderMap};

const OPEN_METRICS: &str = "application/openmetrics-text";

/// How a page of metrics is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// As the registry encodes it.
    OpenMetrics,
    /// Version 0.0.4, which every scraper reads.
    Prometheus,
}

impl Format {
    /// OpenMetrics for those who ask for it by name, and do not like something else better.
    #[must_use]
    pub fn wanted(headers: &HeaderMap) -> Self {
        let values = headers.get_all(ACCEPT).iter();
        let values = values.filter_map(|value| value.to_str().ok());
        let (mut open, mut plain) = (0.0_f32, 0.0_f32);
        for (kind, weight) in values.flat_map(|value| value.split(',')).map(weighed) {
            match &kind[..] {
                OPEN_METRICS => open = open.max(weight),
                "text/plain" => plain = plain.max(weight),
                _ => {}
            }
        }
        match open > 0.0 && open >= plain {
            true => Format::OpenMetrics,
            false => Format::Prometheus,
        }
    }

    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// A page of OpenMetrics in this format.
    #[must_use]
    pub fn page(self, open_metrics: String) -> String {
        match self {
            Format::OpenMetrics => open_metrics,
            Format::Prometheus => prometheus(&open_metrics),
        }
    }
}

/// A media type and how much it is wanted: all of it where nothing is said.
fn weighed(kind: &str) -> (String, f32) {
    let mut parts = kind.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
    let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok());
    (kind, weight.unwrap_or(1.0))
}

/// The older format calls a counter what its samples are called, knows neither units nor infos, and has
/// no mark at its end.
fn prometheus(open_metrics: &str) -> String {
    let mut page = String::with_capacity(open_metrics.len());
    let (mut help, mut described) = (None, "");
    for line in open_metrics.lines() {
        let comment = line
            .strip_prefix("# ")
            .and_then(|rest| rest.split_once(' '));
        match comment {
            Some(("HELP", rest)) => {
                (described, help) = rest
                    .split_once(' ')
                    .map_or((rest, None), |(n, h)| (n, Some(h)));
            }
            Some(("TYPE", rest)) => {
                let (name, kind) = rest.split_once(' ').unwrap_or((rest, "unknown"));
                let (end, kind) = match kind {
                    "counter" => ("_total", "counter"),
                    "info" => ("_info", "gauge"),
                    "unknown" => ("", "untyped"),
                    other => ("", other),
                };
                if let Some(help) = help.take().filter(|_| described == name) {
                    page.push_str(&format!("# HELP {name}{end} {help}\n"));
                }
                page.push_str(&format!("# TYPE {name}{end} {kind}\n"));
            }
            _ if line.starts_with('#') => {}
            _ => {
                page.push_str(line);
                page.push('\n');
            }
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_is_for_those_who_ask_for_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                          application/openmetrics-text;version=0.0.1;q=0.5,\
                          text/plain;version=1.0.0;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, format) in [
            (Some(prometheus), Format::OpenMetrics),
            (Some("application/openmetrics-text"), Format::OpenMetrics),
            (
                Some("Application/OpenMetrics-Text; version=1.0.0"),
                Format::OpenMetrics,
            ),
            (None, Format::Prometheus),
            (Some("*/*"), Format::Prometheus),
            (
                Some("text/plain;version=0.0.4;q=0.3,*/*;q=0.1"),
                Format::Prometheus,
            ),
            (
                Some("text/plain, application/openmetrics-text;q=0.5"),
                Format::Prometheus,
            ),
            (Some("application/openmetrics-text;q=0"), Format::Prometheus),
            (
                Some(
                    "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;q=0.5,\
                     application/openmetrics-text;version=0.0.1;q=0.4",
                ),
                Format::OpenMetrics,
            ),
            (
                Some(
                    "text/plain;version=0.0.4,text/plain;q=0.1,application/openmetrics-text;q=0.5",
                ),
                Format::Prometheus,
            ),
            (
                Some("application/vnd.google.protobuf;q=0.7"),
                Format::Prometheus,
            ),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(ACCEPT, accept.parse().unwrap());
            }
            assert_eq!(Format::wanted(&headers), format, "{accept:?}");
        }
    }

    #[test]
    fn the_older_format_names_metrics_as_their_samples() {
        let page = "# HELP a_requests Requests.\n\
                    # TYPE a_requests counter\n\
                    a_requests_total{route=\"#\"} 2\n\
                    # HELP a_seconds Time.\n\
                    # TYPE a_seconds histogram\n\
                    # UNIT a_seconds seconds\n\
                    a_seconds_bucket{le=\"0.5\"} 1\n\
                    # HELP a_build What it is.\n\
                    # TYPE a_build info\n\
                    a_build_info{version=\"1\"} 1\n\
                    # EOF\n";
        let older = "# HELP a_requests_total Requests.\n\
                     # TYPE a_requests_total counter\n\
                     a_requests_total{route=\"#\"} 2\n\
                     # HELP a_seconds Time.\n\
                     # TYPE a_seconds histogram\n\
                     a_seconds_bucket{le=\"0.5\"} 1\n\
                     # HELP a_build_info What it is.\n\
                     # TYPE a_build_info gauge\n\
                     a_build_info{version=\"1\"} 1\n";
        assert_eq!(Format::Prometheus.page(page.into()), older);
        assert_eq!(Format::OpenMetrics.page(page.into()), page);
    }
}
