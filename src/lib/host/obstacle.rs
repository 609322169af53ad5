//! The reason why a program can't be run, and what to do about it.

use crate::base::shell;
use nix::unistd::{AccessFlags, access};
use std::fmt;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A program that can't be run. Shown, it is one line: which program, why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// The program's file.
    pub program: PathBuf,
    /// What is in the way.
    pub kind: ObstacleKind,
}

/// What is in the way of running a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObstacleKind {
    /// There is no such file.
    Missing,
    /// The path can't be followed, for this reason.
    Unreachable(io::ErrorKind),
    /// It is not a regular file.
    NotAFile,
    /// Its mode does not let this user execute it.
    NotExecutable,
    /// Nothing on its file system may be executed.
    NoExec,
}

impl Obstacle {
    /// What is in the way of running `program`, by its path and its mode. `None`: nothing is; the kernel may still
    /// refuse the file's content.
    pub fn to(program: &Path) -> Option<Obstacle> {
        Some(Obstacle { program: program.to_owned(), kind: obstacle(program)? })
    }

    /// What is wrong with the program: a predicate to its path.
    pub fn what(&self) -> String {
        match self.kind {
            ObstacleKind::Missing => "is missing".into(),
            ObstacleKind::Unreachable(why) => format!("can't be reached ({why})"),
            ObstacleKind::NotAFile => "is not a file".into(),
            ObstacleKind::NotExecutable => "is not executable".into(),
            ObstacleKind::NoExec => "lies on a file system that is mounted noexec".into(),
        }
    }

    /// What to do about it.
    pub fn todo(&self) -> String {
        match self.kind {
            ObstacleKind::Missing | ObstacleKind::NotAFile => "install iapeer again".into(),
            ObstacleKind::Unreachable(_) => format!("check the folders of {}", self.program.display()),
            ObstacleKind::NotExecutable => format!("`chmod 755 {}`", shell::path(&self.program)),
            ObstacleKind::NoExec => "remount it with exec, or install iapeer elsewhere".into(),
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.program.display(), self.what(), self.todo())
    }
}

impl std::error::Error for Obstacle {}

fn obstacle(program: &Path) -> Option<ObstacleKind> {
    match std::fs::metadata(program) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(ObstacleKind::Missing),
        Err(error) => Some(ObstacleKind::Unreachable(error.kind())),
        Ok(meta) if !meta.is_file() => Some(ObstacleKind::NotAFile),
        // The kernel is asked, since it also considers owners, access control lists and mounts.
        Ok(_) if access(program, AccessFlags::X_OK).is_ok() => None,
        Ok(meta) if meta.permissions().mode() & 0o111 != 0 && is_noexec(program) => Some(ObstacleKind::NoExec),
        Ok(_) => Some(ObstacleKind::NotExecutable),
    }
}

#[cfg(target_os = "linux")]
fn is_noexec(program: &Path) -> bool {
    use nix::sys::statvfs::{FsFlags, statvfs};
    statvfs(program).is_ok_and(|found| found.flags().contains(FsFlags::ST_NOEXEC))
}

#[cfg(target_os = "macos")]
fn is_noexec(program: &Path) -> bool {
    use nix::mount::MntFlags;
    use nix::sys::statfs::statfs;
    statfs(program).is_ok_and(|found| found.flags().contains(MntFlags::MNT_NOEXEC))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::process::Command;

    #[test]
    fn each_obstacle_is_told_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        let kind = |path: &Path| Obstacle::to(path).map(|found| found.kind);
        assert_eq!(kind(&path), Some(ObstacleKind::Missing));
        assert_eq!(kind(dir.path()), Some(ObstacleKind::NotAFile));
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let found = Obstacle::to(&path).unwrap();
        assert_eq!(found.to_string(), format!("{0} is not executable: `chmod 755 {0}`", path.display()));
        assert_eq!(kind(&path.join("below")), Some(ObstacleKind::Unreachable(io::ErrorKind::NotADirectory)));
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        assert_eq!(kind(&path), None);
    }

    #[test]
    fn a_file_system_mounted_noexec_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let on_it = |command: &mut Command| command.arg(dir.path()).status().is_ok_and(|status| status.success());
        if !on_it(Command::new("mount").args(["-t", "tmpfs", "-o", "noexec,size=64k", "small"])) {
            eprintln!("this user may not mount");
            return;
        }
        let path = dir.path().join("program");
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        let found = Obstacle::to(&path).map(|found| found.kind);
        assert!(on_it(Command::new("umount").arg("-l")));
        assert_eq!(found, Some(ObstacleKind::NoExec));
    }
}
