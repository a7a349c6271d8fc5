//! What a replica writes: passed on line by line, and its last lines kept for when it dies.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use preheat_core::ReplicaId;
use preheat_runtime::Tasks;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::process::Child;

/// Lines that are kept.
const LAST: usize = 20;

/// Longest line that is passed on whole.
const LONGEST: u64 = 16 * 1024;

/// The last lines of one replica. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Output(Arc<Mutex<VecDeque<String>>>);

impl Output {
    /// Takes both streams of a child that was just started.
    pub fn capture(id: &ReplicaId, child: &mut Child, tasks: &Tasks) -> Self {
        let output = Output::default();
        if let Some(out) = child.stdout.take() {
            tasks.spawn("replica output", output.clone().read(id.clone(), out));
        }
        if let Some(err) = child.stderr.take() {
            tasks.spawn("replica output", output.clone().read(id.clone(), err));
        }
        output
    }

    pub fn last(&self) -> Vec<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().cloned().collect()
    }

    /// Until the stream ends, which it does with the process.
    async fn read(self, id: ReplicaId, stream: impl AsyncRead + Unpin) {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        loop {
            line.clear();
            let mut limited = (&mut stream).take(LONGEST);
            match limited.read_until(b'\n', &mut line).await {
                Ok(0) | Err(_) => return,
                Ok(_) => self.note(&id, String::from_utf8_lossy(&line).trim_end()),
            }
        }
    }

    fn note(&self, id: &ReplicaId, line: &str) {
        tracing::debug!(target: "preheat::replica", event = "replica_said", replica = %id, "{line}");
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LAST {
            lines.pop_front();
        }
        lines.push_back(line.to_owned());
    }
}
