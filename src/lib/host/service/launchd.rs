//! launchd: agents as they are shipped in `plists/`, written out for one user, and `launchctl`.
//!
//! An agent is loaded by `bootstrap` and unloaded by `bootout`, never by `kickstart`, which can loop on launch
//! constraints. `bootout` returns before the job is gone: loading the job again waits for that first.

use super::error::ServiceError;
use super::property_list::{self, text};
use super::state::Seen;
use super::target::{SENTINEL, ServiceFile, ServiceTarget};
use crate::base::clock::{Clock, Deadline, wait_for};
use crate::base::identity::{Identity, Personality};
use crate::host::command::{self, CommandError};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The shipped agents. Their labels are outside `com.iapeer.`, which is the peers' (D16).
const SHIPPED: &[(&str, &str)] = &[
    ("io.iapeer.superviser", include_str!("../../../../plists/io.iapeer.superviser.plist")),
    ("io.iapeer.drain", include_str!("../../../../plists/io.iapeer.drain.plist")),
    (RELAY, include_str!("../../../../plists/io.iapeer.relay.plist")),
];
/// The relay to other hosts, installed where there is a NATS server.
pub(crate) const RELAY: &str = "io.iapeer.relay";
/// How long launchctl may take.
const CALL: Duration = Duration::from_secs(15);
/// How long an unloaded job may take to vanish.
const VANISH: Duration = Duration::from_secs(10);
/// Pauses before each try to load a job: right after a bootout launchd answers with errors that pass.
const PAUSES: [u64; 4] = [0, 2, 5, 15];

/// All shipped agents for `target`, as files for `dir`.
pub fn shipped(target: &ServiceTarget, dir: &Path) -> Vec<ServiceFile> {
    let file = |(label, shipped): &(&str, &str)| ServiceFile {
        name: (*label).to_owned(),
        path: dir.join(format!("{label}.plist")),
        text: render(shipped, target),
    };
    SHIPPED.iter().map(file).collect()
}

/// Fills in the user's paths: a shipped agent has `/Users/you` for the home, which launchd does not replace.
fn render(shipped: &str, target: &ServiceTarget) -> String {
    let Some(mut agent) = property_list::parse(shipped) else { return shipped.to_owned() };
    let bin = format!("{}/", target.bin_dir.to_string_lossy());
    let kick = target.root.join("state/lifecycle/kick").to_string_lossy().into_owned();
    let home = format!("{}/", target.home.to_string_lossy());
    property_list::for_each_text(&mut agent, &|text| {
        *text = text
            .replace("/Users/you/.local/bin/", &bin)
            .replace("/Users/you/.iapeer/state/lifecycle/kick", &kick)
            .replace("/Users/you/", &home);
    });
    let variables = property_list::variables(target.variables());
    agent.as_dictionary_mut().and_then(|agent| agent.insert("EnvironmentVariables".into(), variables));
    property_list::file(&agent)
}

/// The label of an always-on peer's agent: the peer's, whatever its runtime.
pub(crate) fn peer_label(name: &Personality) -> String {
    format!("com.iapeer.{name}")
}

/// The folder for the output of an always-on peer. launchd makes the files, not the folder.
pub(crate) fn peer_logs(target: &ServiceTarget, name: &Personality) -> PathBuf {
    target.root.join("logs").join(name.as_str())
}

/// The agent that holds the always-on peer `identity`, in the shape that earlier versions wrote.
pub fn peer(
    target: &ServiceTarget,
    dir: &Path,
    identity: &Identity,
    cwd: &Path,
    variables: &[(String, String)],
) -> ServiceFile {
    let label = peer_label(identity.personality());
    let logs = peer_logs(target, identity.personality());
    let path = |path: &Path| text(&path.to_string_lossy());
    let own = [
        ("PEER_PERSONALITY", identity.personality().to_string()),
        ("PEER_RUNTIME", identity.runtime().to_string()),
        ("PEER_IDENTITY", identity.to_string()),
    ];
    let variables = own
        .into_iter()
        .chain(target.variables())
        .chain(variables.iter().map(|(name, value)| (name.as_str(), value.clone())));
    let agent = property_list::dictionary([
        ("Label", text(&label)),
        (SENTINEL, true.into()),
        ("ProgramArguments", property_list::array([path(&target.bin_dir.join("iapeer-run")), text(identity.as_str())])),
        ("WorkingDirectory", path(cwd)),
        ("EnvironmentVariables", property_list::variables(variables)),
        ("RunAtLoad", true.into()),
        ("KeepAlive", true.into()),
        ("ThrottleInterval", 10.into()),
        ("AbandonProcessGroup", true.into()),
        ("ExitTimeOut", 60.into()),
        ("ProcessType", text("Interactive")),
        ("Umask", 0o077.into()),
        ("StandardOutPath", path(&logs.join("launchd-stdout.log"))),
        ("StandardErrorPath", path(&logs.join("launchd-stderr.log"))),
    ]);
    ServiceFile { path: dir.join(format!("{label}.plist")), name: label, text: property_list::file(&agent) }
}

/// The value of a variable in an agent as [`peer`] writes it.
pub fn variable(agent: &str, name: &str) -> Option<String> {
    let agent = property_list::parse(agent)?;
    let variables = agent.as_dictionary()?.get("EnvironmentVariables")?.as_dictionary()?;
    Some(variables.get(name)?.as_string()?.to_owned())
}

/// The state of a job, from what launchd prints about it.
pub fn seen(label: &str) -> Seen {
    print(label).map(|printed| parse(&printed)).unwrap_or_default()
}

fn parse(printed: &str) -> Seen {
    let value = |key: &str| {
        let line = printed.lines().find_map(|line| line.trim().strip_prefix(key)?.trim_start().strip_prefix('='));
        line.map(|value| value.trim().to_owned())
    };
    let code = value("last exit code").filter(|code| !matches!(code.as_str(), "0" | "(never exited)"));
    Seen {
        state: value("state").unwrap_or_default(),
        trouble: code.map(|code| format!("exit code {code}")),
        ..Seen::default()
    }
}

fn launchctl(words: &[&str]) -> Result<command::Ran, CommandError> {
    let words: Vec<OsString> = words.iter().map(OsString::from).collect();
    command::run("launchctl", &words, &[], CALL)
}

/// The domain of this user's agents: that of the desktop session where there is one, else (over ssh) the user's own.
fn domain() -> String {
    let uid = nix::unistd::getuid();
    let gui = format!("gui/{uid}");
    match launchctl(&["print", &gui]) {
        Ok(ran) if ran.success => gui,
        _ => format!("user/{uid}"),
    }
}

/// What launchd prints about a job. `None`: the job is not loaded, or launchd does not answer.
pub fn print(label: &str) -> Option<String> {
    launchctl(&["print", &format!("{}/{label}", domain())]).ok().filter(|ran| ran.success).map(|ran| ran.stdout)
}

/// Unloads a job and waits until it is gone. A job that is not loaded is fine.
pub(crate) fn bootout(label: &str, clock: &dyn Clock) -> Result<(), ServiceError> {
    if print(label).is_none() {
        return Ok(());
    }
    let ran = launchctl(&["bootout", &format!("{}/{label}", domain())])?;
    let gone = wait_for(clock, Deadline::after(clock, VANISH), Duration::from_millis(500), || {
        print(label).is_none().then_some(())
    });
    gone.ok_or_else(|| ServiceError::StillLoaded { label: label.to_owned(), said: ran.stderr })
}

/// Loads the job of `file`, with several tries. A job of that label that is loaded already is fine.
pub(crate) fn bootstrap(file: &ServiceFile, clock: &dyn Clock) -> Result<(), ServiceError> {
    let mut said = String::new();
    for pause in PAUSES {
        clock.sleep(Duration::from_secs(pause));
        if print(&file.name).is_some() {
            return Ok(());
        }
        let ran = launchctl(&["bootstrap", &domain(), &file.path.to_string_lossy()])?;
        if ran.success {
            return Ok(());
        }
        said = ran.stderr;
    }
    Err(ServiceError::NotLoaded { tries: PAUSES.len(), said })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> ServiceTarget {
        ServiceTarget {
            bin_dir: "/opt/homebrew/opt/iapeer/bin".into(),
            home: "/Users/u".into(),
            root: "/Users/u/R&D".into(),
            socket_dir: None,
            path: Some("/usr/bin".into()),
        }
    }

    fn parsed(text: &str) -> plist::Dictionary {
        plist::Value::from_reader_xml(text.as_bytes()).unwrap().into_dictionary().unwrap()
    }

    /// As `launchctl print gui/501/LABEL` shows a job (public captures; no Mac at hand).
    #[test]
    fn a_job_as_launchd_prints_it() {
        let printed = "gui/501/io.iapeer.drain = {\n\tactive count = 0\n\tpath = /x.plist\n\tstate = not running\n\n\truns = 3\n\tlast exit code = 78: EX_CONFIG\n}\n";
        let job = parse(printed);
        assert_eq!((job.state.as_str(), job.trouble.as_deref()), ("not running", Some("exit code 78: EX_CONFIG")));
        assert_eq!(parse("\tstate = running\n\tlast exit code = (never exited)\n").trouble, None);
    }

    #[test]
    fn shipped_agents_are_filled_in_and_stay_property_lists() {
        for file in shipped(&target(), Path::new("/d")) {
            let job = parsed(&file.text);
            assert_eq!(job["Label"].as_string(), Some(file.name.as_str()));
            assert!(!file.text.contains("<string>/Users/you"), "{}", file.text);
            let program = job["ProgramArguments"].as_array().unwrap()[0].as_string().unwrap();
            assert!(program.starts_with("/opt/homebrew/opt/iapeer/bin/iapeer-"), "{program}");
            let variables = job["EnvironmentVariables"].as_dictionary().unwrap();
            assert_eq!(variables["IAPEER_ROOT"].as_string(), Some("/Users/u/R&D"));
            assert!(variables["PATH"].as_string().unwrap().starts_with("/opt/homebrew/opt/iapeer/bin:"));
        }
    }

    #[test]
    fn a_peer_s_agent_has_the_keys_of_the_contract_in_their_order() {
        let identity: Identity = "telegram-bridge".parse().unwrap();
        let file = peer(
            &target(),
            Path::new("/d"),
            &identity,
            Path::new("/Users/u/a<b"),
            &[("TELEGRAM_RUNTIME_BIN".into(), "/t & <u>".into())],
        );
        let job = parsed(&file.text);
        assert_eq!((file.name.as_str(), job["Label"].as_string()), ("com.iapeer.bridge", Some("com.iapeer.bridge")));
        let keys: Vec<&str> = job.keys().map(String::as_str).collect();
        let wanted = [
            "Label",
            "com.iapeer.managed",
            "ProgramArguments",
            "WorkingDirectory",
            "EnvironmentVariables",
            "RunAtLoad",
            "KeepAlive",
            "ThrottleInterval",
        ];
        assert_eq!(keys[..wanted.len()], wanted);
        assert_eq!(keys[keys.len() - 2..], ["StandardOutPath", "StandardErrorPath"]);
        assert_eq!(job["WorkingDirectory"].as_string(), Some("/Users/u/a<b"));
        let variables = job["EnvironmentVariables"].as_dictionary().unwrap();
        let names: Vec<&str> = variables.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            ["PEER_PERSONALITY", "PEER_RUNTIME", "PEER_IDENTITY", "PATH", "IAPEER_ROOT", "TELEGRAM_RUNTIME_BIN"]
        );
        assert!(crate::host::service::target::has_sentinel(&file.text));
        assert_eq!(variable(&file.text, "TELEGRAM_RUNTIME_BIN").as_deref(), Some("/t & <u>"));
        assert_eq!(variable(&file.text, "NOTIFIER_RUNTIME_BIN"), None);
    }
}
