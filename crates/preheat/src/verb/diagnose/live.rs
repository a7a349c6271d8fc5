//! A running server as evidence: whether it listens, what it says of itself, what its first request
//! takes against the next ones.

use preheat_core::{Failure, FailureKind};
use preheat_diagnosis::{Cause, Diagnosis, Evidence};

use super::measured;
use crate::cli::Target;
use crate::client::{Client, ClientError};
use crate::exit::staged;
use crate::verb::probe;

pub async fn ask(url: &str, key: Option<&str>, diagnosis: &mut Diagnosis) -> Result<(), Failure> {
    let (base, path) = probe::split(url);
    let target = Target {
        url: base,
        key: key.map(str::to_owned),
        json: true,
    };
    let unusable = |error: &ClientError| {
        staged(
            "diagnosis",
            FailureKind::Internal,
            error.to_string(),
            error.remedy(),
        )
    };
    let client = Client::of(&target).map_err(|error| unusable(&error))?;
    let evidence = |text: String| Evidence {
        source: url.to_owned(),
        line: 1,
        pod: None,
        text,
    };
    let seen = match client.readiness().await {
        Ok(seen) => seen,
        Err(error @ ClientError::Refused { .. }) => {
            diagnosis.found(
                Cause::ConnectionRefused,
                0.7,
                None,
                evidence(error.to_string()),
            );
            return Ok(());
        }
        Err(error) => return Err(unusable(&error)),
    };
    if let Some(report) = &seen.report {
        measured::report(url, report, diagnosis);
    }
    // What says that it is not ready is right to be slow; who has no such route is asked.
    if !seen.ready && !matches!(seen.status, 404 | 405) {
        return Ok(());
    }
    let pair = probe::first_against_steady(&target, path.as_deref()).await;
    if let Some(pair) = pair.filter(|pair| pair.is_cold) {
        let (first, steady) = (pair.first_ms, pair.steady_ms);
        let found = evidence(format!(
            "first request {first:.1} ms, steady {steady:.1} ms"
        ));
        diagnosis.measured(first, steady, &found);
        if seen.ready {
            let text = format!(
                "GET /ready answered {}, then the first request was slow",
                seen.status
            );
            diagnosis.found(Cause::ReadyTooEarly, 0.8, None, evidence(text));
        }
    }
    Ok(())
}
