//! The process of a replica: a child of this gateway, or of one before it.

use std::fs;
use std::io;
use std::path::Path;

use preheat_api::state::ReplicaState;
use preheat_runtime::file;
use preheat_runtime::process::{Stranger, started};
use tokio::process::Child;

/// What a replica is known by, in its folder.
const RECORD: &str = "replica.json";

/// What is written there is a line.
const LIMIT_MB: u64 = 1;

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
    Ok(serde_json::from_slice(&file::read(
        &dir.join(RECORD),
        LIMIT_MB,
    )?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_a_line_and_no_more_is_read() {
        let dir = tempfile::tempdir().unwrap();
        record(dir.path(), 4711, "9c1f").unwrap();
        assert_eq!(recorded(dir.path()).unwrap().pid, 4711);
        let file = fs::File::create(dir.path().join(RECORD)).unwrap();
        file.set_len(1_000_001).unwrap();
        let error = recorded(dir.path()).unwrap_err();
        assert_eq!(error.to_string(), "it is larger than 1 MB");
    }
}
