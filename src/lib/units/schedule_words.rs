//! The name and the trigger of a schedule, as people write them.

use crate::base::exit::{Exit, Failure};
use crate::base::identity::Personality;
use crate::base::span::span;
use crate::host::service::schedule::ScheduleTrigger;
use std::path::{Path, PathBuf};

/// Parses the name of a schedule.
pub(crate) fn named(text: &str) -> Result<Personality, Failure> {
    text.parse().map_err(|_| {
        Failure::new(Exit::Usage, format!("{text:?} is no name for a schedule: a letter a-z, then a-z, 0-9 and -"))
    })
}

/// When a schedule fires. Exactly one of the arguments is `Some`.
pub(crate) fn trigger(
    on_calendar: Option<String>,
    every: Option<&str>,
    path_changed: Option<PathBuf>,
) -> Result<ScheduleTrigger, Failure> {
    let usage = |why: String| Failure::new(Exit::Usage, why);
    if let Some(spec) = on_calendar {
        if spec.trim().is_empty() || spec.chars().any(char::is_control) {
            return Err(usage(format!("--on-calendar {spec:?} is no time")));
        }
        return Ok(ScheduleTrigger::OnCalendar(spec));
    }
    if let Some(text) = every {
        let span = span(text).map(|span| span.as_secs()).filter(|seconds| *seconds > 0);
        let why = || usage(format!("--every {text:?}: give 90s, 10m, 2h or 1d, a second at least"));
        return span.map(ScheduleTrigger::Every).ok_or_else(why);
    }
    let path = path_changed.unwrap_or_default();
    let absolute = std::path::absolute(&path).map_err(|error| Failure::io("find", &path, &error))?;
    if absolute.to_str().is_none_or(|text| text.chars().any(char::is_control)) {
        return Err(usage(format!("{} is not UTF-8, or has control characters in it", Path::display(&absolute))));
    }
    Ok(ScheduleTrigger::PathChanged(absolute))
}
