//! The report as one HTML file: nothing fetched, nothing run, every text from the scenario escaped.

mod chart;

use std::fmt::Write;

use preheat_api::simulation::{
    LingerReport, PlanReport, PointReport, RunReport, SimulationReport, SpareReport, StretchReport,
};

use self::chart::{Axis, Chart, Line, Mark};
use super::text::time;

const STYLE: &str = include_str!("page/style.css");

pub fn of(report: &SimulationReport) -> String {
    let mut page = String::new();
    let name = escaped(&report.name);
    let policy = "default-src 'none'; style-src 'unsafe-inline'";
    page += &format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{name}: preheat simulate</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header>\n<h1>{name}</h1>\n<p>{}</p>\n\
         <p class=\"facts\">objective p95 {} · start {} to loaded, {} to warm · seed {} · simulated</p>\n\
         </header>\n<main>\n",
        escaped(&report.about),
        time(report.slo_ms),
        time(report.load_seconds * 1e3),
        time(report.start_seconds * 1e3),
        report.seed,
    );
    page += &summary(report);
    for run in &report.runs {
        page += &section(run, report);
    }
    if let Some(plan) = &report.plan {
        page += &planned(plan);
    }
    page + "</main>\n</body>\n</html>\n"
}

fn summary(report: &SimulationReport) -> String {
    let rows = report.runs.iter().map(|run| {
        let StretchReport {
            p50_ms,
            p95_ms,
            p99_ms,
            longest_ms,
            ..
        } = run.whole;
        let times = [p50_ms, p95_ms, p99_ms, longest_ms].map(time);
        let counts = [
            run.whole.over_slo,
            run.whole.cold,
            run.whole.refused,
            run.whole.failed,
        ];
        let mut cells = vec![run.strategy.clone()];
        cells.extend(times);
        cells.extend(counts.map(|n| n.to_string()));
        cells.push(run.most_wanted.to_string());
        cells.push(format!("{:.2}", run.replica_hours));
        cells
    });
    let head = [
        "strategy",
        "p50",
        "p95",
        "p99",
        "longest",
        "over SLO",
        "cold",
        "refused",
        "failed",
        "asked for",
        "replica-hours",
    ];
    format!("<h2>Side by side</h2>\n{}", table(&head, rows))
}

fn section(run: &RunReport, report: &SimulationReport) -> String {
    let mut html = format!("<section>\n<h2>{}</h2>\n", escaped(&run.strategy));
    let rows = run.parts.iter().map(|part| {
        let mut cells = vec![part.name.clone(), part.arrived.to_string()];
        cells.extend([part.p50_ms, part.p95_ms, part.p99_ms, part.longest_ms].map(time));
        cells.extend([part.over_slo, part.cold, part.refused, part.failed].map(|n| n.to_string()));
        cells
    });
    let head = [
        "part", "requests", "p50", "p95", "p99", "longest", "over SLO", "cold", "refused", "failed",
    ];
    html += &table(&head, rows);
    html += &latency(run, report.slo_ms);
    html += &replicas(run);
    if !run.newcomer_ms.is_empty() {
        html += &newcomer(run, report.slo_ms);
    }
    for violation in &run.violations {
        let _ = writeln!(
            html,
            "<p class=\"broken\">Broken: {}</p>",
            escaped(violation)
        );
    }
    html + "</section>\n"
}

fn latency(run: &RunReport, slo_ms: f64) -> String {
    let series = |of: fn(&PointReport) -> f64| {
        let points = run.series.iter().filter(move |p| of(p) > 0.0);
        points.map(|p| (p.at_seconds, of(p))).collect()
    };
    let chart = Chart {
        title: format!("{}: latency by the time of arrival", run.strategy),
        x: Axis::seconds(run.series.last().map_or(1.0, |p| p.at_seconds)),
        y: Axis::log_ms(run.series.iter().map(|p| p.longest_ms).chain([slo_ms])),
        lines: vec![
            Line::new("longest", "c3", series(|p| p.longest_ms)),
            Line::new("p95", "c1", series(|p| p.p95_ms)),
            Line::new("p50", "c2", series(|p| p.p50_ms)),
        ],
        marks: vec![Mark::Across(slo_ms, format!("SLO {}", time(slo_ms)))],
    };
    chart.to_string()
}

fn replicas(run: &RunReport) -> String {
    let series = |of: fn(&PointReport) -> usize| {
        let points = run.series.iter().map(|p| (p.at_seconds, of(p) as f64));
        points.collect()
    };
    let most = run
        .series
        .iter()
        .map(|p| p.active.max(p.spare).max(p.starting))
        .max();
    let chart = Chart {
        title: format!("{}: replicas", run.strategy),
        x: Axis::seconds(run.series.last().map_or(1.0, |p| p.at_seconds)),
        y: Axis::count(most.unwrap_or(1)),
        lines: vec![
            Line::steps("active", "c1", series(|p| p.active)),
            Line::steps("spare", "c2", series(|p| p.spare)),
            Line::steps("starting", "c3", series(|p| p.starting)),
        ],
        marks: vec![],
    };
    chart.to_string()
}

fn newcomer(run: &RunReport, slo_ms: f64) -> String {
    let points: Vec<_> = (1..)
        .map(f64::from)
        .zip(run.newcomer_ms.iter().copied())
        .collect();
    let chart = Chart {
        title: format!(
            "{}: each of the first newcomer's first requests",
            run.strategy
        ),
        x: Axis::requests(points.len()),
        y: Axis::log_ms(run.newcomer_ms.iter().copied().chain([slo_ms])),
        lines: vec![Line::dots("request", "c1", points)],
        marks: vec![Mark::Across(slo_ms, format!("SLO {}", time(slo_ms)))],
    };
    chart.to_string()
}

fn planned(plan: &PlanReport) -> String {
    let answer = match plan.fewest_spares {
        Some(1) => "One spare is enough for this traffic.".to_owned(),
        Some(count) => format!("{count} spares are enough for this traffic."),
        None => "No number of spares within the maximum is enough for this traffic.".to_owned(),
    };
    let spares = plan.spares.iter().map(|row: &SpareReport| {
        vec![
            row.spares.map_or("computed".into(), |n| n.to_string()),
            if row.keeps_slo { "yes" } else { "no" }.to_owned(),
            time(row.p95_ms),
            time(row.p99_ms),
            row.over_slo.to_string(),
            row.refused.to_string(),
            format!("{:.2}", row.replica_hours),
            format!("{:.1}", row.gigabyte_hours),
        ]
    });
    let lingers = plan.lingers.iter().map(|row: &LingerReport| {
        vec![
            row.linger_seconds.map_or("never".into(), |s| time(s * 1e3)),
            row.over_slo.to_string(),
            format!("{:.2} %", row.over_share * 100.0),
            time(row.longest_ms),
            row.refused.to_string(),
            format!("{:.2}", row.replica_hours),
            format!("{:.1}", row.gigabyte_hours),
        ]
    });
    let spare_head = [
        "spares",
        "keeps the SLO",
        "p95",
        "p99",
        "over SLO",
        "refused",
        "replica-hours",
        "GB-hours",
    ];
    let linger_head = [
        "linger",
        "over SLO",
        "share",
        "longest",
        "refused",
        "replica-hours",
        "GB-hours",
    ];
    format!(
        "<section>\n<h2>Plan</h2>\n<p>{answer}</p>\n{}<h3>Scaling to zero</h3>\n{}</section>\n",
        table(&spare_head, spares),
        table(&linger_head, lingers)
    )
}

fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut html = String::from("<div class=\"wide\" tabindex=\"0\"><table>\n<thead><tr>");
    head.iter()
        .for_each(|title| html += &format!("<th scope=\"col\">{}</th>", escaped(title)));
    html += "</tr></thead>\n<tbody>\n";
    for row in rows {
        html += "<tr>";
        for (at, cell) in row.iter().enumerate() {
            let (open, close) = if at == 0 {
                ("<th scope=\"row\">", "</th>")
            } else {
                ("<td>", "</td>")
            };
            html += &format!("{open}{}{close}", escaped(cell));
        }
        html += "</tr>\n";
    }
    html + "</tbody>\n</table></div>\n"
}

/// Safe as text and as an attribute's value.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\'' => safe += "&#39;",
            c if c.is_control() && c != '\n' => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}
