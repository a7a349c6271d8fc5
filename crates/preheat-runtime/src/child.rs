//! A process that this one starts, watches and ends, with everything that it starts itself.
//!
//! Between the two stands a keeper: the same binary, asked to do nothing but keep. It leads the
//! process group, and ends it when this process is gone, however it went: what is started here never
//! outlives it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::process::{Child as Process, ChildStdin, Command};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::output::Output;
use crate::process_tree;
use crate::tasks::Tasks;

/// What is started, and what keeps it.
#[derive(Debug, Clone)]
pub struct ChildSpec {
    /// Program and arguments before which the command stands: see [`crate::keeper`].
    pub keeper: Vec<OsString>,
    pub command: Vec<String>,
    pub env: BTreeMap<String, String>,
    /// Where it is started; none: where this process is.
    pub dir: Option<PathBuf>,
    /// Between being asked to leave and being ended.
    pub patience: Duration,
}

/// How it ended, and its last words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub status: String,
    pub last: Vec<String>,
}

/// A running child. Dropped, it is ended: its keeper sees to that.
#[derive(Debug)]
pub struct Child {
    pid: u32,
    stop: watch::Sender<Stop>,
    ended: watch::Receiver<Option<Ended>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stop {
    Run,
    Leave,
    Now,
}

impl Child {
    /// Starts it; `say` is told every line that it writes.
    ///
    /// # Errors
    /// When the system does not start the keeper. That the command cannot be started shows in how
    /// the child ends.
    pub fn start(
        spec: &ChildSpec,
        tasks: &Tasks,
        say: impl Fn(&str) + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let (program, arguments) = spec.keeper.split_first().ok_or(io::ErrorKind::NotFound)?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .args(&spec.command)
            .envs(&spec.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        if let Some(dir) = &spec.dir {
            command.current_dir(dir);
        }
        let mut process = command.spawn()?;
        let pid = process.id().ok_or(io::ErrorKind::NotFound)?;
        let output = Output::capture(&mut process, tasks, say);
        let (stop, stopped) = watch::channel(Stop::Run);
        let (told, ended) = watch::channel(None);
        let watched = Watched {
            line: process.stdin.take(),
            process,
            pid,
            stop: stopped,
            patience: spec.patience,
        };
        tasks.spawn("child", watched.run(output, told));
        Ok(Child { pid, stop, ended })
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for its end.
    pub async fn ended(&self) -> Ended {
        let mut ended = self.ended.clone();
        let told = ended.wait_for(Option::is_some).await;
        told.ok()
            .and_then(|ended| ended.clone())
            .unwrap_or_else(|| Ended {
                status: "nobody watches it any more".into(),
                last: Vec::new(),
            })
    }

    /// Asks it to leave, and waits until it has; ends it when it takes too long.
    pub async fn leave(&self) -> Ended {
        self.raise(Stop::Leave);
        self.ended().await
    }

    /// Ends it at once.
    pub async fn kill(&self) -> Ended {
        self.raise(Stop::Now);
        self.ended().await
    }

    fn raise(&self, stop: Stop) {
        self.stop.send_if_modified(|now| {
            let raised = stop > *now;
            *now = (*now).max(stop);
            raised
        });
    }
}

struct Watched {
    process: Process,
    pid: u32,
    stop: watch::Receiver<Stop>,
    patience: Duration,
    /// Held open: the keeper ends the group when it closes.
    line: Option<ChildStdin>,
}

impl Watched {
    async fn run(mut self, output: Output, told: watch::Sender<Option<Ended>>) {
        let status = self.ended().await;
        // Whatever it has started itself goes too.
        self.signal(Signal::KILL);
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        let last = output.last().await;
        drop(self.line);
        told.send_replace(Some(Ended { status, last }));
    }

    async fn ended(&mut self) -> io::Result<std::process::ExitStatus> {
        tokio::select! {
            status = self.process.wait() => return status,
            stop = reached(&mut self.stop, Stop::Leave) => {
                if stop == Stop::Leave {
                    self.signal(Signal::TERM);
                }
            }
        }
        let left = tokio::select! {
            left = timeout(self.patience, self.process.wait()) => left.ok(),
            _ = reached(&mut self.stop, Stop::Now) => None,
        };
        if let Some(status) = left {
            return status;
        }
        self.end_all();
        self.process.wait().await
    }

    /// The group, and who has left it.
    fn end_all(&self) {
        let others = process_tree::below(self.pid);
        self.signal(Signal::KILL);
        for pid in others {
            // It may be gone already.
            let _ = pid_of(pid).map(|pid| kill_process(pid, Signal::KILL));
        }
    }

    fn signal(&self, signal: Signal) {
        // It may be gone already.
        let _ = pid_of(self.pid).map(|group| kill_process_group(group, signal));
    }
}

fn pid_of(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// What was asked for, once it is `level` or more. Nobody left to ask: end it.
async fn reached(stop: &mut watch::Receiver<Stop>, level: Stop) -> Stop {
    stop.wait_for(|now| *now >= level)
        .await
        .map_or(Stop::Now, |now| *now)
}
