//! One tmux process: started with a clean environment, fed, read, and never waited for longer than the limit.

use super::release::{OLDEST_TMUX, release};
use super::{Tmux, TmuxError};
use crate::host::inherited;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The environment of tmux clients. A client that starts a server leaves its environment to it, so this one has nothing
/// of the caller's but HOME.
fn client_environment() -> Vec<(&'static str, OsString)> {
    let mut environment = vec![("PATH", OsString::from("/usr/local/bin:/usr/bin:/bin")), ("TERM", "dumb".into())];
    environment.extend(std::env::var_os("HOME").map(|home| ("HOME", home)));
    // tmux writes "_" for characters that the locale does not have, unless the locale is UTF-8.
    environment.push(("LC_ALL", "C.UTF-8".into()));
    environment
}

impl Tmux {
    /// The beginning of every command line: the program, UTF-8, no configuration file, the socket.
    pub(crate) fn command_line(&self, socket: &Path) -> Vec<OsString> {
        let program = self.program().as_os_str();
        [program, "-u".as_ref(), "-f".as_ref(), "/dev/null".as_ref(), "-S".as_ref(), socket.as_os_str()]
            .map(OsString::from)
            .into()
    }

    /// Runs tmux on `socket` with `arguments`; `input` goes to its stdin. Returns its stdout.
    pub(crate) fn call(
        &self,
        socket: &Path,
        arguments: &[OsString],
        input: Option<&[u8]>,
    ) -> Result<String, TmuxError> {
        match input {
            Some(input) => self.converse(socket, arguments, Some(&mut |_| Some(input))),
            None => self.converse(socket, arguments, None),
        }
    }

    /// Runs the tmux that becomes a new server. Server and session get `cwd` and `environment`, and nothing else from
    /// this process: which process wakes a session is chance.
    pub(crate) fn start(
        &self,
        socket: &Path,
        environment: &[(OsString, OsString)],
        cwd: &Path,
        arguments: &[OsString],
    ) -> Result<String, TmuxError> {
        let mut command = self.client(socket, arguments);
        command.envs(environment.iter().map(|(key, value)| (key, value))).current_dir(cwd);
        inherited::clear_for_session(&mut command);
        self.run(command, arguments, None)
    }

    /// Runs tmux on `socket` with `arguments`. `reply` is called with tmux's stdout so far until it returns the text
    /// for tmux's stdin, which is then closed. Returns tmux's stdout.
    pub(crate) fn converse(
        &self,
        socket: &Path,
        arguments: &[OsString],
        reply: Option<Reply<'_, '_>>,
    ) -> Result<String, TmuxError> {
        let mut command = self.client(socket, arguments);
        command.envs(client_environment());
        self.run(command, arguments, reply)
    }

    /// A tmux client with no environment yet.
    fn client(&self, socket: &Path, arguments: &[OsString]) -> Command {
        let line = self.command_line(socket);
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).args(arguments).env_clear();
        command
    }

    fn run(
        &self,
        mut command: Command,
        arguments: &[OsString],
        reply: Option<Reply<'_, '_>>,
    ) -> Result<String, TmuxError> {
        let name = arguments.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
        let other = |message: String| TmuxError::Other { call: name.clone(), message };
        command
            .stdin(if reply.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A process group of its own: a Ctrl-C at the caller's terminal must not end a server that is starting.
            .process_group(0);
        let mut child =
            command.spawn().map_err(|error| other(format!("cannot run {}: {error}", self.program().display())))?;
        let talked = talk(&mut child, reply.unwrap_or(&mut |_| Some(&[])), self.timeout());
        match talked {
            Ok(Some((stdout, stderr))) => match child.wait() {
                Ok(status) if status.success() => Ok(String::from_utf8_lossy(&stdout).into_owned()),
                Ok(_) if is_too_long(&stderr) => {
                    let bytes = arguments.iter().map(|word| word.len() + 1).sum();
                    Err(TmuxError::TooLong { call: name, bytes })
                }
                Ok(_) => {
                    let error = TmuxError::classify(&name, &String::from_utf8_lossy(&stderr));
                    let is_known = !matches!(error, TmuxError::Other { .. });
                    Err(if is_known { error } else { self.too_old().unwrap_or(error) })
                }
                Err(error) => Err(other(error.to_string())),
            },
            unfinished => {
                let _ = child.kill();
                let _ = child.wait();
                match unfinished {
                    Err(error) => Err(other(error.to_string())),
                    Ok(_) => Err(TmuxError::Timeout { call: name, after: self.timeout() }),
                }
            }
        }
    }
}

impl Tmux {
    /// The error where tmux is too old: its own words about a call that it does not know help nobody.
    pub(crate) fn too_old(&self) -> Option<TmuxError> {
        let version = self.version();
        let program = self.program().display().to_string();
        (release(&version)? < OLDEST_TMUX).then_some(TmuxError::TooOld { program, version })
    }
}

/// Whether a tmux client could not send its command line: one message to the server holds 16,384 bytes.
fn is_too_long(stderr: &[u8]) -> bool {
    stderr.starts_with(b"command too long") || stderr.starts_with(b"failed to send command")
}

/// Decides by a tmux process's stdout so far what goes to its stdin. `None`: not to be decided yet.
pub(crate) type Reply<'f, 'i> = &'f mut dyn FnMut(&[u8]) -> Option<&'i [u8]>;

/// Feeds a child and reads its output until it closes both streams. `None`: it did not close them within `limit`.
fn talk(child: &mut Child, reply: Reply<'_, '_>, limit: Duration) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
    let deadline = Instant::now() + limit;
    let mut stdin = child.stdin.take();
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let streams = [stdin.as_ref().map(AsFd::as_fd), stdout.as_ref().map(AsFd::as_fd), stderr.as_ref().map(AsFd::as_fd)];
    for stream in streams.into_iter().flatten() {
        fcntl(stream, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    }
    let mut input = reply(&out);
    while stdout.is_some() || stderr.is_some() {
        if let (Some(stream), Some(left)) = (&mut stdin, &mut input) {
            match stream.write(left) {
                Ok(written) => *left = &left[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // The client has ended early: its exit status says what happened.
                Err(_) => *left = &[],
            }
            if left.is_empty() {
                stdin = None;
            }
        }
        let mut watched = Vec::with_capacity(3);
        let writing = stdin.as_ref().filter(|_| input.is_some());
        watched.extend(writing.map(|stream| PollFd::new(stream.as_fd(), PollFlags::POLLOUT)));
        watched.extend(stdout.as_ref().map(|stream| PollFd::new(stream.as_fd(), PollFlags::POLLIN)));
        watched.extend(stderr.as_ref().map(|stream| PollFd::new(stream.as_fd(), PollFlags::POLLIN)));
        let left = deadline.saturating_duration_since(Instant::now());
        let wait = PollTimeout::try_from(left.as_millis().saturating_add(1)).unwrap_or(PollTimeout::MAX);
        match poll(&mut watched, wait) {
            Ok(0) | Err(nix::errno::Errno::EINTR) if Instant::now() >= deadline => return Ok(None),
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        drain(&mut stdout, &mut out);
        drain(&mut stderr, &mut err);
        if input.is_none() {
            input = reply(&out);
        }
    }
    Ok(Some((out, err)))
}

/// Reads what there is; closes the stream at its end.
fn drain(stream: &mut Option<impl Read>, into: &mut Vec<u8>) {
    let Some(open) = stream else { return };
    let mut buffer = [0_u8; 16 * 1024];
    loop {
        match open.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => into.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    *stream = None;
}
