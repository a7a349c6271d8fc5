//! What is done to the fleet.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use preheat_api::service::ServiceReport;
use rustix::process::Signal;

use super::schedule::{Event, Fault};
use super::way::{Interposed, State};
use crate::bench::fleet::{Gateway, serving, signal};

/// A slow replica works so long of every [`TURN`].
const WORKS: Duration = Duration::from_millis(2);
const TURN: Duration = Duration::from_millis(10);

/// A gateway asks a replica little once it is slow, so every second piece is the last.
const CUT_BEHIND: u64 = 2;

/// How long a replacement is waited for that is to be killed.
const REPLACED: Duration = Duration::from_secs(10);

/// Everything that faults are done with.
pub(super) struct Stage<'a> {
    pub(super) gateway: Gateway,
    /// Where the gateway keeps its replicas.
    pub(super) dir: PathBuf,
    /// Its binary, of this run alone.
    pub(super) binary: PathBuf,
    /// Odd while there is no gateway.
    pub(super) gone: &'a AtomicUsize,
    /// The gateway's process; 0 while there is none.
    pub(super) process: &'a AtomicU32,
    pub(super) users_way: &'a State,
    /// Whether the fleet's disk is one of its own, which may be filled.
    pub(super) own_disk: bool,
    /// Connections to replicas that were cut.
    pub(super) cut: usize,
}

impl Stage<'_> {
    /// Does it, and undoes what can be undone. Processes that were killed.
    pub(super) fn play(&mut self, event: Event) -> Result<Vec<u32>> {
        let unharmed = |done: Result<()>| done.map(|()| Vec::new());
        match event.fault {
            Fault::KillReplica => Ok(vec![self.to_one(event.whom, Signal::KILL)?]),
            Fault::KillAll => self.to_all(Signal::KILL),
            Fault::KillWarming => self.kill_warming(event.whom),
            Fault::Stop | Fault::StopForLong => unharmed(self.stop(event)),
            Fault::Slow => unharmed(self.slow(event)),
            Fault::BreakReplicaWay => self.break_replica_way(event),
            Fault::BreakUsersWay => {
                self.users_way.bad.store(true, Ordering::Relaxed);
                sleep(event.lasts);
                self.users_way.bad.store(false, Ordering::Relaxed);
                Ok(Vec::new())
            }
            Fault::DiskFull => self.fill_disk(event),
            Fault::StartFails => self.fail_starts(event),
            Fault::KillGateway => unharmed(self.kill_gateway(event)),
        }
    }

    /// One of those that serve.
    fn one(&self, whom: usize) -> Result<(u32, String)> {
        let service = self.gateway.service()?;
        let serving = serving(&service);
        let chosen = serving.get(whom % serving.len().max(1));
        let chosen = chosen.context("nobody serves")?;
        Ok((chosen.pid, chosen.id.clone()))
    }

    fn to_one(&self, whom: usize, what: Signal) -> Result<u32> {
        let (pid, _) = self.one(whom)?;
        signal(pid, what)?;
        Ok(pid)
    }

    fn to_all(&self, what: Signal) -> Result<Vec<u32>> {
        let service = self.gateway.service()?;
        let all: Vec<u32> = serving(&service).iter().map(|r| r.pid).collect();
        all.iter().try_for_each(|pid| signal(*pid, what))?;
        Ok(all)
    }

    fn kill_warming(&self, whom: usize) -> Result<Vec<u32>> {
        let first = self.to_one(whom, Signal::KILL)?;
        let Some((second, _)) = self.newcomer()? else {
            return Ok(vec![first]);
        };
        signal(second, Signal::KILL)?;
        Ok(vec![first, second])
    }

    /// Who comes in the place of one that was killed, before it is warm. None when the fleet has
    /// enough without it, or waits before it starts another.
    fn newcomer(&self) -> Result<Option<(u32, String)>> {
        let deadline = Instant::now() + REPLACED;
        while Instant::now() < deadline {
            let service = self.gateway.service()?;
            let warms = |phase: &str| ["loading", "warming", "proving"].contains(&phase);
            if let Some(replica) = service.replicas.iter().find(|r| warms(&r.phase)) {
                return Ok(Some((replica.pid, replica.id.clone())));
            }
            sleep(Duration::from_millis(2));
        }
        Ok(None)
    }

    fn stop(&self, event: Event) -> Result<()> {
        let pid = self.to_one(event.whom, Signal::STOP)?;
        sleep(event.lasts);
        signal(pid, Signal::CONT)
    }

    fn slow(&self, event: Event) -> Result<()> {
        let (pid, _) = self.one(event.whom)?;
        let until = Instant::now() + event.lasts;
        while Instant::now() < until {
            signal(pid, Signal::STOP)?;
            sleep(TURN - WORKS);
            signal(pid, Signal::CONT)?;
            sleep(WORKS);
        }
        Ok(())
    }

    /// A gateway keeps its connections, so the way is taken before it has any: the way to a newcomer,
    /// which is a spare then, and takes the place of one that is killed.
    fn break_replica_way(&mut self, event: Event) -> Result<Vec<u32>> {
        let first = self.to_one(event.whom, Signal::KILL)?;
        let Some((_, id)) = self.newcomer()? else {
            return Ok(vec![first]);
        };
        let socket = self.dir.join("0").join(&id).join("s:8000");
        let state = State::cutting(CUT_BEHIND);
        let second = thread::scope(|scope| {
            let place = Interposed::before(scope, &socket, &state, event.whom as u64);
            let played = place.context("the way to a newcomer").and_then(|_place| {
                let second = self.promote(&id, event.whom)?;
                state.bad.store(true, Ordering::Relaxed);
                sleep(event.lasts);
                state.bad.store(false, Ordering::Relaxed);
                Ok(second)
            });
            state.over.store(true, Ordering::Relaxed);
            played
        })?;
        self.cut += state.cut.load(Ordering::Relaxed);
        Ok(vec![first, second])
    }

    /// Kills one that serves, so that this one, a spare, does. Who was killed.
    fn promote(&self, id: &str, whom: usize) -> Result<u32> {
        let is = |s: &ServiceReport, serves: bool| {
            let mut ready = s.replicas.iter().filter(|r| r.phase == "ready");
            ready.any(|r| r.id == id && (r.serving || !serves))
        };
        self.gateway
            .until("a newcomer is warm", REPLACED, |s| is(s, false))?;
        let killed = self.to_one(whom, Signal::KILL)?;
        self.gateway
            .until("a newcomer serves", REPLACED, |s| is(s, true))?;
        Ok(killed)
    }

    fn fill_disk(&self, event: Event) -> Result<Vec<u32>> {
        let filler = self.dir.join("filler");
        let mut file = fs::File::create(&filler)?;
        let piece = vec![0; 64 * 1024];
        while file.write_all(&piece).is_ok() {}
        let killed = self.to_one(event.whom, Signal::KILL)?;
        sleep(event.lasts);
        fs::remove_file(&filler)?;
        Ok(vec![killed])
    }

    fn fail_starts(&self, event: Event) -> Result<Vec<u32>> {
        let mode = |mode| fs::set_permissions(&self.binary, Permissions::from_mode(mode));
        mode(0o600)?;
        let killed = self.to_one(event.whom, Signal::KILL);
        sleep(event.lasts);
        mode(0o700)?;
        Ok(vec![killed?])
    }

    fn kill_gateway(&mut self, event: Event) -> Result<()> {
        self.gone.fetch_add(1, Ordering::SeqCst);
        self.process.store(0, Ordering::Relaxed);
        self.gateway.kill()?;
        sleep(event.lasts);
        self.gateway.restart()?;
        self.process.store(self.gateway.id(), Ordering::Relaxed);
        self.gone.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// A small disk of its own in a folder, unmounted when dropped.
pub(super) struct Disk {
    at: PathBuf,
}

impl Disk {
    /// # Errors
    /// Why there is none: it takes rights that not everybody has.
    pub(super) fn mount(at: &Path, megabytes: usize) -> Result<Self> {
        let size = format!("size={megabytes}m,mode=0700");
        let at_text = at.to_str().context("a path that is no text")?;
        let mut mount =
            crate::shell::command("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", at_text]);
        crate::shell::output(&mut mount)?;
        Ok(Disk { at: at.to_owned() })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let mut unmount = crate::shell::command("umount", &["-l"]);
        unmount.arg(&self.at);
        if let Err(error) = crate::shell::output(&mut unmount) {
            eprintln!("{error:#}");
        }
    }
}
