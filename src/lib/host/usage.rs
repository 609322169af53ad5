//! The resident memory and CPU time of sessions' processes.

use std::collections::BTreeMap;
use std::time::Duration;

/// What one session's processes use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Resident memory of the agent and all it started, in bytes.
    pub memory: u64,
    /// CPU time that the processes started by the agent have used so far, in clock ticks. The agent's own is not
    /// counted, since an agent that waits still repaints and polls.
    pub children_cpu: u64,
    /// CPU time that all of them have used so far, in clock ticks.
    pub cpu: u64,
}

impl Usage {
    /// The share of one processor that was used since `before`, `elapsed` ago: 1.0 is all of one. `None` where it can't
    /// be determined, as for a session that was replaced meanwhile.
    pub(crate) fn share_since(&self, before: &Usage, elapsed: Duration) -> Option<f64> {
        let used = self.cpu.checked_sub(before.cpu)? as f64 / ticks_per_second()?;
        (!elapsed.is_zero()).then(|| used / elapsed.as_secs_f64())
    }
}

fn ticks_per_second() -> Option<f64> {
    let ticks = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten()?;
    (ticks > 0).then_some(ticks as f64)
}

/// One process.
#[derive(Debug, Clone, Copy)]
struct Process {
    parent: i32,
    session: i32,
    cpu: u64,
    resident: u64,
}

/// What each of `roots`, the first processes of sessions, uses with its descendants and the rest of its process
/// session. All processes are read once. A root that has ended is missing from the result.
pub fn of(roots: &[i32]) -> BTreeMap<i32, Usage> {
    if roots.is_empty() {
        return BTreeMap::new();
    }
    sum(roots, &all())
}

fn sum(roots: &[i32], all: &BTreeMap<i32, Process>) -> BTreeMap<i32, Usage> {
    let mut found: BTreeMap<i32, Usage> =
        roots.iter().filter(|root| all.contains_key(root)).map(|root| (*root, Usage::default())).collect();
    for (pid, process) in all {
        let mut at = *pid;
        // A process whose parent has ended belongs to init: its process session still tells to which root it belongs.
        let root = loop {
            if found.contains_key(&at) {
                break Some(at);
            }
            match all.get(&at) {
                Some(process) if process.parent > 1 && process.parent != at => at = process.parent,
                _ => break found.contains_key(&process.session).then_some(process.session),
            }
        };
        if let Some(usage) = root.and_then(|root| found.get_mut(&root)) {
            usage.memory += process.resident;
            usage.cpu += process.cpu;
            usage.children_cpu += if root == Some(*pid) { 0 } else { process.cpu };
        }
    }
    found
}

#[cfg(target_os = "linux")]
fn all() -> BTreeMap<i32, Process> {
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4096) as u64;
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some((pid, parse(&text, page)?))
    })
    .collect()
}

#[cfg(target_os = "macos")]
fn all() -> BTreeMap<i32, Process> {
    let per_second = ticks_per_second().unwrap_or(100.0) as u64;
    let described = super::process::pids().into_iter().filter_map(|pid| {
        let (stat, (resident, cpu)) = (super::process::stat_of(pid)?, super::process::used(pid, per_second)?);
        Some((pid, Process { parent: stat.parent, session: stat.session, cpu, resident }))
    });
    described.collect()
}

/// `/proc/PID/stat` (proc(5)): fields are counted from the last parenthesis.
#[cfg(any(target_os = "linux", test))]
fn parse(text: &str, page: u64) -> Option<Process> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |n: usize| fields.get(n - 3).copied();
    let number = |n: usize| field(n)?.parse::<u64>().ok();
    Some(Process {
        parent: field(4)?.parse().ok()?,
        session: field(6)?.parse().ok()?,
        // Its own, and that of children it has waited for.
        cpu: number(14)? + number(15)? + number(16).unwrap_or(0) + number(17).unwrap_or(0),
        resident: number(24)? * page,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_its_descendants_and_its_process_session() {
        let process = |parent, session, cpu, resident| Process { parent, session, cpu, resident };
        let all = BTreeMap::from([
            (1, process(0, 1, 900, 900)),
            (10, process(1, 10, 5, 100)),
            (11, process(10, 10, 7, 20)),
            (12, process(11, 12, 3, 4)),
            (13, process(1, 10, 2, 1)),
            (20, process(1, 20, 1, 50)),
        ]);
        let found = sum(&[10, 20, 99], &all);
        assert_eq!(found[&10], Usage { memory: 125, children_cpu: 12, cpu: 17 });
        assert_eq!(found[&20], Usage { memory: 50, children_cpu: 0, cpu: 1 });
        assert!(!found.contains_key(&99));
    }

    #[test]
    fn the_share_of_a_processor_as_a_table() {
        let usage = |cpu| Usage { cpu, ..Usage::default() };
        let second = ticks_per_second().unwrap() as u64;
        for (before, after, secs, share) in [
            (0, second, 1, Some(1.0)),
            (second, 2 * second, 4, Some(0.25)),
            (5, 5, 1, Some(0.0)),
            (5, 4, 1, None),
            (0, 1, 0, None),
        ] {
            assert_eq!(usage(after).share_since(&usage(before), Duration::from_secs(secs)), share);
        }
    }

    #[test]
    fn a_line_of_proc() {
        let line = "42 (a) b (c)) S 7 42 9 0 -1 0 0 0 0 0 3 4 5 6 20 0 1 0 12345 0 8 0";
        let process = parse(line, 4096).unwrap();
        assert_eq!((process.parent, process.session, process.cpu, process.resident), (7, 9, 18, 8 * 4096));
        assert!(parse("42 (torn", 1).is_none());
    }
}
