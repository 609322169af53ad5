//! Running another program for a bounded time, with a text on its standard input.

use std::ffi::OsStr;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Why there is no exit status.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChildError {
    #[error("cannot start: {0}")]
    Start(#[source] std::io::Error),
    #[error("it did not end within {0:?}")]
    TimedOut(Duration),
    #[error("interrupted")]
    Cancelled,
}

/// How many bytes of an output are kept.
const KEPT: u64 = 4096;

/// Runs `program` with `input` and returns its exit status and the start of its standard error. After `limit`, or when
/// `cancel` is set, it is killed with all that it started.
pub(crate) fn run(
    program: &Path,
    arguments: &[impl AsRef<OsStr>],
    input: Vec<u8>,
    limit: Duration,
    cancel: &AtomicBool,
) -> Result<(ExitStatus, String), ChildError> {
    run_with(program, arguments, &[], input, limit, cancel)
}

/// [`run`] with `environment` besides our own.
pub(crate) fn run_with(
    program: &Path,
    arguments: &[impl AsRef<OsStr>],
    environment: &[(&str, String)],
    input: Vec<u8>,
    limit: Duration,
    cancel: &AtomicBool,
) -> Result<(ExitStatus, String), ChildError> {
    let mut command = Command::new(program);
    command.args(arguments).envs(environment.iter().map(|(name, value)| (name, value))).stdout(Stdio::null());
    let errors = tempfile::tempfile().map_err(ChildError::Start)?;
    command.stderr(errors.try_clone().map_err(ChildError::Start)?);
    let status = watch(command, input, limit, cancel)?;
    Ok((status, start_of(errors)))
}

/// [`run`] that returns the start of the standard output instead, whatever the exit status.
pub(crate) fn run_and_read(
    program: &Path,
    arguments: &[&str],
    input: Vec<u8>,
    limit: Duration,
    cancel: &AtomicBool,
) -> Result<String, ChildError> {
    let mut command = Command::new(program);
    command.args(arguments).stderr(Stdio::null());
    let output = tempfile::tempfile().map_err(ChildError::Start)?;
    command.stdout(output.try_clone().map_err(ChildError::Start)?);
    watch(command, input, limit, cancel)?;
    Ok(start_of(output))
}

/// A program that is run for what it prints.
pub(crate) struct Asked<'a> {
    /// The program.
    pub(crate) program: &'a Path,
    /// The folder in which it runs.
    pub(crate) dir: &'a Path,
    /// All of its environment.
    pub(crate) environment: &'a std::collections::BTreeMap<String, String>,
    /// What it reads on its standard input.
    pub(crate) input: Vec<u8>,
    /// How long it may take.
    pub(crate) limit: Duration,
    /// How many bytes of what it prints are kept.
    pub(crate) kept: u64,
}

/// Runs the program and returns its exit status, its standard output, and the start of its standard error.
pub(crate) fn ask(asked: Asked<'_>) -> Result<(ExitStatus, String, String), ChildError> {
    let mut command = Command::new(asked.program);
    command.current_dir(asked.dir).env_clear().envs(asked.environment);
    let output = tempfile::tempfile().map_err(ChildError::Start)?;
    let errors = tempfile::tempfile().map_err(ChildError::Start)?;
    command.stdout(output.try_clone().map_err(ChildError::Start)?);
    command.stderr(errors.try_clone().map_err(ChildError::Start)?);
    let status = watch(command, asked.input, asked.limit, &AtomicBool::new(false))?;
    Ok((status, first_of(output, asked.kept), start_of(errors)))
}

fn start_of(file: std::fs::File) -> String {
    first_of(file, KEPT)
}

fn first_of(mut file: std::fs::File, bytes: u64) -> String {
    let mut said = Vec::new();
    let _ = file.seek(SeekFrom::Start(0)).and_then(|_| file.take(bytes).read_to_end(&mut said));
    String::from_utf8_lossy(&said).into_owned()
}

/// Feeds a child and waits for its end. The caller gives it files for its output, not pipes: a grandchild that still
/// holds a pipe would keep us waiting.
fn watch(mut command: Command, input: Vec<u8>, limit: Duration, cancel: &AtomicBool) -> Result<ExitStatus, ChildError> {
    let mut child = command
        .stdin(Stdio::piped())
        // A process group of its own, so that one kill reaches all that it started.
        .process_group(0)
        .spawn()
        .map_err(ChildError::Start)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A child that does not read must not keep us waiting; the write fails when the child is gone.
        std::thread::spawn(move || stdin.write_all(&input));
    }
    let end = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    let failure = loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if cancel.load(Ordering::Relaxed) => break ChildError::Cancelled,
            Ok(None) if Instant::now() >= end => break ChildError::TimedOut(limit),
            Ok(None) => std::thread::sleep(pause),
            Err(error) => break ChildError::Start(error),
        }
        pause = (pause * 2).min(Duration::from_millis(20));
    };
    // A pid always fits; the group has the child's pid and exists until the child is waited for.
    let group = nix::unistd::Pid::from_raw(child.id() as i32);
    let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
    let _ = child.wait();
    Err(failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, input: Vec<u8>, limit: Duration, cancel: bool) -> Result<(ExitStatus, String), ChildError> {
        run(Path::new("sh"), &["-c", script], input, limit, &AtomicBool::new(cancel))
    }

    #[test]
    fn it_gets_its_input_and_its_words_are_kept() {
        let big = vec![b'x'; 300_000];
        let (status, said) = sh("wc -c >&2; exit 3", big, Duration::from_secs(20), false).unwrap();
        assert_eq!((status.code(), said.trim()), (Some(3), "300000"));
        let missing =
            run(Path::new("/nonexistent/x"), &[""; 0], vec![], Duration::from_secs(1), &AtomicBool::new(false));
        assert!(matches!(missing, Err(ChildError::Start(_))));
    }

    #[test]
    fn it_ends_in_time_with_all_it_started() {
        let started = Instant::now();
        let late = sh("sleep 600 & sleep 600", vec![b'x'; 300_000], Duration::from_millis(50), false);
        assert!(matches!(late, Err(ChildError::TimedOut(_))));
        let cancelled = sh("sleep 600", vec![], Duration::from_secs(600), true);
        assert!(matches!(cancelled, Err(ChildError::Cancelled)));
        assert!(started.elapsed() < Duration::from_secs(60));
    }
}
