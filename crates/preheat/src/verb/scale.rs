//! `preheat scale`: other bounds for a service of a running gateway.

use std::process::ExitCode;

use preheat_api::problem::Problem;
use preheat_api::service::{ScaleRequest, ServiceReport};
use preheat_core::{Failure, FailureKind};
use serde_json::Value;

use super::process;
use crate::cli::{ScaleArgs, Target};
use crate::client::{Answer, Client, ClientError};
use crate::exit::staged;
use crate::{fleet, out};

pub fn run(args: ScaleArgs) -> Result<ExitCode, Failure> {
    let target = Target {
        url: args.url.clone(),
        key: args.key.clone(),
        json: args.json,
    };
    let wish = ScaleRequest {
        min: args.min,
        max: args.max,
        spares: args.spares,
    };
    if wish == ScaleRequest::default() {
        return Err(failed(
            "there is nothing to change",
            "give --min, --max or --spares",
        ));
    }
    process::runtime()?.block_on(async {
        let client = Client::of(&target).map_err(|error| unreachable(&error))?;
        let name = match args.service {
            Some(name) => name,
            None => only_service(&client).await?,
        };
        // This shape always serialises.
        let body = serde_json::to_vec(&wish).unwrap_or_default();
        let path = format!("/v1/services/{name}:scale");
        let answer = client.post(&path, body).await;
        let answer = answer.map_err(|error| unreachable(&error))?;
        let report: ServiceReport = read(&answer)?;
        match target.json {
            true => out::json(&serde_json::to_value(&report).unwrap_or(Value::Null))?,
            false => out::print(&fleet::service(&report))?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn only_service(client: &Client) -> Result<String, Failure> {
    let answer = client.get("/v1/services").await;
    let services: Vec<ServiceReport> = read(&answer.map_err(|error| unreachable(&error))?)?;
    match services.as_slice() {
        [only] => Ok(only.name.clone()),
        services => {
            let names: Vec<_> = services.iter().map(|s| s.name.as_str()).collect();
            let cause = format!("the gateway has several services: {}", names.join(", "));
            Err(failed(cause, "name one of them"))
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(answer: &Answer) -> Result<T, Failure> {
    if answer.status != 200 {
        let problem: Option<Problem> = serde_json::from_slice(&answer.body).ok();
        let cause = problem.map_or_else(
            || format!("it answered {}", answer.status),
            |problem| problem.detail,
        );
        return Err(failed(
            cause,
            "give the admin listener of a gateway with --url",
        ));
    }
    serde_json::from_slice(&answer.body).map_err(|error| {
        let cause = format!("its answer cannot be read: {error}");
        failed(cause, "give the admin listener of a gateway with --url")
    })
}

fn unreachable(error: &ClientError) -> Failure {
    failed(error.to_string(), error.remedy())
}

fn failed(cause: impl Into<String>, remedy: impl Into<String>) -> Failure {
    staged("scale", FailureKind::Internal, cause, remedy)
}
