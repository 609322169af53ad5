//! `iapeer schedule`: messages that the service manager sends by a timer or when a path changes.
//!
//! `<root>/schedules/NAME.json` has the recipient and the trigger, `NAME.txt` the text, which is on no command line.
//! The service manager's files are generated from these; without a service manager, a line for a crontab is printed.

use crate::base::exit::{Exit, Failure};
use crate::base::identity::{Personality, Topic};
use crate::base::paths;
use crate::host::service::schedule::{self, ScheduleTrigger, ScheduledRun};
use crate::host::service::{FileStanding, Manager, Seen, ServiceError, ServiceFile, ServiceTarget, folders, is_ours};
use crate::session::launch;
use crate::store::durable::{self, StoreError};
use crate::store::event_log::Event;
use crate::units::install;
use crate::world::World;
use serde::{Deserialize, Serialize};

/// Longest name, in characters: the sender is `schedule-NAME`, and the name of a sender has at most 32.
pub(crate) const MAX_NAME: usize = 23;

/// One schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Its name.
    pub name: Personality,
    /// The recipient, as `iapeer-send` takes it.
    pub to: String,
    /// When it fires.
    #[serde(rename = "when")]
    pub trigger: ScheduleTrigger,
    /// The topic of its messages.
    #[serde(default, deserialize_with = "Topic::lenient", skip_serializing_if = "Option::is_none")]
    pub topic: Option<Topic>,
    /// Send a message even if the last one still waits.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pile: bool,
    /// The fleet whose file describes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet: Option<String>,
}

/// A schedule, and what fires it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Scheduled {
    /// The schedule.
    #[serde(flatten)]
    pub schedule: Schedule,
    /// The unit or agent that fires; absent where there is no service manager.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The state of that unit, in the manager's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Seconds since it last fired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_secs: Option<u64>,
    /// Seconds until it fires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_secs: Option<u64>,
    /// The line for a crontab, if there is no service manager and cron can fire the schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crontab: Option<String>,
    /// Why the schedule does not fire, or what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A schedule whose file can't be read. What the service manager has loaded for it fires all the same.
#[derive(Debug, Serialize)]
pub struct UnreadableSchedule {
    /// Its name.
    pub name: Personality,
    /// Why the file can't be read, and what to do.
    pub reason: String,
    /// The exit code of programs that need the schedule.
    #[serde(skip)]
    pub exit: Exit,
}

impl UnreadableSchedule {
    fn new(name: &Personality, failure: Failure) -> Self {
        let Failure { exit, message } = failure;
        let reason =
            format!("{message}; correct the file, or `iapeer schedule remove {name}` and add the schedule again");
        UnreadableSchedule { name: name.clone(), reason, exit }
    }

    /// The line for people.
    pub fn line(&self) -> String {
        format!("{}  can't be read: {}", self.name, self.reason)
    }
}

impl From<UnreadableSchedule> for Failure {
    fn from(unreadable: UnreadableSchedule) -> Failure {
        Failure::new(unreadable.exit, unreadable.reason)
    }
}

impl Scheduled {
    /// The lines for people.
    pub fn line(&self) -> String {
        let Schedule { name, to, trigger, .. } = &self.schedule;
        let mut line = format!("{name}  to {to}  {trigger}");
        if let Some(state) = &self.state {
            line.push_str(&format!("  {state}"));
        }
        for (word, seconds) in [("last", self.last_secs), ("next in", self.next_secs)] {
            line.push_str(&seconds.map(|seconds| format!("  {word} {seconds}s")).unwrap_or_default());
        }
        if let Some(reason) = &self.reason {
            line.push_str(&format!("  — {reason}"));
        }
        if let Some(crontab) = &self.crontab {
            line.push_str(&format!("\n{crontab}"));
        }
        line
    }
}

impl Schedule {
    /// The arguments for `iapeer-send`.
    fn arguments(&self, world: &World<'_>) -> Vec<String> {
        let mut words = vec![self.to.clone(), format!("--from=schedule-{}", self.name), "--no-wait".into()];
        words.push(format!("--message-file={}", world.paths.schedule_text(&self.name).display()));
        words.extend(self.topic.as_ref().map(|topic| format!("--topic={topic}")));
        words.extend((!self.pile).then(|| "--no-pile".to_owned()));
        words
    }

    /// The schedule `name`.
    pub fn read(world: &World<'_>, name: &Personality) -> Result<Schedule, Failure> {
        let path = world.paths.schedule(name);
        let Some(bytes) = durable::read_optional(&path)? else {
            let why = format!("no schedule {:?}: `iapeer schedule list` shows them", name.as_str());
            return Err(Failure::new(Exit::NoInput, why));
        };
        let bad = |error| Failure::new(Exit::Config, format!("{}: {error}", path.display()));
        serde_json::from_slice(&bytes).map_err(bad)
    }

    /// Its text.
    pub fn text(&self, world: &World<'_>) -> Result<String, Failure> {
        let path = world.paths.schedule_text(&self.name);
        let text = durable::read_optional(&path)?;
        let text = text.ok_or_else(|| Failure::new(Exit::NoInput, format!("{} is gone", path.display())))?;
        String::from_utf8(text).map_err(|_| Failure::new(Exit::DataErr, format!("{} is not UTF-8", path.display())))
    }
}

/// Refuses a schedule that [`add`] would refuse, and changes nothing.
pub(crate) fn check(world: &World<'_>, schedule: &Schedule) -> Result<(), Failure> {
    let manager = Manager::here();
    founded(world, manager, schedule, manager.unreachable().is_none())?;
    match &schedule.trigger {
        ScheduleTrigger::OnCalendar(spec) if manager == Manager::Systemd => {
            schedule::refused_by_systemd(spec).map_or(Ok(()), |why| Err(Failure::new(Exit::Usage, why)))
        }
        _ => Ok(()),
    }
}

/// The manager's files for a schedule; none if the manager can't be reached. Refuses a name that is too long, and a
/// schedule whose files would replace foreign ones.
fn founded(
    world: &World<'_>,
    manager: Manager,
    schedule: &Schedule,
    reachable: bool,
) -> Result<Vec<ServiceFile>, Failure> {
    if schedule.name.as_str().len() > MAX_NAME {
        return Err(Failure::new(Exit::Usage, format!("the name of a schedule has {MAX_NAME} characters at most")));
    }
    let files = if reachable { files(world, manager, schedule)? } else { Vec::new() };
    if let Some(foreign) = files.iter().find(|file| file.standing() == FileStanding::Foreign) {
        let why = format!("{} is somebody else's: move it away or choose another name", foreign.path.display());
        return Err(Failure::new(Exit::Refused, why));
    }
    Ok(files)
}

/// Writes a schedule, in place of an earlier one of that name, and starts what fires it.
pub fn add(world: &World<'_>, schedule: &Schedule, text: &str) -> Result<Scheduled, Failure> {
    let manager = Manager::here();
    let unreachable = manager.unreachable();
    // All checks that may refuse come before anything is written.
    let files = founded(world, manager, schedule, unreachable.is_none())?;
    let earlier = Schedule::read(world, &schedule.name).ok();
    let earlier_text = earlier.as_ref().and_then(|earlier| earlier.text(world).ok());
    let is_replaced = |earlier: &&Schedule| earlier.trigger != schedule.trigger && unreachable.is_none();
    match earlier.as_ref() {
        Some(earlier) if is_replaced(&earlier) => drop(take_down(world, manager, earlier)?),
        // Its units may be of another kind than those of the new one.
        None if unreachable.is_none() => drop(take_down_named(world, manager, &schedule.name)?),
        _ => {}
    }
    keep(world, schedule, text)?;
    let event = Event::new("schedule").field("name", &schedule.name).field("action", "added").field("to", &schedule.to);
    world.lifecycle(&event);
    if unreachable.is_none() {
        let started = start(world, manager, &files);
        if let Err(failure) = started {
            // A schedule that the manager refuses is removed again, and an earlier one of that name put back.
            take_down(world, manager, schedule)?;
            let Some((earlier, text)) = earlier.zip(earlier_text) else {
                forget(world, &schedule.name)?;
                return Err(failure);
            };
            keep(world, &earlier, &text)?;
            start(world, manager, &self::files(world, manager, &earlier)?)?;
            let why = format!("{failure}; the schedule {} is as it was", earlier.name);
            return Err(Failure::new(failure.exit, why));
        }
    }
    Ok(seen(world, schedule.clone()))
}

/// Writes the files of a schedule.
fn keep(world: &World<'_>, schedule: &Schedule, text: &str) -> Result<(), Failure> {
    paths::create_dirs(&world.paths.schedules_dir())?;
    let record =
        serde_json::to_vec_pretty(schedule).map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    durable::write_atomic(&world.paths.schedule_text(&schedule.name), text.as_bytes())?;
    durable::write_atomic(&world.paths.schedule(&schedule.name), &record)?;
    Ok(())
}

fn start(world: &World<'_>, manager: Manager, files: &[ServiceFile]) -> Result<(), Failure> {
    let refused = |why: ServiceError| Failure::new(Exit::Refused, why.to_string());
    let changed = files.iter().any(|file| file.standing() == FileStanding::Outdated);
    for file in files {
        install::write(file)?;
    }
    manager.reread().map_err(refused)?;
    // The first file is the unit that fires.
    files.first().map_or(Ok(()), |file| manager.load(file, changed, world.clock)).map_err(refused)
}

/// The names of all schedules, in order.
pub(crate) fn names(world: &World<'_>) -> Result<Vec<Personality>, StoreError> {
    let names = durable::names_of(&world.paths.schedules_dir())?;
    let mut names: Vec<Personality> =
        names.iter().filter_map(|name| name.strip_suffix(".json")?.parse().ok()).collect();
    names.sort();
    Ok(names)
}

/// Every schedule, by name, with its state, or why its file can't be read.
pub fn list(world: &World<'_>) -> Result<Vec<Result<Scheduled, UnreadableSchedule>>, Failure> {
    let read = |name: &Personality| match Schedule::read(world, name) {
        Ok(schedule) => Ok(seen(world, schedule)),
        Err(failure) => Err(UnreadableSchedule::new(name, failure)),
    };
    Ok(names(world)?.iter().map(read).collect())
}

/// Removes a schedule, also one whose file can't be read or is gone while its units are there.
pub fn remove(world: &World<'_>, name: &Personality) -> Result<(), Failure> {
    let manager = Manager::here();
    match Schedule::read(world, name) {
        Ok(schedule) => drop(take_down(world, manager, &schedule)?),
        Err(failure) => {
            let was_there = take_down_named(world, manager, name)?;
            if failure.exit == Exit::NoInput && !was_there {
                return Err(failure);
            }
        }
    }
    forget(world, name)?;
    world.lifecycle(&Event::new("schedule").field("name", name).field("action", "removed"));
    Ok(())
}

fn forget(world: &World<'_>, name: &Personality) -> Result<(), Failure> {
    durable::remove(&world.paths.schedule(name))?;
    durable::remove(&world.paths.schedule_text(name))?;
    Ok(())
}

/// [`take_down`] for a schedule of which only the name is known: that and the kind of the trigger give the names of the
/// units.
fn take_down_named(world: &World<'_>, manager: Manager, name: &Personality) -> Result<bool, Failure> {
    let mut was_there = false;
    for trigger in [ScheduleTrigger::Every(60), ScheduleTrigger::PathChanged("/".into())] {
        let (name, to) = (name.clone(), String::new());
        let schedule = Schedule { name, to, trigger, topic: None, pile: false, fleet: None };
        was_there |= take_down(world, manager, &schedule)?;
    }
    Ok(was_there)
}

/// Stops the unit that fires, and removes the manager's files. Returns whether there were any.
fn take_down(world: &World<'_>, manager: Manager, schedule: &Schedule) -> Result<bool, Failure> {
    if folders::is_off_limits() {
        return Ok(false);
    }
    let answers = manager.unreachable().is_none();
    let files = files(world, manager, schedule).unwrap_or_default();
    let ours: Vec<(usize, &ServiceFile)> = files.iter().enumerate().filter(|(_, file)| is_ours(&file.path)).collect();
    for (at, file) in &ours {
        if answers
            && *at == 0
            && let Err(why) = manager.unload(&file.name, world.clock)
        {
            // A unit that the manager never loaded can't be stopped, and does not have to be.
            let seen = manager.look(&[&file.name]).pop().unwrap_or_default();
            if !matches!(seen.state.as_str(), "" | "inactive" | "failed") {
                return Err(why.into());
            }
        }
        durable::remove(&file.path)?;
        manager.forget(&manager.dir(world.paths), &file.name);
    }
    if answers && !ours.is_empty() {
        manager.reread()?;
    }
    Ok(!ours.is_empty())
}

fn target(world: &World<'_>) -> ServiceTarget {
    ServiceTarget::of(world.paths, launch::bin_dir())
}

/// The manager's files, the unit that fires first.
fn files(world: &World<'_>, manager: Manager, schedule: &Schedule) -> Result<Vec<ServiceFile>, Failure> {
    let arguments = schedule.arguments(world);
    let (target, dir) = (target(world), manager.dir(world.paths));
    let run = scheduled_run(schedule, &arguments);
    match manager {
        Manager::Systemd => Ok(schedule::systemd(&target, &dir, run)),
        Manager::Launchd => {
            let file = schedule::launchd(&target, &dir, run);
            file.map(|file| vec![file]).map_err(|why| Failure::new(Exit::Usage, why.to_string()))
        }
    }
}

fn scheduled_run<'a>(schedule: &'a Schedule, arguments: &'a [String]) -> ScheduledRun<'a> {
    ScheduledRun { name: schedule.name.as_str(), trigger: &schedule.trigger, program: "iapeer-send", arguments }
}

/// The schedule with its state.
fn seen(world: &World<'_>, schedule: Schedule) -> Scheduled {
    let manager = Manager::here();
    let none = |schedule| Scheduled {
        schedule,
        unit: None,
        state: None,
        last_secs: None,
        next_secs: None,
        crontab: None,
        reason: None,
    };
    if let Some(why) = manager.unreachable() {
        let arguments = schedule.arguments(world);
        let (crontab, reason) = match schedule::crontab(&target(world), scheduled_run(&schedule, &arguments)) {
            Ok(line) => (Some(line), format!("{why}; this line in your crontab (`crontab -e`) has it run:")),
            Err(cron) => (None, format!("{why}; {cron}")),
        };
        return Scheduled { crontab, reason: Some(reason), ..none(schedule) };
    }
    let name = match manager {
        Manager::Systemd => schedule::systemd_name(schedule.name.as_str(), &schedule.trigger),
        Manager::Launchd => schedule::launchd_label(schedule.name.as_str()),
    };
    let seen: Seen = manager.look(&[&name]).pop().unwrap_or_default();
    let missing = "its unit is not loaded: `iapeer schedule remove` it and add it again".to_owned();
    Scheduled {
        unit: Some(name),
        reason: seen.state.is_empty().then_some(missing),
        state: (!seen.state.is_empty()).then_some(seen.state),
        last_secs: seen.last.map(|last| last.as_secs()),
        next_secs: seen.next.map(|next| next.as_secs()),
        ..none(schedule)
    }
}
