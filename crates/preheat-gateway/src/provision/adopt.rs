//! What a gateway before this one has left: replicas that live are taken over, whatever else it left
//! is cleared away.

use std::fs;
use std::io;
use std::path::Path;

use preheat_api::state::ServiceState;
use preheat_core::{ReplicaId, Revision};
use preheat_runtime::process::Stranger;
use rustix::process::{Signal, kill_process_group};

use super::life::{self, Life, OWNER};
use super::{Process, Provisioner};

/// How a service stood when its gateway was ended, and who lives of it.
#[derive(Debug, Default)]
pub struct Inherited {
    pub state: Option<ServiceState>,
    pub replicas: Vec<Adopted>,
}

#[derive(Debug)]
pub struct Adopted {
    pub id: ReplicaId,
    pub revision: Revision,
    pub process: Process,
}

#[derive(Debug, thiserror::Error)]
enum NotAdopted {
    #[error("it is not known what it was: {0}")]
    Unknown(#[source] io::Error),
    #[error("its process has ended: {0}")]
    Ended(#[source] io::Error),
    /// It was ended.
    #[error("it is of a revision that nobody asks for: {0}")]
    Revision(String),
    #[error("it cannot be told whose it is: {0}")]
    Owner(#[source] io::Error),
}

impl Provisioner {
    /// Takes over the replicas of these revisions. Those of others are ended.
    pub fn adopt(&self, known: &[Revision]) -> Vec<Adopted> {
        let Ok(folders) = fs::read_dir(&self.settings.dir) else {
            return Vec::new();
        };
        let mut adopted = Vec::new();
        for folder in folders.filter_map(Result::ok) {
            let Some(id) = folder.file_name().to_str().and_then(replica) else {
                continue;
            };
            match self.take_over(&id, &folder.path(), known) {
                Ok(replica) => adopted.push(replica),
                Err(why) => {
                    tracing::info!(event = "not_adopted", replica = %id, %why, "a replica is not taken over");
                    // Without its folder it finds no new owner, and leaves.
                    if let Err(error) = fs::remove_dir_all(folder.path()) {
                        tracing::warn!(event = "replica_files_left", replica = %id, %error, "files were left");
                    }
                }
            }
        }
        adopted
    }

    fn take_over(
        &self,
        id: &ReplicaId,
        dir: &Path,
        known: &[Revision],
    ) -> Result<Adopted, NotAdopted> {
        let state = life::recorded(dir).map_err(NotAdopted::Unknown)?;
        let stranger = Stranger::of(state.pid, state.began).map_err(NotAdopted::Ended)?;
        let revision = Revision::new(state.revision);
        if !known.contains(&revision) {
            // It leads its group, and it is the process that was written down.
            let _ = kill_process_group(stranger.pid(), Signal::KILL);
            return Err(NotAdopted::Revision(revision.as_str().into()));
        }
        fs::write(dir.join(OWNER), &self.owner.name).map_err(NotAdopted::Owner)?;
        let process = self.attend(id, dir.to_owned(), state.pid, Life::Adopted(stranger));
        Ok(Adopted {
            id: id.clone(),
            revision,
            process,
        })
    }
}

/// `r` and a number.
fn replica(name: &str) -> Option<ReplicaId> {
    let number = name.strip_prefix('r')?;
    number.parse::<u64>().ok()?;
    Some(ReplicaId::new(name))
}
