//! Starting programs detached, and finding them.

#[cfg(target_os = "linux")]
use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::ffi::{CString, NulError, OsStr, OsString};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Starts a program of ours with the given environment, no terminal and no standard streams, in a process session of
/// its own and with no signal blocked, ignored or handled, so that it outlives its starter and keeps none of its
/// descriptors.
///
/// Returns as soon as there is a process for it: the caller goes on while the kernel loads the program, which a
/// `posix_spawn` would wait for. Children that have ended are waited for at the next start.
pub fn detached(program: &Path, arguments: &[OsString], environment: &[(OsString, OsString)]) -> io::Result<()> {
    static STARTED: Mutex<Vec<(Pid, Box<Start>)>> = Mutex::new(Vec::new());
    if !is_executable(program) {
        return Err(io::Error::new(io::ErrorKind::NotFound, "no such program"));
    }
    let words = c_strings(std::iter::once(program.into()).chain(arguments.iter().cloned()))?;
    let variables = c_strings(environment.iter().map(|(name, value)| [name.as_os_str(), value].join(OsStr::new("="))))?;
    // The child has a table of descriptors of its own: this one may be closed here.
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    let mut start = Box::new(Start {
        argv: pointers(&words),
        envp: pointers(&variables),
        _strings: [words, variables],
        null: null.as_raw_fd(),
        #[cfg(target_os = "linux")]
        stack: vec![0; 4096],
    });
    // No handler of ours may run in the child, in whose memory it would find the caller.
    let blocked = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let child = start.child();
    blocked.thread_set_mask()?;
    let mut started = STARTED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    started.retain(|(child, _)| waitpid(*child, Some(WaitPidFlag::WNOHANG)) == Ok(WaitStatus::StillAlive));
    started.push((child?, start));
    Ok(())
}

/// What a child needs to become another program. It lives as long as the child does.
struct Start {
    argv: Vec<*const libc::c_char>,
    envp: Vec<*const libc::c_char>,
    _strings: [Vec<CString>; 2],
    null: RawFd,
    /// 64 KiB, of which the pages that are used exist; of words as wide as a stack's alignment.
    #[cfg(target_os = "linux")]
    stack: Vec<u128>,
}

// SAFETY: the pointers lead to its own strings, on the heap.
unsafe impl Send for Start {}

impl Start {
    /// A process of its own in the caller's memory, on a stack of its own: no page is copied, which is a tenth of what
    /// accepting a message costs (benches/figures.rs, `accept`). Where that is refused, as user-mode qemu does, a fork.
    #[cfg(target_os = "linux")]
    fn child(&mut self) -> nix::Result<Pid> {
        extern "C" fn become_program(start: *mut libc::c_void) -> libc::c_int {
            // SAFETY: it points to the caller's `Start`, which stays until the child has ended.
            unsafe { &*start.cast::<Start>() }.become_program()
        }
        let top = self.stack.as_mut_ptr_range().end;
        // SAFETY: the child touches nothing but its stack and this `Start`, and only reads the latter.
        let pid = unsafe {
            libc::clone(become_program, top.cast(), libc::CLONE_VM | libc::SIGCHLD, std::ptr::from_mut(self).cast())
        };
        match Errno::result(pid) {
            Err(Errno::EINVAL | Errno::ENOSYS | Errno::EPERM) => self.fork(),
            pid => pid.map(Pid::from_raw),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn child(&mut self) -> nix::Result<Pid> {
        self.fork()
    }

    fn fork(&self) -> nix::Result<Pid> {
        // SAFETY: the child makes only calls that are safe after a fork of a process with several threads
        // (signal-safety(7)), on memory that was made before.
        match unsafe { nix::unistd::fork() }? {
            nix::unistd::ForkResult::Parent { child } => Ok(child),
            nix::unistd::ForkResult::Child => self.become_program(),
        }
    }

    /// What the child does. None of these calls can fail but the last: the caller's `errno` is the child's too.
    fn become_program(&self) -> ! {
        // SAFETY: plain system calls on memory that `self` owns.
        unsafe {
            libc::setsid();
            libc::chdir(c"/".as_ptr());
            for fd in 0..3 {
                libc::dup2(self.null, fd);
            }
            for signal in Signal::iterator().filter(|signal| !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP)) {
                // What came for the caller's process group before `setsid` (its terminal hangs up) is not meant for this
                // program: ignoring a signal discards it while it waits.
                libc::signal(signal as libc::c_int, libc::SIG_IGN);
                libc::signal(signal as libc::c_int, libc::SIG_DFL);
            }
            libc::sigprocmask(libc::SIG_SETMASK, SigSet::empty().as_ref(), std::ptr::null_mut());
            libc::execve(self.argv[0], self.argv.as_ptr(), self.envp.as_ptr());
            libc::_exit(127)
        }
    }
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
    use crate::base::clock::{Deadline, SystemClock, wait_for};
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::getsid;
    use std::time::Duration;

    #[test]
    fn a_detached_program_has_a_session_an_environment_and_signals_of_its_own_and_leaves_no_zombie() {
        let dir = tempfile::tempdir().unwrap();
        let clock = SystemClock::default();
        let patience = || Deadline::after(&clock, Duration::from_secs(10));
        let look = Duration::from_millis(5);
        let start = |name: &str| {
            let out = dir.path().join(name);
            let signals = "while read -r line; do case $line in SigBlk*|SigIgn*) echo $line;; esac; done";
            let script = format!(
                "{{ echo $$; env; [ ! -e /proc/$$ ] || {signals} < /proc/$$/status; }} > {0}.tmp; mv {0}.tmp {0}; \
                 exec sleep 60",
                out.display()
            );
            let environment = [("PATH".into(), std::env::var_os("PATH").unwrap()), ("ONLY".into(), "this".into())];
            detached(Path::new("/bin/sh"), &["-c".into(), script.into()], &environment).unwrap();
            let text = wait_for(&clock, patience(), look, || std::fs::read_to_string(&out).ok()).unwrap();
            let (pid, environment) = text.split_once('\n').unwrap();
            (Pid::from_raw(pid.parse().unwrap()), environment.to_owned())
        };
        let (first, environment) = start("a");
        assert!(environment.contains("ONLY=this") && !environment.contains("CARGO"), "{environment}");
        if cfg!(target_os = "linux") {
            // The test itself ignores SIGPIPE, as each program of Rust does. Signals from 32 on are not ours.
            let standard = |mask: &str| u64::from_str_radix(mask, 16).unwrap() & 0x7fff_ffff;
            let masks = environment.lines().filter_map(|line| line.strip_prefix("Sig")?.split_once(": "));
            assert_eq!(masks.map(|(what, mask)| (what, standard(mask))).collect::<Vec<_>>(), [("Blk", 0), ("Ign", 0)]);
        }
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
