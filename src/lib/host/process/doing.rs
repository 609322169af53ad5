//! What a process is doing, for a person who wonders why it does not end.

use super::{platform, stat::Stat};

/// What a process is doing, as far as the platform tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Doing {
    /// Whether a signal or a debugger has stopped it: it does nothing until it is continued.
    pub stopped: bool,
    /// What it waits for, in words; `None` where nothing is known.
    pub waits_for: Option<String>,
}

/// What the process with this pid is doing. `None`: there is none.
pub fn doing(pid: i32) -> Option<Doing> {
    let stat = platform::stat(pid).filter(|stat| !stat.zombie)?;
    Some(Doing { stopped: stat.stopped, waits_for: child_of(pid).or_else(|| platform::wait_channel(pid)) })
}

/// The first child that lives: a program that starts another one waits for it, as a rule.
fn child_of(pid: i32) -> Option<String> {
    let is_child = |stat: &Stat| stat.parent == pid && !stat.zombie;
    let child =
        platform::pids().into_iter().find(|child| platform::stat(*child).is_some_and(|stat| is_child(&stat)))?;
    Some(format!("{}, pid {child}", platform::name(child).unwrap_or_else(|| "a program".to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_shell_waits_for_its_program_and_a_process_that_is_gone_does_nothing() {
        let mut shell = Command::new("sh").args(["-c", "sleep 60; :"]).spawn().unwrap();
        let pid = shell.id() as i32;
        let waits = || doing(pid)?.waits_for.filter(|what| what.starts_with("sleep, pid "));
        while waits().is_none() {
            std::thread::yield_now();
        }
        assert!(!doing(pid).unwrap().stopped);
        let family = super::super::tree(&super::super::ProcessId::of(pid).unwrap());
        super::super::end_all(&family, std::time::Duration::ZERO, &crate::base::clock::SystemClock::default());
        shell.kill().unwrap();
        shell.wait().unwrap();
        assert_eq!(doing(pid), None);
    }
}
