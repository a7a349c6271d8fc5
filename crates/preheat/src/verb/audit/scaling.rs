//! A gateway from no replica to many under a steady load. Its bounds are set back at the end, whatever
//! came of it.

use std::time::{Duration, Instant};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use preheat_api::service::{ScaleRequest, ServiceReport};
use preheat_core::Failure;
use preheat_runtime::{Tasks, Urgency};
use preheat_server::exchange::Outgoing;
use preheat_server::human;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::{Check, failed, probe, process, unreachable};
use crate::cli::{AuditArgs, Target};
use crate::client::Client;

/// p95 while replicas come, of p95 with one.
const MOST: f64 = 1.2;

/// Differences below this are the network's and the scheduler's.
const SLACK: Duration = Duration::from_millis(5);

/// Between two looks at the fleet.
const LOOK: Duration = Duration::from_millis(20);

/// A replica that is not there by then will not come.
const PATIENCE: Duration = Duration::from_secs(300);

/// Time to reach no replica at all: a linger that is longer is left alone.
const TO_ZERO: Duration = Duration::from_secs(15);

struct Fleet {
    admin: Client,
    name: String,
}

/// One answer: when it came, after how long, and whether it was one.
type Answer = (Instant, Duration, bool);

pub async fn checks(args: &AuditArgs, services: &[Value]) -> Result<Vec<Check>, Failure> {
    let service = services.first().and_then(|s| s["name"].as_str());
    let Some(admin) = &args.admin else {
        return Err(failed(
            "this is a gateway, and it is scaled through its admin listener",
            "give that with --admin, for example --admin http://127.0.0.1:8002",
        ));
    };
    let target = Target {
        url: admin.clone(),
        ..args.target.clone()
    };
    let fleet = Fleet {
        admin: Client::of(&target).map_err(|error| unreachable(&error))?,
        name: service.unwrap_or_default().to_owned(),
    };
    let before = fleet.report().await?;
    let most = args.replicas.unwrap_or(before.max).min(before.max);
    let shutdown = process::interrupted("audit")?;
    let found = tokio::select! {
        found = walk(args, &fleet, most) => found,
        () = shutdown.reached(Urgency::Drain) => {
            Err(failed("it was interrupted", "its bounds are set back; run it again"))
        }
    };
    fleet.scale(before.min, before.max).await?;
    found
}

async fn walk(args: &AuditArgs, fleet: &Fleet, most: usize) -> Result<Vec<Check>, Failure> {
    let client = Client::of(&args.target).map_err(|error| unreachable(&error))?;
    let mut checks = Vec::new();
    let out = match from_zero(fleet, &client, &mut checks).await? {
        Some(out) => out,
        None => taken(&client).await?,
    };
    let (tasks, stop) = (Tasks::new(), watch::Sender::new(false));
    let mut clients: Vec<JoinHandle<Vec<Answer>>> = Vec::new();
    for _ in 0..args.clients {
        let client = Client::of(&args.target).map_err(|error| unreachable(&error))?;
        let asking = ask_on(client, out.clone(), stop.subscribe());
        clients.push(tasks.spawn("audit client", asking));
    }
    // Under load from here on: a service that nobody asks may go back to no replica.
    let one = async {
        fleet.scale(1, 1).await?;
        fleet.until(1).await
    };
    let one: Result<(), Failure> = one.await;
    // What each number of replicas looked like: from its order to a while after it was there.
    let mut windows = Vec::new();
    let walked = async {
        one?;
        for replicas in 1..=most {
            let began = Instant::now();
            fleet.scale(replicas, replicas).await?;
            fleet.until(replicas).await?;
            sleep(args.time).await;
            windows.push((replicas, began, Instant::now()));
        }
        Ok(())
    };
    let walked: Result<(), Failure> = walked.await;
    stop.send_replace(true);
    let mut answers = Vec::new();
    for client in clients {
        // One that panicked was logged; the others have seen enough.
        answers.extend(client.await.unwrap_or_default());
    }
    walked?;
    checks.extend(judge(&answers, &windows));
    Ok(checks)
}

/// The first request of a service that has no replica; none where it keeps some.
async fn from_zero(
    fleet: &Fleet,
    client: &Client,
    checks: &mut Vec<Check>,
) -> Result<Option<Outgoing>, Failure> {
    let out = taken(client).await?;
    let report = fleet.report().await?;
    fleet.scale(0, report.max).await?;
    let deadline = Instant::now() + TO_ZERO;
    while !fleet.report().await?.replicas.is_empty() {
        if Instant::now() > deadline {
            // It does not scale to zero, or not soon, or keeps a spare.
            return Ok(Some(out));
        }
        sleep(LOOK).await;
    }
    let began = Instant::now();
    let answer = client.ask(out.clone()).await;
    let took = began.elapsed();
    let status = answer.map_or(0, |answer| answer.status);
    checks.push(Check {
        what: "first request with no replica",
        ok: status == 200,
        value: format!("status {status} after {}", human::time(took)),
        limit: "answered".into(),
    });
    Ok(Some(out))
}

async fn taken(client: &Client) -> Result<Outgoing, Failure> {
    probe::taken(client).await.ok_or_else(|| {
        failed(
            "it takes no request of the usual APIs",
            "an audit speaks /embed, OpenAI embeddings and the Open Inference Protocol",
        )
    })
}

/// One request after the other until told to stop.
async fn ask_on(client: Client, out: Outgoing, stop: watch::Receiver<bool>) -> Vec<Answer> {
    let mut answers = Vec::new();
    while !*stop.borrow() {
        let began = Instant::now();
        let answer = client.ask(out.clone()).await;
        let ok = answer.is_ok_and(|answer| answer.status == 200);
        answers.push((Instant::now(), began.elapsed(), ok));
        if !ok {
            // Refusals come at once: they must not come by the thousand.
            sleep(LOOK).await;
        }
    }
    answers
}

fn judge(answers: &[Answer], windows: &[(usize, Instant, Instant)]) -> Vec<Check> {
    let p95s: Vec<(usize, Duration)> = windows
        .iter()
        .map(|(replicas, from, to)| {
            let inside = answers.iter().filter(|(at, ..)| at > from && at <= to);
            (*replicas, p95(inside.map(|(_, took, _)| *took).collect()))
        })
        .collect();
    let errors = answers.iter().filter(|(.., ok)| !ok).count();
    let base = p95s.first().map_or(Duration::ZERO, |(_, p95)| *p95);
    let limit = base.mul_f64(MOST).max(base + SLACK);
    let shown = p95s
        .iter()
        .map(|(replicas, p95)| format!("{replicas}: {}", human::time(*p95)));
    vec![
        Check {
            what: "errors while replicas come",
            ok: errors == 0 && !answers.is_empty(),
            value: format!("{errors} of {}", answers.len()),
            limit: "0".into(),
        },
        Check {
            what: "p95 while replicas come, by their number",
            ok: p95s.iter().all(|(_, p95)| *p95 <= limit),
            value: shown.collect::<Vec<_>>().join(", "),
            limit: human::time(limit).to_string(),
        },
    ]
}

fn p95(mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    took.get(took.len() * 95 / 100).copied().unwrap_or_default()
}

impl Fleet {
    /// Names of models may hold what a path cannot.
    fn path(&self) -> String {
        let name = utf8_percent_encode(&self.name, NON_ALPHANUMERIC);
        format!("/v1/services/{name}")
    }

    async fn report(&self) -> Result<ServiceReport, Failure> {
        let path = self.path();
        let answer = self.admin.get(&path).await;
        let answer = answer.map_err(|error| unreachable(&error))?;
        serde_json::from_slice(&answer.body).map_err(|_| {
            let cause = format!("the admin listener answered with status {}", answer.status);
            failed(
                cause,
                "give the gateway's admin listener with --admin, and its key",
            )
        })
    }

    /// Between `min` and `max`; with both the same there is no room for spares.
    async fn scale(&self, min: usize, max: usize) -> Result<(), Failure> {
        let wish = ScaleRequest {
            min: Some(min),
            max: Some(max),
            spares: None,
        };
        // This shape always serialises.
        let body = serde_json::to_vec(&wish).unwrap_or_default();
        let path = format!("{}:scale", self.path());
        let answer = self.admin.post(&path, body).await;
        let answer = answer.map_err(|error| unreachable(&error))?;
        match answer.status {
            200 => Ok(()),
            status => {
                let said = String::from_utf8_lossy(&answer.body).into_owned();
                let cause = format!("it cannot be scaled: status {status}, {said}");
                Err(failed(cause, "look at fleet.min and fleet.max"))
            }
        }
    }

    /// Exactly so many serve.
    async fn until(&self, replicas: usize) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let report = self.report().await?;
            let serving = report.replicas.iter().filter(|replica| replica.serving);
            if serving.count() == replicas && report.replicas.len() == replicas {
                return Ok(());
            }
            if Instant::now() > deadline {
                let cause = format!("{replicas} replicas never served: {}", report.detail);
                return Err(failed(cause, "look at preheat status --why"));
            }
            sleep(LOOK).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_newcomer_is_found() {
        let began = Instant::now();
        let second = Duration::from_secs(1);
        let windows = [
            (1, began, began + second),
            (2, began + second, began + second * 2),
        ];
        let answers = |slow: u64| -> Vec<Answer> {
            let at = |ms| began + Duration::from_millis(ms);
            let took = |ms| Duration::from_millis(if ms > 1000 { slow } else { 10 });
            (1..2000).map(|ms| (at(ms), took(ms), true)).collect()
        };
        assert!(judge(&answers(11), &windows).iter().all(|check| check.ok));
        let found = judge(&answers(200), &windows);
        assert!(found[0].ok && !found[1].ok, "{found:?}");
        let mut lost = answers(11);
        lost[5].2 = false;
        assert!(!judge(&lost, &windows)[0].ok);
        assert!(!judge(&[], &windows)[0].ok);
    }
}
