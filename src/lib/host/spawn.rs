//! Starting programs detached, and finding them.

use nix::libc;
use nix::sys::signal::SigSet;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use std::ffi::{CString, NulError, OsStr, OsString};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Starts a program of ours with the given environment, no terminal and no standard streams, in a process session of
/// its own, so that it outlives its starter and keeps none of its descriptors.
///
/// Returns as soon as there is a process for it: the caller goes on while the kernel loads the program, which a
/// `posix_spawn` would wait for. Children that have ended are waited for at the next start.
pub fn detached(program: &Path, arguments: &[OsString], environment: &[(OsString, OsString)]) -> io::Result<()> {
    static STARTED: Mutex<Vec<Pid>> = Mutex::new(Vec::new());
    if !is_executable(program) {
        return Err(io::Error::new(io::ErrorKind::NotFound, "no such program"));
    }
    let words = c_strings(std::iter::once(program.into()).chain(arguments.iter().cloned()))?;
    let variables = c_strings(environment.iter().map(|(name, value)| [name.as_os_str(), value].join(OsStr::new("="))))?;
    let (argv, envp) = (pointers(&words), pointers(&variables));
    let signals = SigSet::empty();
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    // SAFETY: until it is another program, the child only makes calls that are safe after a fork of a process with
    // several threads (signal-safety(7)), on memory that was made before.
    let child = match unsafe { fork() }? {
        ForkResult::Parent { child } => child,
        ForkResult::Child => unsafe {
            libc::setsid();
            libc::chdir(c"/".as_ptr());
            for fd in 0..3 {
                libc::dup2(null.as_raw_fd(), fd);
            }
            // What the standard library does for its children too.
            libc::sigprocmask(libc::SIG_SETMASK, signals.as_ref(), std::ptr::null_mut());
            libc::signal(libc::SIGPIPE, libc::SIG_DFL);
            libc::execve(argv[0], argv.as_ptr(), envp.as_ptr());
            libc::_exit(127)
        },
    };
    let mut started = STARTED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    started.retain(|child| waitpid(*child, Some(WaitPidFlag::WNOHANG)) == Ok(WaitStatus::StillAlive));
    started.push(child);
    Ok(())
}

fn c_strings(words: impl Iterator<Item = OsString>) -> Result<Vec<CString>, NulError> {
    words.map(|word| CString::new(word.into_vec())).collect()
}

/// The array that exec wants: one pointer for each, and a null.
fn pointers(words: &[CString]) -> Vec<*const libc::c_char> {
    words.iter().map(|word| word.as_ptr()).chain([std::ptr::null()]).collect()
}

/// A word as it is written in a shell's command line to arrive unchanged.
pub fn shell_quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
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
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::getsid;
    use std::time::Duration;

    #[test]
    fn a_detached_program_has_a_session_and_an_environment_of_its_own_and_leaves_no_zombie() {
        let dir = tempfile::tempdir().unwrap();
        let clock = SystemClock::default();
        let patience = || Deadline::after(&clock, Duration::from_secs(10));
        let look = Duration::from_millis(5);
        let start = |name: &str| {
            let out = dir.path().join(name);
            let script = format!("{{ echo $$; env; }} > {0}.tmp; mv {0}.tmp {0}; exec sleep 60", out.display());
            let environment = [("PATH".into(), std::env::var_os("PATH").unwrap()), ("ONLY".into(), "this".into())];
            detached(Path::new("/bin/sh"), &["-c".into(), script.into()], &environment).unwrap();
            let text = wait_for(&clock, patience(), look, || std::fs::read_to_string(&out).ok()).unwrap();
            let (pid, environment) = text.split_once('\n').unwrap();
            (Pid::from_raw(pid.parse().unwrap()), environment.to_owned())
        };
        let (first, environment) = start("a");
        assert!(environment.contains("ONLY=this") && !environment.contains("CARGO"), "{environment}");
        assert_eq!(getsid(Some(first)), Ok(first));
        kill(first, Signal::SIGKILL).unwrap();
        // It is waited for at a later start.
        let gone = wait_for(&clock, patience(), look, || {
            kill(start("b").0, Signal::SIGKILL).unwrap();
            std::fs::remove_file(dir.path().join("b")).unwrap();
            kill(first, None).is_err().then_some(())
        });
        assert!(gone.is_some(), "a zombie is left");
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
