//! The memory events of a process's cgroup (Linux): how many of its processes the OOM killer has killed.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::PathBuf;

/// The events file of one cgroup, kept open.
#[derive(Debug)]
pub(crate) struct MemoryEvents {
    file: File,
    /// The file's path.
    pub path: PathBuf,
    /// Whether the file can be polled (POLLPRI) for changes: in cgroup v2, but not in v1.
    pub notifies: bool,
}

impl MemoryEvents {
    /// The events of the cgroup that `pid` is in: v2's `memory.events`, else v1's `memory.oom_control`.
    pub(crate) fn of(pid: i32) -> Option<MemoryEvents> {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        candidates(&groups, &mounts).into_iter().find_map(|(path, notifies)| {
            let file = File::open(&path).ok()?;
            Some(MemoryEvents { file, path, notifies })
        })
    }

    /// How many processes the OOM killer has killed so far. `None` where the file can't be read (the cgroup is gone).
    pub(crate) fn oom_kills(&mut self) -> Option<u64> {
        let mut text = String::new();
        self.file.rewind().ok()?;
        self.file.read_to_string(&mut text).ok()?;
        text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
    }

    /// The content of the cgroup's memory files, as text for people.
    pub(crate) fn describe(&self) -> String {
        let names: &[&str] = if self.notifies {
            &["memory.events", "memory.current", "memory.max", "memory.pressure"]
        } else {
            &["memory.oom_control", "memory.failcnt", "memory.usage_in_bytes", "memory.limit_in_bytes"]
        };
        let mut text = String::new();
        for name in names {
            if let Ok(content) = fs::read_to_string(self.path.with_file_name(name)) {
                text.push_str(&format!("{name}:\n{}\n", content.trim_end()));
            }
        }
        text
    }
}

impl std::os::fd::AsFd for MemoryEvents {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Where the events files would be, by `/proc/PID/cgroup` and `/proc/self/mountinfo`; v2 first.
fn candidates(groups: &str, mounts: &str) -> Vec<(PathBuf, bool)> {
    // `ID:CONTROLLERS:PATH`; v2 has no controllers.
    let group = |wanted: &dyn Fn(&str) -> bool| {
        groups.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            wanted(controllers).then(|| path.to_owned())
        })
    };
    // `… ROOT MOUNTPOINT … - TYPE SOURCE OPTIONS`
    let mount = |wanted: &dyn Fn(&str, &str) -> bool| {
        mounts.lines().find_map(|line| {
            let (head, tail) = line.split_once(" - ")?;
            let mut tail = tail.split(' ');
            let (kind, options) = (tail.next()?, tail.nth(1)?);
            let mut head = head.split(' ').skip(3);
            let (root, point) = (head.next()?, head.next()?);
            wanted(kind, options).then(|| (root.to_owned(), point.to_owned()))
        })
    };
    let place = |(root, point): (String, String), group: &str, file: &str| {
        let below = if root == "/" { group } else { group.strip_prefix(root.as_str()).unwrap_or(group) };
        PathBuf::from(format!("{point}/{}/{file}", below.trim_matches('/')))
    };
    let mut found = Vec::new();
    if let (Some(group), Some(at)) = (group(&|c| c.is_empty()), mount(&|kind, _| kind == "cgroup2")) {
        found.push((place(at, &group, "memory.events"), true));
    }
    let memory = |list: &str| list.split(',').any(|name| name == "memory");
    if let (Some(group), Some(at)) = (group(&memory), mount(&|kind, options| kind == "cgroup" && memory(options))) {
        found.push((place(at, &group, "memory.oom_control"), false));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_found_for_both_versions() {
        let groups = "4:memory:/box/a\n3:cpu,cpuacct:/\n0::/user.slice/x.service\n";
        let mounts = "30 1 0:26 / /sys/fs/cgroup/unified rw shared:1 - cgroup2 cgroup2 rw\n\
                      31 1 0:27 /box /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        let found = candidates(groups, mounts);
        assert_eq!(found[0], ("/sys/fs/cgroup/unified/user.slice/x.service/memory.events".into(), true));
        assert_eq!(found[1], ("/sys/fs/cgroup/memory/a/memory.oom_control".into(), false));
        assert!(candidates("torn", "torn - torn").is_empty());
    }
}
