//! The paths below the root that concern people: notifications, schedules, questions.

use crate::base::identity::Personality;
use crate::base::paths::Paths;
use std::path::PathBuf;

impl Paths {
    /// `<root>/state/notify`: events for which `<root>/notify` is to be run.
    pub fn notifications(&self) -> PathBuf {
        self.state_root().join("notify")
    }

    /// `<root>/schedules`: messages that are sent on a schedule.
    pub(crate) fn schedules_dir(&self) -> PathBuf {
        self.root().join("schedules")
    }

    /// `<root>/schedules/<name>.json`.
    pub fn schedule(&self, name: &Personality) -> PathBuf {
        self.schedules_dir().join(format!("{name}.json"))
    }

    /// `<root>/schedules/<name>.txt`: the text that the schedule sends.
    pub(crate) fn schedule_text(&self, name: &Personality) -> PathBuf {
        self.schedules_dir().join(format!("{name}.txt"))
    }

    /// `<root>/state/asks/<asker>`: the questions whose answers a peer waits for.
    pub fn asks(&self, asker: &Personality) -> PathBuf {
        self.state_root().join(format!("asks/{asker}"))
    }
}
