//! The `PARROT_*` variables: length of a turn, and faults on request.

use super::ask::Trouble;
use super::dialog::DialogKind;
use super::error::ParrotError;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// All variables with what they do, for the manual.
pub const VARIABLES: &[(&str, &str)] = &[
    ("PARROT_TURN_MS", "length of a turn (default 150)"),
    ("PARROT_REPLY", "1: answer the sender of an envelope with iapeer-send, 0: nobody; unset: a person is answered"),
    ("PARROT_RECORD", "file to append one JSON line per submitted message to, with its exact text"),
    ("PARROT_BOOT_MS", "blank screen for so long, nothing is read"),
    ("PARROT_EARLY", "1: paint a false composer for 300 ms first, and discard what is typed into it"),
    ("PARROT_DIALOG", "screens to answer before the composer: trust, update, picker, login, comma-separated"),
    ("PARROT_SWALLOW", "ignore the first N submits"),
    ("PARROT_CRASH", "boot, turn or idle: abort there"),
    ("PARROT_CRASH_AT", "N: abort at the N-th message, which is in PARROT_RECORD then and nowhere else"),
    ("PARROT_HANG", "boot: never ready; turn: the first turn never ends"),
    (
        "PARROT_ATTENTION",
        "what the first turn runs into: approval, approval-hidden, question, limit-menu, dialog, strange, failing, limited or login",
    ),
    ("PARROT_LIMIT_MS", "how long a limit lasts, and that it says so (default: it does not say)"),
    ("PARROT_NOHOOKS", "1: run no hooks"),
    ("PARROT_NOISE_MS", "repaint a counter in the footer at this pace while idle"),
    ("PARROT_IGNORE_HUP", "1: outlive SIGHUP, SIGTERM and the loss of the terminal"),
];

/// Where to crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crash {
    /// Halfway through the boot.
    Boot,
    /// Halfway through the first turn.
    Turn,
    /// After 300 ms of idleness.
    Idle,
}

/// Dies as a defective program does, but without leaving a core file.
pub(crate) fn crash() -> ! {
    let _ = nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, 0, 0);
    std::process::abort()
}

/// Where to hang.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hang {
    /// The composer is never shown.
    Boot,
    /// The first turn never ends by itself.
    Turn,
}

/// Whose messages are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    /// Nobody's.
    Nobody,
    /// Those of people.
    People,
    /// Everybody's.
    Everybody,
}

impl Answers {
    pub(crate) fn include(self, is_from_a_person: bool) -> bool {
        self == Answers::Everybody || (self == Answers::People && is_from_a_person)
    }
}

/// The values of the variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Faults {
    /// How long a turn takes.
    pub turn: Duration,
    /// Which senders are answered.
    pub reply: Answers,
    /// Where every submit is recorded.
    pub record: Option<PathBuf>,
    /// How long the boot takes.
    pub boot: Duration,
    /// Whether a false composer is painted first.
    pub early: bool,
    /// Screens before the composer, in order.
    pub(crate) dialogs: Vec<DialogKind>,
    /// How many submits are ignored.
    pub swallow: u64,
    /// Where it crashes.
    pub crash: Option<Crash>,
    /// The message at which it aborts, after it has recorded that message; counted from 1, 0: none.
    pub crash_at: u64,
    /// Where it hangs.
    pub hang: Option<Hang>,
    /// What the first turn runs into.
    pub attention: Option<Trouble>,
    /// How long a limit lasts; `None`: only the turn that runs into it fails, and no end of the limit is named.
    pub limit: Option<Duration>,
    /// Whether hooks run.
    pub hooks: bool,
    /// The pace of the idle counter.
    pub noise: Option<Duration>,
    /// Whether it outlives its terminal.
    pub ignore_hup: bool,
}

const NUMBER: &str = "a whole number below 1000000000";

impl Faults {
    /// Reads the variables through `get`. A blank value counts as unset.
    pub(crate) fn read(get: impl Fn(&str) -> Option<OsString>) -> Result<Faults, ParrotError> {
        let raw = |name: &str| get(name).filter(|value| !value.is_empty());
        let text = |name: &str| raw(name).map(|v| v.to_string_lossy().trim().to_owned()).filter(|v| !v.is_empty());
        let number = |name: &'static str, default: u64| match text(name) {
            None => Ok(default),
            Some(value) => match value.parse() {
                Ok(n) if n < 1_000_000_000 => Ok(n),
                _ => Err(ParrotError::Variable { name, value, wants: NUMBER }),
            },
        };
        let flag = |name: &'static str| match text(name).as_deref() {
            None | Some("0") => Ok(false),
            Some("1") => Ok(true),
            Some(value) => Err(ParrotError::Variable { name, value: value.to_owned(), wants: "1 or 0" }),
        };
        let crash = match text("PARROT_CRASH").as_deref() {
            None => None,
            Some("boot") => Some(Crash::Boot),
            Some("turn") => Some(Crash::Turn),
            Some("idle") => Some(Crash::Idle),
            Some(value) => {
                return Err(ParrotError::Variable {
                    name: "PARROT_CRASH",
                    value: value.to_owned(),
                    wants: "boot, turn or idle",
                });
            }
        };
        let hang = match text("PARROT_HANG").as_deref() {
            None => None,
            Some("boot") => Some(Hang::Boot),
            Some("turn") => Some(Hang::Turn),
            Some(value) => {
                return Err(ParrotError::Variable {
                    name: "PARROT_HANG",
                    value: value.to_owned(),
                    wants: "boot or turn",
                });
            }
        };
        let attention = text("PARROT_ATTENTION")
            .map(|value| {
                Trouble::named(&value).ok_or(ParrotError::Variable {
                    name: "PARROT_ATTENTION",
                    value,
                    wants: "approval, approval-hidden, question, limit-menu, dialog, strange, failing, limited or login",
                })
            })
            .transpose()?;
        let dialogs = text("PARROT_DIALOG").unwrap_or_default();
        let dialogs = dialogs
            .split(',')
            .filter(|_| !dialogs.is_empty())
            .map(|word| {
                DialogKind::named(word.trim()).ok_or_else(|| ParrotError::Variable {
                    name: "PARROT_DIALOG",
                    value: dialogs.clone(),
                    wants: "trust, update, picker or login, comma-separated",
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Faults {
            turn: Duration::from_millis(number("PARROT_TURN_MS", 150)?),
            reply: match text("PARROT_REPLY") {
                None => Answers::People,
                Some(_) if flag("PARROT_REPLY")? => Answers::Everybody,
                Some(_) => Answers::Nobody,
            },
            record: raw("PARROT_RECORD").map(PathBuf::from),
            boot: Duration::from_millis(number("PARROT_BOOT_MS", 0)?),
            early: flag("PARROT_EARLY")?,
            dialogs,
            swallow: number("PARROT_SWALLOW", 0)?,
            crash,
            crash_at: number("PARROT_CRASH_AT", 0)?,
            hang,
            attention,
            limit: Some(number("PARROT_LIMIT_MS", 0)?).filter(|ms| *ms > 0).map(Duration::from_millis),
            hooks: !flag("PARROT_NOHOOKS")?,
            noise: Some(number("PARROT_NOISE_MS", 0)?).filter(|ms| *ms > 0).map(Duration::from_millis),
            ignore_hup: flag("PARROT_IGNORE_HUP")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &'static str, value: &'static str) -> Result<Faults, ParrotError> {
        Faults::read(move |n| (n == name).then(|| value.into()))
    }

    #[test]
    fn without_variables_it_is_a_quick_and_healthy_parrot() {
        let faults = Faults::read(|_| None).unwrap();
        assert_eq!(faults.turn, Duration::from_millis(150));
        assert!(faults.hooks && !faults.early && faults.dialogs.is_empty() && faults.noise.is_none());
        assert_eq!((faults.crash, faults.hang, faults.swallow), (None, None, 0));
    }

    #[test]
    fn values_are_read() {
        assert_eq!(with("PARROT_BOOT_MS", " 7 ").unwrap().boot, Duration::from_millis(7));
        assert_eq!(with("PARROT_CRASH", "turn").unwrap().crash, Some(Crash::Turn));
        assert_eq!(with("PARROT_HANG", "boot").unwrap().hang, Some(Hang::Boot));
        assert_eq!(
            with("PARROT_DIALOG", "update, trust").unwrap().dialogs,
            [DialogKind::Update, DialogKind::Trust],
            "in the given order"
        );
        assert!(!with("PARROT_NOHOOKS", "1").unwrap().hooks);
        assert!(with("PARROT_NOHOOKS", "").unwrap().hooks);
    }

    #[test]
    fn a_malformed_value_is_78_by_name() {
        for (name, value) in [
            ("PARROT_TURN_MS", "1s"),
            ("PARROT_BOOT_MS", "-1"),
            ("PARROT_NOISE_MS", "1.5"),
            ("PARROT_SWALLOW", "99999999999999999999"),
            ("PARROT_CRASH", "later"),
            ("PARROT_HANG", "idle"),
            ("PARROT_DIALOG", "trust,,update"),
            ("PARROT_DIALOG", "mystery"),
            ("PARROT_ATTENTION", "all"),
            ("PARROT_EARLY", "yes please"),
        ] {
            let error = with(name, value).unwrap_err();
            assert_eq!(error.code(), 78);
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
