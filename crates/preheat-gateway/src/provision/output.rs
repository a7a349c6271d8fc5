//! What a replica writes: into a file of its own, which outlives a gateway where a pipe would not.
//! It is passed on line by line, kept short, and its last lines are read when the replica has died.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use preheat_core::ReplicaId;
use preheat_runtime::Tasks;
use tokio::time::sleep;

/// Last lines that are told.
const LAST: usize = 20;

/// Read at once, and the longest line that is passed on whole.
const LONGEST: usize = 16 * 1024;

/// A longer file is begun anew.
const LARGEST: u64 = 1024 * 1024;

/// Between two looks at what was written.
const LOOK: Duration = Duration::from_millis(250);

/// Where one replica writes.
#[derive(Debug, Clone)]
pub struct Output(PathBuf);

impl Output {
    #[must_use]
    pub fn of(dir: &Path) -> Self {
        Output(dir.join("log"))
    }

    /// For the process itself: whatever is written goes to the end.
    pub fn open(&self) -> io::Result<File> {
        OpenOptions::new().create(true).append(true).open(&self.0)
    }

    /// Passes on what is written until the replica's tasks are told to stop.
    pub async fn follow(self, id: ReplicaId, tasks: Tasks) {
        let token = tasks.token().clone();
        let follow = async {
            let mut reader = Reader::default();
            loop {
                sleep(LOOK).await;
                // What cannot be read now is read next time.
                let _ = reader.read(&self.0, &id);
            }
        };
        tokio::select! {
            () = follow => {}
            () = token.cancelled() => {}
        }
    }

    #[must_use]
    pub fn last(&self) -> Vec<String> {
        let Ok(text) = tail(&self.0) else {
            return Vec::new();
        };
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines[lines.len().saturating_sub(LAST)..].to_vec()
    }
}

fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LONGEST as u64)))?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// How far a file has been passed on.
#[derive(Debug, Default)]
struct Reader {
    at: u64,
    /// A line whose end is still to come.
    begun: Vec<u8>,
}

impl Reader {
    fn read(&mut self, path: &Path, id: &ReplicaId) -> io::Result<()> {
        let length = path.metadata()?.len();
        if tracing::enabled!(target: "preheat::replica", tracing::Level::DEBUG) {
            self.pass_on(path, length, id)?;
        }
        if length > LARGEST {
            OpenOptions::new().write(true).open(path)?.set_len(0)?;
            self.at = 0;
        }
        Ok(())
    }

    fn pass_on(&mut self, path: &Path, length: u64, id: &ReplicaId) -> io::Result<()> {
        if length < self.at {
            self.at = 0;
        }
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(self.at))?;
        let mut piece = vec![0; LONGEST];
        while self.at < length {
            let count = file.read(&mut piece)?;
            if count == 0 {
                break;
            }
            self.at += count as u64;
            for line in self.lines(&piece[..count]) {
                tracing::debug!(target: "preheat::replica", event = "replica_said", replica = %id, "{line}");
            }
        }
        Ok(())
    }

    fn lines(&mut self, piece: &[u8]) -> Vec<String> {
        self.begun.extend_from_slice(piece);
        let mut lines = Vec::new();
        while let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.begun.drain(..=end).collect();
            lines.push(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
        if self.begun.len() > LONGEST {
            lines.push(String::from_utf8_lossy(&self.begun).into_owned());
            self.begun.clear();
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_the_file_stays_short() {
        let dir = std::env::temp_dir().join(format!("preheat-output-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let output = Output::of(&dir);
        assert!(output.last().is_empty(), "nothing was written");
        let mut file = output.open().unwrap();
        (0..200_000).for_each(|line| writeln!(file, "line {line}").unwrap());
        let last = output.last();
        assert_eq!((last.len(), last[19].as_str()), (20, "line 199999"));
        let id = ReplicaId::new("r1");
        Reader::default().read(&output.0, &id).unwrap();
        writeln!(file, "after").unwrap();
        assert_eq!(output.last(), ["after"]);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn lines_are_found_however_they_are_cut() {
        for size in [1, 3, 1000] {
            let mut reader = Reader::default();
            let pieces = b"one\ntwo\nthr".chunks(size);
            let lines: Vec<_> = pieces.flat_map(|piece| reader.lines(piece)).collect();
            assert_eq!(lines, ["one", "two"], "in pieces of {size}");
        }
        let long = Reader::default().lines(&vec![b'x'; 3 * LONGEST]);
        assert_eq!(long.len(), 1, "a line without an end is not kept");
    }
}
