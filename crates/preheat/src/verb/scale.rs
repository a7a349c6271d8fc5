//! `preheat scale`: other bounds for a service of a running gateway.

use std::process::ExitCode;

use preheat_api::service::ScaleRequest;
use preheat_core::Failure;

use super::orders::Orders;
use super::process;
use crate::cli::ScaleArgs;

pub fn run(args: &ScaleArgs) -> Result<ExitCode, Failure> {
    let wish = ScaleRequest {
        min: args.min,
        max: args.max,
        spares: args.spares,
    };
    process::runtime()?.block_on(async {
        let orders = Orders::of(&args.at, "scale").await?;
        if wish == ScaleRequest::default() {
            let remedy = "give --min, --max or --spares";
            return Err(orders.failed("there is nothing to change", remedy));
        }
        // This shape always serialises.
        let body = serde_json::to_vec(&wish).unwrap_or_default();
        let report = orders.give("scale", body).await?;
        orders.show(&report)?;
        Ok(ExitCode::SUCCESS)
    })
}
