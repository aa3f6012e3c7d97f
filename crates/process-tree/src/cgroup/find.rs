//! Finds the directories of a process's control groups in the mounted file systems.

use std::path::{Path, PathBuf};

use super::Directory;

/// The control groups of one process, one in each hierarchy, with their directories.
pub(super) struct Hierarchies(Vec<Hierarchy>);

struct Hierarchy {
    /// The names of its controllers; empty for version 2.
    controllers: Vec<String>,
    /// The directory of the process's group.
    path: PathBuf,
}

/// A mounted hierarchy, from `/proc/self/mountinfo`.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    /// The group that appears at the mount point.
    root: PathBuf,
    point: PathBuf,
    is_v2: bool,
    options: Vec<String>,
}

impl Hierarchies {
    /// The groups of another process, as far as they are mounted here.
    pub fn of(pid: i32) -> Option<Hierarchies> {
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        Some(Hierarchies::resolve(&groups, &mounts()?, false))
    }

    /// The groups of this process. In a container, `/proc/self/cgroup` may give a path of the host, while only the
    /// container's part of that hierarchy is mounted: then the mount point is the directory of the group.
    pub fn of_self() -> Option<Hierarchies> {
        let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
        Some(Hierarchies::resolve(&groups, &mounts()?, true))
    }

    /// Finds the directory of each group in `groups`, the contents of a `/proc/PID/cgroup`. If a path is not below the
    /// mount, `or_mount_point` decides whether the mount point is taken instead.
    fn resolve(groups: &str, mounts: &[Mount], or_mount_point: bool) -> Hierarchies {
        Hierarchies(
            groups
                .lines()
                .filter_map(|line| {
                    // hierarchy-id:controllers:path. cgroups(7)
                    let mut parts = line.splitn(3, ':').skip(1);
                    let controllers: Vec<String> =
                        parts.next()?.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
                    let group = Path::new(parts.next()?);
                    let mut mounts = mounts.iter().filter(|mount| mount.carries(&controllers));
                    let path = mounts
                        .clone()
                        .filter_map(|mount| Some(mount.point.join(group.strip_prefix(&mount.root).ok()?)))
                        .find(|path| path.is_dir())
                        .or_else(|| mounts.next().filter(|_| or_mount_point).map(|mount| mount.point.clone()))?;
                    Some(Hierarchy { controllers, path })
                })
                .collect(),
        )
    }

    /// The directory with the files of a controller, which is named as in version 1.
    pub fn directory(&self, controller: &str) -> Option<Directory> {
        let carries = |hierarchy: &&Hierarchy| hierarchy.controllers.iter().any(|name| name == controller);
        match self.0.iter().find(carries) {
            // Only the root group, that of the whole machine, has the file `release_agent`.
            Some(v1) => (!v1.path.join("release_agent").exists()).then(|| Directory::V1(v1.path.clone())),
            None => self.unified().map(Directory::V2),
        }
    }

    /// Whether the directory of one of the groups is `directory` or below it.
    pub fn are_within(&self, directory: &Path) -> bool {
        self.0.iter().any(|hierarchy| hierarchy.path.starts_with(directory))
    }

    /// The version 2 directory, if it is mounted and not the root group, that of the whole machine.
    pub fn unified(&self) -> Option<PathBuf> {
        self.v2().filter(|path| path.join("cgroup.events").exists()) // which only the root group lacks
    }

    /// The version 2 directory, if it is mounted.
    pub fn v2(&self) -> Option<PathBuf> {
        self.0.iter().find(|hierarchy| hierarchy.controllers.is_empty()).map(|v2| v2.path.clone())
    }
}

impl Mount {
    fn carries(&self, controllers: &[String]) -> bool {
        match controllers {
            [] => self.is_v2,
            names => !self.is_v2 && names.iter().all(|name| self.options.contains(name)),
        }
    }

    /// Parses one line of proc_pid_mountinfo(5); `None` if the mount is no hierarchy of control groups.
    fn parse(line: &str) -> Option<Mount> {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let mut file_system = file_system.split(' ');
        let is_v2 = match file_system.next()? {
            "cgroup2" => true,
            "cgroup" => false,
            _ => return None,
        };
        Some(Mount {
            root: unescape(mount.next()?).into(),
            point: unescape(mount.next()?).into(),
            is_v2,
            options: file_system.nth(1)?.split(',').map(str::to_owned).collect(),
        })
    }
}

fn mounts() -> Option<Vec<Mount>> {
    Some(std::fs::read_to_string("/proc/self/mountinfo").ok()?.lines().filter_map(Mount::parse).collect())
}

/// Decodes a path: the kernel writes a space as \040. proc_pid_mountinfo(5)
fn unescape(path: &str) -> String {
    path.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A temporary directory, which `drop` removes.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let path = std::env::temp_dir().join(format!("process-tree-{name}-{}", std::process::id()));
            std::fs::create_dir_all(path.join("below")).unwrap();
            Scratch(path)
        }

        fn mount(&self, root: &str, kind: &str, options: &str) -> Vec<Mount> {
            let point = self.0.display();
            vec![Mount::parse(&format!("35 31 0:32 {root} {point} rw shared:1 - {kind} none {options}")).unwrap()]
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn path_of(directory: Option<Directory>) -> Option<PathBuf> {
        directory.map(|directory| directory.path().to_owned())
    }

    #[test]
    fn the_directory_of_a_group_is_below_the_mount_point() {
        let scratch = Scratch::new("below");
        let mounts = scratch.mount("/", "cgroup", "rw,cpu,cpuacct");
        let found = Hierarchies::resolve("2:cpu,cpuacct:/below\n0::/\n", &mounts, false);
        assert_eq!(path_of(found.directory("cpuacct")), Some(scratch.0.join("below")));
        assert_eq!(found.directory("memory"), None);
    }

    #[test]
    fn in_a_container_the_mount_point_is_the_containers_group() {
        let scratch = Scratch::new("container");
        let mounts = scratch.mount("/docker/abc", "cgroup", "rw,memory");
        let found = Hierarchies::resolve("4:memory:/docker/abc\n", &mounts, false);
        assert_eq!(path_of(found.directory("memory")), Some(scratch.0.clone()));
        let found = Hierarchies::resolve("4:memory:/docker/abc/below\n", &mounts, false);
        assert_eq!(path_of(found.directory("memory")), Some(scratch.0.join("below")));
    }

    #[test]
    fn a_path_that_is_not_mounted_becomes_the_mount_point_only_for_this_process() {
        let scratch = Scratch::new("host-path");
        let mounts = scratch.mount("/", "cgroup", "rw,memory");
        let group = "4:memory:/system.slice/docker-abc.scope\n";
        assert_eq!(path_of(Hierarchies::resolve(group, &mounts, true).directory("memory")), Some(scratch.0.clone()));
        assert_eq!(Hierarchies::resolve(group, &mounts, false).directory("memory"), None);
    }

    #[test]
    fn the_root_group_is_never_used() {
        let scratch = Scratch::new("machine");
        let v2 = scratch.mount("/", "cgroup2", "rw");
        assert_eq!(Hierarchies::resolve("0::/\n", &v2, true).directory("memory"), None);
        std::fs::write(scratch.0.join("cgroup.events"), "populated 1").unwrap();
        assert!(Hierarchies::resolve("0::/\n", &v2, true).directory("memory").is_some(), "a group namespace");

        let v1 = scratch.mount("/", "cgroup", "rw,memory");
        assert!(Hierarchies::resolve("4:memory:/\n", &v1, true).directory("memory").is_some());
        std::fs::write(scratch.0.join("release_agent"), "").unwrap();
        assert_eq!(Hierarchies::resolve("4:memory:/\n", &v1, true).directory("memory"), None);
    }
}
