//! Schedules for the operating system: a timer or a path unit and the service it starts, a launchd agent, or a line of a
//! crontab.

use super::calendar::CalendarTimes;
use super::error::ScheduleError;
use super::property_list::{self, array, dictionary, text};
use super::target::{SENTINEL, ServiceFile, ServiceTarget};
use super::unit_files::{command_word, quoted};
use crate::base::shell;
use crate::host::command;
use plist::Value;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long systemd may take to check a time.
const PATIENCE: Duration = Duration::from_secs(10);

/// When a schedule fires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleTrigger {
    /// At these times, as the service manager takes them.
    OnCalendar(String),
    /// Every so many seconds, the first time after that long.
    Every(u64),
    /// When this file or folder has changed.
    PathChanged(PathBuf),
}

impl fmt::Display for ScheduleTrigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScheduleTrigger::OnCalendar(spec) => f.write_str(spec),
            ScheduleTrigger::Every(seconds) => write!(f, "every {:?}", Duration::from_secs(*seconds)),
            ScheduleTrigger::PathChanged(path) => write!(f, "when {} changes", path.display()),
        }
    }
}

/// What to run, and when.
#[derive(Debug, Clone, Copy)]
pub struct ScheduledRun<'a> {
    /// The schedule's name: a letter a-z, then a-z, 0-9 and `-`.
    pub name: &'a str,
    /// When.
    pub trigger: &'a ScheduleTrigger,
    /// A program of ours.
    pub program: &'a str,
    /// Its arguments.
    pub arguments: &'a [String],
}

/// Why systemd refuses a time. `None`: it takes the time, or can't be asked.
pub(crate) fn refused_by_systemd(spec: &str) -> Option<String> {
    let words = ["calendar", "--", spec].map(Into::into);
    let ran = command::run("systemd-analyze", &words, &[], PATIENCE).ok()?;
    let said = ran.stderr.lines().next().unwrap_or("systemd does not take it");
    (!ran.success).then(|| format!("{spec:?} is no time: {said}"))
}

/// The name of the unit that fires.
pub(crate) fn systemd_name(name: &str, trigger: &ScheduleTrigger) -> String {
    let end = if matches!(trigger, ScheduleTrigger::PathChanged(_)) { "path" } else { "timer" };
    format!("iapeer-schedule-{name}.{end}")
}

/// The label of the agent.
pub(crate) fn launchd_label(name: &str) -> String {
    format!("io.iapeer.schedule.{name}")
}

/// The unit that fires, and the service that it starts, as files for `dir`.
pub fn systemd(target: &ServiceTarget, dir: &Path, run: ScheduledRun<'_>) -> Vec<ServiceFile> {
    let ScheduledRun { name, trigger, .. } = run;
    let line = |text: &str| text.replace('%', "%%");
    let (section, wants) = match trigger {
        // Persistent: times that were missed while the machine was off fire once, later.
        ScheduleTrigger::OnCalendar(spec) => {
            (format!("[Timer]\nOnCalendar={}\nPersistent=true\nAccuracySec=1s\n", line(spec)), "timers.target")
        }
        ScheduleTrigger::Every(seconds) => {
            let text = format!("[Timer]\nOnActiveSec={seconds}s\nOnUnitActiveSec={seconds}s\nAccuracySec=1s\n");
            (text, "timers.target")
        }
        ScheduleTrigger::PathChanged(path) => {
            (format!("[Path]\nPathChanged={}\n", line(&path.to_string_lossy())), "paths.target")
        }
    };
    let head = format!("[Unit]\nDescription=iapeer: schedule {name}\nX-Iapeer-Managed=true\n");
    let fires = format!("{head}\n{section}\n[Install]\nWantedBy={wants}\n");
    let words: Vec<String> = std::iter::once(target.bin_dir.join(run.program).to_string_lossy().into_owned())
        .chain(run.arguments.iter().cloned())
        .map(|word| command_word(&word))
        .collect();
    let variables: Vec<String> = target
        .variables()
        .into_iter()
        .map(|(name, value)| format!("Environment={}\n", quoted(&format!("{name}={value}"))))
        .collect();
    let service = format!(
        "{head}\n[Service]\nType=oneshot\nExecStart={}\n{}KillMode=process\nUMask=0077\n",
        words.join(" "),
        variables.concat()
    );
    let file = |name: String, text: String| ServiceFile { path: dir.join(&name), name, text };
    vec![file(systemd_name(name, trigger), fires), file(format!("iapeer-schedule-{name}.service"), service)]
}

/// The agent, as a file for `dir`. The error says what launchd can't do.
pub fn launchd(target: &ServiceTarget, dir: &Path, run: ScheduledRun<'_>) -> Result<ServiceFile, ScheduleError> {
    let when = match run.trigger {
        ScheduleTrigger::Every(seconds) => ("StartInterval", Value::from(*seconds)),
        ScheduleTrigger::PathChanged(path) => ("WatchPaths", array([text(&path.to_string_lossy())])),
        ScheduleTrigger::OnCalendar(spec) => {
            let times = CalendarTimes::parse(spec)?.launchd().into_iter();
            let fields = |time: Vec<(&'static str, u8)>| {
                dictionary(time.into_iter().map(|(field, number)| (field, Value::from(u64::from(number)))))
            };
            ("StartCalendarInterval", array(times.map(fields)))
        }
    };
    let label = launchd_label(run.name);
    let program = target.bin_dir.join(run.program).to_string_lossy().into_owned();
    let agent = dictionary([
        ("Label", text(&label)),
        (SENTINEL, true.into()),
        ("ProgramArguments", array(std::iter::once(&program).chain(run.arguments).map(|word| text(word)))),
        when,
        ("EnvironmentVariables", property_list::variables(target.variables())),
        ("AbandonProcessGroup", true.into()),
        ("Umask", 0o077.into()),
    ]);
    Ok(ServiceFile { path: dir.join(format!("{label}.plist")), name: label, text: property_list::file(&agent) })
}

/// The line for a crontab. The error says what cron can't do.
pub fn crontab(target: &ServiceTarget, run: ScheduledRun<'_>) -> Result<String, ScheduleError> {
    let when = match run.trigger {
        ScheduleTrigger::PathChanged(_) => return Err(ScheduleError::Path),
        ScheduleTrigger::OnCalendar(spec) => CalendarTimes::parse(spec)?.crontab()?,
        ScheduleTrigger::Every(seconds) => match (seconds / 60, seconds % 60) {
            (minutes, 0) if (1..60).contains(&minutes) && 60 % minutes == 0 => format!("*/{minutes} * * * *"),
            (minutes, 0) if minutes > 0 && minutes % 60 == 0 && minutes / 60 < 24 && 24 % (minutes / 60) == 0 => {
                format!("0 */{} * * *", minutes / 60)
            }
            (1440, 0) => "0 0 * * *".into(),
            _ => return Err(ScheduleError::Interval),
        },
    };
    Ok(format!("{when} {}", cron_command(target, run.program, run.arguments)))
}

/// The command of a line in a crontab that runs `program` of ours with `arguments`: quoted for the shell, and `%`, which
/// cron takes for a line end, escaped.
pub(crate) fn cron_command(target: &ServiceTarget, program: &str, arguments: &[String]) -> String {
    let program = target.bin_dir.join(program).to_string_lossy().into_owned();
    let variables = target.variables().into_iter().map(|(name, value)| format!("{name}={}", shell::word(&value)));
    let words = std::iter::once(&program).chain(arguments).map(|word| shell::word(word));
    variables.chain(words).collect::<Vec<String>>().join(" ").replace('%', "\\%")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> ServiceTarget {
        ServiceTarget {
            bin_dir: "/opt/ia peer".into(),
            home: "/home/u".into(),
            root: "/home/u/.iapeer".into(),
            socket_dir: None,
            path: Some("/usr/bin".into()),
        }
    }

    fn run<'a>(trigger: &'a ScheduleTrigger, arguments: &'a [String]) -> ScheduledRun<'a> {
        ScheduledRun { name: "daily", trigger, program: "iapeer-send", arguments }
    }

    #[test]
    fn units_as_they_are_written() {
        let arguments = ["bob".to_owned(), "--topic=50% $x".to_owned()];
        let trigger = ScheduleTrigger::OnCalendar("Mon..Fri 09:00".into());
        let files = systemd(&target(), Path::new("/d"), run(&trigger, &arguments));
        assert_eq!(
            (files[0].name.as_str(), files[1].name.as_str()),
            ("iapeer-schedule-daily.timer", "iapeer-schedule-daily.service")
        );
        assert!(files[0].text.contains("\n[Timer]\nOnCalendar=Mon..Fri 09:00\nPersistent=true\n"), "{}", files[0].text);
        assert!(files[0].text.ends_with("\n[Install]\nWantedBy=timers.target\n"));
        assert!(
            files[1].text.contains("\nExecStart=\"/opt/ia peer/iapeer-send\" bob \"--topic=50%% $$x\"\n"),
            "{}",
            files[1].text
        );
        let every = systemd(&target(), Path::new("/d"), run(&ScheduleTrigger::Every(90), &arguments));
        assert!(every[0].text.contains("\nOnActiveSec=90s\nOnUnitActiveSec=90s\n"));
        let path = systemd(&target(), Path::new("/d"), run(&ScheduleTrigger::PathChanged("/a 5%".into()), &arguments));
        assert_eq!(path[0].name, "iapeer-schedule-daily.path");
        assert!(path[0].text.contains("\nPathChanged=/a 5%%\n") && path[0].text.contains("WantedBy=paths.target"));
    }

    #[test]
    fn agents_as_they_are_written() {
        let arguments = ["bob".to_owned(), "--topic=a&b".to_owned()];
        let text =
            |trigger: &ScheduleTrigger| launchd(&target(), Path::new("/d"), run(trigger, &arguments)).unwrap().text;
        let agent = |text: &str| property_list::parse(text).unwrap().into_dictionary().unwrap();
        let calendar = text(&ScheduleTrigger::OnCalendar("Mon,Tue 09:30".into()));
        let times = agent(&calendar)["StartCalendarInterval"].as_array().unwrap().clone();
        let time = |weekday: u64| {
            let fields = [("Weekday", weekday), ("Hour", 9), ("Minute", 30)];
            dictionary(fields.map(|(field, number)| (field, Value::from(number))))
        };
        assert_eq!(times, [time(1), time(2)]);
        assert!(calendar.contains("<string>--topic=a&amp;b</string>") && calendar.contains("io.iapeer.schedule.daily"));
        let every = agent(&text(&ScheduleTrigger::Every(90)));
        assert_eq!(every["StartInterval"].as_unsigned_integer(), Some(90));
        let path = agent(&text(&ScheduleTrigger::PathChanged("/a".into())));
        assert_eq!(path["WatchPaths"], array([property_list::text("/a")]));
        assert!(super::super::target::has_sentinel(&calendar));
    }

    #[test]
    fn lines_of_a_crontab() {
        let arguments = ["bob".to_owned(), "--topic=it's 5%".to_owned()];
        let line = |trigger: ScheduleTrigger| crontab(&target(), run(&trigger, &arguments));
        let weekdays = line(ScheduleTrigger::OnCalendar("Mon..Fri 09:00".into())).unwrap();
        assert!(weekdays.starts_with("0 9 * * 1,2,3,4,5 PATH="), "{weekdays}");
        assert!(weekdays.ends_with(r"'/opt/ia peer/iapeer-send' bob '--topic=it'\''s 5\%'"), "{weekdays}");
        for (seconds, when) in [
            (300, Some("*/5 * * * *")),
            (7200, Some("0 */2 * * *")),
            (86_400, Some("0 0 * * *")),
            (90, None),
            (420, None),
        ] {
            let found = line(ScheduleTrigger::Every(seconds)).ok();
            assert_eq!(found.as_deref().map(|line| line.split(" PATH").next().unwrap()), when, "{seconds}");
        }
        assert!(line(ScheduleTrigger::PathChanged("/a".into())).is_err());
    }
}
