//! systemd user units as they are shipped in `units/`, written out for one user with absolute paths.

use super::target::{ServiceFile, ServiceTarget};
use crate::base::identity::Identity;
use std::path::{Path, PathBuf};

/// The shipped units, in the order they are written. Templates come with them; instances are made where needed.
const SHIPPED: &[(&str, &str)] = &[
    ("iapeer-superviser.service", include_str!("../../../../units/iapeer-superviser.service")),
    ("iapeer-superviser.timer", include_str!("../../../../units/iapeer-superviser.timer")),
    ("iapeer-drain.service", include_str!("../../../../units/iapeer-drain.service")),
    ("iapeer-drain.path", include_str!("../../../../units/iapeer-drain.path")),
    (RELAY, include_str!("../../../../units/iapeer-relay.service")),
    ("iapeer-failure@.service", include_str!("../../../../units/iapeer-failure@.service")),
    ("iapeer-canary@.service", include_str!("../../../../units/iapeer-canary@.service")),
    ("iapeer-peer@.service", PEER),
];
const PEER: &str = include_str!("../../../../units/iapeer-peer@.service");

/// The relay to other hosts, installed where there is a NATS server.
pub(crate) const RELAY: &str = "iapeer-relay.service";

/// The units that are enabled and started; they start the other services.
pub(crate) const ENABLED: &[&str] = &["iapeer-superviser.timer", "iapeer-drain.path", RELAY];

/// Whether a unit of this name is shipped.
pub(crate) fn is_shipped(name: &str) -> bool {
    SHIPPED.iter().any(|(shipped, _)| *shipped == name)
}

/// All shipped units for `target`, as files for `dir`.
pub fn shipped(target: &ServiceTarget, dir: &Path) -> Vec<ServiceFile> {
    let file = |(name, text): &(&str, &str)| ServiceFile {
        name: (*name).to_owned(),
        path: dir.join(name),
        text: render(text, target, &[]),
    };
    SHIPPED.iter().map(file).collect()
}

/// The name of the unit that holds an always-on peer.
pub(crate) fn peer_unit(identity: &Identity) -> String {
    format!("iapeer-peer@{identity}.service")
}

/// The unit that holds the always-on peer `identity`, with variables of its own.
pub fn peer(target: &ServiceTarget, dir: &Path, identity: &Identity, variables: &[(String, String)]) -> ServiceFile {
    let name = peer_unit(identity);
    ServiceFile { path: dir.join(&name), text: render(PEER, target, variables), name }
}

/// Fills in absolute paths. A shipped unit has `%h/.local/bin` and `%h/.iapeer`, which are right after `make install`.
fn render(text: &str, target: &ServiceTarget, extra: &[(String, String)]) -> String {
    let mut out = String::with_capacity(text.len() + 256);
    for line in text.lines() {
        if let Some((key, program)) = line.split_once("=%h/.local/bin/") {
            let (program, arguments) = program.split_once(' ').map_or((program, ""), |(p, a)| (p, a));
            let path = target.bin_dir.join(program);
            out.push_str(&format!("{key}={}", command_word(&path.to_string_lossy())));
            if !arguments.is_empty() {
                out.push_str(&format!(" {arguments}"));
            }
        } else if line.starts_with("Environment=PATH=") {
            let extra = extra.iter().map(|(name, value)| (name.as_str(), value.clone()));
            let all = target.variables().into_iter().chain(extra);
            let lines: Vec<String> =
                all.map(|(name, value)| format!("Environment={}", quoted(&format!("{name}={value}")))).collect();
            out.push_str(&lines.join("\n"));
        } else {
            let root = target.root.to_string_lossy().replace('%', "%%");
            out.push_str(&line.replace("%h/.iapeer", &root));
        }
        out.push('\n');
    }
    out
}

/// `text` as one word of a unit's command line.
pub(super) fn command_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:,".contains(c);
    match text.chars().all(plain) {
        true => text.to_owned(),
        false => quoted(&text.replace('$', "$$")),
    }
}

/// `text` in double quotes, with the characters escaped that systemd would interpret.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '%' => out.push_str("%%"),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The value of a variable in a unit as [`peer`] writes it.
pub fn variable(unit: &str, name: &str) -> Option<String> {
    unit.lines().find_map(|line| {
        let text = unquoted(line.strip_prefix("Environment=")?)?;
        Some(text.strip_prefix(name)?.strip_prefix('=')?.to_owned())
    })
}

/// The text that [`quoted`] was given. `None`: `text` is not quoted.
fn unquoted(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut chars = text.strip_prefix('"')?.strip_suffix('"')?.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '\\' => match chars.next()? {
                'n' => '\n',
                c => c,
            },
            '%' => chars.next()?,
            c => c,
        });
    }
    Some(out)
}

/// The links that `systemctl enable` has made for a unit of ours: to be removed by us where no manager answers.
pub(crate) fn wanted_links(dir: &Path, name: &str) -> Vec<PathBuf> {
    ["timers.target.wants", "paths.target.wants", "default.target.wants"]
        .iter()
        .map(|wants| dir.join(wants).join(name))
        .filter(|link| link.symlink_metadata().is_ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::service::target::has_sentinel;

    fn target(root: &str, bin_dir: &str) -> ServiceTarget {
        ServiceTarget {
            bin_dir: bin_dir.into(),
            home: "/home/u".into(),
            root: root.into(),
            socket_dir: None,
            path: Some("/usr/bin".into()),
        }
    }

    #[test]
    fn every_shipped_unit_is_ours_and_has_no_specifier_of_a_home_left() {
        for file in shipped(&target("/home/u/.iapeer", "/usr/bin"), Path::new("/d")) {
            assert!(has_sentinel(&file.text), "{}", file.name);
            assert!(!file.text.contains("%h"), "{}: {}", file.name, file.text);
            assert_eq!(file.path, Path::new("/d").join(&file.name));
        }
    }

    #[test]
    fn the_folder_of_shipped_units_holds_these_and_no_others() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("units");
        let mut found: Vec<String> =
            std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        let mut known: Vec<String> = SHIPPED.iter().map(|(name, _)| (*name).to_owned()).collect();
        found.sort();
        known.sort();
        assert_eq!(found, known);
    }

    #[test]
    fn odd_paths_are_quoted_where_systemd_reads_words() {
        let odd = target("/srv/50% off", "/srv/a b/$x%");
        let text = |name: &str| shipped(&odd, Path::new("/d")).into_iter().find(|file| file.name == name).unwrap().text;
        let drain = text("iapeer-drain.service");
        assert!(drain.contains("\nExecStart=\"/srv/a b/$$x%%/iapeer-drain\" --all\n"), "{drain}");
        assert!(drain.contains("\nEnvironment=\"IAPEER_ROOT=/srv/50%% off\"\n"), "{drain}");
        assert!(drain.contains("\nEnvironment=\"PATH=/srv/a b/$x%%:/home/u/.local/bin:/usr/bin"), "{drain}");
        assert!(text("iapeer-drain.path").contains("\nPathChanged=/srv/50%% off/state/lifecycle/kick\n"));
    }

    #[test]
    fn a_peer_s_unit_has_its_variables() {
        let file = peer(
            &target("/home/u/.iapeer", "/usr/bin"),
            Path::new("/d"),
            &"telegram-bridge".parse().unwrap(),
            &[("TELEGRAM_RUNTIME_BIN".into(), "/opt/\"t\" 5%".into())],
        );
        assert_eq!(file.name, "iapeer-peer@telegram-bridge.service");
        assert!(file.text.contains("\nExecStart=/usr/bin/iapeer-run %i\n"), "{}", file.text);
        assert!(file.text.contains("\nEnvironment=\"TELEGRAM_RUNTIME_BIN=/opt/\\\"t\\\" 5%%\"\n"), "{}", file.text);
        assert_eq!(variable(&file.text, "TELEGRAM_RUNTIME_BIN").as_deref(), Some("/opt/\"t\" 5%"));
        assert_eq!(variable(&file.text, "NOTIFIER_RUNTIME_BIN"), None);
    }
}
