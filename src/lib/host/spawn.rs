//! Starting programs detached, and finding them.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

/// Set in the environment of a detached program of ours: it leaves its starter's process session first thing.
const DETACHED: &str = "IAPEER_DETACHED";

/// Starts a program of ours with the given environment, no terminal and no standard streams, so that it outlives its
/// starter and keeps none of its descriptors. Returns when it has been started.
///
/// The program makes its own process session ([`leave_session`]): the standard library can then use `posix_spawn`,
/// which costs a fraction of a fork. Children that have ended are waited for at the next start.
pub fn detached(program: &Path, arguments: &[OsString], environment: &[(OsString, OsString)]) -> io::Result<()> {
    static STARTED: Mutex<Vec<Child>> = Mutex::new(Vec::new());
    let child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(environment.iter().map(|(key, value)| (key, value)))
        .env(DETACHED, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let mut started = STARTED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    started.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    started.push(child);
    Ok(())
}

/// A word as it is written in a shell's command line to arrive unchanged.
pub fn shell_quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Makes this process the leader of a session of its own, if it was started by [`detached`]: the end of its
/// starter's terminal is not its end.
pub fn leave_session() {
    if std::env::var_os(DETACHED).is_some() {
        // It fails only for the leader of a process group, which a spawned child is not.
        let _ = nix::unistd::setsid();
        let _ = std::env::set_current_dir("/");
    }
}

/// Whether a variable is between a program and its starter only.
pub fn is_private(variable: &str) -> bool {
    variable == DETACHED
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
    fn a_detached_program_has_only_the_given_environment_and_leaves_no_zombie() {
        let dir = tempfile::tempdir().unwrap();
        let start = |name: &str| {
            let out = dir.path().join(name);
            let script = format!("env > {0}.tmp; mv {0}.tmp {0}", out.display());
            let environment = [("PATH".into(), std::env::var_os("PATH").unwrap()), ("ONLY".into(), "this".into())];
            detached(Path::new("/bin/sh"), &["-c".into(), script.into()], &environment).unwrap();
            let clock = SystemClock::default();
            let deadline = Deadline::after(&clock, Duration::from_secs(10));
            wait_for(&clock, deadline, Duration::from_millis(5), || std::fs::read_to_string(&out).ok()).unwrap()
        };
        let text = start("a");
        assert!(text.contains("ONLY=this") && text.contains("IAPEER_DETACHED=1") && !text.contains("CARGO"), "{text}");
    }

    #[test]
    fn quoting_survives_a_quote() {
        assert_eq!(shell_quoted("/a b/it's"), r"'/a b/it'\''s'");
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        assert!(detached(Path::new("/nonexistent/x"), &[], &[]).is_err());
        assert_eq!(find_program("sh", Some(OsStr::new("/bin"))), Some("/bin/sh".into()));
        assert_eq!(find_program("/bin", None), None);
    }
}
