//! Requests whose answers are known.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use serde_json::Value;

use super::Outcome;
use crate::bench::client::{self, Client};

/// Different texts, so that an answer to another question is noticed.
const TEXTS: usize = 24;

/// What a gateway may say instead of an answer, as documented.
const CODES: [&str; 9] = [
    "hold_full",
    "hold_bytes_full",
    "too_late",
    "not_ready",
    "queue_full",
    "start_failed",
    "deadline",
    "draining",
    "replica_lost",
];

pub(in crate::bench) struct Questions {
    requests: Vec<Vec<u8>>,
    answers: Vec<Vec<u8>>,
}

impl Questions {
    /// Asks each of them twice while nothing else happens: what they are answered is right.
    pub(in crate::bench) fn learn(address: SocketAddr) -> Result<Self> {
        let request = |number: usize| client::post("/embed", &format!("[\"text {number}\"]"));
        let requests: Vec<_> = (0..TEXTS).map(request).collect();
        let mut client = Client::connect(address)?;
        let mut answers: Vec<Vec<u8>> = Vec::new();
        for request in &requests {
            client.time(request)?;
            let answer = client.body().to_vec();
            client.time(request)?;
            ensure!(client.body() == answer, "two answers to one question");
            ensure!(!answers.contains(&answer), "one answer to two questions");
            answers.push(answer);
        }
        Ok(Questions { requests, answers })
    }

    pub(super) fn request(&self, turn: usize) -> &[u8] {
        &self.requests[turn % self.requests.len()]
    }

    /// What an answer to that request is worth.
    pub(super) fn judge(&self, turn: usize, status: u16, said: &Client) -> Outcome {
        let body = said.body();
        if status == 200 {
            let right = body == self.answers[turn % self.answers.len()];
            return match (right, said.header("preheat-warm")) {
                (true, Some("proven" | "degraded")) => Outcome::Answered,
                (true, warm) => Outcome::Wrong(format!("answered cold: {warm:?}")),
                (false, _) => Outcome::Wrong("another answer than before".into()),
            };
        }
        let problem: Value = serde_json::from_slice(body).unwrap_or_default();
        let code = problem["code"].as_str().unwrap_or_default();
        let retry_after = said.header("retry-after-ms");
        let retry_after = retry_after.and_then(|ms| ms.parse().ok());
        let due = matches!(status, 429 | 503);
        if !matches!(status, 429 | 503 | 504)
            || !CODES.contains(&code)
            || due != retry_after.is_some()
        {
            let body = String::from_utf8_lossy(body);
            return Outcome::Wrong(format!("answered {status}: {body}"));
        }
        Outcome::Refused {
            code: code.to_owned(),
            retry_after,
        }
    }
}
