//! Collects the evidence of a server's end: counters before the end, to compare with, and traces after it.

use crate::base::ProcessEnd;
use crate::base::StateFile;
use crate::base::clock::{Deadline, EpochMs, wait_for};
use crate::canary::rule::{EndEvidence, UnitState};
use crate::host::ProcessId;
use crate::host::cgroup::MemoryEvents;
use crate::host::forensics::Section;
use crate::host::kernel_log::{self, KernelLog};
use crate::host::process;
use crate::host::service::unit_record;
use crate::store::durable;
use crate::store::event_log;
use crate::store::session_record::SessionRecord;
use crate::world::World;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// The longest time between a tmux command and the end of the server that it caused.
const COMMAND_AGE: Duration = Duration::from_secs(5);
/// The time limit of one query to the service manager.
const MANAGER_TIME: Duration = Duration::from_millis(300);

/// The state while the server lives, to compare with at its end.
#[derive(Debug)]
pub(crate) struct SeenBefore {
    kernel: Option<KernelLog>,
    /// The memory events of the server's cgroup, where the cgroup reports them.
    pub cgroup: Option<MemoryEvents>,
    oom_kills: u64,
}

impl SeenBefore {
    /// The present state of `server`.
    pub(crate) fn of(server: ProcessId) -> SeenBefore {
        let mut before =
            SeenBefore { kernel: KernelLog::from_now(), cgroup: MemoryEvents::of(server.pid), oom_kills: 0 };
        before.renew();
        before
    }

    /// Resets the count of OOM kills: the server has outlived those so far.
    pub(crate) fn renew(&mut self) {
        self.oom_kills = self.oom_kills();
    }

    fn oom_kills(&mut self) -> u64 {
        self.cgroup.as_mut().and_then(MemoryEvents::oom_kills).unwrap_or(self.oom_kills)
    }

    /// The evidence after the end. `client` is the exit code of the canary's client, if it ended with the server.
    pub(crate) fn collect(
        mut self,
        world: &World<'_>,
        record: &SessionRecord,
        server: ProcessId,
        ending: Option<ProcessEnd>,
        client: Option<i32>,
    ) -> (EndEvidence, Vec<Section>) {
        let kernel = self.kernel.as_mut().map(KernelLog::lines).unwrap_or_default();
        let rose = self.oom_kills().saturating_sub(self.oom_kills);
        let cgroup = self.cgroup.as_ref();
        let notes =
            cgroup.map(|events| format!("{}: oom_kill rose by {rose}\n{}", events.path.display(), events.describe()));
        let mut sections = vec![("cgroup", notes.unwrap_or_default())];
        let evidence = EndEvidence {
            ending,
            client,
            kernel_oom: kernel_log::oom_line(&kernel, server.pid),
            kernel_fault: kernel_log::fault_line(&kernel, server.pid),
            // cgroup v1 does not say when the counter rose: the counter is recorded, and nothing is concluded from it.
            cgroup_oom_kills: if cgroup.is_some_and(|events| events.notifies) { rose } else { 0 },
            command: command(world, record, server, Some(world.now())),
            ..by_unit(world, record, &mut sections)
        };
        (evidence, sections)
    }
}

/// The evidence for a server that nobody watched.
pub fn afterwards(world: &World<'_>, record: &SessionRecord, server: ProcessId) -> (EndEvidence, Vec<Section>) {
    let mut sections = Vec::new();
    let now = process::boot_id();
    let rebooted = record.boot_id.is_some() && now.is_some() && record.boot_id != now;
    if rebooted {
        return (EndEvidence { rebooted, ..EndEvidence::default() }, sections);
    }
    let mut kernel = KernelLog::from_start().map(|mut log| log.lines()).unwrap_or_default();
    // Lines about an earlier process with this pid are excluded. The clock of the kernel log is never ahead of the clock
    // of start times.
    let start = started(server);
    kernel.retain(|line| start.is_some_and(|start| line.at >= start));
    let evidence = EndEvidence {
        kernel_oom: kernel_log::oom_line(&kernel, server.pid),
        kernel_fault: kernel_log::fault_line(&kernel, server.pid),
        command: command(world, record, server, None),
        ..by_unit(world, record, &mut sections)
    };
    (evidence, sections)
}

/// When a process started: the time since boot. `None` on macOS.
fn started(server: ProcessId) -> Option<Duration> {
    // Start times are in clock ticks (USER_HZ), of which there are 100 a second on every supported platform.
    cfg!(target_os = "linux").then(|| Duration::from_millis(server.start.saturating_mul(10)))
}

/// The state of the session's unit, as the service manager reports it.
fn by_unit(world: &World<'_>, record: &SessionRecord, sections: &mut Vec<Section>) -> EndEvidence {
    let Some(unit) = record.unit.as_deref() else { return EndEvidence::default() };
    let properties = ["LoadState", "ActiveState", "SubState", "Result", "ExecMainCode", "ExecMainStatus", "Job"];
    let mut shown = String::new();
    // The kernel notifies the service manager and the canary at the same time: until the manager has handled that, the
    // unit still counts as active.
    wait_for(world.clock, Deadline::after(world.clock, MANAGER_TIME), Duration::from_millis(10), || {
        shown = unit_record::properties(unit, &properties, MANAGER_TIME);
        UnitState::parse(&shown).is_none_or(|state| state.active != "active").then_some(())
    });
    let journal = unit_record::journal(unit, MANAGER_TIME);
    let evidence = EndEvidence {
        unit: UnitState::parse(&shown),
        journal_stop: stop_line(&journal, unit),
        ..EndEvidence::default()
    };
    if evidence.unit.as_ref().is_some_and(|state| state.active == "failed") {
        // The unit's result has been read: its name can be used again.
        unit_record::forget_failure(unit, MANAGER_TIME);
    }
    sections.push(("unit", shown));
    sections.push(("unit-journal", journal));
    evidence
}

/// The journal line about a requested stop of `unit`: systemd logs `Stopping` before it does anything.
fn stop_line(journal: &str, unit: &str) -> Option<String> {
    let lines: Vec<&str> = journal.lines().collect();
    let at = lines.iter().rposition(|line| line.starts_with("Stopping ") && line.contains(unit))?;
    // A unit that was started again after the line was not ended by that stop.
    let again = lines[at..].iter().any(|line| line.starts_with("Started ") && line.contains(unit));
    (!again).then(|| lines[at].to_owned())
}

/// The tmux command that ended `server`: as recorded by the server's command aliases, or in tmux's own log. Where the
/// time of the end is not known, only `kill-server` counts, since the other commands may leave the server alive.
fn command(world: &World<'_>, record: &SessionRecord, server: ProcessId, ended: Option<EpochMs>) -> Option<String> {
    let identity = &record.identity;
    let trail = world.paths.state(identity, StateFile::KilledBy);
    let written_at = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified()).ok().map(EpochMs::from);
    let recent =
        |path: &Path| written_at(path).is_some_and(|at| ended.is_some_and(|ended| ended.since(at) <= COMMAND_AGE));
    // A record from before this launch is about an earlier server with the same pid.
    let is_ours = written_at(&trail).is_some_and(|at| at >= record.woke_at);
    let written = durable::read_optional(&trail)
        .ok()
        .flatten()
        .and_then(|text| parse_trail(&String::from_utf8_lossy(&text), server.pid))
        .filter(|_| is_ours);
    if let Some(command) = written
        && (command == "kill-server" || recent(&trail))
    {
        return Some(command);
    }
    let log = world.paths.event_log_dir().join(format!("tmux-cmdlog/{identity}/tmux-server-{}.log", server.pid));
    let text = recent(&log).then(|| event_log::tail(&log, 128 * 1024)).flatten()?;
    let last = text.lines().rev().find(|line| line.contains("command:"))?;
    ["kill-server", "kill-session", "kill-window", "kill-pane"]
        .iter()
        .find(|name| last.contains(*name))
        .map(|name| format!("{name} (tmux's own log)"))
}

/// `COMMAND pid=N`, if it is about the server `pid`.
fn parse_trail(text: &str, pid: i32) -> Option<String> {
    let (command, of) = text.trim().split_once(" pid=")?;
    (of.parse::<i32>().ok()? == pid && command.starts_with("kill-")).then(|| command.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trail_speaks_of_its_own_server_alone() {
        assert_eq!(parse_trail("kill-server pid=12\n", 12).as_deref(), Some("kill-server"));
        assert_eq!(parse_trail("kill-server pid=12", 1), None);
        assert_eq!(parse_trail("garbage", 12), None);
        assert_eq!(parse_trail("kill-session pid=", 12), None);
    }

    /// As systemd 252 writes it to the user's journal (`-o cat`); a `kill-server` leaves no `Stopping` there.
    #[test]
    fn a_stop_in_the_journal_is_one_that_was_not_followed_by_a_start() {
        let unit = "iapeer-claude-bob.service";
        let stopped = "Started iapeer-claude-bob.service - tmux.\nStopping iapeer-claude-bob.service - tmux...\nStopped iapeer-claude-bob.service - tmux.\n";
        assert!(stop_line(stopped, unit).unwrap().starts_with("Stopping"));
        let again = format!("{stopped}Started iapeer-claude-bob.service - tmux.\n");
        assert_eq!(stop_line(&again, unit), None);
        let died = "Started iapeer-claude-bob.service - tmux.\niapeer-claude-bob.service: Main process exited, code=killed, status=9/KILL\niapeer-claude-bob.service: Failed with result 'signal'.\n";
        assert_eq!(stop_line(died, unit), None);
    }
}
