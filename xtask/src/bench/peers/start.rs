//! A peer as a process of its own.

use std::env;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use super::install::Places;
use super::spec::{FOLDER, Spec};
use crate::bench::client::{self, Client};
use crate::shell;

/// The slowest of them take half a minute; who takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// Between two looks at whether it is ready: well below what the fastest start takes.
const LOOK: Duration = Duration::from_millis(1);

pub(super) struct Peer {
    child: Child,
    pub(super) started: Instant,
    pub(super) address: SocketAddr,
}

impl Peer {
    /// Starts it and waits until it says that it is ready.
    pub(super) fn start(spec: &Spec, places: &Places) -> Result<Self> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let fill = |text: &String| match text.as_str() {
            "PORT" => address.port().to_string(),
            "MODEL" => places.model.display().to_string(),
            "ONNX" => places.onnx.display().to_string(),
            _ => text.clone(),
        };
        let programs = match &spec.environment {
            Some(name) => places.programs(name),
            None => places.binaries.clone(),
        };
        let log = File::create(&places.log)?;
        let mut command = Command::new(programs.join(&spec.command[0]));
        command
            .args(spec.command[1..].iter().map(fill))
            .envs(spec.env.iter().map(|(name, value)| (name, fill(value))))
            .env("PATH", path(&programs)?)
            .current_dir(shell::root().join(FOLDER))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Servers start servers; all of them must go.
            .process_group(0);
        let started = Instant::now();
        let shown = command.get_program().to_owned();
        let child = command
            .spawn()
            .with_context(|| shown.display().to_string())?;
        let mut peer = Peer {
            child,
            started,
            address,
        };
        peer.wait(&client::get(&spec.ready))?;
        Ok(peer)
    }

    fn wait(&mut self, ready: &[u8]) -> Result<()> {
        loop {
            let asked = Client::connect(self.address).and_then(|mut client| client.call(ready));
            if let Ok((200, _)) = asked {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended ({status})");
            }
            if self.started.elapsed() > PATIENCE {
                bail!("not ready after {PATIENCE:?}");
            }
            thread::sleep(LOOK);
        }
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Both fail when it has ended already, which is as well.
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let _ = group.map(|group| kill_process_group(group, Signal::KILL));
        let _ = self.child.wait();
    }
}

/// Its own programs before those of the system.
fn path(programs: &Path) -> Result<std::ffi::OsString> {
    let system = env::var_os("PATH").unwrap_or_default();
    Ok(env::join_paths(
        std::iter::once(programs.to_owned()).chain(env::split_paths(&system)),
    )?)
}

pub(super) fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
