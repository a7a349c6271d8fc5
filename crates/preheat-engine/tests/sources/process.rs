//! A fetch in a process of its own: this very test binary, run again.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};

use preheat_engine::source::{FetchOptions, Progress, SourceRef, fetch as fetch_here};

const TASK: &str = "PREHEAT_TEST_FETCH";
const MARK: &str = "child: ";

pub(crate) struct Child {
    process: std::process::Child,
    output: BufReader<ChildStdout>,
}

impl Child {
    /// What it says next; `None` at its end.
    pub(crate) fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            if let Some((_, said)) = line.split_once(MARK) {
                return Some(said.trim_end().to_owned());
            }
            line.clear();
        }
        None
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts it, with a limit on the size of each file that it may write.
pub(crate) fn fetch(url: &str, cache: &Path, largest_file: Option<u64>) -> Child {
    // A shell sets what its children inherit: the limit, and that exceeding it is an error of the
    // write rather than a signal. `ulimit -f` counts blocks of 512 bytes.
    let limit = largest_file.map_or(String::new(), |bytes| {
        format!("trap '' XFSZ; ulimit -f {};", bytes / 512)
    });
    let mut process = Command::new("sh")
        .args(["-c", &format!(r#"{limit} exec "$@""#), "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "process::child", "--nocapture"])
        .env(TASK, format!("{url}\n{}", cache.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(process.stdout.take().unwrap());
    Child { process, output }
}

struct Talk;

impl Progress for Talk {
    fn waiting(&self, _: &str) {
        say("waiting");
    }
}

/// Not a test of its own: what the process started above runs.
#[tokio::test]
async fn child() {
    let Ok(task) = std::env::var(TASK) else {
        return;
    };
    let (url, cache) = task.split_once('\n').unwrap();
    let source = SourceRef::parse(url).unwrap();
    match fetch_here(&source, &FetchOptions::new(cache), &Talk).await {
        Ok(fetched) if fetched.cached => say(&format!("cached {}", fetched.revision)),
        Ok(fetched) => say(&format!("fetched {}", fetched.revision)),
        Err(error) => say(&format!("error {error}")),
    }
}

#[expect(
    clippy::print_stdout,
    reason = "its output is how the child talks to the test"
)]
fn say(text: &str) {
    println!("{MARK}{text}");
}
