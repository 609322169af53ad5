//! The socket file of a tmux server: whether a server listens on it, and how to have it created again.

use crate::host::ProcessId;
use nix::sys::signal::Signal;
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Whether a connection to `socket` is refused, which proves that nobody listens on it. `false` proves nothing.
pub(crate) fn is_refused(socket: &Path) -> bool {
    UnixStream::connect(socket).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

/// Makes a tmux server that lives, and whose socket is gone, create its socket again (SIGUSR1). Returns whether the
/// signal was sent.
pub(crate) fn recreate_socket(server: &ProcessId) -> bool {
    server.signal(Signal::SIGUSR1)
}
