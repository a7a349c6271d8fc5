//! The limits that a container or a service manager has put on this process: cgroup v2 and v1.
//!
//! A limit may sit on any level between the process's own group and the root of the tree we see, so
//! every level is read and the smallest wins. Inside a container the own group may be called `/`
//! while its files lie at the mount point, or may have a path that is not mounted at all: a level
//! that cannot be read is passed over.

pub mod cell;

use std::path::{Path, PathBuf};

/// Where a controller's files for this process lie: the own group first, then its parents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) version: Version,
    pub(crate) levels: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V2,
}

/// The groups of this process that may limit `controller` (`memory` or `cpu`).
pub(crate) fn groups(controller: &str) -> Vec<Group> {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    find(
        controller,
        &read("/proc/self/cgroup"),
        &read("/proc/self/mountinfo"),
    )
}

/// The smallest of what `parse` finds in `file` on the levels of a group.
pub(crate) fn smallest<T: PartialOrd>(
    group: &Group,
    read: impl Fn(&Path) -> Option<T>,
) -> Option<T> {
    group
        .levels
        .iter()
        .filter_map(|level| read(level))
        .reduce(|a, b| if b < a { b } else { a })
}

/// From the texts of `/proc/self/cgroup` and `/proc/self/mountinfo`.
pub(crate) fn find(controller: &str, cgroup: &str, mountinfo: &str) -> Vec<Group> {
    let mounts: Vec<Mount<'_>> = mountinfo.lines().filter_map(Mount::parse).collect();
    cgroup
        .lines()
        .filter_map(|line| group(controller, line, &mounts))
        .collect()
}

fn group(controller: &str, line: &str, mounts: &[Mount<'_>]) -> Option<Group> {
    // hierarchy-id:controllers:path
    let mut fields = line.splitn(3, ':');
    let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    let version = match controllers {
        "" => Version::V2,
        list if list.split(',').any(|name| name == controller) => Version::V1,
        _ => return None,
    };
    let mount = mounts
        .iter()
        .find(|mount| mount.carries(version, controller))?;
    Some(Group {
        version,
        levels: mount.levels(path),
    })
}

/// One line of `/proc/self/mountinfo`, as far as it matters here.
#[derive(Debug)]
struct Mount<'a> {
    /// The part of the hierarchy that is mounted.
    root: &'a str,
    point: &'a str,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    /// `36 35 98:0 /root /point options optional… - kind source super-options`
    fn parse(line: &'a str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(3);
        let (root, point) = (left.next()?, left.next()?);
        let mut right = right.split(' ');
        let (kind, options) = (right.next()?, right.nth(1)?);
        Some(Mount {
            root,
            point,
            kind,
            options,
        })
    }

    fn carries(&self, version: Version, controller: &str) -> bool {
        match version {
            Version::V2 => self.kind == "cgroup2",
            Version::V1 => {
                self.kind == "cgroup" && self.options.split(',').any(|option| option == controller)
            }
        }
    }

    /// The directories of the group at `path` and of its parents, down to the mount point.
    fn levels(&self, path: &str) -> Vec<PathBuf> {
        let point = Path::new(self.point);
        let below = Path::new(path)
            .strip_prefix(self.root)
            // A path outside of what is mounted: all we can see is the mount point.
            .unwrap_or(Path::new(""));
        let inside = below
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_)));
        let own = if inside {
            point.join(below)
        } else {
            point.to_owned()
        };
        own.ancestors()
            .take_while(|level| level.starts_with(point))
            .map(Path::to_owned)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &str = "\
24 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
31 24 0:27 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";
    const V1: &str = "\
31 24 0:27 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory
32 24 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:10 - cgroup cgroup rw,cpu,cpuacct
33 24 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";
    const DOCKER_V1: &str = "\
31 24 0:27 /docker/abc /sys/fs/cgroup/memory ro master:9 - cgroup cgroup rw,memory";

    #[test]
    fn finds_every_level_that_may_limit_us() {
        for (what, controller, cgroup, mounts, expected) in [
            (
                "a service",
                "memory",
                "0::/system.slice/preheat.service",
                V2,
                &[
                    "/sys/fs/cgroup/system.slice/preheat.service",
                    "/sys/fs/cgroup/system.slice",
                    "/sys/fs/cgroup",
                ][..],
            ),
            (
                "a container of its own namespace",
                "cpu",
                "0::/",
                V2,
                &["/sys/fs/cgroup"],
            ),
            (
                "a path outside of the namespace",
                "cpu",
                "0::/../other",
                V2,
                &["/sys/fs/cgroup"],
            ),
            (
                "version 1",
                "cpu",
                "4:memory:/a\n3:cpu,cpuacct:/a/b\n0::/a",
                V1,
                &[
                    "/sys/fs/cgroup/cpu,cpuacct/a/b",
                    "/sys/fs/cgroup/cpu,cpuacct/a",
                    "/sys/fs/cgroup/cpu,cpuacct",
                    "/sys/fs/cgroup/unified/a",
                    "/sys/fs/cgroup/unified",
                ],
            ),
            (
                "a version 1 container that sees its own group at the mount point",
                "memory",
                "4:memory:/docker/abc",
                DOCKER_V1,
                &["/sys/fs/cgroup/memory"],
            ),
            ("no cgroups at all", "memory", "", "", &[]),
            (
                "not what we expect",
                "memory",
                "nonsense\n1:2",
                "x - y",
                &[],
            ),
        ] {
            let found: Vec<PathBuf> = find(controller, cgroup, mounts)
                .into_iter()
                .flat_map(|group| group.levels)
                .collect();
            let expected: Vec<PathBuf> = expected.iter().map(PathBuf::from).collect();
            assert_eq!(found, expected, "{what}");
        }
    }
}
