//! A metric that counts by request, told as a log would tell it:
//! `srv_compile_seconds{request="1"} 27.6` is `srv compile request=1 took 27.6 s`.

/// Labels that say which request, or when.
const WHEN: [&str; 12] = [
    "n", "nth", "ordinal", "request", "req", "index", "during", "phase", "stage", "when", "at",
    "call",
];

/// None if a normalised line is none, or tells of many requests at once.
pub(super) fn told(text: &str) -> Option<String> {
    let (name, rest) = text.split_once('{')?;
    let (labels, value) = rest.split_once("} ")?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | ':');
    if name.is_empty() || !name.chars().all(is_name) {
        return None;
    }
    let units = [(" seconds", "s"), (" ms", "ms"), (" milliseconds", "ms")];
    let (name, unit) = units
        .iter()
        .find_map(|(suffix, unit)| Some((name.strip_suffix(suffix)?, unit)))?;
    let value = value.split(' ').next()?;
    value.parse::<f64>().ok()?;
    let is_of_one = |label: &str| {
        let name = label.split('=').next().unwrap_or_default().trim();
        WHEN.contains(&name)
    };
    let is_of_one = labels.split(',').any(is_of_one);
    let labels = labels.replace('"', "").replace(',', " ");
    is_of_one.then(|| format!("{name} {labels} took {value} {unit}"))
}

#[cfg(test)]
mod tests {
    use super::super::text::normal;
    use super::*;

    #[test]
    fn a_metric_of_one_request_is_told_as_a_sentence() {
        let told = |text: &str| told(&normal(text));
        assert_eq!(
            told("srv_compile_seconds{request=\"1\"} 27.611").as_deref(),
            Some("srv compile request=1 took 27.611 s")
        );
        for text in [
            "srv_request_seconds{quantile=\"0.5\"} 0.142",
            "srv_request_seconds_bucket{le=\"0.5\"} 31",
            "srv_requests_total{code=\"200\"} 31",
            "{\"request\": 1} 2",
            "took {n} 3",
        ] {
            assert_eq!(told(text), None, "{text}");
        }
    }
}
