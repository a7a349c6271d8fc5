//! The process of a replica: a child of this gateway, or of one before it.

use std::fs;
use std::io;
use std::path::Path;

use preheat_api::state::ReplicaState;
use preheat_runtime::process::{Stranger, started};
use tokio::process::Child;

/// What a replica is known by, in its folder.
const RECORD: &str = "replica.json";

/// Whose it is, in its folder.
pub const OWNER: &str = "owner";

#[derive(Debug)]
pub enum Life {
    Child(Child),
    Adopted(Stranger),
}

impl Life {
    /// Waits for its end, and says how it ended as far as that can be known. Cancel safe.
    pub async fn ended(&mut self) -> String {
        match self {
            Life::Child(child) => match child.wait().await {
                Ok(status) => status.to_string(),
                Err(error) => error.to_string(),
            },
            Life::Adopted(stranger) => {
                stranger.ended().await;
                "it was another gateway's child: its status is not known".into()
            }
        }
    }
}

/// Writes down what a gateway after this one will know a replica by.
pub fn record(dir: &Path, pid: u32, revision: &str) -> io::Result<()> {
    let state = ReplicaState {
        pid,
        began: started(pid),
        revision: revision.to_owned(),
    };
    fs::write(dir.join(RECORD), serde_json::to_vec(&state)?)
}

/// What a gateway before this one has written down.
pub fn recorded(dir: &Path) -> io::Result<ReplicaState> {
    Ok(serde_json::from_slice(&fs::read(dir.join(RECORD))?)?)
}
