//! Why a server ended: a pure rule over the evidence. A class is claimed only where there is evidence for it; otherwise
//! the class is `server-vanished`.

use crate::base::ProcessEnd;
use crate::base::process::signal_name;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The class of a server's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The host was rebooted.
    HostReboot,
    /// The kernel's OOM killer ended it.
    OomKill,
    /// Its unit was stopped.
    UnitStopped,
    /// A tmux command ended it: `kill-server`, `kill-session`, `kill-pane`, `kill-window`.
    KilledByCommand,
    /// A signal ended it, and which one is known.
    Signaled,
    /// It dismissed its clients before it ended, as tmux does on TERM and INT; the sender is not known.
    SignaledServerGone,
    /// The canary's own tmux client was killed at the same time.
    ClientKilledServerGone,
    /// It is gone, and there is no evidence why.
    ServerVanished,
}

impl Cause {
    /// The word of `exits.log`.
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::HostReboot => "host-reboot",
            Cause::OomKill => "oom-kill",
            Cause::UnitStopped => "unit-stopped",
            Cause::KilledByCommand => "killed-by-command",
            Cause::Signaled => "signaled",
            Cause::SignaledServerGone => "signaled-server-gone",
            Cause::ClientKilledServerGone => "client-killed-server-gone",
            Cause::ServerVanished => "server-vanished",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The evidence of a server's end, without any conclusion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndEvidence {
    /// Whether the host was rebooted since the session was launched.
    pub rebooted: bool,
    /// The server's exit status.
    pub ending: Option<ProcessEnd>,
    /// The state of its unit.
    pub unit: Option<UnitState>,
    /// A line of the unit's journal that says that it was stopped.
    pub journal_stop: Option<String>,
    /// The kernel's line that names this very server as a victim of the OOM killer.
    pub kernel_oom: Option<String>,
    /// The kernel's line about a fault of this very server.
    pub kernel_fault: Option<String>,
    /// How many processes of its cgroup the OOM killer has killed just before the end.
    pub cgroup_oom_kills: u64,
    /// The tmux command that ended it, as the alias or tmux's own log recorded it just before.
    pub command: Option<String>,
    /// The exit code of the canary's client, if it ended together with the server; 128 + N for signal N.
    pub client: Option<i32>,
}

/// The state of a unit, from `systemctl show`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitState {
    /// `ActiveState`.
    pub active: String,
    /// `Result`.
    pub result: String,
    /// `ExecMainCode`, as a number of waitid(2): 1 exited, 2 killed, 3 dumped.
    pub code: i32,
    /// `ExecMainStatus`: the exit status or the signal.
    pub status: i32,
    /// Whether it has a `Job`: a requested change of state that is under way. A unit whose main process ended by itself
    /// is `deactivating` too while other processes of it remain, but has no job (measured).
    pub has_job: bool,
}

impl UnitState {
    /// Reads the `Key=value` lines of `systemctl show`. `None`: there is no such unit (any more).
    pub fn parse(text: &str) -> Option<UnitState> {
        let value = |key: &str| {
            text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default().trim()
        };
        if !matches!(value("LoadState"), "loaded") {
            return None;
        }
        Some(UnitState {
            active: value("ActiveState").to_owned(),
            result: value("Result").to_owned(),
            code: value("ExecMainCode").parse().unwrap_or(0),
            status: value("ExecMainStatus").parse().unwrap_or(0),
            has_job: !matches!(value("Job"), "" | "0"),
        })
    }

    fn signal(&self) -> Option<i32> {
        let killed = matches!(self.result.as_str(), "signal" | "core-dump") && matches!(self.code, 2 | 3);
        (killed && self.status > 0).then_some(self.status)
    }
}

/// A cause and the evidence for it, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CauseFound {
    /// The class.
    pub cause: Cause,
    /// The evidence for it, in words.
    pub because: String,
}

/// The rule. The first match wins; the order is from certain evidence to mere observation.
pub fn judge(found: &EndEvidence) -> CauseFound {
    let verdict = |cause, because: String| CauseFound { cause, because };
    let killed = match found.ending {
        Some(ProcessEnd::Killed(signal)) => Some(signal),
        _ => None,
    };
    if found.rebooted {
        return verdict(Cause::HostReboot, "the boot id is another one".into());
    }
    if let Some(line) = &found.kernel_oom {
        return verdict(Cause::OomKill, format!("kernel: {line}"));
    }
    if let Some(unit) = found.unit.as_ref().filter(|unit| unit.result == "oom-kill") {
        return verdict(Cause::OomKill, format!("unit: Result=oom-kill, ActiveState={}", unit.active));
    }
    // The counter says that some process of the cgroup was killed; only together with the signal is it likely that this
    // process was the server.
    if found.cgroup_oom_kills > 0 && killed == Some(9) {
        return verdict(Cause::OomKill, "its cgroup's oom_kill counter rose, and SIGKILL ended it".into());
    }
    if let Some(line) = &found.journal_stop {
        return verdict(Cause::UnitStopped, format!("journal: {line}"));
    }
    if let Some(unit) = found.unit.as_ref().filter(|unit| unit.active == "deactivating" && unit.has_job) {
        return verdict(Cause::UnitStopped, format!("unit: ActiveState=deactivating by a job, Result={}", unit.result));
    }
    if let Some(rc) = found.client.filter(|rc| *rc >= 128) {
        let signal = killed.map(|signal| format!("; signal {signal} ended the server")).unwrap_or_default();
        return verdict(
            Cause::ClientKilledServerGone,
            format!("the canary's client was ended by signal {} at the same time{signal}", rc - 128),
        );
    }
    if let Some(signal) = killed {
        return verdict(Cause::Signaled, format!("the kernel's exit status: {}", signal_name(signal)));
    }
    if let Some(signal) = found.unit.as_ref().and_then(UnitState::signal) {
        return verdict(Cause::Signaled, format!("unit: Result=signal, {}", signal_name(signal)));
    }
    if let Some(line) = &found.kernel_fault {
        return verdict(Cause::Signaled, format!("kernel: {line}"));
    }
    if let Some(command) = &found.command {
        return verdict(Cause::KilledByCommand, format!("tmux ran: {command}"));
    }
    if found.client == Some(0) {
        return verdict(Cause::SignaledServerGone, "it said good-bye to the canary's client (wait_rc=0)".into());
    }
    verdict(Cause::ServerVanished, "nothing tells why".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(active: &str, result: &str, code: i32, status: i32) -> Option<UnitState> {
        Some(UnitState { active: active.into(), result: result.into(), code, status, has_job: false })
    }

    #[test]
    fn the_rule_as_a_table() {
        let none = EndEvidence::default;
        let line = || Some("a line".to_owned());
        let killed = |signal| Some(ProcessEnd::Killed(signal));
        #[rustfmt::skip]
        let rows: Vec<(&str, EndEvidence, Cause)> = vec![
            ("nothing is known", none(), Cause::ServerVanished),
            ("another boot", EndEvidence { rebooted: true, client: Some(0), ..none() }, Cause::HostReboot),
            ("the kernel names it", EndEvidence { kernel_oom: line(), ending: killed(9), ..none() }, Cause::OomKill),
            ("its unit says so", EndEvidence { unit: unit("failed", "oom-kill", 2, 9), ending: killed(9), ..none() }, Cause::OomKill),
            ("its unit was stopped after a child's OOM kill", EndEvidence { unit: unit("failed", "oom-kill", 1, 0), client: Some(0), ..none() }, Cause::OomKill),
            ("the counter rose and SIGKILL ended it", EndEvidence { cgroup_oom_kills: 1, ending: killed(9), ..none() }, Cause::OomKill),
            ("the counter rose, but it was ended by TERM", EndEvidence { cgroup_oom_kills: 1, ending: Some(ProcessEnd::Exited(0)), client: Some(0), ..none() }, Cause::SignaledServerGone),
            ("the counter rose and nothing else is known", EndEvidence { cgroup_oom_kills: 1, ..none() }, Cause::ServerVanished),
            ("the journal saw a stop", EndEvidence { journal_stop: line(), ending: Some(ProcessEnd::Exited(0)), client: Some(0), ..none() }, Cause::UnitStopped),
            ("the unit is being stopped", EndEvidence { unit: unit("deactivating", "success", 1, 0).map(|unit| UnitState { has_job: true, ..unit }), client: Some(0), ..none() }, Cause::UnitStopped),
            ("the unit comes down by itself", EndEvidence { unit: unit("deactivating", "success", 1, 0), client: Some(0), ..none() }, Cause::SignaledServerGone),
            ("the unit comes down after a kill-server", EndEvidence { unit: unit("deactivating", "success", 1, 0), client: Some(0), command: line(), ..none() }, Cause::KilledByCommand),
            ("the unit comes down because its main process was killed", EndEvidence { unit: unit("deactivating", "signal", 2, 9), ..none() }, Cause::Signaled),
            ("SIGKILL", EndEvidence { ending: killed(9), client: Some(1), ..none() }, Cause::Signaled),
            ("SIGSEGV by the unit alone", EndEvidence { unit: unit("failed", "core-dump", 3, 11), client: Some(1), ..none() }, Cause::Signaled),
            ("a fault by the kernel log alone", EndEvidence { kernel_fault: line(), client: Some(1), ..none() }, Cause::Signaled),
            ("lost without a trace", EndEvidence { client: Some(1), ..none() }, Cause::ServerVanished),
            ("server and client swept by KILL", EndEvidence { ending: killed(9), client: Some(137), ..none() }, Cause::ClientKilledServerGone),
            ("client swept, server's status unknown", EndEvidence { client: Some(137), ..none() }, Cause::ClientKilledServerGone),
            ("TERM, or both swept by TERM", EndEvidence { ending: Some(ProcessEnd::Exited(0)), client: Some(0), ..none() }, Cause::SignaledServerGone),
            ("kill-server", EndEvidence { command: line(), ending: Some(ProcessEnd::Exited(0)), client: Some(0), ..none() }, Cause::KilledByCommand),
            ("a command on record, but a signal ended it", EndEvidence { command: line(), ending: killed(9), ..none() }, Cause::Signaled),
            ("an exit status and nothing else", EndEvidence { ending: Some(ProcessEnd::Exited(1)), ..none() }, Cause::ServerVanished),
        ];
        for (name, evidence, cause) in rows {
            let found = judge(&evidence);
            assert_eq!(found.cause, cause, "{name}: {found:?}");
            assert!(!found.because.is_empty());
        }
    }

    /// As `systemctl --user show` of systemd 252 printed them.
    #[test]
    fn unit_states_as_captured() {
        let after_kill =
            "LoadState=loaded\nActiveState=failed\nSubState=failed\nResult=signal\nExecMainCode=2\nExecMainStatus=9\n";
        assert_eq!(UnitState::parse(after_kill).unwrap().signal(), Some(9));
        let oom = "Result=oom-kill\nExecMainCode=2\nExecMainStatus=9\nLoadState=loaded\nActiveState=failed\nSubState=failed\n";
        assert_eq!(UnitState::parse(oom).unwrap().result, "oom-kill");
        let stopped = "Result=success\nExecMainCode=1\nExecMainStatus=0\nLoadState=loaded\nActiveState=deactivating\nSubState=final-sigterm\nJob=47\n";
        let evidence = EndEvidence { unit: UnitState::parse(stopped), client: Some(0), ..EndEvidence::default() };
        assert_eq!(judge(&evidence).cause, Cause::UnitStopped);
        let after_kill_server = stopped.replace("Job=47", "Job=").replace("final", "stop");
        assert!(!UnitState::parse(&after_kill_server).unwrap().has_job);
        let gone = "LoadState=not-found\nActiveState=inactive\nSubState=dead\nResult=success\nExecMainCode=0\nExecMainStatus=0\n";
        assert_eq!(UnitState::parse(gone), None);
        assert_eq!(UnitState::parse("garbage"), None);
    }
}
