//! A program under test while it runs, and what it printed.

use serde_json::Value;
use std::fmt;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What a program printed, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The exit code, or 128 + the signal as a shell shows it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Standard output as JSON lines.
    #[track_caller]
    pub fn json_lines(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?} of {self}"));
        self.stdout.lines().map(parse).collect()
    }

    /// Standard output as the one JSON value it must be.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self}"))
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit {}\n--- stdout\n{}\n--- stderr\n{}", self.code, self.stdout.trim_end(), self.stderr.trim_end())
    }
}

/// A started program; killed when dropped before its end.
#[derive(Debug)]
pub struct Running {
    child: Child,
    what: String,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Running {
    /// Starts `command` with its output in numbered files of `folder`.
    #[track_caller]
    pub(crate) fn start(mut command: Command, stdin: Option<&[u8]>, folder: &Path, n: u32) -> Running {
        let (stdout, stderr) = (folder.join(format!("{n}.out")), folder.join(format!("{n}.err")));
        let input = match stdin {
            None => Stdio::null(),
            Some(bytes) => {
                let path = folder.join(format!("{n}.in"));
                fs::write(&path, bytes).expect("the test's folder is writable");
                File::open(&path).expect("the file just written can be read").into()
            }
        };
        let create = |path| File::create(path).expect("the test's folder is writable");
        command.stdin(input).stdout(create(&stdout)).stderr(create(&stderr));
        let what = format!("{command:?}");
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {what}: {error}"));
        Running { child, what, stdout, stderr }
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// What it has printed to stdout so far.
    pub fn stdout(&self) -> String {
        read(&self.stdout)
    }

    /// What it has printed to stderr so far.
    pub fn stderr(&self) -> String {
        read(&self.stderr)
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("our own child can be waited for").is_none()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        // Not yet waited for, so the pid is still ours even if it has ended.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid()), signal);
    }

    /// Waits for its end; panics with what it printed when that takes longer than `patience`.
    #[track_caller]
    pub fn wait(mut self, patience: Duration) -> Output {
        let start = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(status) = self.child.try_wait().expect("our own child can be waited for") {
                return self.output(status);
            }
            if start.elapsed() >= patience {
                let status = self.end();
                panic!("{} took longer than {patience:?}; killed: {}", self.what, self.output(status));
            }
            std::thread::sleep(pause);
            pause = (pause * 3 / 2).min(Duration::from_millis(20));
        }
    }

    fn output(&self, status: ExitStatus) -> Output {
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        Output { code, stdout: self.stdout(), stderr: self.stderr() }
    }

    fn end(&mut self) -> ExitStatus {
        // Kill fails only if it has ended already; then wait returns at once.
        let _ = self.child.kill();
        self.child.wait().expect("our own child can be waited for")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.runs() {
            self.end();
        }
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
