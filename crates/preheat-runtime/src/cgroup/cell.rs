//! A control group for one child and whatever it starts: its share of the CPUs beside others, and the
//! most memory that it may have. Made where this process may make groups; elsewhere there is none.
//!
//! Version 2 lets a group with processes in it have no controlled groups below it, its root excepted.
//! Whoever has a group to himself therefore moves into one beside the cells first, as the kernel's
//! documentation asks of those to whom a tree is delegated.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Group, Version, find};

/// Begins the names of cells: no other group is touched.
const PREFIX: &str = "preheat-";

/// Where this process moves to.
const OWN: &str = "preheat-gateway";

/// Shares of the CPUs, in each version's own unit: an ordinary one, and a tenth of it.
const ORDINARY: [&str; 2] = ["1024", "100"];
const BEHIND: [&str; 2] = ["102", "10"];

/// The groups of one child: one for each controller, or one for both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    version: Version,
    dir: PathBuf,
}

impl Cell {
    /// A cell beside this process's own group, with a process in it; what that one starts from now on
    /// is in it too. `name` tells it from all others on the machine. None where there can be none.
    #[must_use]
    pub fn around(pid: u32, name: &str) -> Option<Self> {
        let parents = parents();
        // One that is still empty may be swept away by somebody else.
        let made = Self::below(&parents, name, pid).or_else(|_| Self::below(&parents, name, pid));
        match made {
            Ok(cell) => Some(cell),
            Err(error) => {
                tracing::debug!(event = "no_cell", %error, "a replica goes without a control group");
                None
            }
        }
    }

    fn below(parents: &[Part], name: &str, pid: u32) -> io::Result<Self> {
        if parents.is_empty() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let mut parts = Vec::new();
        for parent in parents {
            let dir = parent.dir.join(format!("{PREFIX}{name}"));
            match fs::create_dir(&dir) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            fs::write(dir.join("cgroup.procs"), pid.to_string())?;
            parts.push(Part {
                version: parent.version,
                dir,
            });
        }
        Ok(Cell { parts })
    }

    /// The cell that a process is in.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let mut parts = own_groups(&groups);
        parts.retain(|part| is_cell(&part.dir));
        (!parts.is_empty()).then_some(Cell { parts })
    }

    /// A tenth of the share of those outside where both want a CPU.
    pub fn step_behind(&self) {
        self.weigh(BEHIND);
    }

    /// An ordinary share again.
    pub fn catch_up(&self) {
        self.weigh(ORDINARY);
    }

    /// # Errors
    /// When there is no such controller here.
    pub fn limit_memory(&self, bytes: u64) -> io::Result<()> {
        self.write_one(["memory.limit_in_bytes", "memory.max"], &bytes.to_string())
    }

    /// Processes in it that were killed for want of memory.
    #[must_use]
    pub fn killed_for_memory(&self) -> u64 {
        let files = ["memory.oom_control", "memory.events"];
        let told = self.parts.iter().filter_map(|part| {
            let text = fs::read_to_string(part.file(files)).ok()?;
            text.lines()
                .find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
        });
        told.max().unwrap_or(0)
    }

    /// Gives it up. One that is not empty yet stays until [`sweep`] finds it so.
    pub fn remove(self) {
        for part in self.parts {
            if let Err(error) = fs::remove_dir(&part.dir) {
                tracing::debug!(event = "cell_left", %error, dir = %part.dir.display(), "a control group was left");
            }
        }
    }

    fn weigh(&self, weights: [&str; 2]) {
        let files = ["cpu.shares", "cpu.weight"];
        let mut wanted = self.parts.iter().filter(|part| part.file(files).exists());
        let written =
            wanted.try_for_each(|part| fs::write(part.file(files), weights[part.version.index()]));
        if let Err(error) = written {
            tracing::debug!(event = "no_weight", %error, "a replica keeps its share of the CPUs");
        }
    }

    /// In the first part that has one of these files, by its version.
    fn write_one(&self, files: [&str; 2], text: &str) -> io::Result<()> {
        let part = self.parts.iter().find(|part| part.file(files).exists());
        fs::write(part.ok_or(io::ErrorKind::Unsupported)?.file(files), text)
    }
}

impl Part {
    fn file(&self, by_version: [&str; 2]) -> PathBuf {
        self.dir.join(by_version[self.version.index()])
    }
}

impl Version {
    fn index(self) -> usize {
        match self {
            Version::V1 => 0,
            Version::V2 => 1,
        }
    }
}

/// Removes empty cells that others have left beside this process's group.
pub fn sweep() {
    for parent in parents() {
        let cells = fs::read_dir(&parent.dir).into_iter().flatten().flatten();
        for cell in cells.map(|entry| entry.path()).filter(|dir| is_cell(dir)) {
            // Those with processes in them stay.
            let _ = fs::remove_dir(cell);
        }
    }
}

fn is_cell(dir: &Path) -> bool {
    let name = dir.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with(PREFIX) && name != OWN)
}

/// Groups that cells can be made in.
fn parents() -> Vec<Part> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = own_groups(&groups);
    own.into_iter().filter_map(ready).collect()
}

/// The groups for CPUs and for memory that a text of `/proc/PID/cgroup` names.
fn own_groups(groups: &str) -> Vec<Part> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut parts = Vec::new();
    for controller in ["cpu", "memory"] {
        // Where both versions are mounted, the older one has what it lists.
        let found = find(controller, groups, &mounts)
            .into_iter()
            .max_by_key(|group| group.version == Version::V1);
        let Some(Group { version, levels }) = found else {
            continue;
        };
        if let Some(dir) = levels.into_iter().next() {
            let part = Part { version, dir };
            if !parts.contains(&part) {
                parts.push(part);
            }
        }
    }
    parts
}

/// The group itself where cells below it can be controlled.
fn ready(group: Part) -> Option<Part> {
    if group.version == Version::V1 {
        return Some(group);
    }
    let mut dir = group.dir.as_path();
    if dir.file_name().is_some_and(|name| name == OWN) {
        dir = dir.parent()?;
    }
    let prepared = delegate(dir).or_else(|_| {
        move_aside(dir)?;
        delegate(dir)
    });
    match prepared {
        Ok(()) => Some(Part {
            version: Version::V2,
            dir: dir.to_owned(),
        }),
        Err(error) => {
            tracing::debug!(event = "no_cells", %error, dir = %dir.display(), "replicas go without control groups");
            None
        }
    }
}

/// Has groups below this one controlled, as far as there are controllers.
fn delegate(dir: &Path) -> io::Result<()> {
    let there = fs::read_to_string(dir.join("cgroup.controllers"))?;
    let wanted: Vec<_> = there
        .split_whitespace()
        .filter(|name| ["cpu", "memory"].contains(name))
        .map(|name| format!("+{name}"))
        .collect();
    match wanted.is_empty() {
        true => Err(io::ErrorKind::Unsupported.into()),
        false => fs::write(dir.join("cgroup.subtree_control"), wanted.join(" ")),
    }
}

/// Moves this process out of a group that it has to itself, into one below.
fn move_aside(dir: &Path) -> io::Result<()> {
    let own = std::process::id().to_string();
    let procs = fs::read_to_string(dir.join("cgroup.procs"))?;
    if procs.trim() != own {
        return Err(io::Error::other("the group is shared with other processes"));
    }
    let aside = dir.join(OWN);
    match fs::create_dir(&aside) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    fs::write(aside.join("cgroup.procs"), own)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a kernel would have put into a new group.
    fn parent(dir: &Path, version: Version) -> Part {
        Part {
            version,
            dir: dir.to_owned(),
        }
    }

    fn read(cell: &Cell, file: &str) -> String {
        fs::read_to_string(cell.parts[0].dir.join(file)).unwrap()
    }

    #[test]
    fn each_version_has_files_and_units_of_its_own() {
        for (version, weight, limit, events, behind, ordinary) in [
            (
                Version::V1,
                "cpu.shares",
                "memory.limit_in_bytes",
                "memory.oom_control",
                "102",
                "1024",
            ),
            (
                Version::V2,
                "cpu.weight",
                "memory.max",
                "memory.events",
                "10",
                "100",
            ),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let cell = Cell::below(&[parent(dir.path(), version)], "a-r1", 7).unwrap();
            assert_eq!(read(&cell, "cgroup.procs"), "7");
            assert!(cell.limit_memory(5).is_err(), "there is no such file");
            assert_eq!(cell.killed_for_memory(), 0);
            for file in [weight, limit, events] {
                fs::write(cell.parts[0].dir.join(file), "").unwrap();
            }
            cell.step_behind();
            assert_eq!(read(&cell, weight), behind);
            cell.catch_up();
            assert_eq!(read(&cell, weight), ordinary);
            cell.limit_memory(4096).unwrap();
            assert_eq!(read(&cell, limit), "4096");
            fs::write(cell.parts[0].dir.join(events), "low 1\noom 3\noom_kill 2\n").unwrap();
            assert_eq!(cell.killed_for_memory(), 2);
        }
    }

    #[test]
    fn a_tree_is_delegated_before_cells_are_made_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let at = |file: &str| dir.path().join(file);
        let part = parent(dir.path(), Version::V2);
        assert_eq!(ready(part.clone()), None, "no controllers");
        fs::write(at("cgroup.controllers"), "cpuset cpu io memory\n").unwrap();
        assert_eq!(ready(part.clone()), Some(part.clone()));
        let told = fs::read_to_string(at("cgroup.subtree_control")).unwrap();
        assert_eq!(told, "+cpu +memory");
        // Another that has moved aside before finds the same place.
        let aside = parent(&at(OWN), Version::V2);
        assert_eq!(ready(aside), Some(part));
    }

    #[test]
    fn only_a_group_of_its_own_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let at = |file: &str| dir.path().join(file);
        let own = std::process::id();
        fs::write(at("cgroup.procs"), format!("{own}\n1\n")).unwrap();
        assert!(move_aside(dir.path()).is_err(), "it is shared");
        fs::write(at("cgroup.procs"), format!("{own}\n")).unwrap();
        move_aside(dir.path()).unwrap();
        let moved = fs::read_to_string(at(OWN).join("cgroup.procs")).unwrap();
        assert_eq!(moved, own.to_string());
    }

    #[test]
    fn other_groups_are_never_taken_for_cells() {
        for (path, cell) in [
            ("/g/preheat-1f-r2", true),
            ("/g/preheat-gateway", false),
            ("/g/preheat", false),
            ("/g/other", false),
            ("/", false),
        ] {
            assert_eq!(is_cell(Path::new(path)), cell, "{path}");
        }
    }
}
