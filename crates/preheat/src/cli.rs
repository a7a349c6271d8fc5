//! What can be typed. One definition yields the parser, the help and the completions.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{RangedU64ValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::config::Flags;

/// No request ever meets a cold model: load, warm, prove, then serve.
#[derive(Debug, Parser)]
#[command(name = "preheat", version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Serve a model: load it, warm it, prove it, then let traffic in
    Serve(ServeArgs),
    /// Serve models through a gateway that starts, scales and replaces their replicas
    Gateway(Configured),
    /// Put an existing model server behind the same gates
    Wrap(WrapArgs),
    /// Load, warm and prove a model, print the report, and end
    Warm(WarmArgs),
    /// Show the readiness report of a running replica
    Status(StatusArgs),
    /// Change how many replicas a running gateway keeps
    Scale(ScaleArgs),
    /// Let a service of a gateway serve another revision: prove it, load it, switch, watch
    Rollout(RolloutArgs),
    /// End a rollout early: the new revision stays, the old one goes
    Promote(OrderArgs),
    /// Let the old revision serve again
    Rollback(OrderArgs),
    /// Stop a rollout, whatever it is doing; the old revision serves
    Abort(OrderArgs),
    /// Wait until a running replica is ready
    Wait(WaitArgs),
    /// Check the configuration and show where each value comes from
    Check(CheckArgs),
    /// List, fetch and remove models
    Models(ModelsArgs),
    /// Measure a running server: first requests, steady state, load
    Bench(BenchArgs),
    /// Warm any HTTP model server by a plan; first requests against steady ones
    Probe(ProbeArgs),
    /// Capture requests of users from a running replica or gateway
    Record(RecordArgs),
    /// Derive a warm-up plan from a model, a recording, an access log or live traffic
    Plan(PlanArgs),
    /// Hold a running replica or gateway against its promises: first requests, memory, scaling
    Audit(AuditArgs),
    /// Find what made a first request slow or a start fail, in logs, manifests or live
    Diagnose(DiagnoseArgs),
    /// Measure what this machine allows, and how near a start comes to it
    Floor(FloorArgs),
    /// Write a configuration, an image and Kubernetes files from a measured start
    Init(InitArgs),
    /// Play a fleet in simulated time: what a spike, a spare or a silence costs
    Simulate(SimulateArgs),
    /// Run a command for the process that holds the other end of standard input, and end with it
    #[command(hide = true)]
    Keep(KeepArgs),
    /// Print a completion script for a shell
    Completions { shell: Shell },
    /// Write manual pages into a folder
    Man {
        /// Made if it is not there
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Write chapters of the book
    #[command(hide = true)]
    Reference {
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

/// A model and the configuration around it.
#[derive(Debug, Args)]
pub struct Configured {
    /// Catalogue name, path, hf:org/name[@rev], pypi:package[==v], https://, s3:// or gs://
    #[arg(value_name = "MODEL")]
    pub model: Option<String>,
    /// Configuration file: TOML, YAML or JSON
    #[arg(long, env = preheat_api::settings::env::CONFIG, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub flags: Flags,
}

#[derive(Debug, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    pub configured: Configured,
    /// Folder of the gateway that this replica belongs to
    #[arg(long, value_name = "DIR", hide = true)]
    pub gateway: Option<PathBuf>,
    /// Prepare behind those that serve on this machine
    #[arg(long, hide = true)]
    pub behind: bool,
}

#[derive(Debug, Args)]
pub struct WrapArgs {
    /// Configuration file: TOML, YAML or JSON
    #[arg(long, env = preheat_api::settings::env::CONFIG, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Warm-up plan: TOML, YAML or JSON, its cases under [[case]]
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
    #[command(flatten)]
    pub flags: Flags,
    /// The command that starts the server; {port} stands for its port, {socket} for a unix socket.
    /// Left out where it runs already, at --upstream
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

#[derive(Debug, Args)]
pub struct KeepArgs {
    #[arg(last = true, required = true)]
    pub command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub struct WarmArgs {
    #[command(flatten)]
    pub configured: Configured,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct FloorArgs {
    #[command(flatten)]
    pub configured: Configured,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
    /// Do nothing: what starting a process costs
    #[arg(long, hide = true)]
    pub nothing: bool,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub configured: Configured,
    /// Print the effective configuration as JSON
    #[arg(long)]
    pub json: bool,
}

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
pub struct ModelsArgs {
    #[command(subcommand)]
    pub what: ModelsVerb,
}

#[derive(Debug, Subcommand)]
pub enum ModelsVerb {
    /// Show what is in the cache
    List {
        #[command(flatten)]
        cache: CacheArgs,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Fetch a model into the cache, check it, and make its artefacts for this CPU
    Pull {
        #[command(flatten)]
        configured: Configured,
    },
    /// Write a model and its artefacts for this CPU to a directory: a volume or a layer of an image
    Bake {
        /// Empty or not there; serve it by its path
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        #[command(flatten)]
        configured: Configured,
    },
    /// Read every byte of the cached models and artefacts and compare it with what is recorded
    Verify {
        #[command(flatten)]
        cache: CacheArgs,
    },
    /// Remove a model from the cache
    Rm {
        /// Name as `models list` shows it
        name: String,
        #[command(flatten)]
        cache: CacheArgs,
    },
}

#[derive(Debug, Args)]
pub struct CacheArgs {
    /// Where models are kept
    #[arg(long, env = "PREHEAT_CACHE_DIR")]
    pub cache_dir: Option<PathBuf>,
    /// Configuration file that says so
    #[arg(long, env = preheat_api::settings::env::CONFIG, value_name = "FILE")]
    pub config: Option<PathBuf>,
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
    /// Requests of each case after its first [plan: rounds, 20]
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
    #[arg(long, value_enum, default_value = "text")]
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

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err("a number above 0, up to 1, is expected".into()),
    }
}

fn ratio(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(ratio) if ratio.is_finite() && ratio >= 1.0 => Ok(ratio),
        _ => Err("a number from 1 on is expected".into()),
    }
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
    /// Take the replica from what was measured: the answer of /ready or /v1/replica, saved
    #[arg(long, value_name = "REPORT.json")]
    pub from: Option<PathBuf>,
}

fn from_1_to(most: u64) -> impl TypedValueParser<Value = usize> {
    // The range fits a usize wherever this runs.
    RangedU64ValueParser::<usize>::new().range(1..=most)
}

fn duration(text: &str) -> Result<Duration, String> {
    text.parse::<preheat_api::quantity::Span>()
        .map(|span| span.0)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
