//! Descriptors and attributes that a program inherited from the program that started it, and must not pass on.

use crate::host::limits;
use nix::libc;
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::sys::stat::{Mode, umask};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// `IAP_BASE_X` holds the value that the variable `X` had before a peer's `launch.env` changed it for that peer's
/// session; it is empty where `X` was not set.
pub(crate) const BASE: &str = "IAP_BASE_";

/// Gives up what the caller has left to this program. To be called first, while the program has one thread. A
/// descriptor that the caller left open (cron's lock, a pipe) is closed at the next exec instead of living as long as a
/// tmux server. Inside a session, variables get back the values from before the peer's `launch.env`, since what this
/// program starts belongs to another peer. The caller's limits and ignored signals must not decide about messages.
pub fn disown() {
    close_on_exec();
    limits::lift();
    // No other user may read the files that we create, whatever mode is given to `open`.
    umask(Mode::from_bits_truncate(0o077));
    let _ = SigSet::empty().thread_set_mask();
    // SAFETY: neither call runs code of ours. If SIGCHLD stayed ignored, we could not learn how tmux ended. SIGXFSZ (a
    // limit of file sizes) would end us in the middle of a write; ignored, it makes the write fail instead.
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

/// Makes `command`, which becomes a session's server, inherit nothing from this process but what it is given
/// explicitly: umask, niceness, limits and signals are those of a login.
pub(crate) fn clear_for_session(command: &mut Command) {
    // SAFETY: system calls that are safe between fork and exec (signal-safety(7)), on no memory of the parent's.
    unsafe {
        command.pre_exec(|| {
            umask(Mode::from_bits_truncate(0o022));
            // Only root may lower a process's niceness: otherwise it stays, and the launch reports it.
            libc::setpriority(libc::PRIO_PROCESS, 0, 0);
            limits::lift();
            for signal in Signal::iterator().filter(|signal| !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP)) {
                libc::signal(signal as libc::c_int, libc::SIG_DFL);
            }
            Ok(())
        });
    }
}

/// Has the process of `command` get `signal` when the thread that starts it ends, also by a kill (Linux; elsewhere nothing
/// does that).
pub(crate) fn end_with_parent(command: &mut Command, signal: Signal) {
    #[cfg(target_os = "linux")]
    // SAFETY: prctl is async-signal-safe, and nothing else happens between fork and exec.
    unsafe {
        command.pre_exec(move || {
            libc::prctl(libc::PR_SET_PDEATHSIG, signal as libc::c_int);
            Ok(())
        });
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (command, signal);
}

fn close_on_exec() {
    // SAFETY: the call touches no memory. By number, since musl has no function for it.
    #[cfg(target_os = "linux")]
    if unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) } == 0 {
        return;
    }
    // Linux before 5.11 and macOS have no such call.
    for name in std::fs::read_dir("/dev/fd").into_iter().flatten().flatten().map(|entry| entry.file_name()) {
        let Some(fd) = name.to_str().and_then(|name| name.parse().ok()).filter(|fd| *fd > 2) else { continue };
        // SAFETY: the call touches no memory; for a descriptor that is closed by now it fails and changes nothing.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}
