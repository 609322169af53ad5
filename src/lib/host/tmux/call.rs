//! One tmux process: started with a clean environment, fed, read, and never waited for longer than the limit.

use super::{Tmux, TmuxError};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// The environment of tmux clients: the first one's becomes the server's, so it holds nothing of the caller's.
fn client_environment() -> Vec<(&'static str, OsString)> {
    let mut environment = vec![("PATH", OsString::from("/usr/local/bin:/usr/bin:/bin")), ("TERM", "dumb".into())];
    environment.extend(std::env::var_os("HOME").map(|home| ("HOME", home)));
    // tmux writes "_" for what the locale can't say, unless told that it is UTF-8.
    environment.push(("LC_ALL", "C.UTF-8".into()));
    environment
}

impl Tmux {
    /// Runs tmux on `socket` with `arguments`; `input` goes to its stdin. Returns its stdout.
    pub(super) fn call(
        &self,
        socket: &Path,
        environment: Option<&[(OsString, OsString)]>,
        arguments: &[OsString],
        input: Option<&[u8]>,
    ) -> Result<String, TmuxError> {
        let name = arguments
            .iter()
            .find(|word| !word.to_string_lossy().starts_with('-'))
            .map(|word| word.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        let other = |message: String| TmuxError::Other { call: name.clone(), message };
        let mut command = Command::new(self.program());
        command.args(["-u", "-f", "/dev/null", "-S"]).arg(socket).args(arguments);
        command.env_clear();
        match environment {
            Some(environment) => command.envs(environment.iter().map(|(key, value)| (key, value))),
            None => command.envs(client_environment()),
        };
        command
            .current_dir("/")
            .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // A process group of its own: a Ctrl-C at the caller's terminal must not end a server being born.
        command.process_group(0);
        let mut child =
            command.spawn().map_err(|error| other(format!("cannot run {}: {error}", self.program().display())))?;
        let finished = run(&mut child, input, self.timeout);
        match finished {
            Some((true, stdout, _)) => Ok(stdout),
            Some((false, _, stderr)) => Err(TmuxError::classify(&name, &stderr)),
            None => {
                let _ = child.kill();
                let _ = child.wait();
                Err(TmuxError::Timeout { call: name, after: self.timeout })
            }
        }
    }
}

/// Feeds and reads a child until it ends. `None`: it did not within `limit`. The server inherits a new session's
/// first client's streams for a moment, so reading ends with the child, not with the pipe.
fn run(child: &mut Child, input: Option<&[u8]>, limit: Duration) -> Option<(bool, String, String)> {
    let stdin = child.stdin.take();
    let stdout = child.stdout.take();
    let stderr = child.stderr.take();
    thread::scope(|scope| {
        let (done, wait) = mpsc::channel();
        let out = scope.spawn(move || read(stdout));
        let err = scope.spawn(move || read(stderr));
        if let (Some(mut stdin), Some(input)) = (stdin, input) {
            // A client that ends early breaks the pipe: its exit status says what happened.
            scope.spawn(move || drop(stdin.write_all(input)));
        }
        let pid = child.id() as i32;
        scope.spawn(move || {
            let out = out.join().unwrap_or_default();
            let err = err.join().unwrap_or_default();
            let _ = done.send((out, err));
        });
        match wait.recv_timeout(limit) {
            Ok((out, err)) => {
                let status = child.wait().ok()?;
                Some((status.success(), out, err))
            }
            Err(_) => {
                // Ends the reads above, so that the scope can close.
                let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
                None
            }
        }
    })
}

fn read(stream: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        let _ = stream.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
