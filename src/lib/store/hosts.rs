//! Other hosts: `<root>/hosts/<host>.json` says how each is reached; `<root>/hostname` has the name of this host.

use crate::base::address::HostName;
use crate::base::exit::{Exit, Failure};
use crate::base::normalize;
use crate::base::paths::{self, Paths};
use crate::store::durable::{self, StoreError};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How a host is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "transport", rename_all = "lowercase")]
pub enum HostFile {
    /// By ssh.
    Ssh(SshHost),
    /// By the NATS server that `<root>/nats.json` names.
    Nats,
}

/// A host that is reached by ssh.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshHost {
    /// `user@machine`, as ssh takes it. `None`: this host can't connect to that one; messages for that one are handed
    /// over when it connects to this host.
    #[serde(default)]
    pub destination: Option<String>,
    /// Further arguments for ssh.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// The root there; `None`: its default.
    #[serde(default)]
    pub root: Option<PathBuf>,
    /// The iapeer-relay there; `None`: the one in ~/.local/bin or on PATH.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<PathBuf>,
    /// For how many seconds ssh keeps the connection (ControlPersist); 0: each push connects anew.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub keep_secs: u32,
    /// Whether a tick connects to that host although nothing waits for it, since that host can't connect to this one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fetch: bool,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl HostFile {
    /// The word for how the host is reached.
    pub fn transport(&self) -> &'static str {
        match self {
            HostFile::Ssh(_) => "ssh",
            HostFile::Nats => "nats",
        }
    }

    /// Reads the file of `host`. `None`: the host is not registered.
    pub fn read(paths: &Paths, host: &HostName) -> Result<Option<HostFile>, Failure> {
        let path = paths.host_file(host);
        let Some(bytes) = durable::read_optional(&path)? else { return Ok(None) };
        let bad = |why: &dyn std::fmt::Display| {
            Failure::new(Exit::Config, format!("{} says nothing readable: {why}", path.display()))
        };
        let file: HostFile = serde_json::from_slice(&bytes).map_err(|error| bad(&error))?;
        file.fault().map_or(Ok(Some(file)), |why| Err(bad(&why)))
    }

    /// Why a value may not be given to ssh: it has a control character, or ssh would take the destination for an
    /// option.
    fn fault(&self) -> Option<&'static str> {
        let HostFile::Ssh(ssh) = self else { return None };
        let mut words = ssh.destination.iter().chain(&ssh.options);
        if words.any(|word| word.chars().any(char::is_control)) {
            return Some("a word for ssh holds a control character");
        }
        let is_wrong = |text: &String| text.starts_with('-') || text.trim().is_empty();
        ssh.destination.as_ref().filter(|text| is_wrong(text)).map(|_| "the destination is no user@machine")
    }

    /// [`HostFile::read`] for a host that must be registered.
    pub fn known(paths: &Paths, host: &HostName) -> Result<HostFile, Failure> {
        HostFile::read(paths, host)?.ok_or_else(|| unknown(host))
    }

    /// Writes the file of `host`. Content that could not be read again is refused, and the earlier file stays.
    pub fn write(&self, paths: &Paths, host: &HostName) -> Result<(), Failure> {
        if let Some(why) = self.fault() {
            return Err(Failure::new(Exit::Usage, format!("{host}: {why}")));
        }
        paths::create_dirs(&paths.hosts_dir())?;
        let mut text =
            serde_json::to_vec_pretty(self).map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
        text.push(b'\n');
        Ok(durable::write_atomic(&paths.host_file(host), &text)?)
    }
}

/// The error for a host that has no file.
pub fn unknown(host: &HostName) -> Failure {
    let todo = "`iapeer host list` shows the hosts, `iapeer host add` makes one known";
    Failure::new(Exit::NoPeer, format!("no host named {:?}: {todo}", host.as_str()))
}

/// The hosts that have a file, by name.
pub(crate) fn known_hosts(paths: &Paths) -> Result<Vec<HostName>, StoreError> {
    let names = durable::names_of(&paths.hosts_dir())?;
    let mut hosts: Vec<HostName> = names.iter().filter_map(|name| name.strip_suffix(".json")?.parse().ok()).collect();
    hosts.sort();
    Ok(hosts)
}

/// The known hosts that are reached by NATS.
pub(crate) fn on_nats(paths: &Paths) -> Result<Vec<HostName>, Failure> {
    let mut hosts = known_hosts(paths)?;
    hosts.retain(|host| matches!(HostFile::read(paths, host), Ok(Some(HostFile::Nats))));
    Ok(hosts)
}

/// The hosts whose removal was interrupted, in no particular order.
pub fn half_removed(paths: &Paths) -> Result<Vec<HostName>, StoreError> {
    let names = durable::names_of(&paths.hosts_dir())?;
    Ok(names.iter().filter_map(|name| name.strip_suffix(".removed")?.parse().ok()).collect())
}

/// This host's name: `<root>/hostname`, else the first part of the machine's name, as far as the grammar allows it.
pub fn own_name(paths: &Paths) -> Result<HostName, Failure> {
    let path = paths.hostname();
    if let Some(text) = durable::read_optional(&path)? {
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        return text.parse().map_err(|error| Failure::new(Exit::Config, format!("{}: {error}", path.display())));
    }
    let machine = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let short = machine.split('.').next().unwrap_or_default();
    let named = normalize::normalize(short);
    named.parse().or_else(|_| format!("host-{named}").parse()).map_err(|_| {
        let why = format!("the machine's name {machine:?} gives no host's name: write one into {}", path.display());
        Failure::new(Exit::Config, why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(dir: &std::path::Path) -> Paths {
        let paths = Paths::read(|name| (name == "IAPEER_ROOT").then(|| dir.join("root"))).unwrap();
        paths.ensure().unwrap();
        paths
    }

    #[test]
    fn a_hosts_file_comes_back_and_a_bad_one_is_78_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let paths = paths(dir.path());
        let host: HostName = "box".parse().unwrap();
        assert_eq!(HostFile::read(&paths, &host).unwrap(), None);
        assert_eq!(HostFile::known(&paths, &host).unwrap_err().exit, Exit::NoPeer);
        let ssh = SshHost {
            destination: Some("me@box".into()),
            options: vec!["-p".into(), "22".into()],
            ..SshHost::default()
        };
        for file in [HostFile::Nats, HostFile::Ssh(ssh), HostFile::Ssh(SshHost::default())] {
            file.write(&paths, &host).unwrap();
            assert_eq!(HostFile::read(&paths, &host).unwrap(), Some(file));
        }
        assert_eq!(known_hosts(&paths).unwrap(), std::slice::from_ref(&host));
        let asked =
            r#"{ "transport": "ssh", "destination": "user@box.example", "options": ["-p", "2222"], "root": null }"#;
        std::fs::write(paths.host_file(&host), asked).unwrap();
        assert!(matches!(HostFile::read(&paths, &host).unwrap(), Some(HostFile::Ssh(ssh)) if ssh.keep_secs == 0));
        let before = HostFile::read(&paths, &host).unwrap();
        let flag = SshHost { destination: Some("-oProxyCommand=x".into()), ..SshHost::default() };
        assert_eq!(HostFile::Ssh(flag).write(&paths, &host).unwrap_err().exit, Exit::Usage);
        assert_eq!(HostFile::read(&paths, &host).unwrap(), before, "what was known is known still");
        for bad in ["", "{}", r#"{"transport":"pigeon"}"#, r#"{"transport":"ssh","destination":"-oProxyCommand=x"}"#] {
            std::fs::write(paths.host_file(&host), bad).unwrap();
            let failure = HostFile::read(&paths, &host).unwrap_err();
            assert!(failure.exit == Exit::Config && failure.message.contains("box.json"), "{failure}");
        }
    }

    #[test]
    fn this_hosts_name_is_what_the_file_says() {
        let dir = tempfile::tempdir().unwrap();
        let paths = paths(dir.path());
        assert!(own_name(&paths).is_ok());
        std::fs::write(paths.hostname(), "laptop\n").unwrap();
        assert_eq!(own_name(&paths).unwrap().as_str(), "laptop");
        std::fs::write(paths.hostname(), "../x").unwrap();
        assert_eq!(own_name(&paths).unwrap_err().exit, Exit::Config);
    }
}
