//! Descriptors and attributes that a program inherited from the program that started it, and must not pass on.

use crate::host::limits;
use nix::libc;
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::sys::stat::{Mode, umask};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// A variable of this prefix holds what the variable named behind it was before a peer's `launch.env` changed it for
/// that peer's session.
pub(crate) const BASE: &str = "IAP_BASE_";

/// To be called first, while the program has one thread: a descriptor that the caller left open (cron's lock, a pipe)
/// ends at the next exec instead of living as long as a tmux server does; a program that runs inside a session works
/// with the environment that the session was launched from, since what it starts is another peer's; and what the caller
/// was limited to, or ignored, must not decide what becomes of messages.
pub fn disown() {
    close_on_exec();
    limits::lift();
    // Files of ours are ours alone, whatever mode they are asked for with.
    umask(Mode::from_bits_truncate(0o077));
    let _ = SigSet::empty().thread_set_mask();
    // SAFETY: neither runs code of ours. A caller that ignores SIGCHLD would keep us from learning how tmux ended; one
    // that limits the size of files would end us in the middle of a write, which is to be an error instead.
    unsafe {
        let _ = signal(Signal::SIGCHLD, SigHandler::SigDfl);
        let _ = signal(Signal::SIGXFSZ, SigHandler::SigIgn);
    }
    let given: Vec<_> = std::env::vars_os().collect();
    for (base, value) in given {
        let Some(name) = base.to_str().and_then(|name| name.strip_prefix(BASE)).filter(|name| !name.is_empty()) else {
            continue;
        };
        // SAFETY: no other thread reads the environment yet.
        unsafe {
            if value.is_empty() {
                std::env::remove_var(name)
            } else {
                std::env::set_var(name, value)
            }
            std::env::remove_var(&base);
        }
    }
}

/// Has `command`, which becomes a session's server, start with nothing of this process but what it is given outright:
/// umask, niceness, limits and signals are those of a login.
pub(crate) fn clear_for_session(command: &mut Command) {
    // SAFETY: system calls that are safe between fork and exec (signal-safety(7)), on no memory of the parent's.
    unsafe {
        command.pre_exec(|| {
            umask(Mode::from_bits_truncate(0o022));
            // Only root may make a process nicer to itself: without, it stays, and the launch says so.
            libc::setpriority(libc::PRIO_PROCESS, 0, 0);
            limits::lift();
            for signal in Signal::iterator().filter(|signal| !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP)) {
                libc::signal(signal as libc::c_int, libc::SIG_DFL);
            }
            Ok(())
        });
    }
}

fn close_on_exec() {
    // SAFETY: it touches no memory. By number: musl has no function for it.
    #[cfg(target_os = "linux")]
    if unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) } == 0 {
        return;
    }
    // Linux before 5.11, macOS.
    for name in std::fs::read_dir("/dev/fd").into_iter().flatten().flatten().map(|entry| entry.file_name()) {
        let Some(fd) = name.to_str().and_then(|name| name.parse().ok()).filter(|fd| *fd > 2) else { continue };
        // SAFETY: it touches no memory; a descriptor that is closed by now is an error that changes nothing.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}
