//! Running a program of the system for its output, for no longer than a limit.

use crate::host::spawn::find_program;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Where the system's own programs are. The caller's PATH is not used: it may be anything.
const SYSTEM_PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";
/// How many bytes of an output are kept.
const ANSWER_MAX: u64 = 256 * 1024;

/// The standard output of `program`, if there is such a program and it closes its output within `limit`. Its exit
/// status does not matter: the output of a program that failed is evidence too.
pub(crate) fn ask(program: &str, arguments: &[&str], limit: Duration) -> Option<String> {
    let path = find_program(program, Some(OsStr::new(SYSTEM_PATH)))?;
    let mut child = Command::new(path)
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let out = child.stdout.take()?;
    let (done, wait) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = out.take(ANSWER_MAX).read_to_end(&mut bytes);
        let _ = done.send(bytes);
    });
    let answer = wait.recv_timeout(limit).ok();
    // Killing a program that has ended already fails, which does not matter. It must be waited for in any case.
    let _ = child.kill();
    let _ = child.wait();
    answer.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// A program of the system that was not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The system has no such program.
    #[error("no {0} here")]
    Missing(String),
    /// It could not be started.
    #[error("cannot run {program}: {source}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// It did not end in time and was killed.
    #[error("{program} does not answer within {}s", limit.as_secs_f32())]
    TimedOut {
        /// The program.
        program: String,
        /// The time it had.
        limit: Duration,
    },
    /// Its exit status can't be determined.
    #[error("cannot wait for {program}: {source}")]
    Wait {
        /// The program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
}

/// How a program ended that was run to its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ran {
    /// It exited with 0.
    pub success: bool,
    /// What it printed.
    pub stdout: String,
    /// What it wrote to standard error, trimmed.
    pub stderr: String,
}

/// Runs `program` of the system to its end with `environment` besides our own. `Err`: there is no such program, or it
/// did not end within `limit` and was killed.
pub(crate) fn run(
    program: &str,
    arguments: &[OsString],
    environment: &[(OsString, OsString)],
    limit: Duration,
) -> Result<Ran, CommandError> {
    let named = || program.to_owned();
    let path = find_program(program, Some(OsStr::new(SYSTEM_PATH))).ok_or_else(|| CommandError::Missing(named()))?;
    let mut child = Command::new(path)
        .args(arguments)
        .env("LC_ALL", "C")
        .envs(environment.iter().map(|(key, value)| (key, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| CommandError::Start { program: named(), source })?;
    let read = |stream: Option<Box<dyn Read + Send>>| {
        let (done, wait) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = stream.map(|stream| stream.take(ANSWER_MAX).read_to_end(&mut bytes));
            let _ = done.send(bytes);
        });
        wait
    };
    let stdout = read(child.stdout.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>));
    let stderr = read(child.stderr.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>));
    let end = Instant::now() + limit;
    let answers = stdout
        .recv_timeout(limit)
        .and_then(|out| Ok((out, stderr.recv_timeout(end.saturating_duration_since(Instant::now()))?)));
    let Ok((out, err)) = answers else {
        let _ = child.kill();
        let _ = child.wait();
        return Err(CommandError::TimedOut { program: named(), limit });
    };
    let status = child.wait().map_err(|source| CommandError::Wait { program: named(), source })?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Ran { success: status.success(), stdout: text(out), stderr: text(err).trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_in_time_is_had_and_one_that_takes_too_long_is_not() {
        assert_eq!(ask("echo", &["hello"], Duration::from_secs(10)).as_deref(), Some("hello\n"));
        assert_eq!(ask("sleep", &["60"], Duration::from_millis(20)), None);
        assert_eq!(ask("no-such-program", &[], Duration::from_secs(1)), None);
    }

    #[test]
    fn a_run_tells_status_and_complaint_and_is_cut_short_at_its_limit() {
        let words = |list: &[&str]| list.iter().map(OsString::from).collect::<Vec<_>>();
        let limit = Duration::from_secs(10);
        let ran = run("sh", &words(&["-c", "echo $X; echo no >&2; exit 3"]), &[("X".into(), "y".into())], limit);
        assert_eq!(ran.unwrap(), Ran { success: false, stdout: "y\n".into(), stderr: "no".into() });
        assert!(run("sleep", &words(&["60"]), &[], Duration::from_millis(20)).is_err());
        assert!(run("no-such-program", &[], &[], limit).is_err());
    }
}
