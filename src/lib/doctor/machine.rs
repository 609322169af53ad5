//! Checks of what the host must have: tmux, and a timer that runs the tick.

use super::finding::Finding;
use super::holders;
use super::replace;
use crate::base::exit::{Exit, Failure};
use crate::base::span::said;
use crate::host::service::schedule::cron_command;
use crate::host::service::{Manager, ServiceTarget};
use crate::host::tmux::{OLDEST_TMUX, Tmux, release};
use crate::operator::status;
use crate::session::launch;
use crate::store::registry::Registry;
use crate::supervision::failed::{FailedTick, failed_tick};
use crate::supervision::tick;
use crate::units;
use crate::world::World;
use std::time::Duration;

/// An older tmux does not report the signal that ended a pane's program (`pane_dead_signal`).
const WELL: (u32, u32) = (3, 3);

/// Whether tmux is installed and new enough.
pub(crate) fn tmux<'a>(world: &'a World<'a>) -> Vec<Finding<'a>> {
    let tmux = match Tmux::find(world.settings.tmux_timeout) {
        Ok(tmux) => tmux,
        Err(error) => {
            let failure = Failure::from(error);
            let todo = match Tmux::beside_the_named() {
                Some((named, other)) => {
                    let put = replace::put_there(&named, &other);
                    format!("{put} has IAPEER_TMUX_BIN lead to the one that is there, or unset IAPEER_TMUX_BIN")
                }
                None => replace::install("tmux"),
            };
            return vec![Finding::error("tmux", Exit::Refused, "tmux", failure.message).todo(todo)];
        }
    };
    let program = tmux.program().display().to_string();
    let said = tmux.version();
    let old = |what: String| Finding::error("tmux", Exit::Refused, &program, what).todo("install tmux 3.3 or newer");
    match release(&said) {
        None => vec![
            Finding::warn("tmux", &program, format!("does not say its version ({:?})", said))
                .todo("check that it is tmux 3.3 or newer"),
        ],
        Some(found) if found < OLDEST_TMUX => vec![old(format!("is {}, too old to work with", said))],
        Some(found) if found < WELL => vec![
            Finding::warn("tmux", &program, format!("is {}, which does not say which signal ended a program", said))
                .todo("install tmux 3.3 or newer"),
        ],
        Some(_) => vec![],
    }
}

/// How to have a tick run each minute on this host: by the service manager, else by cron.
fn each_minute(world: &World<'_>) -> String {
    let has_manager = world.settings.use_service_manager && Manager::here().unreachable().is_none();
    if has_manager {
        return "`iapeer units install` has one run each minute".to_owned();
    }
    let target = ServiceTarget::of(world.paths, launch::bin_dir());
    let command = cron_command(&target, "iapeer-superviser", &[]);
    format!(
        "`iapeer-superviser` runs one now; this line in your crontab has one run each minute: \
         * * * * * {command} >/dev/null"
    )
}

/// A tick that could not run, whose failure nobody may have seen.
fn failed(world: &World<'_>) -> Option<Finding<'static>> {
    let FailedTick { at, why } = failed_tick(world.paths)?;
    let what = format!("none has run since one failed {} ago: {why}", said(world.now().since(at)));
    let todo = "`iapeer-superviser` runs one, and says what is wrong where it still is; correct that where cron or a \
                unit starts it";
    Some(Finding::error("tick", Exit::Config, "tick", what).todo(todo))
}

/// Whether the stamp of the last tick is missing, too old, or in the future.
fn stamp<'a>(world: &'a World<'a>) -> Option<Finding<'a>> {
    let stamp = tick::last_tick(world.paths);
    let ahead = stamp.map_or(Duration::ZERO, |at| at.since(world.now()));
    let what = match stamp.map(|at| world.now().since(at)) {
        Some(_) if ahead > status::STAMP_AHEAD => {
            let what = format!(
                "the time of the last tick is {} in the future: the clock was set back, and when the tick ran is not known",
                said(ahead)
            );
            return Some(
                Finding::warn("tick", "tick", what)
                    .todo("`iapeer-superviser` corrects the time, as the next tick would"),
            );
        }
        Some(age) if age <= status::TICK_IS_DUE => return None,
        Some(age) => format!("the last one was {} ago: no tick notices a death or an idle peer", said(age)),
        None => "never ran: no tick notices a death, an idle peer, or a waiting message".to_owned(),
    };
    Some(Finding::warn("tick", "tick", what).todo(each_minute(world)))
}

/// The tick, the units, lingering. Without peers nothing of this is needed yet.
pub(crate) fn service<'a>(world: &'a World<'a>, registry: &Registry) -> Vec<Finding<'a>> {
    if registry.peers().is_empty() {
        return vec![];
    }
    let mut findings: Vec<Finding<'a>> = holders::tick(world).into_iter().collect();
    if findings.is_empty() {
        findings.extend(failed(world).or_else(|| stamp(world)));
    }
    if !world.settings.use_service_manager {
        return findings;
    }
    match units::status::status(world) {
        Ok(overview) => {
            for unit in &overview.units {
                if let Some(trouble) = unit.trouble.as_ref().filter(|_| unit.file != "missing") {
                    let todo = format!("`journalctl --user -u {}` shows its log", unit.name);
                    findings.push(Finding::warn("units", &unit.name, format!("failed: {trouble}")).todo(todo));
                }
                if unit.file == "foreign" {
                    let what = "is in the place of iapeer's unit and was not written by iapeer";
                    findings.push(
                        Finding::warn("units", &unit.name, what)
                            .todo("move it away, then `iapeer units install` writes iapeer's unit"),
                    );
                }
            }
            findings.extend(overview.wants.into_iter().map(|want| {
                let (what, todo) = want.split_once(": ").unwrap_or((&want, "`iapeer units status` shows them"));
                Finding::warn("units", "units", what).todo(todo)
            }));
        }
        Err(failure) => findings.push(
            Finding::error("units", failure.exit, "units", failure.message).todo("`iapeer units status` shows them"),
        ),
    }
    findings
}
