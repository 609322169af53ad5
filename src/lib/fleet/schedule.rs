//! One schedule of a fleet file.

use crate::base::exit::Failure;
use crate::base::identity::Topic;
use crate::fleet::error::FleetError;
use crate::fleet::reading::Reading;
use crate::fleet::table::ScheduleTable;
use crate::message::limits;
use crate::units::schedule::{self, Schedule};
use crate::units::schedule_words;
use std::collections::BTreeMap;

/// Longest file of a message, in bytes: a message has at most 16,000 characters.
const MESSAGE_MAX: u64 = 64 << 10;

/// A schedule as a fleet file describes it.
#[derive(Debug, Clone)]
pub(crate) struct FleetSchedule {
    pub(crate) schedule: Schedule,
    pub(crate) text: String,
}

pub(crate) fn read_all(
    reading: Reading<'_>,
    tables: &BTreeMap<String, ScheduleTable>,
) -> Result<Vec<FleetSchedule>, FleetError> {
    tables.iter().map(|(name, table)| read(reading, name, table)).collect()
}

fn read(reading: Reading<'_>, name: &str, table: &ScheduleTable) -> Result<FleetSchedule, FleetError> {
    let wrong = |key: &str, why: String| reading.wrong(&["schedules", name, key], why);
    let bare = |failure: Failure| failure.message.replace("--", "").replace("on-calendar", "on_calendar");
    let named = schedule_words::named(name).map_err(|failure| wrong("", failure.message))?;
    let given = [table.on_calendar.is_some(), table.every.is_some(), table.path_changed.is_some()];
    if given.iter().filter(|given| **given).count() != 1 {
        return Err(wrong("", "give one of on_calendar, every and path_changed".into()));
    }
    let path = table.path_changed.as_ref().map(|path| reading.absolute(path));
    let trigger = schedule_words::trigger(table.on_calendar.clone(), table.every.as_deref(), path);
    let key = ["on_calendar", "every", "path_changed"].into_iter().zip(given).find(|(_, given)| *given);
    let trigger = trigger.map_err(|failure| wrong(key.map_or("", |(key, _)| key), bare(failure)))?;
    let text = match (&table.message, &table.message_file) {
        (Some(text), None) => text.clone(),
        (None, Some(file)) => reading.text(&["schedules", name, "message_file"], file, MESSAGE_MAX)?,
        _ => return Err(wrong("", "give one of message and message_file".into())),
    };
    let text = text.strip_suffix('\n').map(str::to_owned).unwrap_or(text);
    limits::check_body(&text).map_err(|failure| wrong("message", failure.message))?;
    let topic = Topic::parse(table.topic.as_deref().unwrap_or_default());
    let topic = topic.map_err(|error| wrong("topic", error.to_string()))?;
    let (to, pile, fleet) = (table.to.clone(), table.pile == Some(true), Some(reading.fleet.to_owned()));
    let schedule = Schedule { name: named, to, trigger, topic, pile, fleet };
    schedule::check(reading.world, &schedule).map_err(|failure| wrong("", bare(failure)))?;
    Ok(FleetSchedule { schedule, text })
}
