//! What the verbs that give orders to a running gateway have in common.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use preheat_api::problem::Problem;
use preheat_api::service::ServiceReport;
use preheat_core::{Failure, FailureKind};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cli::{OrderArgs, Target};
use crate::client::{Answer, Client};
use crate::exit::staged;
use crate::terminal::columns;
use crate::{fleet, out};

/// One service of a gateway, and who orders.
pub struct Orders {
    client: Client,
    pub service: String,
    /// The verb, for what it says when it fails.
    verb: &'static str,
    json: bool,
}

impl Orders {
    /// The service that was named, or the only one.
    pub async fn of(args: &OrderArgs, verb: &'static str) -> Result<Self, Failure> {
        let target = Target {
            url: args.url.clone(),
            key: args.key.clone(),
            json: args.json,
        };
        let failed =
            |error: &crate::client::ClientError| failure(verb, error.to_string(), error.remedy());
        let mut orders = Orders {
            client: Client::of(&target).map_err(|error| failed(&error))?,
            service: String::new(),
            verb,
            json: args.json,
        };
        orders.service = match &args.service {
            Some(name) => name.clone(),
            None => orders.only_service().await?,
        };
        Ok(orders)
    }

    /// `POST /v1/services/{service}:{order}`
    pub async fn give(&self, order: &str, body: Vec<u8>) -> Result<ServiceReport, Failure> {
        let path = format!("{}:{order}", self.path());
        let answer = self.client.post(&path, body).await;
        self.read(answer)
    }

    pub async fn look(&self) -> Result<ServiceReport, Failure> {
        self.read(self.client.get(&self.path()).await)
    }

    /// Names of models may hold what a path cannot.
    fn path(&self) -> String {
        let name = utf8_percent_encode(&self.service, NON_ALPHANUMERIC);
        format!("/v1/services/{name}")
    }

    /// The service as it is now, on standard output.
    pub fn show(&self, report: &ServiceReport) -> Result<(), Failure> {
        match self.json {
            true => out::json(&serde_json::to_value(report).unwrap_or(Value::Null)),
            false => out::print(&fleet::service(report, columns())),
        }
    }

    pub fn failed(&self, cause: impl Into<String>, remedy: impl Into<String>) -> Failure {
        failure(self.verb, cause, remedy)
    }

    async fn only_service(&self) -> Result<String, Failure> {
        let services: Vec<ServiceReport> = self.read(self.client.get("/v1/services").await)?;
        match services.as_slice() {
            [only] => Ok(only.name.clone()),
            services => {
                let names: Vec<_> = services.iter().map(|s| s.name.as_str()).collect();
                let cause = format!("the gateway has several services: {}", names.join(", "));
                Err(self.failed(cause, "name one of them"))
            }
        }
    }

    fn read<T: DeserializeOwned>(
        &self,
        answer: Result<Answer, crate::client::ClientError>,
    ) -> Result<T, Failure> {
        let answer = answer.map_err(|error| self.failed(error.to_string(), error.remedy()))?;
        let remedy = "give the admin listener of a gateway with --url";
        if answer.status != 200 {
            let problem: Option<Problem> = serde_json::from_slice(&answer.body).ok();
            let remedy = match answer.status {
                409 => "look at how it stands with `preheat status`",
                // It has understood, and says what is wrong.
                404 if problem.as_ref().is_some_and(|it| it.code == "no_service") => {
                    "`preheat status` names its services"
                }
                400 if problem.is_some() => "give other values",
                _ => remedy,
            };
            let cause = problem.map_or_else(
                || format!("it answered {}", answer.status),
                |problem| problem.detail,
            );
            return Err(self.failed(cause, remedy));
        }
        serde_json::from_slice(&answer.body)
            .map_err(|error| self.failed(format!("its answer cannot be read: {error}"), remedy))
    }
}

fn failure(verb: &'static str, cause: impl Into<String>, remedy: impl Into<String>) -> Failure {
    staged(verb, FailureKind::Internal, cause, remedy)
}
