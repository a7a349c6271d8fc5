//! Verbs that ask or order a running server.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::values::{duration, from_1_to, ratio};

/// A running server.
#[derive(Debug, Clone, Args)]
pub struct Target {
    /// Address of its HTTP or admin listener
    #[arg(
        value_name = "URL",
        env = "PREHEAT_URL",
        default_value = "http://127.0.0.1:8000"
    )]
    pub url: String,
    /// API key, if the server asks for one
    #[arg(long, env = "PREHEAT_API_KEY", hide_env_values = true)]
    pub key: Option<String>,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    pub target: Target,
    /// Go on looking until interrupted
    #[arg(long)]
    pub watch: bool,
    /// Show what a gateway decided of late, and why; URL is its admin listener
    #[arg(long, conflicts_with = "watch")]
    pub why: bool,
}

#[derive(Debug, Args)]
pub struct OrderArgs {
    /// The model; may be left out where there is one
    #[arg(value_name = "SERVICE")]
    pub service: Option<String>,
    /// Address of the gateway's admin listener
    #[arg(long, default_value = "http://127.0.0.1:8002")]
    pub url: String,
    /// Admin key, if the gateway asks for one
    #[arg(long, env = "PREHEAT_API_KEY", hide_env_values = true)]
    pub key: Option<String>,
    /// Print the service as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct RolloutArgs {
    #[command(flatten)]
    pub at: OrderArgs,
    /// A model, or a configuration file; left out: show the rollout that is under way
    #[arg(long, value_name = "MODEL|FILE")]
    pub to: Option<String>,
    /// Return at once; `preheat status` shows how it goes
    #[arg(long)]
    pub detach: bool,
    /// Accept answers of another size than those of the old revision
    #[arg(long)]
    pub allow_other_shape: bool,
}

#[derive(Debug, Args)]
pub struct ScaleArgs {
    #[command(flatten)]
    pub at: OrderArgs,
    /// Replicas in rotation at least
    #[arg(long)]
    pub min: Option<usize>,
    /// Replicas at most
    #[arg(long)]
    pub max: Option<usize>,
    /// Proven replicas that stand by
    #[arg(long)]
    pub spares: Option<usize>,
}

#[derive(Debug, Args)]
pub struct DrainArgs {
    /// Address of the admin listener
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:8002")]
    pub url: String,
    /// Admin key, if one is asked for
    #[arg(long, env = "PREHEAT_API_KEY", hide_env_values = true)]
    pub key: Option<String>,
    /// Return at once, without waiting for its end
    #[arg(long)]
    pub detach: bool,
    /// Wait no longer than this
    #[arg(long, default_value = "60s", value_parser = duration)]
    pub timeout: Duration,
}

#[derive(Debug, Args)]
pub struct WaitArgs {
    #[command(flatten)]
    pub target: Target,
    /// What to wait for
    #[arg(long = "for", value_enum, default_value = "ready")]
    pub what: Awaited,
    /// Give up after this long
    #[arg(long, default_value = "120s", value_parser = duration)]
    pub timeout: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Awaited {
    /// The process answers
    Alive,
    /// The proof is complete
    Ready,
}

impl Awaited {
    pub fn name(self) -> &'static str {
        match self {
            Awaited::Alive => "alive",
            Awaited::Ready => "ready",
        }
    }
}

#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(flatten)]
    pub target: Target,
    /// First requests that are looked at one by one
    #[arg(long, default_value_t = 20, value_parser = from_1_to(10_000))]
    pub first: usize,
    /// Requests of the steady figure
    #[arg(long, default_value_t = 200, value_parser = from_1_to(100_000))]
    pub requests: usize,
    /// Clients at once in the load part
    #[arg(long, default_value_t = 8, value_parser = from_1_to(1_000))]
    pub clients: usize,
    /// Longest time for each part; the load takes all of it
    #[arg(long, default_value = "5s", value_parser = duration)]
    pub time: Duration,
    /// Texts in each request
    #[arg(long, default_value_t = 1, value_parser = from_1_to(10_000))]
    pub texts: usize,
    /// Words in each text
    #[arg(long, default_value_t = 2, value_parser = from_1_to(100_000))]
    pub words: usize,
}

#[derive(Debug, Clone, Args)]
pub struct ProbeArgs {
    #[command(flatten)]
    pub target: Target,
    /// Plan: TOML, YAML or JSON, its cases under [[case]]
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
    /// API that is spoken: openai, oip, tei or preheat; without it the path tells
    #[arg(long)]
    pub preset: Option<String>,
    /// What the model is called
    #[arg(long)]
    pub model: Option<String>,
    /// Requests of each case after its first, 3 at least [plan: rounds, 20]
    #[arg(long, value_parser = from_1_to(1_000))]
    pub rounds: Option<usize>,
    /// Time for everything [plan: timeout, 60s]
    #[arg(long, value_parser = duration)]
    pub timeout: Option<Duration>,
    /// A fresh connection against steady, once warm [plan: max_ratio, 1.5]
    #[arg(long, value_parser = ratio)]
    pub max_ratio: Option<f64>,
    /// Fail if a first request was surely more than so many times steady
    #[arg(long, value_parser = ratio)]
    pub max_first_ratio: Option<f64>,
    /// How results are printed
    #[arg(long, value_enum, default_value = "text", conflicts_with = "json")]
    pub format: ProbeFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProbeFormat {
    Text,
    Json,
    Prometheus,
    Junit,
}

#[derive(Debug, Args)]
pub struct RecordArgs {
    /// Address of the admin listener
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:8002")]
    pub url: String,
    /// Admin key, if one is asked for
    #[arg(long, env = "PREHEAT_API_KEY", hide_env_values = true)]
    pub key: Option<String>,
    /// File that requests are written into, one a line; it holds what users sent
    #[arg(long, short, value_name = "FILE", default_value = "requests.ndjson")]
    pub out: PathBuf,
    /// Requests at most
    #[arg(long, default_value_t = 1000, value_parser = from_1_to(1_000_000))]
    pub max: usize,
    /// Take one of so many
    #[arg(long, default_value_t = 1, value_parser = from_1_to(1_000_000))]
    pub every: usize,
    /// How long to listen
    #[arg(long, default_value = "60s", value_parser = duration)]
    pub time: Duration,
}

#[derive(Debug, Args)]
pub struct AuditArgs {
    #[command(flatten)]
    pub target: Target,
    /// For a gateway: address of its admin listener; its replicas are scaled and set back
    #[arg(long, value_name = "URL")]
    pub admin: Option<String>,
    /// For a gateway: replicas to go to [its own maximum]
    #[arg(long, value_parser = from_1_to(1_000))]
    pub replicas: Option<usize>,
    /// For a gateway: clients at once
    #[arg(long, default_value_t = 4, value_parser = from_1_to(1_000))]
    pub clients: usize,
    /// For a gateway: how long each number of replicas is measured
    #[arg(long, default_value = "5s", value_parser = duration)]
    pub time: Duration,
}
