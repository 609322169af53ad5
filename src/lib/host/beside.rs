//! A server that a program in a terminal needs: started before that program, and ended with it.

use crate::host::ProcessId;
use crate::host::inherited::end_with_parent;
use crate::host::process::{self, ExitWatch};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to end by itself.
const GRACE: Duration = Duration::from_millis(700);
/// Pause between two tries to connect to a server that is starting.
const LOOK: Duration = Duration::from_millis(3);
/// How many bytes of a server's output are kept.
const KEPT: u64 = 256 * 1024;

/// The process that starts and ends the server: this very program in another role.
#[derive(Debug)]
pub(crate) struct Keeper(Child);

impl Keeper {
    /// Starts the keeper: this program with `arguments`, in the caller's terminal and process group.
    pub(crate) fn start(arguments: &[&std::ffi::OsStr], input: Stdio) -> io::Result<Keeper> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments).stdin(input).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Keeper(command.spawn()?))
    }

    /// Waits until the server accepts a connection on `socket`. `Err`: why it does not.
    pub(crate) fn await_server(&mut self, socket: &Path, patience: Duration) -> Result<(), String> {
        let end = Instant::now() + patience;
        loop {
            if connect(socket).is_ok() {
                return Ok(());
            }
            if let Ok(Some(_)) = self.0.try_wait() {
                return Err("it ended at once".into());
            }
            if Instant::now() >= end {
                return Err(format!("it does not listen after {}s", patience.as_secs_f32()));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Ends the keeper, and the server with it.
    pub(crate) fn end(mut self) {
        if let Some(process) = i32::try_from(self.0.id()).ok().and_then(ProcessId::of) {
            process.signal(Signal::SIGTERM);
        }
        let _ = self.0.wait();
    }
}

/// A connection to the server that listens on `socket`.
pub(crate) fn connect(socket: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(socket)
}

/// Which of the two ended first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The program in the terminal ended, or this process was told to end: then the server has been ended too.
    Program,
    /// The server.
    Server,
}

/// Runs the server of `argv` until it ends, the process `program` ends, or this process is told to end. The first 256
/// KiB that the server prints go to `log`.
pub(crate) fn serve(argv: &[String], program: ProcessId, log: &Path) -> io::Result<Ended> {
    let (told, write) = UnixStream::pair()?;
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP, signal_hook::consts::SIGINT] {
        signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
    }
    let Some(watch) = ExitWatch::on(program)? else { return Ok(Ended::Program) };
    let (first, arguments) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let (output, pipe) = io::pipe()?;
    let mut command = Command::new(first);
    command.args(arguments).stdin(Stdio::null()).stdout(pipe.try_clone()?).stderr(pipe);
    // On TERM the launcher of Codex ends the program that it started.
    end_with_parent(&mut command, Signal::SIGTERM);
    let mut child = command.spawn()?;
    // The command holds the write end of the pipe: while it exists, the reader below sees no end.
    drop(command);
    let log = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(log)?;
    std::thread::spawn(move || keep(output, log));
    crate::host::slim::slim();
    let server = i32::try_from(child.id()).ok().and_then(ProcessId::of);
    let ending = server.map(ExitWatch::on).transpose()?.flatten();
    let Some((server, ending)) = server.zip(ending) else {
        child.wait()?;
        return Ok(Ended::Server);
    };
    let fds = [watch.descriptor(), ending.descriptor(), told.as_fd()];
    let first = loop {
        let mut polled = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        match poll(&mut polled, PollTimeout::NONE) {
            Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) if polled[1].any() == Some(true) => break Ended::Server,
            Ok(_) => break Ended::Program,
        }
    };
    if first == Ended::Program {
        // On TERM a server waits for the end of its turn, which may take long: it is killed after the grace.
        process::end_all(&process::tree(&server), GRACE, &crate::base::SystemClock::default());
    }
    child.wait()?;
    Ok(first)
}

fn keep(mut output: impl Read, mut log: impl Write) {
    let _ = io::copy(&mut output.by_ref().take(KEPT), &mut log);
    let _ = io::copy(&mut output, &mut io::sink());
}
