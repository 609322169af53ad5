//! `iapeer schedule`.

use crate::base::exit::{Exit, Failure};
use crate::base::identity::Topic;
use crate::cli;
use crate::cli::people_args::ScheduleAct;
use crate::delivery::accept::Message;
use crate::delivery::recipients;
use crate::message::limits;
use crate::store::registry::Registry;
use crate::units::schedule::{self, Schedule};
use crate::units::schedule_words::{named, trigger};
use crate::world::World;
use std::time::Duration;

/// Runs one of its verbs.
pub fn run(world: &World<'_>, act: ScheduleAct) -> Result<Exit, Failure> {
    match act {
        ScheduleAct::Add {
            name,
            to,
            on_calendar,
            every,
            path_changed,
            topic,
            message,
            message_file,
            pile,
            no_pile: _,
            json,
        } => {
            let topic = Topic::parse(&topic.unwrap_or_default())
                .map_err(|error| Failure::new(Exit::DataErr, error.to_string()))?;
            let trigger = trigger(on_calendar, every.as_deref(), path_changed)?;
            let schedule = Schedule { name: named(&name)?, to, trigger, topic, pile, fleet: None };
            let text = cli::body(message, message_file.as_deref())?;
            limits::check_body(&text)?;
            // A misspelled recipient is refused now, not when the schedule fires.
            recipients::check(world, &Registry::read(world.paths)?, &schedule.to)?;
            let scheduled = schedule::add(world, &schedule, &text)?;
            cli::tell(json, &scheduled, || format!("scheduled {}", scheduled.line()));
            Ok(Exit::Ok)
        }
        ScheduleAct::List { json } => {
            let all = schedule::list(world)?;
            if all.is_empty() && !json {
                cli::say("no schedules: `iapeer schedule add` makes one");
            }
            for known in all {
                match known {
                    Ok(scheduled) => cli::tell(json, &scheduled, || scheduled.line()),
                    Err(unreadable) => cli::tell(json, &unreadable, || unreadable.line()),
                }
            }
            Ok(Exit::Ok)
        }
        ScheduleAct::Run { name, json } => send(world, &Schedule::read(world, &named(&name)?)?, json),
        ScheduleAct::Remove { name, json } => {
            let name = named(&name)?;
            schedule::remove(world, &name)?;
            cli::tell(json, &serde_json::json!({"name": name, "action": "removed"}), || {
                format!("removed schedule {name}")
            });
            Ok(Exit::Ok)
        }
    }
}

/// Sends a schedule's message now.
fn send(world: &World<'_>, schedule: &Schedule, json: bool) -> Result<Exit, Failure> {
    let message = Message {
        to: String::new(),
        runtime: None,
        from: Some(format!("schedule-{}", schedule.name)),
        body: schedule.text(world)?,
        topic: schedule.topic.clone(),
        re: None,
        ask: None,
        attachments: Vec::new(),
        urgent: false,
        no_pile: !schedule.pile,
        wait: Duration::ZERO,
    };
    let recipients = recipients::resolve(world, vec![schedule.to.clone()], message.from.as_deref())?;
    cli::send::send(world, &message, &recipients, json, false)
}
