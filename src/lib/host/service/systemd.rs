//! systemd's user manager: transient units for sessions, and the state of units.

use crate::host::command::{self, CommandError, Ran};
use crate::host::service::error::ServiceError;
use crate::host::service::folders;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a question may take.
const ASK: Duration = Duration::from_secs(3);
/// How long starting or stopping may take beyond what the unit itself is given.
const SLACK: Duration = Duration::from_secs(10);
/// Variables that systemd sets for each service, and that no agent may get.
const SET_BY_SYSTEMD: &[&str] = &[
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "SYSTEMD_EXEC_PID",
    "MANAGERPID",
    "MANAGERPIDFDID",
    "MEMORY_PRESSURE_WATCH",
    "MEMORY_PRESSURE_WRITE",
    "NOTIFY_SOCKET",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
];

/// A user manager that has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UserManager {
    /// The names of the variables that it gives every unit.
    variables: Vec<String>,
}

/// What a session's unit is made of.
#[derive(Debug, Clone)]
pub(crate) struct SessionUnit<'a> {
    /// Its name without `.service`.
    pub name: String,
    /// Names the root that it belongs to: another root's unit of the same name is never touched.
    pub description: String,
    /// The program and its arguments; it must leave a daemon behind and exit.
    pub argv: &'a [OsString],
    /// Its whole environment.
    pub env: &'a [(OsString, OsString)],
    /// Properties beyond our own, such as `MemoryMax=2G`.
    pub properties: Vec<String>,
    /// How long a process that ignores TERM may live on.
    pub stop_grace: Duration,
}

/// Why a unit did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartRefused {
    /// The manager does not answer (any more).
    #[error("the user manager does not answer: {0}")]
    NoManager(String),
    /// There is a unit of that name already.
    #[error("its unit is loaded already")]
    NameInUse,
    /// A property has a value that systemd does not take.
    #[error("systemd refuses a limit: {0}")]
    BadProperty(String),
    /// Its program did not come up.
    #[error("its unit did not start: {0}")]
    Failed(String),
    /// systemd-run did not run to its end.
    #[error("its unit did not start: {0}")]
    Command(#[from] CommandError),
}

/// The state of a unit, and how its main process ended, according to systemd.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct UnitResult {
    /// `Result`: `success`, `signal`, `oom-kill`, …
    pub result: String,
    /// `ExecMainCode`, a number of waitid(2): 0 runs, 1 exited, 2 killed, 3 dumped.
    pub code: i32,
    /// `ExecMainStatus`: the exit status or the signal.
    pub status: i32,
    /// `ActiveState`: `active`, `failed`, …
    pub active: String,
    /// `Description`.
    pub description: String,
}

impl fmt::Display for UnitResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} code={} status={}", self.result, self.code, self.status)
    }
}

/// What systemd reports about `unit`. `None`: there is no such unit, or nobody answers.
pub(crate) fn unit_result(unit: &str) -> Option<UnitResult> {
    let shown =
        show(&[unit], &["LoadState", "Result", "ExecMainCode", "ExecMainStatus", "ActiveState", "Description"])?;
    parse_result(&shown)
}

fn parse_result(shown: &str) -> Option<UnitResult> {
    let value = |key: &str| property(shown, key).unwrap_or_default();
    // A unit whose file is masked or bad exists all the same.
    if matches!(value("LoadState"), "" | "not-found") {
        return None;
    }
    Some(UnitResult {
        result: value("Result").to_owned(),
        code: value("ExecMainCode").parse().unwrap_or(0),
        status: value("ExecMainStatus").parse().unwrap_or(0),
        active: value("ActiveState").to_owned(),
        description: value("Description").to_owned(),
    })
}

/// The value of `key` among `Key=value` lines.
pub fn property<'t>(shown: &'t str, key: &str) -> Option<&'t str> {
    shown.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
}

/// `systemctl --user show` of `units`: a block of `Key=value` lines each, an empty line between them.
pub fn show(units: &[&str], properties: &[&str]) -> Option<String> {
    let mut words = vec!["show"];
    words.extend(properties.iter().flat_map(|property| ["-p", property]));
    words.push("--");
    words.extend(units);
    systemctl(&words, ASK).ok().filter(|ran| ran.success).map(|ran| ran.stdout)
}

/// `systemctl --user WORDS…`.
pub fn systemctl(words: &[&str], limit: Duration) -> Result<Ran, CommandError> {
    let words: Vec<OsString> =
        ["--user", "--no-pager", "--no-ask-password"].iter().chain(words).map(OsString::from).collect();
    command::run("systemctl", &words, &[], limit)
}

/// Runs `systemctl --user WORDS…`; anything but success is an error with systemd's own words.
pub fn must(words: &[&str], limit: Duration) -> Result<(), ServiceError> {
    match systemctl(words, limit)? {
        ran if ran.success => Ok(()),
        ran => Err(ServiceError::Systemd { call: words.join(" "), said: ran.stderr }),
    }
}

/// Whether a user manager is likely to answer: its socket is there. Costs one stat.
pub(crate) fn has_socket() -> bool {
    cfg!(target_os = "linux")
        && !folders::is_test_run()
        && std::env::var_os("XDG_RUNTIME_DIR")
            .filter(|dir| !dir.is_empty())
            .is_some_and(|dir| Path::new(&dir).join("systemd/private").exists())
}

/// The service that a process belongs to, by its cgroup: `iapeer-claude-bob.service`.
pub(crate) fn unit_of(pid: i32) -> Option<String> {
    leaf_service(&std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?)
}

/// The service that this program runs in.
pub(crate) fn own_unit() -> Option<String> {
    unit_of(std::process::id() as i32)
}

/// Whether this program runs in one of our units. Processes that it leaves behind in a session's unit are ended with
/// the session; the other units let them live (`KillMode=process`), and systemd reports that in the journal at every
/// start.
pub(crate) fn in_our_unit() -> bool {
    own_unit().is_some_and(|unit| unit.starts_with("iapeer-"))
}

/// The service in `/proc/PID/cgroup`: the last part of the v2 path, or of systemd's own v1 hierarchy.
fn leaf_service(groups: &str) -> Option<String> {
    let path = |line: &str| {
        line.strip_prefix("0::").or_else(|| line.split_once(":name=systemd:").map(|(_, path)| path)).map(str::to_owned)
    };
    groups.lines().filter_map(path).find_map(|path| {
        let leaf = path.rsplit('/').next()?;
        leaf.ends_with(".service").then(|| leaf.to_owned())
    })
}

impl UserManager {
    /// The user manager, if one answers.
    pub(crate) fn reach() -> Option<UserManager> {
        if !has_socket() {
            return None;
        }
        let said = systemctl(&["show-environment"], ASK).ok().filter(|ran| ran.success)?;
        Some(UserManager { variables: variable_names(&said.stdout) })
    }

    /// Runs `unit` and waits until its program has left its daemon behind.
    ///
    /// Without `--collect`, so that a unit that failed keeps its result until somebody has read it.
    pub(crate) fn start(&self, unit: &SessionUnit<'_>, limit: Duration) -> Result<(), StartRefused> {
        let words = self.words(unit);
        let ran = command::run("systemd-run", &words, unit.env, limit + SLACK)?;
        if ran.success { Ok(()) } else { Err(refusal(&ran.stderr)) }
    }

    fn words(&self, unit: &SessionUnit<'_>) -> Vec<OsString> {
        let mut words: Vec<OsString> = ["--user", "--quiet"].map(OsString::from).into();
        words.push(format!("--unit={}", unit.name).into());
        words.push(format!("--description={}", unit.description).into());
        let mut property = |text: String| {
            words.push("-p".into());
            words.push(text.into());
        };
        property("Type=forking".into());
        property("WorkingDirectory=/".into());
        property("StandardOutput=null".into());
        property(format!("TimeoutStopSec={}ms", unit.stop_grace.as_millis().max(1)));
        unit.properties.iter().cloned().for_each(&mut property);
        let ours = |name: &str| unit.env.iter().any(|(key, _)| key == OsStr::new(name));
        let foreign = self.variables.iter().map(String::as_str).chain(SET_BY_SYSTEMD.iter().copied());
        for name in foreign.filter(|name| !ours(name)) {
            property(format!("UnsetEnvironment={name}"));
        }
        for (name, _) in unit.env {
            // Only the name: every user of the machine could read a value on the command line.
            words.push("-E".into());
            words.push(name.clone());
        }
        words.push("--".into());
        words.extend(unit.argv.iter().map(|word| literal(word)));
        words
    }

    /// Ends a unit with everything in it. A process that ignores TERM is killed when its grace is over.
    pub(crate) fn stop(&self, unit: &str, grace: Duration) -> Result<(), ServiceError> {
        must(&["stop", "--", unit], grace + SLACK)
    }

    /// Asks for the end of a unit and does not wait for it: for a program that runs in that very unit.
    pub(crate) fn stop_soon(&self, unit: &str) -> Result<(), ServiceError> {
        must(&["stop", "--no-block", "--", unit], ASK)
    }

    /// Forgets a failed unit, so that its name can be used again.
    pub(crate) fn reset(&self, unit: &str) {
        if let Err(error) = must(&["reset-failed", "--", unit], ASK) {
            tracing::debug!("{error}");
        }
    }
}

/// The arguments of systemd-run for running `program` in a unit of its own, so that it outlives the unit of its
/// starter. The values of the named `variables` are taken from systemd-run's own environment.
pub(crate) fn escape_words(name: &str, program: &Path, arguments: &[&str], variables: &[&str]) -> Vec<OsString> {
    let mut words: Vec<OsString> = ["--user", "--quiet", "--collect", "--no-ask-password"].map(OsString::from).into();
    words.push(format!("--unit={name}").into());
    for property in ["WorkingDirectory=/", "StandardOutput=null", "StandardError=null", "KillMode=process"] {
        words.push("-p".into());
        words.push(property.into());
    }
    for variable in variables {
        words.push("-E".into());
        words.push(variable.into());
    }
    words.push("--".into());
    words.push(literal(program.as_os_str()));
    words.extend(arguments.iter().map(|word| literal(OsStr::new(word))));
    words
}

/// Where systemd-run is.
pub(crate) fn systemd_run() -> Option<PathBuf> {
    crate::host::spawn::find_program("systemd-run", Some(OsStr::new("/usr/local/bin:/usr/bin:/bin")))
}

/// `word` escaped so that systemd passes it on unchanged: a `$` would begin a variable.
fn literal(word: &OsStr) -> OsString {
    match word.to_str() {
        Some(text) => text.replace('$', "$$").into(),
        None => word.to_owned(),
    }
}

/// What the error messages of systemd-run mean.
fn refusal(stderr: &str) -> StartRefused {
    let first = stderr.lines().next().unwrap_or_default().to_owned();
    if stderr.contains("was already loaded") {
        StartRefused::NameInUse
    } else if stderr.contains("Failed to connect to bus") || stderr.contains("Failed to create bus connection") {
        StartRefused::NoManager(first)
    } else if stderr.contains("Failed to parse") || stderr.contains("Unknown assignment") {
        StartRefused::BadProperty(first)
    } else if first.is_empty() {
        // With --quiet, systemd-run prints nothing about a command that failed.
        StartRefused::Failed("its command failed".into())
    } else {
        StartRefused::Failed(first)
    }
}

/// The names in what `systemctl show-environment` prints: `NAME=value`, values with odd characters as `$'…'`, so that
/// each is one line.
fn variable_names(said: &str) -> Vec<String> {
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    said.lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name.to_owned())
        .filter(|name| is_name(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_as_systemd_252_writes_them() {
        let loaded =
            "Failed to start transient service unit: Unit iapeer-x.service was already loaded or has a fragment file.";
        assert!(matches!(refusal(loaded), StartRefused::NameInUse));
        let limit = "Failed to parse MemoryMax=lots: Invalid argument";
        assert!(matches!(refusal(limit), StartRefused::BadProperty(why) if why == limit));
        let bus = "Failed to connect to bus: No medium found";
        assert!(matches!(refusal(bus), StartRefused::NoManager(why) if why == bus));
        let job = "Job for iapeer-y.service failed because the control process exited with error code.\nSee …";
        assert!(matches!(refusal(job), StartRefused::Failed(why) if !why.contains('\n')));
    }

    #[test]
    fn a_unit_shown_as_captured() {
        let failed = "Description=iapeer session claude-bob (/r)\nLoadState=loaded\nActiveState=failed\nResult=signal\nExecMainCode=2\nExecMainStatus=9\n";
        let result = parse_result(failed).unwrap();
        assert_eq!((result.result.as_str(), result.code, result.status), ("signal", 2, 9));
        assert_eq!((result.active.as_str(), result.description.as_str()), ("failed", "iapeer session claude-bob (/r)"));
        assert_eq!(parse_result("LoadState=not-found\nActiveState=inactive\nResult=success\n"), None);
        assert_eq!(parse_result(""), None);
    }

    #[test]
    fn the_service_is_the_last_part_of_the_path() {
        let v2 = "0::/user.slice/user-4242.slice/user@4242.service/app.slice/iapeer-claude-bob.service\n";
        assert_eq!(leaf_service(v2).as_deref(), Some("iapeer-claude-bob.service"));
        let v1 = "4:memory:/user.slice\n1:name=systemd:/user.slice/user@1.service/app.slice/iapeer-x.service\n";
        assert_eq!(leaf_service(v1).as_deref(), Some("iapeer-x.service"));
        assert_eq!(leaf_service("0::/user.slice/session-3.scope\n"), None);
        assert_eq!(leaf_service("1:name=systemd:/\n0::/\n"), None);
    }

    #[test]
    fn a_session_gets_its_own_variables_and_none_of_the_managers() {
        let manager = UserManager { variables: variable_names("PATH=/bin\nSECRET=$'a\\nb'\nbad line\n") };
        let env = [("PATH".into(), "/opt".into()), ("API_KEY".into(), "s3cret".into())];
        let argv = ["/usr/bin/tmux".into(), "$HOME".into()];
        let unit = SessionUnit {
            name: "iapeer-claude-bob".into(),
            description: "d".into(),
            argv: &argv,
            env: &env,
            properties: vec!["MemoryMax=2G".into()],
            stop_grace: Duration::from_secs(5),
        };
        let words: Vec<String> = manager.words(&unit).iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let has = |word: &str| words.iter().any(|found| found == word);
        assert!(has("--unit=iapeer-claude-bob") && has("MemoryMax=2G") && has("TimeoutStopSec=5000ms"), "{words:?}");
        assert!(has("UnsetEnvironment=SECRET") && has("UnsetEnvironment=INVOCATION_ID"), "{words:?}");
        assert!(!has("UnsetEnvironment=PATH") && has("API_KEY") && !has("--collect"), "{words:?}");
        assert!(!words.iter().any(|word| word.contains("s3cret")), "a secret on the command line: {words:?}");
        assert_eq!(words.last().map(String::as_str), Some("$$HOME"));
    }
}
