//! Determines which program holds a lock file, without touching the lock: a try would take the lock for an instant, and
//! a program that tries the lock in that instant would find it held.

use std::path::Path;

/// The state of a lock file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FlockState {
    /// Nobody holds it.
    Free,
    /// The process with this pid holds it; 0 where the kernel does not say which. Only Linux tells.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code))]
    Held(i32),
    /// This platform does not tell.
    Unknown,
}

/// The state of the lock file at `path`. A missing file is free.
pub(crate) fn flock_state(path: &Path) -> FlockState {
    let Ok(meta) = std::fs::symlink_metadata(path) else { return FlockState::Free };
    platform::state(path, &meta)
}

#[cfg(target_os = "linux")]
mod platform {
    use super::FlockState;
    use std::fs::{self, File, Metadata};
    use std::io::{self, Read};
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    /// By `/proc/locks` (proc_locks(5)): `N: FLOCK  ADVISORY  WRITE PID MAJOR:MINOR:INODE START END`. On a layered file
    /// system (overlayfs) the device in this line is another one than `stat` reports; then the holder must have the
    /// file open.
    pub(super) fn state(path: &Path, meta: &Metadata) -> FlockState {
        let dev = (nix::sys::stat::major(meta.dev()), nix::sys::stat::minor(meta.dev()));
        for _ in 0..TRIES {
            let Ok((locks, whole)) = read_locks() else { return FlockState::Unknown };
            let held = locks.lines().filter_map(parse).filter(|lock| lock.inode == meta.ino());
            let mut ours = held.filter(|lock| lock.device == dev || has_open(lock.pid, path));
            if let Some(lock) = ours.next() {
                return FlockState::Held(lock.pid.max(0));
            }
            if whole {
                break;
            }
        }
        FlockState::Free
    }

    /// How often a lock is looked for in a text that may lack it.
    const TRIES: usize = 5;

    /// The text of `/proc/locks`, and whether no held lock can be missing from it: one read gives the locks of one
    /// instant, but at most a page of them (the kernel's `locks_start`, seq_file); a lock that is released between two
    /// reads has the second one leave out another lock. The standard library begins with a read of 32 bytes.
    fn read_locks() -> io::Result<(String, bool)> {
        let mut file = File::open("/proc/locks")?;
        let (mut text, mut reads) = (Vec::new(), 0);
        let mut page = vec![0; 1 << 16];
        loop {
            match file.read(&mut page) {
                Ok(0) => return Ok((String::from_utf8_lossy(&text).into_owned(), reads < 2)),
                Ok(count) => {
                    text.extend_from_slice(&page[..count]);
                    reads += 1;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    #[derive(Debug, PartialEq, Eq)]
    pub(super) struct KernelLock {
        pub(super) pid: i32,
        pub(super) device: (u64, u64),
        pub(super) inode: u64,
    }

    /// A held flock. `None`: another kind of lock, or a lock that somebody waits for (its line has an arrow).
    pub(super) fn parse(line: &str) -> Option<KernelLock> {
        let mut fields = line.split_whitespace().skip(1);
        if fields.next()? != "FLOCK" {
            return None;
        }
        let pid = fields.nth(2)?.parse().ok()?;
        let mut place = fields.next()?.split(':');
        let mut hex = || u64::from_str_radix(place.next()?, 16).ok();
        let device = (hex()?, hex()?);
        Some(KernelLock { pid, device, inode: place.next()?.parse().ok()? })
    }

    fn has_open(pid: i32, path: &Path) -> bool {
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        files.into_iter().any(|file| fs::read_link(file.path()).is_ok_and(|target| target == real))
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use super::FlockState;
    use std::fs::Metadata;
    use std::path::Path;

    pub(super) fn state(_: &Path, _: &Metadata) -> FlockState {
        FlockState::Unknown
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::platform::{KernelLock, parse};

    #[test]
    fn lines_of_the_kernel_as_a_table() {
        let lock = |pid| Some(KernelLock { pid, device: (0xfd, 0x0a), inode: 1234 });
        for (line, found) in [
            ("1: FLOCK  ADVISORY  WRITE 77 fd:0a:1234 0 EOF", lock(77)),
            ("2: FLOCK  ADVISORY  READ -1 fd:0a:1234 0 EOF", lock(-1)),
            ("2: -> FLOCK  ADVISORY  WRITE 77 fd:0a:1234 0 EOF", None),
            ("3: POSIX  ADVISORY  WRITE 77 fd:0a:1234 0 EOF", None),
            ("4: FLOCK torn", None),
            ("", None),
        ] {
            assert_eq!(parse(line), found, "{line}");
        }
    }
}
