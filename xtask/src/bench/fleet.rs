//! One gateway with a configuration of the bench, and what it says about its replicas.

use std::fs::{self, File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use preheat_api::service::{ReplicaReport, ServiceReport};
use rustix::process::{Pid, Signal, kill_process};

use super::client::{self, Client};

/// Longer than any start takes; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(10);

/// A gateway that may be killed and started again at the same addresses.
pub(super) struct Gateway {
    binary: PathBuf,
    config: PathBuf,
    log: PathBuf,
    child: Child,
    pub(super) http: SocketAddr,
    pub(super) admin: SocketAddr,
    grpc: SocketAddr,
}

impl Gateway {
    /// Starts one and waits until it is ready. `folder` takes configuration and log.
    pub(super) fn start(binary: &Path, folder: &Path, config: &str) -> Result<Self> {
        let [http, grpc, admin] = addresses()?;
        let (file, log) = (folder.join("preheat.toml"), folder.join("log"));
        fs::write(&file, config)?;
        let child = spawn(binary, &file, &log, [http, grpc, admin])?;
        let mut gateway = Gateway {
            binary: binary.to_owned(),
            config: file,
            log,
            child,
            http,
            admin,
            grpc,
        };
        gateway.wait_until_ready()?;
        Ok(gateway)
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote.
    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// Ends it as the kernel would.
    pub(super) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts it anew where it was.
    pub(super) fn restart(&mut self) -> Result<()> {
        let at = [self.http, self.grpc, self.admin];
        self.child = spawn(&self.binary, &self.config, &self.log, at)?;
        self.wait_until_ready()
    }

    /// Tells it to leave, and waits until it has.
    pub(super) fn leave(mut self) -> Result<ExitStatus> {
        self.end()
    }

    fn end(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        signal(self.child.id(), Signal::TERM)?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            sleep(LOOK);
        }
        bail!("the gateway does not leave")
    }

    pub(super) fn service(&self) -> Result<ServiceReport> {
        service(self.admin)
    }

    /// Waits until the service is as wanted, and says how long that took.
    pub(super) fn until(
        &self,
        what: &str,
        patience: Duration,
        wanted: impl Fn(&ServiceReport) -> bool,
    ) -> Result<Duration> {
        let began = Instant::now();
        loop {
            let service = self.service()?;
            if wanted(&service) {
                return Ok(began.elapsed());
            }
            ensure!(
                began.elapsed() < patience,
                "not within {patience:?}: {what}; {}",
                shown(&service)
            );
            sleep(LOOK);
        }
    }

    /// Gives an order to its service, `scale` or `rollout`.
    pub(super) fn order(&self, order: &str, body: &str) -> Result<()> {
        let path = format!("/v1/services/embedder:{order}");
        let mut admin = Client::connect(self.admin)?;
        admin.time(&client::post(&path, body)).context(path)?;
        Ok(())
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while ask(self.http, "/ready") != Some(200) {
            if let Some(status) = self.child.try_wait()? {
                bail!("the gateway ended ({status}); see {}", self.log.display());
            }
            ensure!(
                Instant::now() < deadline,
                "not ready; see {}",
                self.log.display()
            );
            sleep(LOOK);
        }
        Ok(())
    }
}

/// A fleet that is started with one replica in rotation and all spares warm.
pub(super) struct Fleet<'a> {
    pub(super) most: usize,
    pub(super) spares: usize,
    pub(super) of: Replicas<'a>,
}

pub(super) enum Replicas<'a> {
    /// They sleep instead of computing, four requests at a time and 80 ms each: a fleet of many that two
    /// cores can carry. Loading takes so long.
    Sleep { load: Duration },
    /// Of this model, one request at a time.
    Compute(&'a Path),
}

impl Fleet<'_> {
    pub(super) fn start(&self, binary: &Path, folder: &Path) -> Result<Gateway> {
        let dir = folder.join("run");
        fs::create_dir(&dir)?;
        let gateway = Gateway::start(binary, folder, &self.config(&dir))?;
        gateway.until("all replicas", PATIENCE, |s| {
            !serving(s).is_empty() && warm(s) > self.spares
        })?;
        Ok(gateway)
    }

    fn config(&self, dir: &Path) -> String {
        let (concurrency, model) = match &self.of {
            Replicas::Sleep { load } => (4, asleep(*load)),
            Replicas::Compute(model) => (1, format!("source = '{}'", model.display())),
        };
        format!(
            r#"
[drain]
delay = "0s"
[slo]
p95 = "200ms"
[fleet]
max = {}
spares = {}
concurrency = {concurrency}
dir = '{}'
[[model]]
name = "embedder"
{model}
"#,
            self.most,
            self.spares,
            dir.display()
        )
    }
}

fn asleep(load: Duration) -> String {
    format!(
        r#"engine = "sim"
instances = 4
[model.batching]
max_batch = 1
buckets = {{ batch = [1], tokens = [16] }}
[model.sim]
weights = "{}ms"
first_run = "5ms"
run = "80ms""#,
        load.as_millis()
    )
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Killed at once it would leave replicas that wait for another gateway, and disturb what is
        // measured next.
        let _ = self.end();
        // Both fail when it has ended, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a gateway says about its service.
pub(super) fn service(admin: SocketAddr) -> Result<ServiceReport> {
    let mut admin = Client::connect(admin)?;
    admin.time(&client::get("/v1/services/embedder"))?;
    Ok(serde_json::from_slice(admin.body())?)
}

/// The sum of a gateway's numbers whose lines begin so.
pub(super) fn metric(admin: SocketAddr, start: &str) -> Result<f64> {
    let mut admin = Client::connect(admin)?;
    admin.time(&client::get("/metrics"))?;
    let page = String::from_utf8_lossy(admin.body()).into_owned();
    let lines = page.lines().filter(|line| line.starts_with(start));
    let value = |line: &str| line.rsplit(' ').next().and_then(|n| n.parse::<f64>().ok());
    Ok(lines.filter_map(value).sum())
}

pub(super) fn serving(service: &ServiceReport) -> Vec<&ReplicaReport> {
    service.replicas.iter().filter(|r| r.serving).collect()
}

/// Warm ones, in rotation and out of it.
pub(super) fn warm(service: &ServiceReport) -> usize {
    let is = |r: &&ReplicaReport| r.phase == "ready";
    service.replicas.iter().filter(is).count()
}

pub(super) fn signal(pid: u32, signal: Signal) -> Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // It may have ended by itself meanwhile.
    let _ = kill_process(pid.context("no process id")?, signal);
    Ok(())
}

fn shown(service: &ServiceReport) -> String {
    let one = |r: &ReplicaReport| format!("{} {} {} serving {}", r.id, r.role, r.phase, r.serving);
    let replicas: Vec<_> = service.replicas.iter().map(one).collect();
    let error = service.error.as_ref().map_or("", |e| e.cause.as_str());
    format!(
        "wanted {} and {} spares of [{}] {error}",
        service.wanted,
        service.spares,
        replicas.join(", ")
    )
}

fn ask(address: SocketAddr, path: &str) -> Option<u16> {
    let mut client = Client::connect(address).ok()?;
    let (status, _) = client.call(&client::get(path)).ok()?;
    Some(status)
}

fn spawn(binary: &Path, config: &Path, log: &Path, at: [SocketAddr; 3]) -> Result<Child> {
    let log: File = OpenOptions::new().create(true).append(true).open(log)?;
    let [http, grpc, admin] = at;
    let mut command = Command::new(binary);
    command
        .arg("gateway")
        .arg("--config")
        .arg(config)
        .env("PREHEAT_HOST", http.ip().to_string())
        .env("PREHEAT_PORT", http.port().to_string())
        .env("PREHEAT_GRPC_PORT", grpc.port().to_string())
        .env("PREHEAT_ADMIN", admin.to_string())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    command
        .spawn()
        .with_context(|| binary.display().to_string())
}

/// Free addresses, on a loopback host of its own where there are many: no outgoing connection takes
/// such a port while its gateway is gone.
fn addresses() -> Result<[SocketAddr; 3]> {
    let host = if cfg!(target_os = "linux") {
        let [.., high, low] = std::process::id().to_be_bytes();
        Ipv4Addr::new(127, 128 | (high >> 1), low.max(1), 1)
    } else {
        Ipv4Addr::LOCALHOST
    };
    let free = || TcpListener::bind((host, 0));
    let listeners = [free()?, free()?, free()?];
    let [http, grpc, admin] = listeners.each_ref().map(TcpListener::local_addr);
    Ok([http?, grpc?, admin?])
}
