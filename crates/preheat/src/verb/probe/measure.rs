//! Sends what the plan says and measures: the first request of each case on a fresh connection,
//! then steady ones, then fresh connections again.

use std::time::{Duration, Instant};

use preheat_api::exchange::Template;
use preheat_server::exchange::{Exchange, Unfit};
use serde_json::Value;
use tokio::time::{sleep, timeout_at};

use super::plan::Plan;
use super::{BEYOND_NOISE, COLD_RATIO, COLD_SLACK_MS, fresh};
use crate::cli::Target;
use crate::client::{Client, ClientError};

/// Requests on another connection before anything is measured: this program's own code is cold too.
const REHEARSALS: usize = 5;

/// Fresh connections after warm-up.
const FRESH: usize = 5;

/// Times that rounds are run again until latency has settled.
const TRIES: usize = 4;

/// Medians of two halves within this of each other have settled.
const TOLERANCE: f64 = 0.3;

/// A model whose name nobody tells.
const NAMELESS: &str = "model";

/// How long somebody may think about what the model is called where the plan says so.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between two tries to reach a server that is starting.
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Warm,
    /// It answers otherwise than expected.
    Failed,
    Unsettled,
    /// Warm on one connection, slow on a new one.
    SlowWhenFresh,
    /// Its first request took more than the caller allows.
    Cold,
}

#[derive(Debug, Clone)]
pub struct Measured {
    pub server: String,
    pub cases: Vec<CaseMeasured>,
    pub requests: usize,
    pub took: Duration,
    /// The time was up before the plan was through.
    pub timed_out: bool,
}

#[derive(Debug, Clone)]
pub struct CaseMeasured {
    pub name: String,
    pub preset: &'static str,
    pub path: String,
    pub first_ms: Option<f64>,
    pub steady_ms: Option<f64>,
    /// The slowest of the steady ones: how far noise alone reaches.
    pub slowest_ms: Option<f64>,
    /// First ÷ steady, and where it lies with 95 % confidence.
    pub ratio: Option<f64>,
    pub ratio_interval: Option<(f64, f64)>,
    /// On fresh connections, once warm.
    pub fresh_ms: Option<f64>,
    pub requests: usize,
    pub outcome: Outcome,
    pub problem: Option<String>,
}

impl CaseMeasured {
    /// Whether the first request met a cold model, rather than a busy machine.
    pub fn was_cold(&self) -> bool {
        let (Some(first), Some(steady)) = (self.first_ms, self.steady_ms) else {
            return false;
        };
        let noise = self.slowest_ms.map_or(0.0, |slowest| slowest - steady);
        let surely = self
            .ratio_interval
            .is_some_and(|(low, _)| low >= COLD_RATIO);
        surely && first - steady >= COLD_SLACK_MS.max(BEYOND_NOISE * noise)
    }
}

struct Probe<'a> {
    target: &'a Target,
    plan: &'a Plan,
    deadline: tokio::time::Instant,
    /// A connection on which nothing is measured.
    client: Client,
    /// What the model is called. None: nobody has answered yet.
    model: Option<String>,
    requests: usize,
}

/// Why a request was no answer.
enum Problem {
    TimeIsUp,
    /// Not reachable, or not serving yet.
    NotYet(String),
    /// The body is not what this route takes.
    Malformed(String),
    Wrong(String),
}

/// Runs the whole plan. Only an address that is none is an error.
pub async fn all(target: &Target, plan: &Plan) -> Result<Measured, ClientError> {
    let began = Instant::now();
    let client = fresh(target)?;
    let deadline = tokio::time::Instant::now() + plan.timeout;
    let server = client.server();
    let mut probe = Probe {
        target,
        plan,
        deadline,
        client,
        model: None,
        requests: 0,
    };
    let mut measured = Measured {
        server,
        cases: Vec::new(),
        requests: 0,
        took: Duration::ZERO,
        timed_out: false,
    };
    for case in &plan.cases {
        let result = probe.case(case).await?;
        measured.timed_out |= tokio::time::Instant::now() >= deadline;
        measured.cases.push(result);
        if measured.timed_out {
            break;
        }
    }
    (measured.requests, measured.took) = (probe.requests, began.elapsed());
    Ok(measured)
}

/// What the model is called where the server tells.
pub async fn model_of(client: &Client) -> String {
    told(client).await.unwrap_or_else(|_| NAMELESS.to_owned())
}

/// Rehearses, and learns what the model is called. An error: nobody is there yet who could tell.
async fn told(client: &Client) -> Result<String, String> {
    const PATH: &str = "/v1/models";
    let mut name = None;
    for _ in 0..REHEARSALS {
        match client.get(PATH).await {
            Ok(answer) if matches!(answer.status, 425 | 502 | 503) => {
                return Err(format!("GET {PATH}: status {}", answer.status));
            }
            Ok(answer) => {
                let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                name = json["data"][0]["id"].as_str().map(str::to_owned);
            }
            Err(error) if may_come(&error) => return Err(error.to_string()),
            // Whoever does not answer this may answer what the plan asks.
            Err(_) => break,
        }
    }
    Ok(name.unwrap_or_else(|| NAMELESS.to_owned()))
}

/// Whether a server that starts may be behind it. What stands in front of it (a proxy, a container's
/// port) takes connections before it does, and breaks them.
fn may_come(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::Refused { .. } | ClientError::Unreachable { .. } | ClientError::Broken { .. }
    )
}

impl Probe<'_> {
    async fn case(&mut self, case: &Exchange) -> Result<CaseMeasured, ClientError> {
        let templates = case.templates(&self.plan.spoken);
        let mut result = CaseMeasured {
            name: case.name.clone(),
            preset: templates[0].preset,
            path: templates[0].path.clone(),
            first_ms: None,
            steady_ms: None,
            slowest_ms: None,
            ratio: None,
            ratio_interval: None,
            fresh_ms: None,
            requests: 0,
            outcome: Outcome::Failed,
            problem: None,
        };
        let before = self.requests;
        match self.first(case, templates).await? {
            Ok((client, template, first_ms)) => {
                (result.preset, result.path) = (template.preset, template.path.clone());
                result.first_ms = Some(first_ms);
                self.warm(case, &client, &template, &mut result).await?;
            }
            Err(problem) => result.problem = Some(problem),
        }
        result.requests = self.requests - before;
        Ok(result)
    }

    /// The first request that is answered, on a connection that was made for it. Waits for a server
    /// that is starting; goes on to the next template where one is refused as malformed.
    async fn first(
        &mut self,
        case: &Exchange,
        templates: Vec<Template>,
    ) -> Result<Result<(Client, Template, f64), String>, ClientError> {
        let mut refused = String::new();
        for template in templates {
            loop {
                let client = self.fresh()?;
                match self.ask(case, &client, &template).await {
                    Ok(ms) => return Ok(Ok((client, template, ms))),
                    Err(Problem::NotYet(problem)) => {
                        if timeout_at(self.deadline, sleep(PAUSE)).await.is_err() {
                            return Ok(Err(format!("not within the time: {problem}")));
                        }
                    }
                    Err(Problem::Malformed(problem)) => {
                        refused = problem;
                        break;
                    }
                    Err(Problem::Wrong(problem)) => return Ok(Err(problem)),
                    Err(Problem::TimeIsUp) => return Ok(Err("the time was up".into())),
                }
            }
        }
        Ok(Err(refused))
    }

    /// Steady requests until latency has settled, then fresh connections.
    async fn warm(
        &mut self,
        case: &Exchange,
        client: &Client,
        template: &Template,
        result: &mut CaseMeasured,
    ) -> Result<(), ClientError> {
        let (mut times, mut settled) = (Vec::new(), false);
        for _ in 0..TRIES {
            times.clear();
            for _ in 0..self.plan.rounds {
                match self.ask(case, client, template).await {
                    Ok(ms) => times.push(ms),
                    Err(problem) => {
                        stopped(problem, &times, result);
                        return Ok(());
                    }
                }
            }
            settled = has_settled(&times, self.slack_ms());
            if settled {
                break;
            }
        }
        conclude(result, &times);
        // Noise must not keep a warm server out: whoever passes once is fast on a new connection.
        for _ in 0..TRIES {
            match self.on_fresh_connections(case, template).await? {
                Ok(ms) => result.fresh_ms = Some(result.fresh_ms.map_or(ms, |known| known.min(ms))),
                Err(problem) => {
                    stopped(problem, &times, result);
                    return Ok(());
                }
            }
            (result.outcome, result.problem) = self.outcome(result, settled);
            if result.outcome != Outcome::SlowWhenFresh {
                break;
            }
        }
        Ok(())
    }

    /// The median over a few connections that are made for one request each.
    async fn on_fresh_connections(
        &mut self,
        case: &Exchange,
        template: &Template,
    ) -> Result<Result<f64, Problem>, ClientError> {
        let mut times = Vec::with_capacity(FRESH);
        for _ in 0..FRESH {
            let client = self.fresh()?;
            match self.ask(case, &client, template).await {
                Ok(ms) => times.push(ms),
                Err(problem) => return Ok(Err(problem)),
            }
        }
        Ok(Ok(median(&times).unwrap_or_default()))
    }

    /// A connection of its own. A first request may take as long as the plan allows.
    fn fresh(&self) -> Result<Client, ClientError> {
        Ok(fresh(self.target)?.within(self.plan.timeout))
    }

    /// Waits for nobody: it is an error that the server is not there yet that alone could tell.
    async fn model(&mut self) -> Result<String, Problem> {
        if let Some(model) = &self.model {
            return Ok(model.clone());
        }
        let named = &self.plan.model;
        let patience = tokio::time::Instant::now() + PATIENCE;
        let until = named
            .as_ref()
            .map_or(self.deadline, |_| self.deadline.min(patience));
        let Ok(told) = timeout_at(until, told(&self.client)).await else {
            return named.clone().ok_or(Problem::TimeIsUp);
        };
        match told {
            Ok(told) => {
                let model = named.clone().unwrap_or(told);
                Ok(self.model.insert(model).clone())
            }
            // It may still answer what the plan asks.
            Err(problem) => named.clone().ok_or(Problem::NotYet(problem)),
        }
    }

    fn slack_ms(&self) -> f64 {
        self.plan.slack.as_secs_f64() * 1e3
    }

    fn outcome(&self, result: &CaseMeasured, settled: bool) -> (Outcome, Option<String>) {
        let (Some(steady), Some(fresh)) = (result.steady_ms, result.fresh_ms) else {
            return (Outcome::Failed, None);
        };
        if !settled {
            return (Outcome::Unsettled, Some("latency has not settled".into()));
        }
        if fresh > self.plan.max_ratio * steady && fresh - steady > self.slack_ms() {
            let problem = format!(
                "on a fresh connection {:.2}x steady, limit {:.2}x",
                fresh / steady,
                self.plan.max_ratio
            );
            return (Outcome::SlowWhenFresh, Some(problem));
        }
        if let (Some(most), Some((low, _)), Some(first)) = (
            self.plan.max_first_ratio,
            result.ratio_interval,
            result.first_ms,
        ) && low > most
            && first - steady > self.slack_ms()
        {
            return (
                Outcome::Cold,
                Some(format!(
                    "the first request was at least {low:.2}x steady, limit {most:.2}x"
                )),
            );
        }
        (Outcome::Warm, None)
    }

    /// Sends a case once; answers what it took in milliseconds.
    async fn ask(
        &mut self,
        case: &Exchange,
        client: &Client,
        template: &Template,
    ) -> Result<f64, Problem> {
        let model = self.model().await?;
        let out = case.fill(template, &model);
        let path = out.path.clone();
        self.requests += 1;
        let began = Instant::now();
        let answer = match timeout_at(self.deadline, client.ask(out)).await {
            Err(_) => return Err(Problem::TimeIsUp),
            Ok(Err(error)) => {
                let is_starting = match self.model {
                    Some(_) => matches!(error, ClientError::Refused { .. }),
                    None => may_come(&error),
                };
                let problem = error.to_string();
                return Err(match is_starting {
                    true => Problem::NotYet(problem),
                    false => Problem::Wrong(problem),
                });
            }
            // A proxy whose server is not there.
            Ok(Ok(answer)) if answer.status == 502 && case.status != 502 => {
                return Err(Problem::NotYet(format!("{path}: status 502")));
            }
            Ok(Ok(answer)) => answer,
        };
        let ms = began.elapsed().as_secs_f64() * 1e3;
        match case.check(&path, answer.status, &answer.body) {
            Ok(_) => {
                self.model.get_or_insert(model);
                Ok(ms)
            }
            Err(Unfit::NotYet(problem)) => Err(Problem::NotYet(problem)),
            Err(Unfit::Malformed(problem)) => Err(Problem::Malformed(problem)),
            Err(Unfit::Wrong(problem)) => Err(Problem::Wrong(problem)),
        }
    }
}

/// A request was no answer: what was measured before it still counts.
fn stopped(problem: Problem, times: &[f64], result: &mut CaseMeasured) {
    conclude(result, times);
    result.problem = Some(match problem {
        Problem::TimeIsUp => "the time was up".into(),
        Problem::NotYet(text) | Problem::Malformed(text) | Problem::Wrong(text) => text,
    });
}

fn conclude(result: &mut CaseMeasured, times: &[f64]) {
    let Some((low, steady, high)) = median_interval(times) else {
        return;
    };
    result.steady_ms = Some(steady);
    result.slowest_ms = times.iter().copied().reduce(f64::max);
    if let Some(first) = result.first_ms {
        result.ratio = Some(first / steady.max(1e-6));
        result.ratio_interval = Some((first / high.max(1e-6), first / low.max(1e-6)));
    }
}

/// Whether the second half is as fast as the first.
fn has_settled(times: &[f64], slack_ms: f64) -> bool {
    let (early, late) = times.split_at(times.len() / 2);
    let (Some(early), Some(late)) = (median(early), median(late)) else {
        return false;
    };
    (early - late).abs() <= TOLERANCE * late || (early - late).abs() <= slack_ms
}

fn median(times: &[f64]) -> Option<f64> {
    median_interval(times).map(|(_, median, _)| median)
}

/// The median, and the order statistics between which the true one lies with 95 % confidence.
pub fn median_interval(times: &[f64]) -> Option<(f64, f64, f64)> {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let count = sorted.len();
    let half = count as f64 / 2.0;
    // Ranks of a binomial with p = 1/2, by its normal approximation.
    let reach = 0.98 * (count as f64).sqrt();
    let last = count.checked_sub(1)?;
    let low = ((half - reach).floor().max(0.0) as usize).min(last);
    let high = ((half + reach).ceil() as usize).min(last);
    Some((sorted[low], sorted[count / 2], sorted[high]))
}
