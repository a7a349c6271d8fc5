//! One running `preheat serve`, on addresses nobody else uses, killed when dropped.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::client::{self, Answer};

/// Longer than any start or stop takes on a busy machine; only a hang reaches it.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The engine that declares its times: for everything but the numbers in an answer.
pub const SIM: &str = r#"
[[model]]
name = "embedder"
engine = "sim"
[model.batching]
max_batch = 4
buckets = { batch = [1, 4], tokens = [16, 64] }
[model.sim]
weights = "20ms"
first_run = "5ms"
run = "1ms"
"#;

pub struct Replica {
    child: Child,
    pub http: SocketAddr,
    pub grpc: SocketAddr,
    pub admin: SocketAddr,
    /// Configuration and log; gone with the replica.
    folder: TempDir,
}

/// What a replica is started with.
pub struct Start {
    verb: &'static str,
    config: String,
    /// What stands after `--`.
    command: Vec<String>,
    environment: Vec<(&'static str, String)>,
    addresses: Option<[SocketAddr; 3]>,
}

impl Start {
    /// The body of the configuration file. Addresses are added by environment.
    pub fn with(config: &str) -> Self {
        Start {
            verb: "serve",
            config: config.to_owned(),
            command: Vec::new(),
            environment: Vec::new(),
            addresses: None,
        }
    }

    /// Starts a gateway instead of a replica alone.
    pub fn gateway(mut self) -> Self {
        self.verb = "gateway";
        self
    }

    /// Wraps a server that this command starts.
    pub fn wrap(mut self, command: &[&str]) -> Self {
        self.verb = "wrap";
        self.command = command.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    pub fn env(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.to_owned()));
        self
    }

    /// Listens where it is told: HTTP, gRPC, admin.
    pub fn at(mut self, addresses: [SocketAddr; 3]) -> Self {
        self.addresses = Some(addresses);
        self
    }

    /// Starts the binary and returns at once.
    pub fn spawn(self) -> Replica {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("preheat.toml");
        fs::write(&config, &self.config).unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let [http, grpc, admin] = self.addresses.unwrap_or_else(free_addresses);

        let mut command = Command::new(env!("CARGO_BIN_EXE_preheat"));
        command.args([self.verb, "--config"]).arg(config);
        if !self.command.is_empty() {
            command.arg("--").args(&self.command);
        }
        // A setting in the developer's shell must not change a test.
        command.env_clear().envs(inherited());
        command.env("PREHEAT_HOST", http.ip().to_string());
        command.env("PREHEAT_PORT", http.port().to_string());
        command.env("PREHEAT_GRPC_PORT", grpc.port().to_string());
        command.env("PREHEAT_ADMIN", admin.to_string());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let child = command.spawn().unwrap();
        Replica {
            child,
            http,
            grpc,
            admin,
            folder,
        }
    }

    pub async fn ready(self) -> Replica {
        let mut replica = self.spawn();
        replica.wait_until_ready().await;
        replica
    }
}

impl Replica {
    /// The default model behind every route, started once for all tests that run at the time.
    pub async fn shared() -> Arc<Replica> {
        static SHARED: Mutex<Weak<Replica>> = Mutex::const_new(Weak::new());
        // Held while the replica starts: the other tests wait for this one.
        let mut shared = SHARED.lock().await;
        if let Some(replica) = shared.upgrade() {
            return replica;
        }
        let replica = Arc::new(Start::with(&real_model()).ready().await);
        *shared = Arc::downgrade(&replica);
        replica
    }

    pub async fn get(&self, path: &str) -> Answer {
        client::get(self.http, path).await.unwrap()
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        client::post(self.http, path, body).await.unwrap()
    }

    pub async fn report(&self) -> Value {
        self.get("/ready").await.json()
    }

    pub async fn wait_until_ready(&mut self) {
        self.wait_for("ready", |ready| ready.status == 200).await;
    }

    /// Asks `/ready` until the answer is as wanted.
    pub async fn wait_for(&mut self, what: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = client::get(self.http, "/ready").await;
            match answer {
                Ok(answer) if wanted(&answer) => return answer,
                // Not listening yet, or another phase.
                Ok(_) | Err(_) => {}
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the replica ended ({status}) instead of: {what}");
            }
            assert!(Instant::now() < deadline, "never: {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Asks until so many requests are being worked on.
    pub async fn wait_for_inflight(&self, count: usize) {
        let wanted = format!("preheat_inflight {count}");
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "never {count} in flight");
            let page = client::get(self.admin, "/metrics").await.unwrap().text();
            if page.lines().any(|line| line == wanted) {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn terminate(&self) {
        signal(self.child.id(), rustix::process::Signal::TERM);
    }

    /// As the kernel does it to whoever takes too much memory.
    pub fn kill(&self) {
        signal(self.child.id(), rustix::process::Signal::KILL);
    }

    /// The exit status; waits for it without blocking the runtime.
    pub async fn exit(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the replica does not end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Sends SIGHUP, and waits until files are read again that have not changed: nothing else would have them
    /// read.
    pub async fn hang_up(&self) {
        signal(self.pid(), rustix::process::Signal::HUP);
        let deadline = Instant::now() + PATIENCE;
        while !self.log().contains("files were read again") && !hangups_are_ignored() {
            assert!(Instant::now() < deadline, "nothing is read: {}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

/// What a process inherits, and hands on to those that it starts: under `nohup`, as these tests may run
/// too, SIGHUP is none.
pub fn hangups_are_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    u64::from_str_radix(ignored.unwrap().trim(), 16).unwrap() & 1 == 1
}

pub fn signal(process: u32, signal: rustix::process::Signal) {
    let id = i32::try_from(process).unwrap();
    let id = rustix::process::Pid::from_raw(id).unwrap();
    rustix::process::kill_process(id, signal).unwrap();
}

impl Drop for Replica {
    fn drop(&mut self) {
        // Both fail when it has ended already, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("── log of the replica at {} ──\n{}", self.http, self.log());
        }
    }
}

/// Configuration for the real default model, with a plan small enough for a debug build.
pub fn real_model() -> String {
    served_from(&model_folder())
}

/// The same for weights that lie elsewhere.
pub fn served_from(folder: &Path) -> String {
    format!(
        r#"
[drain]
delay = "0s"
[[model]]
name = "embedder"
source = '{}'
[model.batching]
max_batch = 8
buckets = {{ batch = [1, 8], tokens = [16, 64] }}
"#,
        folder.display()
    )
}

/// Where set-up unpacked the default model.
pub fn model_folder() -> PathBuf {
    let folder = root().join("target/models/all-MiniLM-L6-v2");
    assert!(
        folder.exists(),
        "the default model is not here: run `cargo xtask setup`"
    );
    folder
}

/// A folder of links to its files, for tests that put others in their place.
pub fn linked_model() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(model_folder()).unwrap() {
        let entry = entry.unwrap();
        let to = folder.path().join(entry.file_name());
        std::os::unix::fs::symlink(entry.path(), to).unwrap();
    }
    folder
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// Three addresses that are free now. Linux has a whole network of loopback addresses: each
/// replica gets one of its own, where no outgoing connection of another test can take the port.
pub fn free_addresses() -> [SocketAddr; 3] {
    static COUNT: AtomicU8 = AtomicU8::new(1);
    let host = if cfg!(target_os = "linux") {
        let [.., high, low] = std::process::id().to_be_bytes();
        Ipv4Addr::new(127, high, low, COUNT.fetch_add(1, Ordering::Relaxed).max(1))
    } else {
        Ipv4Addr::LOCALHOST
    };
    let listeners = [0; 3].map(|port| TcpListener::bind((host, port)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}

/// What any program needs to run; nothing that preheat itself reads.
fn inherited() -> impl Iterator<Item = (String, String)> {
    std::env::vars().filter(|(name, _)| ["PATH", "HOME", "TMPDIR"].contains(&name.as_str()))
}
