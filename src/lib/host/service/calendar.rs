//! Calendar times as people write them, for service managers that don't take systemd's syntax: `hourly`, `daily`,
//! `weekly`, `monthly`, `HH:MM`, `Mon..Fri HH:MM`, `Mon,Thu HH:MM`, `*-*-DD HH:MM`. systemd understands all of these.

use super::error::ScheduleError;

const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// When something recurs. `None` means any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CalendarTimes {
    /// 0 is Sunday; an empty list means every day.
    weekdays: Vec<u8>,
    day: Option<u8>,
    hour: Option<u8>,
    minute: u8,
}

impl CalendarTimes {
    /// Parses `spec`. The error names the forms that are understood.
    pub(crate) fn parse(spec: &str) -> Result<CalendarTimes, ScheduleError> {
        let midnight = CalendarTimes { hour: Some(0), ..CalendarTimes::default() };
        let parsed = match spec.trim().to_ascii_lowercase().as_str() {
            "hourly" => Some(CalendarTimes::default()),
            "daily" => Some(midnight),
            "weekly" => Some(CalendarTimes { weekdays: vec![1], ..midnight }),
            "monthly" => Some(CalendarTimes { day: Some(1), ..midnight }),
            text => times(text),
        };
        parsed.ok_or_else(|| ScheduleError::SystemdAlone(spec.to_owned()))
    }

    /// The entries of `StartCalendarInterval`.
    pub(crate) fn launchd(&self) -> Vec<Vec<(&'static str, u8)>> {
        let mut rest: Vec<(&'static str, u8)> = self.day.map(|day| ("Day", day)).into_iter().collect();
        rest.extend(self.hour.map(|hour| ("Hour", hour)));
        rest.push(("Minute", self.minute));
        if self.weekdays.is_empty() {
            return vec![rest];
        }
        let on = |day: &u8| std::iter::once(("Weekday", *day)).chain(rest.iter().copied()).collect();
        self.weekdays.iter().map(on).collect()
    }

    /// The five fields of a crontab. The error says what cron can't do.
    pub(crate) fn crontab(&self) -> Result<String, ScheduleError> {
        let any = |n: Option<u8>| n.map_or("*".to_owned(), |n| n.to_string());
        let days: Vec<String> = self.weekdays.iter().map(ToString::to_string).collect();
        // cron takes a day of the month and a day of the week as one or the other.
        if self.day.is_some() && !days.is_empty() {
            return Err(ScheduleError::BothDays);
        }
        let days = if days.is_empty() { "*".into() } else { days.join(",") };
        Ok(format!("{} {} {} * {days}", self.minute, any(self.hour), any(self.day)))
    }
}

fn times(text: &str) -> Option<CalendarTimes> {
    let mut words: Vec<&str> = text.split_whitespace().collect();
    let (hour, minute) = words.pop()?.split_once(':')?;
    // Seconds are accepted only where they are 00.
    let minute = minute.strip_suffix(":00").unwrap_or(minute);
    let number = |text: &str, most: u8| text.parse().ok().filter(|n: &u8| *n <= most && text.len() <= 2);
    let hour = if hour == "*" { None } else { Some(number(hour, 23)?) };
    let mut times = CalendarTimes { hour, minute: number(minute, 59)?, ..CalendarTimes::default() };
    if let Some(day) = words.last().and_then(|word| word.strip_prefix("*-*-")) {
        words.pop();
        times.day = if day == "*" { None } else { Some(number(day, 31).filter(|day| *day > 0)?) };
    }
    if let Some(days) = words.pop() {
        times.weekdays = weekdays(days)?;
    }
    words.is_empty().then_some(times)
}

fn weekdays(text: &str) -> Option<Vec<u8>> {
    let day = |name: &str| DAYS.iter().position(|day| *day == name.get(..3).unwrap_or_default()).map(|at| at as u8);
    let mut days = Vec::new();
    for part in text.split(',') {
        match part.split_once("..") {
            None => days.push(day(part)?),
            Some((from, to)) => {
                let (mut at, to) = (day(from)?, day(to)?);
                days.push(at);
                while at != to {
                    at = (at + 1) % 7;
                    days.push(at);
                }
            }
        }
    }
    Some(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_as_a_table() {
        for (spec, line) in [
            ("hourly", Some("0 * * * *")),
            ("daily", Some("0 0 * * *")),
            ("weekly", Some("0 0 * * 1")),
            ("monthly", Some("0 0 1 * *")),
            ("09:30", Some("30 9 * * *")),
            ("*-*-* 7:05:00", Some("5 7 * * *")),
            ("*:15", Some("15 * * * *")),
            ("Mon..Fri 09:00", Some("0 9 * * 1,2,3,4,5")),
            ("Sat..Mon,thursday 23:59", Some("59 23 * * 6,0,1,4")),
            ("*-*-15 12:00", Some("0 12 15 * *")),
            ("", None),
            ("24:00", None),
            ("9:60", None),
            ("*-*-32 9:00", None),
            ("Foo 9:00", None),
            ("2026-01-01 9:00", None),
            ("*:0/5", None),
        ] {
            assert_eq!(CalendarTimes::parse(spec).and_then(|times| times.crontab()).ok().as_deref(), line, "{spec}");
        }
        assert!(CalendarTimes::parse("Mon *-*-1 9:00").unwrap().crontab().is_err());
    }
}
