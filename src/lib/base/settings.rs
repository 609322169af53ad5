//! Every setting in one table: environment variable, default, unit, what it is for.
//!
//! A value that can't be parsed is refused with exit 78 and the variable's name; it is never replaced by the default.

use crate::base::exit::{Exit, Failure};
use crate::base::span::span;
use std::time::Duration;
use tracing::level_filters::LevelFilter;

/// One row of the table, for the man pages and the page of settings.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Environment variable.
    pub name: &'static str,
    /// Default, as it would be written in the environment.
    pub default: &'static str,
    /// `s`, `ms`, `days`, `bytes`, `count`, `flag` or `word`; empty where there is none.
    pub unit: &'static str,
    /// What the setting is for.
    pub doc: &'static str,
}

trait Parse: Sized {
    fn parse(text: &str) -> Option<Self>;
}

/// Seconds, or a number with the unit `s`, `m`, `h` or `d`; decimals are fine. Must be over zero.
struct Seconds(Duration);
impl Parse for Seconds {
    fn parse(text: &str) -> Option<Self> {
        span(text).filter(|length| !length.is_zero() && length.as_secs() < 1_000_000_000).map(Seconds)
    }
}

/// Whole milliseconds, or a number with the unit `s`, `m`, `h` or `d`; zero is fine.
struct Millis(Duration);
impl Parse for Millis {
    fn parse(text: &str) -> Option<Self> {
        let length = text.parse().ok().map(Duration::from_millis);
        let has_unit = text.ends_with(['s', 'm', 'h', 'd']);
        length.or_else(|| span(text).filter(|_| has_unit)).filter(|length| length.as_secs() < 1_000_000).map(Millis)
    }
}

/// A whole number over zero.
struct Count(u64);
impl Parse for Count {
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().filter(|n| *n > 0).map(Count)
    }
}

/// A whole number of days; zero is fine.
struct Days(u64);
impl Parse for Days {
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Days)
    }
}

/// Days, or a number with the unit `s`, `m`, `h` or `d`; decimals are fine. Must be over zero.
struct DaysOver(Duration);
impl Parse for DaysOver {
    fn parse(text: &str) -> Option<Self> {
        let days = text.parse::<f64>().ok().map(|days| format!("{days}d"));
        let length = span(days.as_deref().unwrap_or(text))?;
        (!length.is_zero() && length.as_secs() < 8_640_000_000).then_some(DaysOver(length))
    }
}

/// `1`, `true`, `yes`, `on`, or `0`, `false`, `no`, `off`, empty; in any case.
struct Flag(bool);
impl Parse for Flag {
    fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" | "on" => Some(Flag(true)),
            "" | "0" | "false" | "no" | "off" => Some(Flag(false)),
            _ => None,
        }
    }
}

/// `auto`, or `none`.
struct ManagerWord(bool);
impl Parse for ManagerWord {
    fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "auto" => Some(ManagerWord(true)),
            "none" => Some(ManagerWord(false)),
            _ => None,
        }
    }
}

macro_rules! settings {
    ($($field:ident: $kind:ident -> $type:ty = $var:literal, $default:literal, $unit:literal, $doc:literal;)*) => {
        /// The settings in force, read once at the start of a program.
        #[derive(Debug, Clone)]
        pub struct Settings {
            $(#[doc = $doc] pub $field: $type,)*
        }

        /// All settings, in the order of the manual.
        pub const TABLE: &[Setting] = &[
            $(Setting { name: $var, default: $default, unit: $unit, doc: $doc },)*
        ];

        impl Settings {
            /// `Settings::from_env` with `get` in place of the environment.
            pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Settings, Failure> {
                Ok(Settings {
                    $($field: {
                        let given = get($var).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
                        let text = given.unwrap_or_else(|| $default.to_owned());
                        <$kind as Parse>::parse(&text).ok_or_else(|| bad($var, &text, $unit, $default))?.0
                    },)*
                })
            }
        }
    };
}

fn bad(name: &str, text: &str, unit: &str, default: &str) -> Failure {
    let wanted = match unit {
        "s" => "seconds over 0, or a time as 90s, 2m, 1h",
        "days" => "a number of days, or a time as 12h",
        "ms" => "whole milliseconds, or a time as 5s",
        "flag" => "1, true, yes, on, 0, false, no or off",
        "word" => "auto or none",
        _ => "a whole number over 0",
    };
    refused(name, text, wanted, default)
}

fn refused(name: &str, text: &str, wanted: &str, default: &str) -> Failure {
    Failure::new(
        Exit::Config,
        format!("{name}={text:?} can't be parsed: it must be {wanted}; unset it for the default ({default})"),
    )
}

/// Further variables, for paths and diagnostics. They are read where they are needed, not into [`Settings`].
pub const PLACES: &[Setting] = &[
    place("IAPEER_ROOT", "`~/.iapeer`", "The folder that holds all state."),
    place("IAPEER_SOCK_DIR", "`<root>/socks`", "The folder that holds the tmux sockets. It belongs to one root."),
    place(
        "IAPEER_TEST_SANDBOX",
        "",
        "For your own tests. `1`: iapeer writes nothing to `~/.iapeer` and no units, and asks no service manager.",
    ),
    place(
        "IAPEER_LOG",
        "warn",
        "The level of diagnostics on stderr: `error`, `warn`, `info`, `debug`, `trace` or `off` (the default of `iapeer-turn`).",
    ),
    place("IAPEER_TMUX_BIN", "`tmux` on PATH", "The tmux to use."),
    place("IAPEER_CLAUDE_BIN", FOUND, "The program of runtime claude."),
    place("IAPEER_CODEX_BIN", FOUND, "The program of runtime codex."),
    place("IAPEER_COPILOT_BIN", FOUND, "The program of runtime copilot."),
    place("IAPEER_QWEN_BIN", FOUND, "The program of runtime qwen."),
    place("IAPEER_GEMINI_BIN", FOUND, "The program of runtime gemini."),
    place("IAPEER_OPENCODE_BIN", FOUND, "The program of runtime opencode."),
    place("IAPEER_PARROT_BIN", FOUND, "The program of runtime parrot."),
    place("NOTIFIER_RUNTIME_BIN", FOUND, "The program of runtime notifier."),
    place("TELEGRAM_RUNTIME_BIN", FOUND, "The program of runtime telegram."),
    place(
        TELEGRAM_API,
        "`https://api.telegram.org`",
        "The URL of the Bot API, for your own server, or a stub in tests.",
    ),
    place("IAPEER_EVENT", "", "Set by iapeer when it runs `<root>/notify`: the kind of the event."),
    place("IAPEER_PEER", "", "Set by iapeer when it runs `<root>/notify`: the peer that the event is about."),
    place("IAPEER_TEXT", "", "Set by iapeer when it runs `<root>/notify`: the event as one line for people."),
    place(
        "IAPEER_SYSTEMD_USER_DIR",
        "systemd's own folders",
        "The folder in which units are looked for and written instead. iapeer then never starts the units that it writes.",
    ),
    place(
        "IAPEER_LAUNCHAGENTS_DIR",
        "`~/Library/LaunchAgents`",
        "The folder in which launchd agents are looked for and written instead. iapeer then never starts the agents that it writes.",
    ),
];
const FOUND: &str = "searched for";

/// The variable that has the URL of Telegram's Bot API.
pub(crate) const TELEGRAM_API: &str = "IAPEER_TELEGRAM_API";

const fn place(name: &'static str, default: &'static str, doc: &'static str) -> Setting {
    Setting { name, default, unit: "", doc }
}

settings! {
    boot_deadline: Seconds -> Duration = "IAPEER_BOOT_DEADLINE_SECS", "240", "s", "How long a starting session may take until its composer is ready.";
    ready_gate: Seconds -> Duration = "IAPEER_READY_GATE_SECS", "120", "s", "How long to wait for evidence of the first message after a cold start.";
    idle: Seconds -> Duration = "IAPEER_IDLE_SECS", "3600", "s", "A live session is put to sleep after this long without activity.";
    resume_max_age: Seconds -> Duration = "IAPEER_RESUME_MAX_AGE_SECS", "86400", "s", "A peer that has been asleep for longer than this gets a fresh session for a message without a topic.";
    crashloop_max: Count -> u64 = "IAPEER_CRASHLOOP_MAX", "3", "count", "After this many deaths within the window of the crash-loop guard a peer is left asleep.";
    crashloop_window: Seconds -> Duration = "IAPEER_CRASHLOOP_WINDOW_SECS", "300", "s", "The window of the crash-loop guard.";
    ephemeral_quiet: Seconds -> Duration = "IAPEER_EPHEMERAL_QUIET_SECS", "20", "s", "A worker that has answered its task is ended after this long without activity.";
    ephemeral_unarmed: Seconds -> Duration = "IAPEER_EPHEMERAL_UNARMED_IDLE_SECS", "600", "s", "A worker that has not answered its task is ended after this long without activity.";
    queue_max_attempts: Count -> u64 = "IAPEER_QUEUE_MAX_ATTEMPTS", "5", "count", "After this many failed tries a message becomes a dead letter.";
    hold: DaysOver -> Duration = "IAPEER_HOLD_DAYS", "7", "days", "How long a message is held for a reason that lies outside the message (a draft, a dialog, an unknown screen, the crash-loop guard) before it becomes a dead letter.";
    outbox: DaysOver -> Duration = "IAPEER_OUTBOX_DAYS", "7", "days", "How long a message for another host waits for that host, or for its receipt, before it becomes a dead letter.";
    resend: Seconds -> Duration = "IAPEER_RESEND_SECS", "3600", "s", "After how long a message that another host was given by NATS, and for which no receipt has come, is published again; then after twice that time, and so on.";
    attachments_max: Count -> u64 = "IAPEER_ATTACHMENTS_MAX_BYTES", "16777216", "bytes", "The largest total size of the files of one message to or from another host.";
    midturn_wait: Seconds -> Duration = "IAPEER_MIDTURN_WAIT_SECS", "900", "s", "How long a message waits for the end of a running turn, where the agent's program has no queue and a message would steer the turn.";
    composer_hold: Seconds -> Duration = "IAPEER_COMPOSER_HOLD_SECS", "120", "s", "How long after the last keystroke a person's unsent draft holds messages.";
    submit_timeout: Millis -> Duration = "IAP_TMUX_SUBMIT_TIMEOUT_MS", "4000", "ms", "For how long the submit key is pressed again while the composer still contains the message.";
    liveness_grace: Millis -> Duration = "IAP_LIVENESS_GRACE_MS", "3000", "ms", "How long to wait for evidence after the composer is empty again.";
    paste_settle: Millis -> Duration = "IAP_TMUX_PASTE_SETTLE_MS", "250", "ms", "The pause between paste and submit for router peers.";
    tell_after: Seconds -> Duration = "IAPEER_TELL_AFTER_SECS", "5", "s", "How long a peer must have waited for a person before the owner is told.";
    remind: Seconds -> Duration = "IAPEER_REMIND_SECS", "3600", "s", "How long until the owner is told again of a peer that still waits.";
    approval: Seconds -> Duration = "IAPEER_APPROVAL_SECS", "600", "s", "How long an approval waits for `iapeer answer` before the program asks on its own screen.";
    hung: Seconds -> Duration = "IAPEER_HUNG_SECS", "900", "s", "A turn counts as hung after this long without any sign of life.";
    limit_look: Seconds -> Duration = "IAPEER_LIMIT_LOOK_SECS", "900", "s", "How often delivery is tried again where a program does not say when its limit ends, or where nobody is logged in.";
    lock_wait: Seconds -> Duration = "IAPEER_LOCK_WAIT_SECS", "30", "s", "How long an operator's verb waits for a program that holds the peer's lock. `stop`, `new`, `attach` and `iapeer-wake` also wait for a boot, IAPEER_BOOT_DEADLINE_SECS longer. After a second each verb prints what it waits for; a `stop` has taken effect by then.";
    tmux_timeout: Seconds -> Duration = "IAPEER_TMUX_TIMEOUT_SECS", "5", "s", "How long one tmux call may take.";
    end_grace: Seconds -> Duration = "IAPEER_END_GRACE_SECS", "5", "s", "How long the processes of an ended session may take to exit before they are killed.";
    use_service_manager: ManagerWord -> bool = "IAPEER_SERVICE_MANAGER", "auto", "word", "`auto`: each session is a unit of its own where a systemd user manager answers. `none`: no session is a unit.";
    verbose: Flag -> bool = "IAPEER_SUPERVISE_LOG_VERBOSE", "0", "flag", "Whether each tick also logs peers that are live, and peers that the service manager holds.";
    lifecycle_log_max: Count -> u64 = "IAPEER_LIFECYCLE_LOG_MAX_BYTES", "5242880", "bytes", "The size at which lifecycle.log and exits.log are rotated.";
    lifecycle_log_keep: Count -> u64 = "IAPEER_LIFECYCLE_LOG_KEEP", "5", "count", "How many rotated files of each of them are kept.";
    delivery_log_max: Count -> u64 = "IAPEER_DELIVERY_LOG_MAX_BYTES", "5242880", "bytes", "The size at which delivery.log is rotated.";
    delivery_log_keep: Count -> u64 = "IAPEER_DELIVERY_LOG_KEEP", "5", "count", "How many rotated files of delivery.log are kept.";
    history_days: Days -> u64 = "IAPEER_HISTORY_DAYS", "30", "days", "How long the history of a settled message is kept. 0 keeps the outcomes of messages for 30 days, without their bodies.";
    history_max: Count -> u64 = "IAPEER_HISTORY_MAX_BYTES", "16777216", "bytes", "The size at which a peer's history is renamed to `.jsonl.1`, which replaces the earlier one.";
    compact_done: Millis -> Duration = "IAPEER_COMPACT_DONE_TIMEOUT_MS", "290000", "ms", "How long a compaction may take.";
    compact_poll: Millis -> Duration = "IAPEER_COMPACT_DONE_POLL_MS", "1000", "ms", "How often the transcript is read for the end of a compaction.";
    compact_grace: Millis -> Duration = "IAPEER_COMPACT_READY_GRACE_MS", "5000", "ms", "How long after a compaction to wait for an idle composer.";
}

impl Settings {
    /// Reads the settings from the process environment.
    pub(crate) fn from_env() -> Result<Settings, Failure> {
        Settings::read(variable)
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// The least severe level of diagnostics that is printed: the value of `IAPEER_LOG`, or `default`.
pub(crate) fn log_level(default: LevelFilter) -> Result<LevelFilter, Failure> {
    parse_level(variable("IAPEER_LOG").unwrap_or_default().trim(), default)
}

fn parse_level(text: &str, default: LevelFilter) -> Result<LevelFilter, Failure> {
    if text.is_empty() {
        return Ok(default);
    }
    let wanted = "error, warn, info, debug, trace or off";
    text.parse().map_err(|_| refused("IAPEER_LOG", text, wanted, &default.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_in_the_table_can_be_read() {
        let settings = Settings::read(|_| None).unwrap();
        assert_eq!(settings.idle, Duration::from_secs(3600));
        assert_eq!(settings.queue_max_attempts, 5);
        assert!(!settings.verbose);
    }

    #[test]
    fn a_bad_value_is_refused_by_name_with_78() {
        for (name, value) in [
            ("IAPEER_IDLE_SECS", "0"),
            ("IAPEER_IDLE_SECS", "1w"),
            ("IAPEER_IDLE_SECS", "0m"),
            ("IAPEER_CRASHLOOP_MAX", "-1"),
            ("IAP_LIVENESS_GRACE_MS", "x"),
        ] {
            let failure = Settings::read(|n| (n == name).then(|| value.to_owned())).unwrap_err();
            assert_eq!(failure.exit, Exit::Config);
            assert!(failure.message.contains(name), "{failure}");
        }
    }

    #[test]
    fn lengths_of_time_have_a_unit_or_the_one_of_the_setting() {
        for (text, secs) in [("90", 90), ("90s", 90), ("2m", 120), ("1h", 3600), ("0.5m", 30)] {
            let settings = Settings::read(|name| (name == "IAPEER_IDLE_SECS").then(|| text.to_owned())).unwrap();
            assert_eq!(settings.idle, Duration::from_secs(secs), "{text}");
        }
        for (text, ms) in [("250", 250), ("5s", 5_000), ("1m", 60_000)] {
            let settings = Settings::read(|name| (name == "IAP_LIVENESS_GRACE_MS").then(|| text.to_owned())).unwrap();
            assert_eq!(settings.liveness_grace, Duration::from_millis(ms), "{text}");
        }
        for (text, hours) in [("7", 168), ("0.5", 12), ("12h", 12), ("2d", 48)] {
            let settings = Settings::read(|name| (name == "IAPEER_HOLD_DAYS").then(|| text.to_owned())).unwrap();
            assert_eq!(settings.hold, Duration::from_secs(hours * 3600), "{text}");
        }
    }

    #[test]
    fn log_levels_as_a_table() {
        for (text, level) in [
            ("", Some(LevelFilter::WARN)),
            ("off", Some(LevelFilter::OFF)),
            ("Debug", Some(LevelFilter::DEBUG)),
            ("bogus", None),
        ] {
            assert_eq!(parse_level(text, LevelFilter::WARN).ok(), level, "{text:?}");
        }
        let failure = parse_level("bogus", LevelFilter::WARN).unwrap_err();
        assert!(failure.exit == Exit::Config && failure.message.contains("IAPEER_LOG"), "{failure}");
    }

    #[test]
    fn zero_milliseconds_and_blank_values_are_fine() {
        let settings = Settings::read(|n| match n {
            "IAP_LIVENESS_GRACE_MS" => Some("0".into()),
            "IAPEER_IDLE_SECS" => Some("  ".into()),
            _ => None,
        })
        .unwrap();
        assert_eq!(settings.liveness_grace, Duration::ZERO);
        assert_eq!(settings.idle, Duration::from_secs(3600));
    }
}
