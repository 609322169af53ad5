//! Processes, identified by pid and start time, so that none is mistaken for a later one with the same pid.

mod doing;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;
mod send;
mod signals;
mod stat;
mod watch;

#[cfg(target_os = "linux")]
use linux as platform;
#[cfg(target_os = "macos")]
use macos as platform;

use crate::base::Liveness;
use crate::base::clock::{Clock, Deadline, wait_for};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use doing::{Doing, doing};
#[cfg(target_os = "macos")]
pub(in crate::host) use platform::{pids, stat as stat_of, used};
pub(crate) use send::redraw;
pub(crate) use signals::{end_by, outlive_the_stop, signal_stream};
use stat::Stat;
pub(crate) use watch::ExitWatch;

/// A process: its pid, and when it started, so that a reused pid is not mistaken for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcessId {
    /// The pid.
    pub pid: i32,
    /// When it started, in the platform's own unit (Linux: clock ticks since boot; macOS: microseconds since 1970).
    pub start: u64,
}

impl ProcessId {
    /// The process that has this pid now. `None`: there is none, or it is a zombie.
    pub fn of(pid: i32) -> Option<ProcessId> {
        let stat = platform::stat(pid)?;
        (!stat.zombie).then_some(ProcessId { pid, start: stat.start })
    }
}

/// Whether a process lives. A zombie is gone, and so is one whose pid has another owner now.
pub fn liveness(process: &ProcessId) -> Liveness {
    match platform::stat(process.pid) {
        Some(stat) if stat.start == process.start && !stat.zombie => Liveness::Alive,
        Some(_) => Liveness::Gone,
        None => match kill(Pid::from_raw(process.pid), None) {
            Err(Errno::ESRCH) => Liveness::Gone,
            // The process exists, but the platform reports nothing about it: its state is unknown.
            _ if platform::stat(process.pid).is_none() => Liveness::Unknown,
            _ => liveness(process),
        },
    }
}

/// `root`, what belongs to its process session, and the descendants of both (D36), by pid and start time.
pub fn tree(root: &ProcessId) -> Vec<ProcessId> {
    if liveness(root) != Liveness::Alive {
        return Vec::new();
    }
    let all: BTreeMap<i32, Stat> =
        platform::pids().into_iter().filter_map(|pid| Some((pid, platform::stat(pid)?))).collect();
    let mut family: BTreeSet<i32> =
        all.iter().filter(|(_, stat)| stat.session == root.pid).map(|(pid, _)| *pid).collect();
    family.insert(root.pid);
    loop {
        let children: Vec<i32> = all
            .iter()
            .filter(|(pid, stat)| family.contains(&stat.parent) && !family.contains(pid))
            .map(|(pid, _)| *pid)
            .collect();
        if children.is_empty() {
            break;
        }
        family.extend(children);
    }
    let own = std::process::id() as i32;
    family
        .into_iter()
        // Without this program: it may be run by the very agent that it ends.
        .filter(|pid| *pid != own)
        .filter_map(|pid| all.get(&pid).filter(|stat| !stat.zombie).map(|stat| ProcessId { pid, start: stat.start }))
        .collect()
}

/// Ends processes: TERM, and KILL to what is left after `grace`. Returns what remains even then.
pub(crate) fn end_all(processes: &[ProcessId], grace: Duration, clock: &dyn Clock) -> Vec<ProcessId> {
    let left = || -> Vec<ProcessId> {
        processes.iter().copied().filter(|process| liveness(process) != Liveness::Gone).collect()
    };
    for (signal, wait) in [(Signal::SIGTERM, grace), (Signal::SIGKILL, Duration::from_secs(2))] {
        let targets = left();
        if targets.is_empty() {
            return targets;
        }
        for process in &targets {
            process.signal(signal);
        }
        let deadline = Deadline::after(clock, wait);
        wait_for(clock, deadline, Duration::from_millis(5), || left().is_empty().then_some(()));
    }
    left()
}

/// Whether a child has executed the program for which it was started; `true` where the platform does not tell.
pub(crate) fn runs_a_program(child: i32) -> bool {
    platform::has_executed(child).unwrap_or(true)
}

/// The niceness of a process, -20 to 19, as a rule 0. `None`: the process has ended.
pub(crate) fn niceness(process: &ProcessId) -> Option<i32> {
    // SAFETY: the call takes two numbers. -1 is an error or a niceness: it counts only if the process is still alive.
    let nice = unsafe { nix::libc::getpriority(nix::libc::PRIO_PROCESS, u32::try_from(process.pid).ok()?) };
    (liveness(process) == Liveness::Alive).then_some(nice)
}

/// The id of this boot of the machine.
pub fn boot_id() -> Option<String> {
    platform::boot_id()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::SystemClock;
    use std::io::BufRead;
    use std::process::{Command, Stdio};

    fn patience(mut done: impl FnMut() -> bool) -> bool {
        let clock = SystemClock::default();
        let deadline = Deadline::after(&clock, Duration::from_secs(10));
        wait_for(&clock, deadline, Duration::from_millis(2), || done().then_some(())).is_some()
    }

    #[test]
    fn this_process_lives_and_one_of_another_start_does_not() {
        let me = ProcessId::of(std::process::id() as i32).unwrap();
        assert_eq!(liveness(&me), Liveness::Alive);
        assert_eq!(liveness(&ProcessId { start: me.start + 1, ..me }), Liveness::Gone);
    }

    #[test]
    fn a_zombie_is_gone() {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = child.id() as i32;
        assert!(patience(|| ProcessId::of(pid).is_none()), "the child became a zombie");
        child.wait().unwrap();
        assert_eq!(liveness(&ProcessId { pid, start: 1 }), Liveness::Gone);
    }

    #[test]
    fn a_process_that_was_only_forked_runs_no_program() {
        assert!(runs_a_program(std::process::id() as i32));
        // A subshell is forked, and executes nothing.
        let script = "(while :; do :; done) & echo $!; wait";
        let mut child = Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let subshell = ProcessId::of(line.trim().parse().unwrap()).unwrap();
        assert_eq!(runs_a_program(subshell.pid), cfg!(not(target_os = "linux")));
        assert!(subshell.signal(Signal::SIGKILL));
        child.wait().unwrap();
    }

    #[test]
    fn one_that_ignores_term_is_killed_and_its_family_with_it() {
        let script = "trap '' TERM; sh -c 'trap \"\" TERM; while :; do sleep 1; done' & while :; do sleep 1; done";
        let mut child = Command::new("sh").args(["-c", script]).stdout(Stdio::null()).spawn().unwrap();
        let root = ProcessId::of(child.id() as i32).unwrap();
        assert!(patience(|| tree(&root).len() >= 3), "{:?}", tree(&root));
        let family = tree(&root);
        let left = end_all(&family, Duration::from_millis(50), &SystemClock::default());
        child.wait().unwrap();
        assert!(left.is_empty() || patience(|| left.iter().all(|p| liveness(p) == Liveness::Gone)), "{left:?}");
    }
}
