//! Verbs that read files, and answer with what follows from them.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::run::Configured;
use super::values::{duration, from_1_to, share};

#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub configured: Configured,
    /// Recording, access log, or address of an admin listener; may be given again. Without it the plan
    /// is the one that the model's limits ask for
    #[arg(long, value_name = "FILE|URL")]
    pub from: Vec<String>,
    /// Admin key, if one is asked for
    #[arg(long, env = "PREHEAT_API_KEY", hide_env_values = true)]
    pub key: Option<String>,
    /// Share of the traffic that the cases stand for
    #[arg(long, default_value_t = 0.99, value_parser = share)]
    pub share: f64,
    /// Cases at most
    #[arg(long, default_value_t = 32, value_parser = from_1_to(200))]
    pub cases: usize,
    /// How long to listen to an address
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub time: Duration,
}

#[derive(Debug, Args)]
pub struct DiagnoseArgs {
    /// Files (logs, events, descriptions, manifests, reports), `-`, or addresses of servers
    #[arg(value_name = "FILE|URL", required = true)]
    pub inputs: Vec<String>,
    /// API key, if a server asks for one
    #[arg(long, env = "PREHEAT_API_KEY", hide_env_values = true)]
    pub key: Option<String>,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct InitArgs {
    /// Readiness report (file), or a running replica's address; may be given again
    #[arg(long, value_name = "FILE|URL")]
    pub from: Vec<String>,
    /// API key, if the replica asks for one
    #[arg(long, env = "PREHEAT_API_KEY", hide_env_values = true)]
    pub key: Option<String>,
    /// What the deployment is called
    #[arg(long, default_value = "embedder")]
    pub name: String,
    /// The image that is deployed
    #[arg(long, default_value = concat!("preheat:", env!("CARGO_PKG_VERSION")))]
    pub image: String,
    /// Where the model lies in the image
    #[arg(long, default_value = "/models/embedder")]
    pub model: String,
    /// Folder that files are written into
    #[arg(long, value_name = "DIR", default_value = "deploy")]
    pub out: PathBuf,
    /// Overwrite files
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// Scenario file: TOML; left out: the shipped 7B example
    #[arg(value_name = "SCENARIO.toml")]
    pub scenario: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
    /// Write a page with pictures: one file that needs no other
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// Write a stretch of it, request by request, for the dashboard to play
    #[arg(long, value_name = "FILE.ndjson")]
    pub trace: Option<PathBuf>,
    /// In place of the scenario's: the same seed gives the same bytes
    #[arg(long)]
    pub seed: Option<u64>,
    /// Answer, too: how many spares, what linger, at what cost
    #[arg(long)]
    pub plan: bool,
    /// Take the replica from what was measured: a running one's address, or its answer of /ready or
    /// /v1/replica, saved
    #[arg(long, value_name = "FILE|URL")]
    pub from: Option<String>,
}
