//! Waiting for the end of a process without polling: pidfd on Linux, kqueue on macOS.

use super::{ProcessId, liveness};
use crate::base::{Liveness, ProcessEnd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A watch on one process. Its descriptor becomes readable when the process has ended.
#[derive(Debug)]
pub(crate) struct ExitWatch {
    process: ProcessId,
    descriptor: OwnedFd,
}

impl ExitWatch {
    /// A watch on `process`; `None` where it has ended already. An error on Linux before 5.3, which has no pidfd.
    pub(crate) fn on(process: ProcessId) -> io::Result<Option<ExitWatch>> {
        let Some(descriptor) = os::open(process.pid)? else { return Ok(None) };
        // Checked after opening: only so is it certain that the descriptor refers to this process and not to a later
        // owner of the pid.
        let same = liveness(&process) == Liveness::Alive;
        Ok(same.then_some(ExitWatch { process, descriptor }))
    }

    /// The process that is watched.
    pub(super) fn process(&self) -> ProcessId {
        self.process
    }

    /// The descriptor to poll for reading.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    /// How the process ended, once it has, where the kernel still tells: from the zombie that waits to be collected, or
    /// (Linux 6.15 and later) from the descriptor itself. The answer is never a guess.
    pub(crate) fn ending(&self) -> Option<ProcessEnd> {
        os::ending(&self.process, self.descriptor())
    }
}

#[cfg(target_os = "linux")]
mod os {
    use super::ProcessId;
    use crate::base::ProcessEnd;
    use nix::libc;
    use std::io;
    use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

    pub(crate) fn open(pid: i32) -> io::Result<Option<OwnedFd>> {
        // SAFETY: the call takes two numbers and returns a new descriptor (close-on-exec by itself) or -1.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        match i32::try_from(fd) {
            // SAFETY: the kernel just gave us this descriptor and nobody else knows it.
            Ok(fd) if fd >= 0 => Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) })),
            _ => match io::Error::last_os_error() {
                error if error.raw_os_error() == Some(libc::ESRCH) => Ok(None),
                error => Err(error),
            },
        }
    }

    pub(crate) fn ending(process: &ProcessId, descriptor: BorrowedFd<'_>) -> Option<ProcessEnd> {
        of_zombie(process).or_else(|| of_descriptor(descriptor)).map(ProcessEnd::from_wait_status)
    }

    /// Field 52 of `/proc/PID/stat`, if it is this very process: same start, state Z.
    fn of_zombie(process: &ProcessId) -> Option<i32> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", process.pid)).ok()?;
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |n: usize| fields.get(n - 3).copied();
        let same = field(22)?.parse::<u64>().ok()? == process.start && field(3)? == "Z";
        same.then(|| field(52)?.parse().ok()).flatten()
    }

    /// `struct pidfd_info` of `linux/pidfd.h`, its first published size.
    #[repr(C)]
    #[derive(Default)]
    struct PidfdInfo {
        mask: u64,
        cgroup: u64,
        ids: [u32; 11],
        exit_code: i32,
    }

    /// `PIDFD_INFO_EXIT`: ask for, and be told of, the exit status of a process that has been collected.
    const INFO_EXIT: u64 = 1 << 3;

    /// `PIDFD_GET_INFO`: `_IOWR(0xFF, 11, struct pidfd_info)`, with the size above (64 bytes).
    const GET_INFO: libc::Ioctl = 0xc040_ff0b_u32 as libc::Ioctl;

    fn of_descriptor(descriptor: BorrowedFd<'_>) -> Option<i32> {
        let mut info = PidfdInfo { mask: INFO_EXIT, ..PidfdInfo::default() };
        // SAFETY: the request's number carries the struct's size, and the kernel writes no more than that.
        let done = unsafe { libc::ioctl(descriptor.as_raw_fd(), GET_INFO, &raw mut info) };
        (done == 0 && info.mask & INFO_EXIT != 0).then_some(info.exit_code)
    }
}

#[cfg(target_os = "macos")]
mod os {
    use super::ProcessId;
    use crate::base::ProcessEnd;
    use nix::libc;
    use std::io;
    use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};

    pub(crate) fn open(pid: i32) -> io::Result<Option<OwnedFd>> {
        // SAFETY: takes nothing; returns a new descriptor or -1.
        let fd = unsafe { libc::kqueue() };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just gave us this descriptor and nobody else knows it.
        let queue = unsafe { OwnedFd::from_raw_fd(fd) };
        let change = libc::kevent {
            ident: pid as libc::uintptr_t,
            filter: libc::EVFILT_PROC,
            flags: libc::EV_ADD | libc::EV_ONESHOT,
            fflags: libc::NOTE_EXIT,
            data: 0,
            udata: std::ptr::null_mut(),
        };
        // SAFETY: one valid change, no room for events, no timeout. A kqueue is not inherited by fork.
        let done = unsafe { libc::kevent(fd, &raw const change, 1, std::ptr::null_mut(), 0, std::ptr::null()) };
        if done == 0 {
            return Ok(Some(queue));
        }
        match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ESRCH) => Ok(None),
            error => Err(error),
        }
    }

    /// macOS tells the exit status only to the parent.
    pub(crate) fn ending(_process: &ProcessId, _descriptor: BorrowedFd<'_>) -> Option<ProcessEnd> {
        let _ = ProcessEnd::from_wait_status;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::errno::Errno;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use nix::sys::signal::Signal;
    use std::process::{Command, Stdio};

    fn sleeper() -> (std::process::Child, ProcessId) {
        let child = Command::new("sleep").arg("60").stdout(Stdio::null()).spawn().unwrap();
        let process = ProcessId::of(child.id() as i32).unwrap();
        (child, process)
    }

    #[test]
    fn the_end_of_a_process_is_told_with_the_signal_that_ended_it() {
        let (mut child, process) = sleeper();
        let watch = ExitWatch::on(process).unwrap().unwrap();
        let waiter = std::thread::spawn(move || {
            while poll(&mut [PollFd::new(watch.descriptor(), PollFlags::POLLIN)], PollTimeout::NONE)
                == Err(Errno::EINTR)
            {}
            watch.ending()
        });
        assert!(process.signal(Signal::SIGKILL));
        let ending = waiter.join().unwrap();
        child.wait().unwrap();
        if cfg!(target_os = "linux") {
            assert_eq!(ending, Some(ProcessEnd::Killed(9)), "nobody collected it before we looked");
        }
    }

    #[test]
    fn a_process_that_has_ended_and_one_of_another_start_are_not_watched() {
        let (mut child, process) = sleeper();
        assert!(ExitWatch::on(ProcessId { start: process.start + 1, ..process }).unwrap().is_none());
        assert!(ExitWatch::on(process).unwrap().is_some());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(ExitWatch::on(process).unwrap().is_none());
    }

    /// Linux 6.15 and later report the signal; on earlier ones and on macOS there must be no wrong answer.
    #[test]
    fn one_that_was_collected_already_is_not_misjudged() {
        let (mut child, process) = sleeper();
        let watch = ExitWatch::on(process).unwrap().unwrap();
        assert_eq!(watch.ending(), None, "it lives");
        child.kill().unwrap();
        child.wait().unwrap();
        let ending = watch.ending();
        eprintln!("after it was collected: {ending:?}");
        assert!(matches!(ending, None | Some(ProcessEnd::Killed(9))), "{ending:?}");
    }

    #[test]
    fn wait_statuses() {
        assert_eq!(ProcessEnd::from_wait_status(0), ProcessEnd::Exited(0));
        assert_eq!(ProcessEnd::from_wait_status(3 << 8), ProcessEnd::Exited(3));
        assert_eq!(ProcessEnd::from_wait_status(9), ProcessEnd::Killed(9));
        assert_eq!(ProcessEnd::from_wait_status(11 | 0x80), ProcessEnd::Killed(11));
    }
}
