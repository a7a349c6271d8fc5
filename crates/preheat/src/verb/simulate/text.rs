//! A simulation as a person reads it in a terminal.

use preheat_api::simulation::{LingerReport, PlanReport, RunReport, SimulationReport, SpareReport};

use crate::table::{Column, Table, folded, plain, plain_lines};

/// `width`: of the terminal, where there is one.
pub fn of(report: &SimulationReport, width: Option<usize>) -> String {
    let mut text = format!("{}\n", plain(&report.name));
    if !report.about.is_empty() {
        text += &format!("{}\n", plain_lines(&report.about));
    }
    text += &format!(
        "\nobjective p95 {} · start {} to loaded, {} to warm · seed {}\n",
        time(report.slo_ms),
        time(report.load_seconds * 1e3),
        time(report.start_seconds * 1e3),
        report.seed
    );
    for run in &report.runs {
        text += &format!("\n{}", one(run, report.slo_ms, width));
    }
    if let Some(plan) = &report.plan {
        text += &format!("\n{}", planned(plan, width));
    }
    folded(&text, width)
}

fn one(run: &RunReport, slo_ms: f64, width: Option<usize>) -> String {
    let mut table = Table::new([
        Column::Left("  part"),
        Column::Right("requests"),
        Column::Right("p50"),
        Column::Right("p95"),
        Column::Right("p99"),
        Column::Right("longest"),
        Column::Right("over SLO"),
        Column::Right("cold"),
        Column::Right("refused"),
        Column::Right("failed"),
    ]);
    for part in &run.parts {
        table.row([
            &format!("  {}", part.name),
            &part.arrived.to_string(),
            &time(part.p50_ms),
            &time(part.p95_ms),
            &time(part.p99_ms),
            &time(part.longest_ms),
            &part.over_slo.to_string(),
            &part.cold.to_string(),
            &part.refused.to_string(),
            &part.failed.to_string(),
        ]);
    }
    let table = table.within(width);
    let mut text = format!("{}\n{table}", plain(&run.strategy));
    text += &format!(
        "  asked for up to {} replicas, had {}, held up to {} requests; {:.2} replica-hours",
        run.most_wanted, run.most_replicas, run.most_held, run.replica_hours
    );
    if run.gigabyte_hours > 0.0 {
        text += &format!(", {:.1} GB-hours", run.gigabyte_hours);
    }
    text += "\n";
    text += &newcomer(run, slo_ms);
    if run.crashes > 0 {
        text += &format!(
            "  {} crashes, {} requests tried again\n",
            run.crashes, run.whole.retried
        );
    }
    if run.unanswered > 0 {
        text += &format!("  {} requests were never answered\n", run.unanswered);
    }
    for violation in &run.violations {
        text += &format!("  BROKEN: {}\n", plain(violation));
    }
    text
}

/// What the first users of the first new replica met.
fn newcomer(run: &RunReport, slo_ms: f64) -> String {
    let first = &run.newcomer_ms;
    if first.is_empty() {
        return String::new();
    }
    let late: Vec<_> = first.iter().copied().filter(|ms| *ms > slo_ms).collect();
    match late.iter().copied().reduce(f64::min) {
        None => format!(
            "  the first newcomer's first {} requests: all within the SLO\n",
            first.len()
        ),
        Some(fastest) => format!(
            "  the first newcomer's first {} requests: {} over the SLO, the fastest of them {}\n",
            first.len(),
            late.len(),
            time(fastest)
        ),
    }
}

fn planned(plan: &PlanReport, width: Option<usize>) -> String {
    let mut spares = Table::new([
        Column::Left("  spares"),
        Column::Left("keeps the SLO"),
        Column::Right("worst p95"),
        Column::Right("worst p99"),
        Column::Right("over SLO"),
        Column::Right("refused"),
        Column::Right("replica-hours"),
        Column::Right("GB-hours"),
    ]);
    plan.spares.iter().for_each(|row| spare(&mut spares, row));
    let mut lingers = Table::new([
        Column::Left("  linger"),
        Column::Right("over SLO"),
        Column::Right("share"),
        Column::Right("longest"),
        Column::Right("refused"),
        Column::Right("replica-hours"),
        Column::Right("GB-hours"),
    ]);
    plan.lingers
        .iter()
        .for_each(|row| linger(&mut lingers, row));
    let answer = match plan.fewest_spares {
        Some(1) => "one spare is enough for this traffic".to_owned(),
        Some(count) => format!("{count} spares are enough for this traffic"),
        None => "no number of spares within the maximum is enough for this traffic".to_owned(),
    };
    let [spares, lingers] = [spares, lingers].map(|table| table.within(width));
    format!("plan: {answer}\n{spares}\nscaling to zero\n{lingers}")
}

fn spare(table: &mut Table, row: &SpareReport) {
    let count = row.spares.map_or("computed".into(), |n| n.to_string());
    table.row([
        &format!("  {count}"),
        if row.keeps_slo { "yes" } else { "no" },
        &time(row.p95_ms),
        &time(row.p99_ms),
        &row.over_slo.to_string(),
        &row.refused.to_string(),
        &format!("{:.2}", row.replica_hours),
        &format!("{:.1}", row.gigabyte_hours),
    ]);
}

fn linger(table: &mut Table, row: &LingerReport) {
    let linger = row.linger_seconds.map_or("never".into(), |s| time(s * 1e3));
    table.row([
        &format!("  {linger}"),
        &row.over_slo.to_string(),
        &format!("{:.2} %", row.over_share * 100.0),
        &time(row.longest_ms),
        &row.refused.to_string(),
        &format!("{:.2}", row.replica_hours),
        &format!("{:.1}", row.gigabyte_hours),
    ]);
}

/// A time with a unit that suits it.
pub fn time(ms: f64) -> String {
    match ms {
        ms if ms >= 60_000.0 && ms % 60_000.0 == 0.0 => format!("{:.0} min", ms / 60_000.0),
        ms if ms >= 1000.0 => format!("{:.1} s", ms / 1e3),
        // Tenths are as fine as the percentiles are.
        ms if ms > 0.0 && ms < 9.95 => format!("{ms:.1} ms"),
        ms => format!("{ms:.0} ms"),
    }
}
