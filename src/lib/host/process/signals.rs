//! Handling the signals that this program gets.

use nix::sys::signal::{SigHandler, Signal, signal};
use std::io;
use std::os::unix::net::UnixStream;

/// A stream that becomes readable when one of these signals comes; the signals have no other effect from now on.
pub(crate) fn signal_stream(signals: &[i32]) -> io::Result<UnixStream> {
    let (read, write) = UnixStream::pair()?;
    for signal in signals {
        signal_hook::low_level::pipe::register(*signal, write.try_clone()?)?;
    }
    Ok(read)
}

/// Ends this program as the caught `signal` would have ended it, so that its parent sees this signal in the exit
/// status.
pub(crate) fn end_by(signal: i32) {
    // Where this fails, the caller goes on to its own end.
    let _ = signal_hook::low_level::emulate_default_handler(signal);
}

/// Ignores TERM and HUP from now on: for a program that has asked for the end of the unit, or of the terminal, that it
/// runs in, and still has to put files in order.
pub(crate) fn outlive_the_stop() {
    for number in [Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: ignoring a signal runs no code of ours.
        let _ = unsafe { signal(number, SigHandler::SigIgn) };
    }
}
