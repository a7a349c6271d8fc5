//! Replicas as processes of this machine: the same binary, told to serve on sockets of its own.
//!
//! A replica lives in a process group of its own and is watched until it has ended. It outlives a
//! gateway that is killed for as long as a next one may take it over. What happens to it is told to the fleet loop as events; nothing here decides.

mod admin;
mod adopt;
mod follow;
mod lag;
mod life;
mod output;

pub use admin::AdminError;
pub use adopt::Inherited;
pub use life::OWNER;

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use preheat_api::Config;
use preheat_api::quantity::SizeLimit;
use preheat_api::replica::{DecisionEvent, LoadReport, LoadRequest, Passport};
use preheat_api::settings::{SETTINGS, env};
use preheat_core::ReplicaId;
use preheat_runtime::Tasks;
use preheat_runtime::cgroup::cell::Cell;
use preheat_runtime::edge::Address;
use preheat_runtime::priority;
use preheat_runtime::upstream::Place;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::blueprint::Blueprint;
use crate::fleet::{Pace, Provision};
use lag::Lag;
use life::Life;
use output::Output;

/// Ports of a replica's sockets: part of their names only.
const HTTP: u16 = 8000;
const GRPC: u16 = 8001;

/// What every replica of a service is started with.
#[derive(Debug, Clone)]
pub struct LocalSettings {
    /// The binary itself.
    pub program: PathBuf,
    /// Private folder for sockets and files.
    pub dir: PathBuf,
    /// As for a replica alone; addresses and keys are replaced.
    pub config: Config,
    /// How long a replica that was told to leave may take.
    pub stop_limit: Duration,
}

/// Whom replicas belong to.
#[derive(Debug, Clone)]
pub struct Owner {
    /// Folder with the lock that is held as long as this gateway lives.
    pub dir: PathBuf,
    /// No other gateway has it.
    pub name: String,
}

/// The lock, in the folder of a gateway.
pub const LOCK: &str = "lock";

/// What became known about a replica.
#[derive(Debug)]
pub struct Event {
    pub id: ReplicaId,
    pub what: What,
}

#[derive(Debug)]
pub enum What {
    /// It speaks, or its phase has changed.
    Passport(Box<Passport>),
    /// It decided something about itself.
    Decided(Box<DecisionEvent>),
    /// Nothing was heard of it for so long, and what came of asking it.
    Silent { time: Duration, error: AdminError },
    /// It is gone; with its last words.
    Exited { status: String, last: Vec<String> },
}

/// Starts replicas of one service.
#[derive(Debug)]
pub struct Provisioner {
    settings: LocalSettings,
    owner: Owner,
    tasks: Tasks,
    events: mpsc::Sender<Event>,
}

/// One replica's process.
#[derive(Debug)]
pub struct Process {
    pub pid: u32,
    pub http: Place,
    pub grpc: Place,
    admin: Place,
    stop: watch::Sender<Stop>,
    tasks: Tasks,
    lag: Lag,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stop {
    Run,
    Leave,
    Now,
}

impl Provisioner {
    #[must_use]
    pub fn new(
        settings: LocalSettings,
        owner: Owner,
        tasks: Tasks,
        events: mpsc::Sender<Event>,
    ) -> Self {
        Provisioner {
            settings,
            owner,
            tasks,
            events,
        }
    }

    fn spawn(&self, id: &ReplicaId, of: &Blueprint, pace: Pace) -> io::Result<Process> {
        let dir = self.settings.dir.join(id.as_str());
        match self.launch(&dir, of, pace) {
            Ok((child, pid)) => {
                self.confine(id, pid, of, pace);
                let mut process = self.attend(id, dir, pid, Life::Child(child));
                if pace == Pace::Behind {
                    process.lag = Lag::Behind;
                }
                Ok(process)
            }
            Err(error) => {
                // Half a folder is of no use, and there may be many such starts.
                if let Err(error) = fs::remove_dir_all(&dir) {
                    tracing::debug!(event = "replica_files_left", replica = %id, %error, "files were left");
                }
                Err(error)
            }
        }
    }

    /// A process in its folder; it ends with what is returned.
    fn launch(&self, dir: &Path, of: &Blueprint, pace: Pace) -> io::Result<(Child, u32)> {
        fs::DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(dir)?;
        let config = dir.join("preheat.json");
        let text = serde_json::to_vec_pretty(&replica_config(&of.config, dir))?;
        fs::write(&config, text)?;
        fs::write(dir.join(OWNER), &self.owner.name)?;
        let log = Output::of(dir).open()?;
        let mut command = self.command(&config, log)?;
        if pace == Pace::Behind {
            command.arg("--behind");
        }
        let child = command.spawn()?;
        let pid = child.id().ok_or(io::ErrorKind::NotFound)?;
        life::record(dir, pid, of.revision.as_str())?;
        Ok((child, pid))
    }

    /// A control group of its own, where there may be one.
    fn confine(&self, id: &ReplicaId, pid: u32, of: &Blueprint, pace: Pace) {
        let limit = match of.config.memory.limit {
            SizeLimit::Bytes(limit) => Some(limit.0),
            SizeLimit::Auto => None,
        };
        if limit.is_none() && pace == Pace::Full {
            return;
        }
        let Some(cell) = Cell::around(pid, &format!("{:x}-{id}", self.place())) else {
            return;
        };
        if pace == Pace::Behind {
            cell.step_behind();
        }
        if let Some(limit) = limit
            && let Err(error) = cell.limit_memory(limit)
        {
            tracing::warn!(event = "not_limited", replica = %id, %error, "nothing but its proof holds it to memory.limit");
        }
    }

    /// A number for the folder, which no other gateway of the machine has.
    fn place(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.settings.dir.hash(&mut hasher);
        hasher.finish()
    }

    /// Follows a replica that lives, until it has ended.
    fn attend(&self, id: &ReplicaId, dir: PathBuf, pid: u32, life: Life) -> Process {
        let output = Output::of(&dir);
        let (stop, stopped) = watch::channel(Stop::Run);
        // Ends together with the process.
        let tasks = self.tasks.child();
        let process = Process {
            pid,
            http: socket(&dir.join(format!("s:{HTTP}"))),
            grpc: socket(&dir.join(format!("s:{GRPC}"))),
            admin: socket(&dir.join("admin")),
            stop,
            tasks: tasks.clone(),
            lag: Lag::No,
        };
        let follow = follow::follow(
            id.clone(),
            pid,
            process.admin.clone(),
            self.events.clone(),
            tasks.clone(),
        );
        self.tasks.spawn("replica events", follow);
        let said = output.clone().follow(id.clone(), tasks.clone());
        self.tasks.spawn("replica output", said);
        let watched = Watched {
            id: id.clone(),
            life,
            pid,
            dir,
            stop: stopped,
            limit: self.settings.stop_limit,
            output,
            tasks,
            cell: Cell::of(pid),
        };
        self.tasks
            .spawn("replica", watched.run(self.events.clone()));
        process
    }

    fn command(&self, config: &Path, log: File) -> io::Result<Command> {
        let mut command = Command::new(&self.settings.program);
        command.arg("serve").arg("--config").arg(config);
        command.arg("--gateway").arg(&self.owner.dir);
        // Everything is in the file: what the gateway was told must not be told twice.
        for setting in SETTINGS {
            command.env_remove(setting.env);
        }
        command.env_remove(env::CONFIG);
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true);
        Ok(command)
    }
}

impl Process {
    /// One that is no process, reached without a network; it is over when its tasks are.
    #[cfg(test)]
    pub fn in_memory(dialer: preheat_runtime::edge::MemoryDialer, tasks: Tasks) -> Self {
        let place = Place::Memory(dialer);
        Process {
            pid: 0,
            http: place.clone(),
            grpc: place.clone(),
            admin: place,
            stop: watch::Sender::new(Stop::Run),
            tasks,
            lag: Lag::No,
        }
    }

    /// For those who play a replica: over when it is told to leave.
    #[cfg(test)]
    pub fn told_to_leave(&self) -> impl Future<Output = ()> + use<> {
        let mut stop = self.stop.subscribe();
        async move { reached(&mut stop, Stop::Leave).await }
    }

    /// Asks it to finish what it has and to leave; it is ended when it takes too long.
    pub fn leave(&self) {
        self.raise(Stop::Leave);
    }

    /// One that prepares itself behind others does so no longer.
    pub fn hurry(&mut self) {
        self.lag.end(|| priority::call_up(self.pid));
    }

    /// Ends it.
    pub fn kill(&self) {
        self.raise(Stop::Now);
    }

    /// Tells it to warm itself again.
    pub fn rewarm(&self) {
        let (place, tasks) = (self.admin.clone(), self.tasks.clone());
        self.tasks.spawn("rewarm", async move {
            if let Err(error) = admin::post(&place, "/v1/rewarm", &tasks).await {
                tracing::warn!(event = "rewarm_failed", %error, "a replica could not be told to re-warm");
            }
        });
    }

    /// Has it send planned requests to itself; what came of them.
    pub fn load(
        &self,
        wish: LoadRequest,
    ) -> impl Future<Output = Result<LoadReport, AdminError>> + Send + use<> {
        let (place, tasks) = (self.admin.clone(), self.tasks.clone());
        async move { admin::load(&place, &wish, &tasks).await }
    }

    /// Tasks that end with the process.
    #[must_use]
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    fn raise(&self, stop: Stop) {
        self.stop.send_if_modified(|now| {
            let raised = stop > *now;
            *now = (*now).max(stop);
            raised
        });
    }
}

impl Provision for Provisioner {
    fn start(&self, id: &ReplicaId, of: &Blueprint, pace: Pace) -> io::Result<Process> {
        self.spawn(id, of, pace)
    }
}

/// A process and what has to be cleared away after it.
struct Watched {
    id: ReplicaId,
    life: Life,
    pid: u32,
    dir: PathBuf,
    stop: watch::Receiver<Stop>,
    limit: Duration,
    output: Output,
    tasks: Tasks,
    cell: Option<Cell>,
}

impl Watched {
    async fn run(mut self, events: mpsc::Sender<Event>) {
        let mut status = self.ended().await;
        let killed = self.cell.as_ref().map_or(0, Cell::killed_for_memory);
        if killed > 0 {
            status.push_str(&format!(
                ": {killed} of its processes killed for want of memory (memory.limit, or the machine's)"
            ));
        }
        // Whatever it has started itself goes too.
        self.signal(Signal::KILL);
        self.tasks.token().cancel();
        if let Some(cell) = self.cell.take() {
            cell.remove();
        }
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            tracing::debug!(event = "replica_files_left", replica = %self.id, %error, "files were left");
        }
        let what = What::Exited {
            status,
            last: self.output.last(),
        };
        // A loop that has ended itself does not care.
        let _ = events.send(Event { id: self.id, what }).await;
    }

    async fn ended(&mut self) -> String {
        tokio::select! {
            status = self.life.ended() => return status,
            () = reached(&mut self.stop, Stop::Leave) => {}
        }
        self.signal(Signal::TERM);
        let leaving = timeout(self.limit, self.life.ended());
        tokio::select! {
            left = leaving => {
                if let Ok(status) = left {
                    return status;
                }
                tracing::warn!(event = "replica_killed", replica = %self.id, "it did not leave in time");
            }
            () = reached(&mut self.stop, Stop::Now) => {}
        }
        self.signal(Signal::KILL);
        self.life.ended().await
    }

    /// To the whole group, whose leader it is.
    fn signal(&self, signal: Signal) {
        let group = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            // It may be gone already.
            let _ = kill_process_group(group, signal);
        }
    }
}

async fn reached(stop: &mut watch::Receiver<Stop>, level: Stop) {
    if stop.wait_for(|now| *now >= level).await.is_err() {
        // Nobody holds the process any more: it is not wanted.
    }
}

fn socket(path: &Path) -> Place {
    Place::At(Address::Unix(path.to_owned()))
}

/// The configuration of a replica that only its gateway talks to.
fn replica_config(config: &Config, dir: &Path) -> Config {
    let mut config = config.clone();
    let dir = dir.display();
    config.server.host = format!("unix:{dir}/s");
    config.server.port = HTTP;
    config.server.grpc_port = GRPC;
    config.server.admin = format!("unix:{dir}/admin");
    // Users are checked and counted once, at the gateway; its folder lets nobody else in.
    config.auth = preheat_api::config::Auth::default();
    config.server.cors_origins.clear();
    config.limits.rate = 0.0;
    config.drain.delay = preheat_api::quantity::Span::secs(0);
    // It stays to say why; the gateway ends it.
    config.warmup.on_failure = preheat_api::config::OnFailure::Hold;
    config
}
