//! The state of the units, and what is missing for them to work.

use super::install::{always_on, stopped, wanted};
use crate::base::exit::Failure;
use crate::host::service::{FileStanding, Manager, Seen, ServiceFile};
use crate::store::open;
use crate::world::World;
use serde::Serialize;
use std::time::Duration;

/// The state of one unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnitStatus {
    /// Its name.
    pub name: String,
    /// `missing`, `current`, `outdated` or `foreign`.
    pub file: &'static str,
    /// The manager's word for its state; absent if the manager does not know the unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// How its last run ended, if it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Seconds since its last run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_secs: Option<u64>,
    /// Seconds until its next run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_secs: Option<u64>,
}

impl UnitStatus {
    /// The line for people.
    pub fn line(&self) -> String {
        let mut line = format!("{}  {}  {}", self.name, self.file, self.state.as_deref().unwrap_or("-"));
        if let Some(trouble) = &self.trouble {
            line += &format!(" ({trouble})");
        }
        if let Some(last) = self.last_secs {
            line += &format!("  last {} ago", span(last));
        }
        if let Some(next) = self.next_secs {
            line += &format!("  next in {}", span(next));
        }
        line
    }
}

/// The state of the units, and what is wrong with them as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitsOverview {
    /// Each unit.
    pub units: Vec<UnitStatus>,
    /// What is wrong, with what to do.
    pub wants: Vec<String>,
}

/// Reads the state of the units; changes nothing.
pub fn status(world: &World<'_>) -> Result<UnitsOverview, Failure> {
    let manager = Manager::here();
    let peers = always_on(world)?;
    let mut files = wanted(world, &peers);
    for (name, path) in manager.peers_in(&manager.dir(world.paths)) {
        if !files.iter().any(|file| file.path == path) {
            let text = open::text(&path).unwrap_or_default();
            files.push(ServiceFile { name, path, text });
        }
    }
    let unreachable = manager.unreachable();
    let seen = match unreachable {
        Some(_) => vec![Seen::default(); files.len()],
        None => manager.look(&files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>()),
    };
    let units: Vec<UnitStatus> = files.iter().zip(seen).map(|(file, seen)| standing(file, seen)).collect();
    let mut wants: Vec<String> = unreachable.into_iter().collect();
    // Without a manager the advice to install units would contradict the advice about the manager.
    let has_manager = !wants.iter().any(|want| want.starts_with("systemd does not run here"));
    if has_manager && units.iter().any(|unit| matches!(unit.file, "missing" | "outdated")) {
        wants.push("units are missing or outdated: `iapeer units install` writes them".to_owned());
    }
    let stopped = stopped(world, &peers);
    let is_idle = |unit: &&UnitStatus| {
        let idle = matches!(unit.state.as_deref(), Some("inactive" | "failed"));
        idle && unit.file == "current" && manager.starts(&unit.name) && !stopped.contains(&unit.name)
    };
    let idle: Vec<&str> = units.iter().filter(is_idle).map(|unit| unit.name.as_str()).collect();
    if wants.is_empty() && !idle.is_empty() {
        wants.push(format!("{} should run and does not: `iapeer units install` starts it", idle.join(", ")));
    }
    wants.extend(lingering_off(manager));
    Ok(UnitsOverview { units, wants })
}

/// The warning to show where the last logout would end all units and sessions.
pub(crate) fn lingering_off(manager: Manager) -> Option<String> {
    let user = manager.lingering().filter(|lingering| !lingering.on)?.user;
    Some(format!(
        "lingering is off: all sessions end seconds after the last logout of {user}: `loginctl enable-linger` turns it on"
    ))
}

fn standing(file: &ServiceFile, seen: Seen) -> UnitStatus {
    let word = match file.standing() {
        FileStanding::Missing => "missing",
        FileStanding::Current => "current",
        FileStanding::Outdated => "outdated",
        FileStanding::Foreign => "foreign",
    };
    UnitStatus {
        name: file.name.clone(),
        file: word,
        state: (!seen.state.is_empty()).then_some(seen.state),
        trouble: seen.trouble,
        last_secs: seen.last.as_ref().map(Duration::as_secs),
        next_secs: seen.next.as_ref().map(Duration::as_secs),
    }
}

/// A time span for people: `45s`, `12m`, `3h`, `2d`.
fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}
