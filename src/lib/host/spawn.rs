//! Starting programs detached, and finding them.

use crate::host::obstacle::Obstacle;
use crate::host::process;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::ffi::{CString, NulError, OsStr, OsString};
use std::io::{self, PipeWriter};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread::JoinHandle;

/// `POSIX_SPAWN_SETSID` of macOS's `<sys/spawn.h>`, which the libc crate does not have.
#[cfg(target_os = "macos")]
const SETSID: libc::c_int = 0x0400;
#[cfg(not(target_os = "macos"))]
const SETSID: libc::c_int = libc::POSIX_SPAWN_SETSID as libc::c_int;

/// How often a start is tried where a signal ends the process before it has executed the program.
const STARTS: usize = 20;

/// Why a program was not started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The program can't be run.
    #[error(transparent)]
    Obstacle(Obstacle),
    /// The kernel refused to start it for another reason.
    #[error("cannot start {}: {source}", program.display())]
    Refused {
        /// The program.
        program: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Starts a program of ours with the given environment, no terminal and no standard streams, in a process session of
/// its own and with no signal blocked, ignored or handled, so that it outlives its starter and keeps none of its
/// descriptors (all of ours are close-on-exec).
///
/// Returns when the program runs, or with the reason why it does not. Children that have ended are waited for at the
/// next start.
pub fn detached(
    program: &Path,
    arguments: &[OsString],
    environment: &[(OsString, OsString)],
) -> Result<(), SpawnError> {
    run(program, arguments, environment, None)
}

/// A program that is being started, and that waits at its gate until it is told to begin.
#[derive(Debug)]
pub(crate) struct Gated {
    gate: PipeWriter,
    started: JoinHandle<Result<(), SpawnError>>,
}

impl Gated {
    /// Starts a program as [`detached`] does, while the caller goes on. The program has to call [`wait_at_gate`]: it
    /// begins when it is told to, and when the caller drops this or ends.
    ///
    /// # Errors
    /// The pipe or the thread could not be created.
    pub(crate) fn start(
        program: PathBuf,
        arguments: Vec<OsString>,
        environment: Vec<(OsString, OsString)>,
    ) -> io::Result<Gated> {
        let (closed, gate) = io::pipe()?;
        let start = move || run(&program, &arguments, &environment, Some(closed.as_raw_fd()));
        let started = std::thread::Builder::new().stack_size(64 * 1024).spawn(start)?;
        Ok(Gated { gate, started })
    }

    /// Lets the program begin. Returns when it runs, or with the reason why it does not.
    pub(crate) fn begin(self) -> Result<(), SpawnError> {
        drop(self.gate);
        self.started.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Waits until the program that started this one at a gate lets it begin, or has ended.
pub fn wait_at_gate() {
    // Nothing is ever written to the pipe.
    let _ = io::copy(&mut io::stdin(), &mut io::sink());
}

fn run(
    program: &Path,
    arguments: &[OsString],
    environment: &[(OsString, OsString)],
    stdin: Option<RawFd>,
) -> Result<(), SpawnError> {
    static STARTED: Mutex<Vec<Pid>> = Mutex::new(Vec::new());
    let words = std::iter::once(program.into()).chain(arguments.iter().cloned());
    let variables = environment.iter().map(|(name, value)| [name.as_os_str(), value].join(OsStr::new("=")));
    let child = start(words, variables, stdin).map_err(|source| match Obstacle::to(program) {
        Some(obstacle) => SpawnError::Obstacle(obstacle),
        None => SpawnError::Refused { program: program.to_owned(), source },
    })?;
    let mut started = STARTED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    started.retain(|child| waitpid(*child, Some(WaitPidFlag::WNOHANG)) == Ok(WaitStatus::StillAlive));
    started.push(child);
    Ok(())
}

/// Starts `program` with `input` on its standard input and no other stream, in a process group of its own, and does not
/// wait for it. Input beyond 4096 bytes, which a pipe holds in any case, is cut: the program may not read it.
pub(crate) fn with_input(program: &Path, input: &[u8]) -> io::Result<()> {
    use std::io::Write;
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};
    let mut command = Command::new(program);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(&input[..input.len().min(PIPE)]);
    }
    Ok(())
}

/// How many bytes every pipe holds before its writer has to wait.
const PIPE: usize = 4096;

fn start(
    words: impl Iterator<Item = OsString>,
    variables: impl Iterator<Item = OsString>,
    stdin: Option<RawFd>,
) -> io::Result<Pid> {
    let (words, variables) = (c_strings(words)?, c_strings(variables)?);
    let (attributes, actions) = (attributes()?, file_actions(stdin)?);
    // A signal for the caller's process group (its terminal hangs up) also ends a child that still belongs to that
    // group, although it is not meant for the child. The signals are blocked here, so that such a signal is still
    // pending afterwards and the start can be repeated. In a thread beside others ([`Gated`]) it is not pending, so the
    // child itself is checked in any case.
    let blocked = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let attempt = || -> nix::Result<Pid> {
        for _ in 0..STARTS {
            let child = posix_spawn(words[0].as_c_str(), &actions, &attributes, &words, &variables)?;
            if stdin.is_none() && !is_ending_pending() || process::runs_a_program(child.as_raw()) {
                return Ok(child);
            }
            let _ = waitpid(child, None);
        }
        Err(Errno::EINTR)
    };
    let child = attempt();
    blocked.thread_set_mask()?;
    Ok(child?)
}

/// The attributes of the new process: a process session of its own, every signal as a program expects it.
fn attributes() -> nix::Result<PosixSpawnAttr> {
    let mut attributes = PosixSpawnAttr::init()?;
    let mut signals = SigSet::all();
    // These two can't be changed.
    signals.remove(Signal::SIGKILL);
    signals.remove(Signal::SIGSTOP);
    attributes.set_sigdefault(&signals)?;
    attributes.set_sigmask(&SigSet::empty())?;
    let signals = PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK;
    attributes.set_flags(signals | PosixSpawnFlags::from_bits_retain(SETSID))?;
    Ok(attributes)
}

/// What the new process does first: it changes to the root folder, and opens /dev/null as its standard streams, or
/// takes `stdin` as the first of them.
fn file_actions(stdin: Option<RawFd>) -> nix::Result<PosixSpawnFileActions> {
    let mut actions = PosixSpawnFileActions::init()?;
    // SAFETY: `PosixSpawnFileActions` is a transparent wrapper around an initialised object of this type, and the call
    // copies the path.
    let added = unsafe { libc::posix_spawn_file_actions_addchdir_np((&raw mut actions).cast(), c"/".as_ptr()) };
    if added != 0 {
        return Err(Errno::from_raw(added));
    }
    actions.add_open(1, "/dev/null", OFlag::O_RDWR, Mode::empty())?;
    actions.add_dup2(1, 2)?;
    actions.add_dup2(stdin.unwrap_or(1), 0)?;
    Ok(actions)
}

/// Whether a signal is pending for this thread that ends a program and is sent to whole process groups.
fn is_ending_pending() -> bool {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the call fills the set, or fails and says so.
    let pending = unsafe {
        if libc::sigpending(set.as_mut_ptr()) != 0 {
            return false;
        }
        SigSet::from_sigset_t_unchecked(set.assume_init())
    };
    [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM]
        .into_iter()
        .any(|signal| pending.contains(signal))
}

fn c_strings(words: impl Iterator<Item = OsString>) -> Result<Vec<CString>, NulError> {
    words.map(|word| CString::new(word.into_vec())).collect()
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
    use std::process::Command;
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
            // The test itself ignores SIGPIPE, as each program of Rust does. Real-time signals (from 32 on) are left
            // out.
            let standard = |mask: &str| u64::from_str_radix(mask, 16).unwrap() & 0x7fff_ffff;
            let masks = environment.lines().filter_map(|line| line.strip_prefix("Sig")?.split_once(": "));
            assert_eq!(masks.map(|(what, mask)| (what, standard(mask))).collect::<Vec<_>>(), [("Blk", 0), ("Ign", 0)]);
        }
        assert_eq!(getsid(Some(first)), Ok(first));
        kill(first, Signal::SIGKILL).unwrap();
        // The ended child is waited for at a later start.
        let gone = wait_for(&clock, patience(), look, || {
            kill(start("b").0, Signal::SIGKILL).unwrap();
            std::fs::remove_file(dir.path().join("b")).unwrap();
            kill(first, None).is_err().then_some(())
        });
        assert!(gone.is_some(), "a zombie is left");
    }

    #[test]
    fn a_detached_program_runs_in_the_root_folder_with_nothing_but_null_streams() {
        let dir = tempfile::tempdir().unwrap();
        let (out, kept) = (dir.path().join("out"), std::fs::File::open("/dev/zero").unwrap());
        let script = format!(
            "{{ pwd; for n in 0 1 2; do readlink /dev/fd/$n; done; ls -l /dev/fd/; }} > {0}.tmp 2> /dev/null; mv {0}.tmp {0}",
            out.display()
        );
        let path = [("PATH".into(), std::env::var_os("PATH").unwrap())];
        detached(Path::new("/bin/sh"), &["-c".into(), script.into()], &path).unwrap();
        let clock = SystemClock::default();
        let patience = Deadline::after(&clock, Duration::from_secs(10));
        let text = wait_for(&clock, patience, Duration::from_millis(5), || std::fs::read_to_string(&out).ok()).unwrap();
        drop(kept);
        assert!(text.starts_with("/\n"), "{text}");
        if cfg!(target_os = "linux") {
            // The shell itself has redirected 1 and 2.
            assert_eq!(text.lines().nth(1), Some("/dev/null"), "{text}");
            assert!(!text.contains("/dev/zero"), "a descriptor of ours was passed on: {text}");
        }
    }

    #[test]
    fn a_gated_program_begins_when_it_is_let_or_its_starter_gives_up() {
        let dir = tempfile::tempdir().unwrap();
        let clock = SystemClock::default();
        let seen = |name: &str| {
            let patience = Deadline::after(&clock, Duration::from_secs(10));
            let path = dir.path().join(name);
            wait_for(&clock, patience, Duration::from_millis(2), || path.exists().then_some(())).is_some()
        };
        let start = |name: &str| {
            let out = dir.path().join(name);
            let script = format!("touch {0}.ready; cat; touch {0}.begun", out.display());
            let path = [("PATH".into(), std::env::var_os("PATH").unwrap())];
            Gated::start("/bin/sh".into(), vec!["-c".into(), script.into()], path.to_vec()).unwrap()
        };
        let (let_in, given_up) = (start("a"), start("b"));
        assert!(seen("a.ready") && seen("b.ready"));
        assert!(!dir.path().join("a.begun").exists() && !dir.path().join("b.begun").exists());
        let_in.begin().unwrap();
        assert!(seen("a.begun") && !dir.path().join("b.begun").exists());
        drop(given_up);
        assert!(seen("b.begun"));
        let missing = Gated::start("/nonexistent/x".into(), vec![], vec![]).unwrap();
        assert!(matches!(missing.begin(), Err(SpawnError::Obstacle(_))));
    }

    #[test]
    fn a_shell_takes_a_word_unchanged() {
        for odd in ["", "a b", "it's", "`id`", "a`b'c $HOME \\ \"d\" *", "~x", "#x", "a\tb", "é"] {
            let word = crate::base::shell::word(odd);
            assert!(!word.contains('`'), "{word}");
            let shell = Command::new("sh").args(["-c", &format!("printf %s {word}")]).output().unwrap();
            assert_eq!(String::from_utf8(shell.stdout).unwrap(), odd, "{word}");
        }
    }

    #[test]
    fn a_program_that_can_not_be_run_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        let error = |path: &Path| detached(path, &[], &[]).unwrap_err();
        assert!(matches!(error(&path), SpawnError::Obstacle(_)));
        std::fs::write(&path, "no program").unwrap();
        assert!(matches!(error(&path), SpawnError::Obstacle(_)));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let SpawnError::Refused { source, .. } = error(&path) else { panic!("{:?}", error(&path)) };
        assert_eq!(source.raw_os_error(), Some(libc::ENOEXEC));
        let odd = detached(Path::new("/bin/sh"), &["a\0b".into()], &[]).unwrap_err();
        assert!(matches!(odd, SpawnError::Refused { .. }), "{odd}");
        assert_eq!(find_program("sh", Some(OsStr::new("/bin"))), Some("/bin/sh".into()));
        assert_eq!(find_program("/bin", None), None);
    }
}
