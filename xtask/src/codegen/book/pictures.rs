//! The pictures: one measured start, first requests beside steady ones, the worked example.

use anyhow::{Context, Result};
use serde_json::Value;

use super::svg::{Picture, WIDTH, time};

const LOADING: &str = "#0d459d";
const WARMING: &str = "#b98638";
const COLD: &str = "#656769";
const INK: &str = "#1a1f24";
const ALARM: &str = "#b01935";
const EDGE: &str = "#c9d1d9";
const LEFT: f64 = 120.0;
const RIGHT: f64 = 110.0;

/// Where the time of one measured start went: linear, from exec.
pub(super) fn waterfall(report: &Value) -> Result<String> {
    let spans = list(report, "/models/0/waterfall")?;
    let number = |span: &Value, key: &str| span[key].as_f64().unwrap_or_default();
    let end = spans
        .iter()
        .map(|span| number(span, "start_ms") + number(span, "ms"))
        .fold(1.0, f64::max);
    let x = |ms: f64| LEFT + ms / end * (WIDTH - LEFT - RIGHT);
    let height = 24.0 * spans.len() as f64 + 40.0;
    let mut picture = Picture::new(
        height,
        format!("One cold start: proven after {}", time(end)),
    );
    for (row, span) in spans.iter().enumerate() {
        let stage = span["stage"].as_str().unwrap_or_default();
        let fill = match stage {
            "start" | "fetch" => COLD,
            _ if stage.starts_with("warm") || stage == "prove" => WARMING,
            _ => LOADING,
        };
        let y = 12.0 + 24.0 * row as f64;
        let (start, took) = (number(span, "start_ms"), number(span, "ms"));
        picture.words(LEFT - 8.0, y + 13.0, "end", stage);
        picture.rectangle(x(start), y, x(start + took) - x(start), 16.0, fill);
        picture.words(x(start + took) + 6.0, y + 13.0, "start", &time(took));
    }
    let axis = height - 24.0;
    for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let at = x(end * share);
        picture.line((at, axis), (at, axis + 5.0), INK, false);
        picture.words(at, axis + 18.0, "middle", &time(end * share));
    }
    Ok(picture.close())
}

/// Each shape's first request (hollow) and its steady median (full), log.
pub(super) fn first_requests(results: &Value) -> Result<String> {
    let samples = results["samples"].as_object().context("no samples")?;
    let mut rows: Vec<(&str, f64, f64)> = Vec::new();
    for (shape, starts) in samples {
        let starts = starts.as_array().context("no starts")?;
        let first = starts
            .iter()
            .filter_map(|start| start["first_ms"][0].as_f64());
        let steady = starts.iter().flat_map(|start| numbers(&start["steady_ms"]));
        rows.push((shape, median(first.collect()), median(steady.collect())));
    }
    rows.sort_by(|a, b| a.2.total_cmp(&b.2));
    let x = |ms: f64| LEFT + (ms.max(1.0).log10() / 3.0) * (WIDTH - LEFT - RIGHT);
    let height = 28.0 * rows.len() as f64 + 44.0;
    let mut picture = Picture::new(height, "First requests after ready beside steady ones");
    let axis = height - 28.0;
    for ms in [1.0, 10.0, 100.0, 1000.0] {
        picture.line((x(ms), 8.0), (x(ms), axis), EDGE, false);
        picture.words(x(ms), axis + 16.0, "middle", &time(ms));
    }
    for (row, (shape, first, steady)) in rows.iter().enumerate() {
        let y = 24.0 + 28.0 * row as f64;
        picture.words(LEFT - 8.0, y + 4.0, "end", shape);
        picture.line((x(*first), y), (x(*steady), y), INK, false);
        picture.dot(x(*steady), y, INK, false);
        picture.dot(x(*first), y, INK, true);
        let words = format!("{:.2} × {}", first / steady, time(*steady));
        picture.words(WIDTH - RIGHT + 8.0, y + 4.0, "start", &words);
    }
    Ok(picture.close())
}

/// The first requests of the first new replica, one dot each, with and without protection.
pub(super) fn newcomer(report: &Value) -> Result<String> {
    let slo = report["slo_ms"].as_f64().context("no objective")?;
    let runs = list(report, "/runs")?;
    let find = |name: &str| runs.iter().find(|run| run["strategy"] == name);
    let bare = numbers(&find("unprotected").context("no run")?["newcomer_ms"]);
    let warm = numbers(&find("preheat").context("no run")?["newcomer_ms"]);
    let late = |all: &[f64]| all.iter().filter(|ms| **ms > slo).count();
    let title = format!(
        "A 7B model’s new replica: of its first {} requests {} miss the objective of {} unprotected, {} gated",
        bare.len(),
        late(&bare),
        time(slo),
        late(&warm),
    );
    let height = 260.0;
    let (top, bottom) = (20.0, height - 40.0);
    let y = |ms: f64| bottom - (ms.clamp(10.0, 10_000.0).log10() - 1.0) / 3.0 * (bottom - top);
    let x = |at: usize| 70.0 + at as f64 / 60.0 * (WIDTH - 180.0);
    let mut picture = Picture::new(height, title);
    for ms in [10.0, 100.0, 1000.0, 10_000.0] {
        picture.line((70.0, y(ms)), (WIDTH - 110.0, y(ms)), EDGE, false);
        picture.words(62.0, y(ms) + 4.0, "end", &time(ms));
    }
    picture.line((70.0, y(slo)), (WIDTH - 110.0, y(slo)), INK, true);
    picture.words(
        WIDTH - 104.0,
        y(slo) + 4.0,
        "start",
        &format!("SLO {}", time(slo)),
    );
    for (at, ms) in bare.iter().enumerate() {
        picture.dot(x(at), y(*ms), if *ms > slo { ALARM } else { COLD }, true);
    }
    for (at, ms) in warm.iter().enumerate() {
        picture.dot(x(at), y(*ms), INK, false);
    }
    let words = "hollow: unprotected, red over the objective · full: gated and warm";
    picture.words(70.0, height - 10.0, "start", words);
    Ok(picture.close())
}

fn list<'a>(value: &'a Value, pointer: &str) -> Result<&'a Vec<Value>> {
    let found = value.pointer(pointer).and_then(Value::as_array);
    found.with_context(|| format!("no list at {pointer}"))
}

fn numbers(value: &Value) -> Vec<f64> {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_f64).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
