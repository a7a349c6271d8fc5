//! What is said of a server that is looked at again and again: what has changed, and not too often.

use std::time::{Duration, Instant};

use crate::client::{ClientError, Readiness};
use crate::table::plain;

/// Details of one phase follow each other at least so far apart.
const PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub struct News {
    phase: String,
    detail: String,
    said: Option<Instant>,
}

impl News {
    /// The line to say, if there is something new.
    pub fn of(&mut self, seen: &Result<Readiness, ClientError>, now: Instant) -> Option<String> {
        let (phase, detail) = words(seen);
        let waited = self
            .said
            .is_none_or(|said| now.duration_since(said) >= PAUSE);
        let is_new = phase != self.phase || (detail != self.detail && waited);
        if !is_new {
            return None;
        }
        self.said = Some(now);
        self.phase = phase;
        self.detail.clone_from(&detail);
        Some(detail)
    }
}

/// What it is, and what to say about it.
fn words(seen: &Result<Readiness, ClientError>) -> (String, String) {
    match seen {
        Err(error) => ("unreachable".into(), plain(&error.to_string())),
        Ok(Readiness {
            report: Some(report),
            ..
        }) => (report.phase.clone(), plain(&report.detail)),
        Ok(Readiness { ready, status, .. }) => {
            let word = if *ready { "ready" } else { "not ready" };
            (word.into(), format!("{word} (status {status})"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_is_news_at_once_and_its_details_now_and_then() {
        let seen = |ready| {
            Ok(Readiness {
                ready,
                status: if ready { 200 } else { 503 },
                report: None,
                json: serde_json::Value::Null,
            })
        };
        let (mut news, start) = (News::default(), Instant::now());
        let not_ready = Some("not ready (status 503)".to_owned());
        assert_eq!(news.of(&seen(false), start), not_ready);
        assert_eq!(news.of(&seen(false), start + 2 * PAUSE), None);
        assert_eq!(news.of(&seen(true), start).unwrap(), "ready (status 200)");
        let gone = |server: &str| {
            Err(ClientError::Refused {
                server: server.into(),
            })
        };
        assert!(news.of(&gone("a"), start).is_some());
        assert_eq!(news.of(&gone("b"), start), None);
        assert!(news.of(&gone("b"), start + PAUSE).is_some());
    }
}
