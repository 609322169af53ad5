//! The versions of agent programs: which one is installed, and whether the rules of its manifest were measured with it.

use crate::runtime::manifest::Manifest;
use crate::store::open::{self, Rule};
use serde_json::Value;
use std::path::Path;

/// How many folders above the program its `package.json` may be.
const ABOVE: usize = 8;

/// The version of the program at `path`, by its files: from its npm package, or from the name of its file or of a
/// folder above. The program is not run.
pub(crate) fn installed(path: &Path) -> Option<String> {
    let real = path.canonicalize().ok()?;
    let package = real.ancestors().skip(1).take(ABOVE).find_map(|folder| {
        let bytes = open::read(&folder.join("package.json"), Rule::DOCUMENT).ok()??;
        let package: Value = serde_json::from_slice(&bytes).ok()?;
        in_text(package.get("version")?.as_str()?)
    });
    package.or_else(|| {
        let names = real.ancestors().take(3).filter_map(|part| part.file_name()?.to_str());
        names.filter(|name| name.starts_with(|c: char| c.is_ascii_digit())).find_map(in_text)
    })
}

/// The first version in `text`: numbers with dots between.
pub(crate) fn in_text(text: &str) -> Option<String> {
    let words = text.split(|c: char| !c.is_ascii_digit() && c != '.').map(|word| word.trim_matches('.'));
    words.into_iter().find(|word| word.contains('.') && !word.contains("..")).map(str::to_owned)
}

impl Manifest {
    /// The remark about a `version` of the program outside the measured range; `None` within the range, or without one.
    pub(crate) fn drift(&self, version: &str) -> Option<String> {
        let (first, last) = (self.measured.first()?, self.measured.last()?);
        let range = if first == last { last.clone() } else { format!("{first} to {last}") };
        let is = |what| {
            Some(format!(
                "is version {version}, {what} than what the rules for its screens were measured with ({range})"
            ))
        };
        match (numbers(version), numbers(first), numbers(last)) {
            (Some(now), _, Some(last)) if now > last => is("newer"),
            (Some(now), Some(first), _) if now < first => is("older"),
            _ => None,
        }
    }
}

/// The numbers of a version, without zeros at its end.
fn numbers(version: &str) -> Option<Vec<u64>> {
    let mut numbers = version.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u64>>>()?;
    while numbers.last() == Some(&0) {
        numbers.pop();
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Paths;

    #[test]
    fn a_version_is_found_in_what_a_program_says() {
        for (text, found) in [
            ("2.1.332 (Claude Code)", Some("2.1.332")),
            ("codex-cli 0.171.0\n", Some("0.171.0")),
            ("0.171.0-linux-x64", Some("0.171.0")),
            ("v1.0", Some("1.0")),
            ("no version 7 here... at all", None),
            ("", None),
        ] {
            assert_eq!(in_text(text).as_deref(), found, "{text:?}");
        }
    }

    #[test]
    fn newer_and_older_than_what_was_measured() {
        let paths = Paths::read(|name| (name == "IAPEER_ROOT").then(|| "/nonexistent".into())).unwrap();
        let mut manifest = Manifest::load(&paths, &"claude".parse().unwrap()).unwrap();
        manifest.measured = vec!["2.1.329".into(), "2.1.332".into()];
        for (version, word) in [
            ("2.1.328", Some("older")),
            ("2.1.329", None),
            ("2.1.332.0", None),
            ("2.1.333", Some("newer")),
            ("2.10", Some("newer")),
            ("10.0.1", Some("newer")),
            ("x.y", None),
        ] {
            let said = manifest.drift(version);
            assert_eq!(said.is_some(), word.is_some(), "{version}");
            assert!(word.is_none_or(|word| said.unwrap().contains(word)), "{version}");
        }
        manifest.measured.clear();
        assert_eq!(manifest.drift("9.9"), None);
    }

    #[test]
    fn an_installed_program_tells_its_version_by_its_package_or_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        let package = dir.path().join("node_modules/@x/y");
        std::fs::create_dir_all(package.join("bin")).unwrap();
        std::fs::write(package.join("package.json"), r#"{"version":"1.2.3-linux"}"#).unwrap();
        std::fs::write(package.join("bin/y"), "").unwrap();
        std::os::unix::fs::symlink(package.join("bin/y"), dir.path().join("y")).unwrap();
        assert_eq!(installed(&dir.path().join("y")).as_deref(), Some("1.2.3"));
        let own = dir.path().join("versions/4.5.6");
        std::fs::create_dir_all(&own).unwrap();
        std::fs::write(own.join("z"), "").unwrap();
        assert_eq!(installed(&own.join("z")).as_deref(), Some("4.5.6"));
        assert_eq!(installed(&dir.path().join("gone")), None);
    }
}
