//! Sending signals: the one place that does. A signal goes through a descriptor of the process (pidfd), opened first and
//! checked for the process's start time afterwards, so that it can't reach a later owner of the pid. By pid it goes only
//! where there is no such descriptor: macOS, Linux before 5.3.

use super::{ExitWatch, ProcessId, liveness, platform};
use crate::base::Liveness;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// Who gets a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// The process itself.
    Process,
    /// Every process of the group that it leads.
    Group,
}

impl ProcessId {
    /// Sends a signal, if the pid still belongs to this process. Returns whether the signal was sent.
    pub fn signal(&self, signal: Signal) -> bool {
        send(self, signal, Reach::Process)
    }
}

impl ExitWatch {
    fn send(&self, signal: Signal, reach: Reach) -> bool {
        os::send(self, signal, reach).unwrap_or_else(|| send_by_pid(&self.process(), signal, reach))
    }
}

/// Tells a terminal's program, and what it wraps, that the terminal's size has changed: it draws the whole screen anew.
/// `leader` is the pid of the terminal's first process. A program that does not draw ignores the signal.
pub(crate) fn redraw(leader: i32) {
    // A terminal's first process leads its session. 0 would mean our own group, 1 that of the init process.
    let leads = leader > 1 && platform::stat(leader).is_some_and(|stat| stat.session == leader);
    if let Some(leader) = ProcessId::of(leader).filter(|_| leads) {
        send(&leader, Signal::SIGWINCH, Reach::Group);
    }
}

fn send(process: &ProcessId, signal: Signal, reach: Reach) -> bool {
    match ExitWatch::on(*process) {
        Ok(watch) => watch.is_some_and(|watch| watch.send(signal, reach)),
        Err(_) => send_by_pid(process, signal, reach),
    }
}

/// Used only where there is no pidfd: between the check and the signal the pid could get another owner.
fn send_by_pid(process: &ProcessId, signal: Signal, reach: Reach) -> bool {
    let pid = Pid::from_raw(process.pid);
    liveness(process) == Liveness::Alive
        && match reach {
            Reach::Process => kill(pid, signal).is_ok(),
            Reach::Group => killpg(pid, signal).is_ok(),
        }
}

#[cfg(target_os = "linux")]
mod os {
    use super::{ExitWatch, Reach};
    use nix::errno::Errno;
    use nix::libc;
    use nix::sys::signal::Signal;
    use std::os::fd::AsRawFd;

    /// `PIDFD_SIGNAL_PROCESS_GROUP` of `linux/pidfd.h`, known to Linux 6.9 and later.
    const TO_GROUP: libc::c_uint = 1 << 2;

    /// `None`: the kernel does not know this call or flag, or a filter of system calls refuses it.
    pub(super) fn send(watch: &ExitWatch, signal: Signal, reach: Reach) -> Option<bool> {
        let flags = if reach == Reach::Group { TO_GROUP } else { 0 };
        let descriptor = watch.descriptor().as_raw_fd();
        let no_details = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: the call takes an open descriptor, two numbers and no pointer to anything of ours.
        let sent =
            unsafe { libc::syscall(libc::SYS_pidfd_send_signal, descriptor, signal as libc::c_int, no_details, flags) };
        match Errno::result(sent) {
            Ok(_) => Some(true),
            Err(Errno::EINVAL | Errno::ENOSYS | Errno::EPERM) => None,
            Err(_) => Some(false),
        }
    }
}

#[cfg(target_os = "macos")]
mod os {
    use super::{ExitWatch, Reach};
    use nix::sys::signal::Signal;

    /// A kqueue reports a process's end and can't send a signal.
    pub(super) fn send(_: &ExitWatch, _: Signal, _: Reach) -> Option<bool> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::{Child, Command, Stdio};

    /// A child that leads a process group of its own.
    fn sleeper() -> (Child, ProcessId) {
        let child = Command::new("sleep").arg("60").stdout(Stdio::null()).process_group(0).spawn().unwrap();
        let process = ProcessId::of(child.id() as i32).unwrap();
        (child, process)
    }

    #[test]
    fn the_later_owner_of_a_pid_is_never_signalled() {
        let (mut child, owner) = sleeper();
        let earlier = ProcessId { start: owner.start - 1, ..owner };
        for reach in [Reach::Process, Reach::Group] {
            assert!(!send(&earlier, Signal::SIGKILL, reach) && !send_by_pid(&earlier, Signal::SIGKILL, reach));
        }
        assert_eq!(child.try_wait().unwrap(), None, "the owner of the pid was hit");
        assert!(owner.signal(Signal::SIGTERM));
        assert_eq!(child.wait().unwrap().signal(), Some(Signal::SIGTERM as i32));
        assert!(!owner.signal(Signal::SIGTERM), "it has ended");
    }

    /// The check comes before the end here, as it would in a race: what decides is the descriptor.
    #[test]
    fn a_watch_that_outlives_its_process_signals_nobody() {
        let (mut child, process) = sleeper();
        let watch = ExitWatch::on(process).unwrap().unwrap();
        assert!(watch.send(Signal::SIGKILL, Reach::Process));
        child.wait().unwrap();
        assert!(!watch.send(Signal::SIGKILL, Reach::Process));
    }

    #[test]
    fn a_group_is_reached_through_its_leader() {
        let (mut child, process) = sleeper();
        assert!(send(&process, Signal::SIGTERM, Reach::Group));
        assert_eq!(child.wait().unwrap().signal(), Some(Signal::SIGTERM as i32));
        let (mut child, process) = sleeper();
        assert!(send_by_pid(&process, Signal::SIGTERM, Reach::Group));
        assert_eq!(child.wait().unwrap().signal(), Some(Signal::SIGTERM as i32));
    }

    #[test]
    fn only_the_first_process_of_a_terminal_is_told_to_draw() {
        // None of these leads a session: not the init process, not we, not a child in our session.
        let (mut child, process) = sleeper();
        for pid in [i32::MIN, -1, 0, 1, process.pid] {
            redraw(pid);
        }
        assert!(process.signal(Signal::SIGKILL));
        assert_eq!(child.wait().unwrap().signal(), Some(Signal::SIGKILL as i32));
    }
}
