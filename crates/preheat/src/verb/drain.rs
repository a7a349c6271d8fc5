//! `preheat drain`: a running replica or gateway ends in order.

use std::process::ExitCode;
use std::time::Duration;

use preheat_api::quantity::Span;
use preheat_api::report::ErrorReport;
use preheat_core::{Failure, FailureKind};
use tokio::time::{sleep, timeout};

use super::process;
use crate::cli::{DrainArgs, Target};
use crate::client::{Client, ClientError};
use crate::exit::{WAIT_TIMED_OUT, explain, staged};
use crate::out::say;

/// Between two looks whether it is still there.
const PERIOD: Duration = Duration::from_millis(100);

pub fn run(args: &DrainArgs) -> Result<ExitCode, Failure> {
    let target = Target {
        url: args.url.clone(),
        key: args.key.clone(),
        json: false,
    };
    process::runtime()?.block_on(async {
        let failed = |error: ClientError| failure(error.to_string(), error.remedy());
        let client = Client::of(&target).map_err(failed)?;
        let answer = client.post("/v1/drain", b"{}".to_vec()).await;
        let status = answer.map_err(failed)?.status;
        if status != 202 {
            let remedy = "give the admin listener of a replica or a gateway";
            return Err(failure(format!("it answered {status}"), remedy));
        }
        say(&format!("{} drains", client.server()));
        if args.detach {
            return Ok(ExitCode::SUCCESS);
        }
        if timeout(args.timeout, ended(&client)).await.is_ok() {
            say(&format!("{} has ended", client.server()));
            return Ok(ExitCode::SUCCESS);
        }
        let error = ErrorReport {
            stage: "drain".into(),
            cause: format!("not over within {}", Span(args.timeout)),
            remedy: "look at what it still works on, or give it more time with --timeout".into(),
            exit_code: WAIT_TIMED_OUT,
            retry: false,
        };
        say(&format!("preheat: {}", explain(&error)));
        Ok(ExitCode::from(WAIT_TIMED_OUT))
    })
}

/// Nobody listens any more. Who answers late is still there.
async fn ended(client: &Client) {
    while matches!(
        client.get("/livez").await,
        Ok(_) | Err(ClientError::Timeout { .. })
    ) {
        sleep(PERIOD).await;
    }
}

fn failure(cause: String, remedy: &str) -> Failure {
    staged("drain", FailureKind::Internal, cause, remedy)
}
