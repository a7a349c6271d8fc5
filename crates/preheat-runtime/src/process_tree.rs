//! Processes below another one, and the memory that they take together. Nothing where the system
//! has no `/proc`.

use std::collections::BTreeMap;
use std::fs;

use crate::memory::kibibytes;

/// Every process that `root` started, directly or not, without itself.
#[must_use]
pub fn below(root: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        if let Some((pid, parent)) = pid.and_then(|pid: u32| Some((pid, parent(pid)?))) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut next = vec![root];
    while let Some(pid) = next.pop() {
        let own = children.remove(&pid).unwrap_or_default();
        next.extend(&own);
        found.extend(own);
    }
    found
}

/// Resident bytes of a process and of all below it; what several share counts once.
#[must_use]
pub fn resident(root: u32) -> u64 {
    below(root).into_iter().chain([root]).map(memory).sum()
}

fn memory(pid: u32) -> u64 {
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
    // Shared pages are divided among those who share them; not every kernel tells.
    let shared = read("smaps_rollup").and_then(|text| kibibytes(&text, "Pss:"));
    shared
        .or_else(|| kibibytes(&read("status")?, "VmRSS:"))
        .unwrap_or(0)
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // pid (name) state parent …; a name may hold anything, a bracket too.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_child_of_a_child_is_found_and_weighed() {
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 60 & echo; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // The shell says when it has started the other one.
        let mut line = String::new();
        let mut out = std::io::BufReader::new(shell.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut out, &mut line).unwrap();
        let found = below(std::process::id());
        assert!(found.contains(&shell.id()), "{found:?}");
        let sleepers = below(shell.id());
        assert_eq!(sleepers.len(), 1);
        assert!(resident(shell.id()) > resident(sleepers[0]));
        shell.kill().unwrap();
        shell.wait().unwrap();
        let sleeper = i32::try_from(sleepers[0]).unwrap();
        let sleeper = rustix::process::Pid::from_raw(sleeper).unwrap();
        rustix::process::kill_process(sleeper, rustix::process::Signal::KILL).unwrap();
    }
}
