//! What a child process writes: passed on line by line, and its last lines kept for when it dies.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::process::Child;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::tasks::Tasks;

/// Lines that are kept.
const LAST: usize = 20;

/// Longest line that is passed on whole.
const LONGEST: u64 = 16 * 1024;

/// How long the words of a process that has ended may take to arrive. A process of its own that
/// outlives it may hold the streams open.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// The last lines of one process.
#[derive(Debug)]
pub struct Output {
    lines: Lines,
    readers: Vec<JoinHandle<()>>,
}

type Lines = Arc<Mutex<VecDeque<String>>>;

impl Output {
    /// Takes both streams of a child that was just started; `say` passes a line on.
    pub fn capture(
        child: &mut Child,
        tasks: &Tasks,
        say: impl Fn(&str) + Clone + Send + 'static,
    ) -> Self {
        let lines = Lines::default();
        let mut readers = Vec::new();
        if let Some(out) = child.stdout.take() {
            readers.push(tasks.spawn("child output", read(lines.clone(), out, say.clone())));
        }
        if let Some(err) = child.stderr.take() {
            readers.push(tasks.spawn("child output", read(lines.clone(), err, say)));
        }
        Output { lines, readers }
    }

    /// The last lines of a process that has ended.
    pub async fn last(self) -> Vec<String> {
        // Either they are all there, or what is there has to do.
        let _ = timeout(LAST_WORDS, join_all(self.readers)).await;
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().cloned().collect()
    }
}

/// Until the stream ends, which it does with the process.
async fn read(lines: Lines, stream: impl AsyncRead + Unpin, say: impl Fn(&str)) {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut limited = (&mut stream).take(LONGEST);
        match limited.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let line = String::from_utf8_lossy(&line);
                let line = line.trim_end();
                say(line);
                let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
                if lines.len() == LAST {
                    lines.pop_front();
                }
                lines.push_back(line.to_owned());
            }
        }
    }
}
