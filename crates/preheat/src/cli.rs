//! What can be typed. One definition yields the parser, the help and the completions.

mod ask;
mod run;
mod study;
mod values;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;

pub use ask::*;
pub use run::*;
pub use study::*;

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
    /// End a running replica or gateway in order: no request that was accepted is lost
    Drain(DrainArgs),
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
