//! Starting programs detached, and finding them.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Starts `program` in a process session of its own with the given environment, no terminal and no standard
/// streams, so that it outlives its starter and keeps none of its descriptors. Returns when it has been started.
///
/// The starter forks a middle process that sets the session and ends at once, so that no zombie stays behind.
pub fn detached(program: &Path, arguments: &[OsString], environment: &[(OsString, OsString)]) -> io::Result<()> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(environment.iter().map(|(key, value)| (key, value)))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // SAFETY: setsid, fork and _exit are async-signal-safe, and the child does nothing else before exec.
    unsafe {
        command.pre_exec(|| {
            nix::unistd::setsid()?;
            match nix::unistd::fork()? {
                nix::unistd::ForkResult::Parent { .. } => nix::libc::_exit(0),
                nix::unistd::ForkResult::Child => Ok(()),
            }
        });
    }
    // The standard library learns of a failed exec through a close-on-exec pipe that both processes hold: it
    // returns when the last of them has exec'd or failed.
    command.spawn()?.wait().map(drop)
}

/// Finds an executable: a path as it is, a name in `path` (the value of PATH).
pub fn find_program(name: &str, path: Option<&OsStr>) -> Option<PathBuf> {
    if name.contains('/') {
        let candidate = PathBuf::from(name);
        return is_executable(&candidate).then_some(candidate);
    }
    std::env::split_paths(path?)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(name))
        .find(|candidate| is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::clock::{Deadline, SystemClock, wait_for};
    use std::time::Duration;

    #[test]
    fn a_detached_program_has_its_own_session_and_only_the_given_environment() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let script = format!("(ps -o sid= -p $$; env) > {0}.tmp; mv {0}.tmp {0}", out.display());
        let environment = [("PATH".into(), std::env::var_os("PATH").unwrap()), ("ONLY".into(), "this".into())];
        detached(Path::new("/bin/sh"), &["-c".into(), script.into()], &environment).unwrap();
        let clock = SystemClock::default();
        let deadline = Deadline::after(&clock, Duration::from_secs(10));
        let text = wait_for(&clock, deadline, Duration::from_millis(5), || std::fs::read_to_string(&out).ok()).unwrap();
        assert!(text.contains("ONLY=this") && !text.contains("CARGO"), "{text}");
        let own = nix::unistd::getsid(None).unwrap().as_raw().to_string();
        assert_ne!(text.lines().next().unwrap().trim(), own);
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        assert!(detached(Path::new("/nonexistent/x"), &[], &[]).is_err());
        assert_eq!(find_program("sh", Some(OsStr::new("/bin"))), Some("/bin/sh".into()));
        assert_eq!(find_program("/bin", None), None);
    }
}
