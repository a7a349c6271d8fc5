//! What is served, prepared and kept: verbs that take a configuration.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::config::Flags;

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
