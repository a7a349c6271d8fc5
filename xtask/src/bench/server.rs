//! The release binary as a process of its own: started, awaited, killed by its id.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::client::{self, Client};
use crate::shell;

const PATIENCE: Duration = Duration::from_secs(300);

/// How every replica of a run is started.
pub(super) struct Setup {
    binary: PathBuf,
    model: PathBuf,
    log: PathBuf,
    skip_warmup: bool,
}

pub(super) struct Server {
    child: Child,
    pub(super) started: Instant,
    pub(super) http: SocketAddr,
    pub(super) admin: SocketAddr,
}

impl Setup {
    pub(super) fn new(skip_warmup: bool) -> Self {
        let root = shell::root();
        Setup {
            binary: root.join("target/release/preheat"),
            model: root.join("target/models/all-MiniLM-L6-v2"),
            log: root.join("target/bench.log"),
            skip_warmup,
        }
    }

    pub(super) fn binary(&self) -> &Path {
        &self.binary
    }

    /// Starts a replica of the default model and returns at once.
    pub(super) fn start(&self) -> Result<Server> {
        self.start_with(&[])
    }

    /// The same, as the first start ever on a machine is: nothing was made before.
    pub(super) fn start_in(&self, empty_cache: &Path) -> Result<Server> {
        self.start_with(&[("PREHEAT_CACHE_DIR", empty_cache.display().to_string())])
    }

    /// The same with variables of its own.
    fn start_with(&self, variables: &[(&'static str, String)]) -> Result<Server> {
        let [http, grpc, admin] = free_addresses()?;
        let log = File::create(&self.log)?;
        let mut command = Command::new(&self.binary);
        command
            .arg("serve")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        command.env("PREHEAT_HOST", http.ip().to_string());
        command.env("PREHEAT_PORT", http.port().to_string());
        command.env("PREHEAT_GRPC_PORT", grpc.port().to_string());
        command.env("PREHEAT_ADMIN", admin.to_string());
        command
            .env("PREHEAT_MODEL", &self.model)
            .env("PREHEAT_MODEL_NAME", "embedder");
        // Slow connections are to stay open while a scenario measures.
        command.env("PREHEAT_HEADER_TIMEOUT", "10m");
        command.env("SKIP_WARMUP", self.skip_warmup.to_string());
        command.envs(variables.iter().cloned());
        let started = Instant::now();
        let child = command
            .spawn()
            .with_context(|| self.binary.display().to_string())?;
        Ok(Server {
            child,
            started,
            http,
            admin,
        })
    }

    /// The folder of the default model.
    pub(super) fn model(&self) -> &Path {
        &self.model
    }

    /// Starts a replica, waits until it is ready, and warms the client's own code on it.
    pub(super) fn ready(&self) -> Result<Server> {
        self.ready_with(&[])
    }

    /// The same with variables of its own.
    pub(super) fn ready_with(&self, variables: &[(&'static str, String)]) -> Result<Server> {
        let mut server = self.start_with(variables)?;
        server.wait_until_ready(&self.log)?;
        let mut other = Client::connect(server.http)?;
        for _ in 0..50 {
            other.time(&client::get("/health"))?;
        }
        Ok(server)
    }
}

impl Server {
    fn wait_until_ready(&mut self, log: &Path) -> Result<()> {
        while self.ask("/ready") != Some(200) {
            if let Some(status) = self.child.try_wait()? {
                bail!("the replica ended ({status}); see {}", log.display());
            }
            if self.started.elapsed() > PATIENCE {
                bail!("not ready after {PATIENCE:?}; see {}", log.display());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Its process.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The status of one answer on a fresh connection; none while nobody listens.
    pub(super) fn ask(&self, path: &str) -> Option<u16> {
        let mut client = Client::connect(self.http).ok()?;
        client
            .call(&client::get(path))
            .ok()
            .map(|(status, _)| status)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail when it has ended already, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_addresses() -> Result<[SocketAddr; 3]> {
    let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let listeners = [free()?, free()?, free()?];
    let [http, grpc, admin] = listeners.each_ref().map(TcpListener::local_addr);
    Ok([http?, grpc?, admin?])
}
