//! Reads the files from which the system prompt is made.

use super::compose::{Facts, Half, compose};
use crate::base::clock::EpochMs;
use crate::base::exit::Failure;
use crate::base::paths::Paths;
use crate::host::about;
use crate::store::durable;
use crate::store::open::{self, Rule, without_bom};
use crate::store::registry::{PeerRecord, Registry};
use std::collections::BTreeSet;
use std::path::Path;

/// The system prompt of the peer of `record`, who works in `cwd`; `memory` fills the memory slot.
pub(crate) fn compose_for(
    paths: &Paths,
    cwd: &Path,
    record: &PeerRecord,
    memory: Option<&str>,
    now: EpochMs,
) -> Result<String, Failure> {
    let roots = [paths.root().to_owned(), cwd.join(".iapeer")];
    let registry = Registry::read(paths)?;
    let facts = Facts {
        personality: record.personality.to_string(),
        description: record.description.clone(),
        cwd: cwd.to_string_lossy().into_owned(),
        platform: if cfg!(target_os = "macos") { "darwin".into() } else { std::env::consts::OS.into() },
        os_version: about::os_version(),
        user: about::user(),
        hostname: about::hostname(),
        today: now.local_date(),
    };
    let read = |folder: &str, names: &[String]| halves(paths, &roots, folder, names);
    let doctrine = read("", &["IAPEER.md".to_owned()])?;
    let others: Vec<String> =
        markdown(&roots, "")?.into_iter().filter(|name| !name.eq_ignore_ascii_case("IAPEER.md")).collect();
    let documents = read("", &others)?;
    let fragments = read("fragments", &markdown(&roots, "fragments")?.into_iter().collect::<Vec<_>>())?;
    Ok(compose(&facts, &doctrine, registry.peers(), &documents, &fragments, memory))
}

/// The names of the Markdown files in `folder` of both roots (the root, and the peer's `.iapeer`).
fn markdown(roots: &[std::path::PathBuf; 2], folder: &str) -> Result<BTreeSet<String>, Failure> {
    let mut found = BTreeSet::new();
    for dir in roots.iter().map(|root| root.join(folder)) {
        let names = durable::names_of(&dir)?.into_iter();
        found.extend(names.filter(|name| name.to_ascii_lowercase().ends_with(".md") && dir.join(name).is_file()));
    }
    Ok(found)
}

/// For each name the global file, then the peer's own. A file that vanishes between listing and reading is left out. A
/// peer's file that is not ours is an error, since a session does what the file says.
fn halves(
    paths: &Paths,
    roots: &[std::path::PathBuf; 2],
    folder: &str,
    names: &[String],
) -> Result<Vec<Half>, Failure> {
    let mut found = Vec::new();
    for name in names {
        for (root, rule) in roots.iter().zip([Rule::DOCUMENT, Rule::DOCUMENT_OF_A_PEER]) {
            let path = root.join(folder).join(name);
            if let Some(bytes) = open::read(&path, rule)? {
                let content = String::from_utf8_lossy(without_bom(&bytes)).into_owned();
                found.push(Half { shown: shown(&path, paths.home()), content });
            }
        }
    }
    Ok(found)
}

fn shown(path: &Path, home: &Path) -> String {
    match path.strip_prefix(home) {
        Ok(rest) if home != Path::new("/") => format!("~/{}", rest.display()),
        _ => path.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_come_from_both_roots_in_their_order() {
        let home = tempfile::tempdir().unwrap();
        let (root, cwd) = (home.path().join(".iapeer"), home.path().join("w/bob"));
        let paths = Paths::read(|name| (name == "HOME").then(|| home.path().to_owned())).unwrap();
        paths.ensure().unwrap();
        let put = |path: &Path, content: &[u8]| {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        };
        put(&root.join("IAPEER.md"), b"host\n\n");
        put(&root.join("B.md"), b"B of the host");
        put(&root.join("a.MD"), b"a");
        put(&root.join("notes.txt"), b"no");
        put(&root.join("sub/deep.md"), b"no");
        put(&root.join("fragments/2.md"), b"two");
        put(&cwd.join(".iapeer/IAPEER.md"), b"own");
        put(&cwd.join(".iapeer/B.md"), b"B of bob");
        put(&cwd.join(".iapeer/empty.md"), b"\n\n");
        put(&cwd.join(".iapeer/fragments/10.md"), b"ten \xff");
        std::fs::create_dir(root.join("folder.md")).unwrap();
        std::os::unix::fs::symlink("/nowhere", root.join("dangling.md")).unwrap();
        put(
            &cwd.join(".iapeer/peer-profile.json"),
            br#"{"personality":"bob","default_runtime":"claude","description":"d"}"#,
        );
        let profile = crate::store::profile::Profile::read(&cwd).unwrap().unwrap();
        let record = PeerRecord::from_profile(&profile, &cwd);
        let text = compose_for(&paths, &cwd, &record, None, EpochMs(0)).unwrap();
        let (facts, rest) = text.split_once("\n---\n\n").unwrap();
        let keys: Vec<&str> = facts.lines().skip(1).map(|line| line.split_once(": ").unwrap().0).collect();
        assert_eq!(
            keys,
            ["personality", "description", "peer-cwd", "platform", "os_version", "user", "hostname", "today"]
        );
        assert_eq!(
            rest,
            "<!-- ~/.iapeer/IAPEER.md -->\nhost\n\n<!-- ~/w/bob/.iapeer/IAPEER.md -->\nown\n\n\
             <!-- ~/.iapeer/B.md -->\nB of the host\n\n<!-- ~/w/bob/.iapeer/B.md -->\nB of bob\n\n\
             <!-- ~/.iapeer/a.MD -->\na\n\n\
             <!-- ~/w/bob/.iapeer/fragments/10.md -->\nten \u{fffd}\n\n<!-- ~/.iapeer/fragments/2.md -->\ntwo\n"
        );
    }

    #[test]
    fn the_home_is_shown_as_a_tilde_only_at_a_boundary() {
        assert_eq!(shown(Path::new("/home/u/.iapeer/A.md"), Path::new("/home/u")), "~/.iapeer/A.md");
        assert_eq!(shown(Path::new("/home/u2/A.md"), Path::new("/home/u")), "/home/u2/A.md");
    }
}
