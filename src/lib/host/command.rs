//! Asking a program of the system something, for no longer than a limit.

use crate::host::spawn::find_program;
use std::ffi::OsStr;
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Where the system's own programs are: the caller's PATH may be anything.
const SYSTEM_PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";
/// Longest answer that is kept.
const ANSWER_MAX: u64 = 256 * 1024;

/// What `program` prints, if there is such a program and it ends within `limit`. Its exit status does not matter: half
/// an answer is evidence too.
pub fn ask(program: &str, arguments: &[&str], limit: Duration) -> Option<String> {
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
    // Killing one that has ended already is an error of no interest; either way it must be collected.
    let _ = child.kill();
    let _ = child.wait();
    answer.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
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
}
