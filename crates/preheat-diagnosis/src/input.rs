//! Inputs as they are found: logs of any length, plain or as JSON; manifests; descriptions.

mod commands;
mod described;
mod figures;
mod journal;
mod json_line;
mod lines;
mod manifest;
mod metrics;

use std::io::{self, Read};

use crate::traced::exported;
use crate::{Diagnosis, Line};

use described::Pods;
use journal::Journal;
use metrics::Metrics;

/// Inputs up to here are looked at as a whole too: a manifest has a structure.
pub const WHOLE: usize = 4 << 20;

/// Takes one input in, however long it is. Memory stays bounded.
///
/// # Errors
/// What reading `input` meets.
pub fn read(source: &str, mut input: impl Read, diagnosis: &mut Diagnosis) -> io::Result<()> {
    let mut head = Vec::new();
    input
        .by_ref()
        .take(WHOLE as u64 + 1)
        .read_to_end(&mut head)?;
    let whole = (head.len() <= WHOLE).then(|| String::from_utf8_lossy(&head).into_owned());
    let (mut is_manifest, mut pods) = (false, Pods::default());
    if let Some(text) = &whole {
        pods = Pods::of(text);
        is_manifest = manifest::is_one(source, text);
        let written = if is_manifest {
            manifest::containers(source, text)
        } else {
            Vec::new()
        };
        for container in described::containers(source, text, &pods)
            .into_iter()
            .chain(written)
            .chain(commands::containers(source, text))
        {
            diagnosis.container(container);
        }
        if let Some(traced) = exported::traces(text).filter(|_| !is_manifest) {
            for (number, text) in &traced.notes {
                diagnosis.line(&Line {
                    source,
                    pod: None,
                    number: *number,
                    at: None,
                    text,
                });
            }
            diagnosis.traces(source, traced.traces);
            return Ok(());
        }
        if !is_manifest {
            figures::take(source, text, diagnosis);
        }
    }
    let (mut metrics, mut journal) = (Metrics::default(), None::<Journal>);
    lines::each(head.chain(input), |number, text| {
        // What a manifest's author remarks is not what happened, but for what he quotes.
        let remark = text.trim_start().strip_prefix('#').filter(|_| is_manifest);
        let text = match remark.map(quoted) {
            Some(None) => return,
            Some(Some(quoted)) => quoted,
            None => text,
        };
        if pods.is_of_another(number) {
            return;
        }
        let head = Journal::of(text);
        let of_row = journal.as_ref().filter(|_| head.is_none());
        let of_row = of_row.and_then(|journal| journal.row(text));
        // Remarks stand between rows; anything else ends a table.
        let goes_on = of_row.is_some() || text.trim_start().starts_with('#');
        journal = head.or(journal.take().filter(|_| goes_on));
        if let Some((text, at)) = of_row {
            diagnosis.line(&Line {
                source,
                pod: None,
                number,
                at,
                text: &text,
            });
            return;
        }
        if metrics.take(number, text) {
            return;
        }
        let flat = json_line::flatten(text);
        diagnosis.line(&Line {
            source,
            pod: pods.at(number),
            number,
            at: flat.as_ref().and_then(|flat| flat.at),
            text: flat.as_ref().map_or(text, |flat| &flat.text),
        });
    })?;
    metrics.finish(source, diagnosis);
    Ok(())
}

/// `#   14:02:11 reading from disk`, `#   Warning  Unhealthy  …`: a line of a log or an event in a remark.
fn quoted(remark: &str) -> Option<&str> {
    let said = remark.strip_prefix("  ")?.trim_start();
    let is_time = || {
        let time = said.as_bytes().get(..6);
        time.is_some_and(|t| t[2] == b':' && t[5] == b':' && t[..2].iter().all(u8::is_ascii_digit))
    };
    let is_event = ["Normal ", "Warning "]
        .iter()
        .any(|kind| said.starts_with(kind));
    (is_event || is_time()).then_some(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(text: &str) -> crate::Report {
        let mut diagnosis = Diagnosis::new();
        assert!(read("given.txt", text.as_bytes(), &mut diagnosis).is_ok());
        diagnosis.report()
    }

    #[test]
    fn a_table_of_events_ends_with_its_rows() {
        let table = "t,who,event,ms\n0.1,llm,params read,1800\n# a remark\n";
        let row = "0.3,llm,CUDA out of memory,12\n";
        for (between, shown) in [
            ("", "llm CUDA out of memory 12 ms"),
            ("INFO begins\n", row.trim_end()),
        ] {
            let report = report(&format!("{table}{between}{row}"));
            assert_eq!(report.findings.len(), 1, "{between}");
            assert_eq!(report.findings[0].evidence[0].text, shown);
        }
    }

    #[test]
    fn a_step_that_a_ready_server_had_not_done_is_a_requests() {
        let scrape = |ready: u8, seconds: &str| {
            format!(
                "# TYPE a_model_load_seconds gauge\na_model_load_seconds {seconds}\na_ready {ready}\n"
            )
        };
        for (before, found) in [(1, Some(crate::Cause::LazyModel)), (0, None)] {
            let report = report(&(scrape(before, "0") + &scrape(1, "0.914")));
            assert_eq!(report.findings.first().map(|found| found.cause), found);
        }
    }

    #[test]
    fn a_scrape_that_comes_again_tells_of_the_same_step() {
        let scrape = "request_stage_seconds_sum{stage=\"cuda_context_create\"} 4.87\n\
                      request_stage_seconds_count{stage=\"cuda_context_create\"} 1\n";
        let cost = |text: &str| {
            report(text)
                .findings
                .first()
                .and_then(|found| found.cost_ms)
        };
        assert_eq!(cost(scrape), Some(4870.0));
        assert_eq!(cost(&scrape.repeat(3)), Some(4870.0));
    }
}
