//! A peer's `launch.env`: `KEY=VALUE` lines for its sessions on one runtime.

use crate::store::durable::StoreError;
use crate::store::open::{self, Rule, without_bom};
use std::collections::BTreeMap;
use std::path::Path;

/// The content of a `launch.env`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LaunchEnv {
    /// Variables for the session.
    pub vars: BTreeMap<String, String>,
    /// `PEER_START_ARGS`, split at white space: further arguments for the program. Not exported.
    pub start_args: Vec<String>,
}

impl LaunchEnv {
    /// Reads a file; a missing one is empty. A file that is not ours, or that others may write, is an error, since it
    /// sets the environment of a session.
    pub(crate) fn read(path: &Path) -> Result<LaunchEnv, StoreError> {
        Ok(LaunchEnv::read_there(path)?.unwrap_or_default())
    }

    /// [`LaunchEnv::read`]; a missing file is `None`.
    pub(crate) fn read_there(path: &Path) -> Result<Option<LaunchEnv>, StoreError> {
        let bytes = open::read(path, Rule::LAUNCH_ENV)?;
        Ok(bytes.map(|bytes| LaunchEnv::parse(&String::from_utf8_lossy(without_bom(&bytes)))))
    }

    /// The numbers of the lines of a file that [`LaunchEnv::parse`] ignores although they are neither blank nor
    /// comments. A file that can't be read has none.
    pub(crate) fn passed_over(path: &Path) -> Vec<usize> {
        let bytes = open::read(path, Rule::LAUNCH_ENV).ok().flatten().unwrap_or_default();
        let text = String::from_utf8_lossy(without_bom(&bytes)).into_owned();
        let is_lost = |line: &str| !line.is_empty() && !line.starts_with('#') && variable(line).is_none();
        let numbered = text.lines().map(str::trim).zip(1..);
        numbered.filter(|(line, _)| is_lost(line)).map(|(_, number)| number).collect()
    }

    /// Parses lines of the form `KEY=VALUE` or `export KEY=VALUE`; all other lines are ignored. One pair of matching
    /// quotes around a value is removed; nothing is interpolated; later keys win.
    pub(crate) fn parse(text: &str) -> LaunchEnv {
        let mut parsed = LaunchEnv::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let Some((key, value)) = variable(line) else { continue };
            let unquoted = ['"', '\''].iter().find_map(|q| value.strip_prefix(*q)?.strip_suffix(*q)).unwrap_or(value);
            parsed.vars.insert(key.to_owned(), unquoted.to_owned());
        }
        // The kernel refuses a NUL in variables and arguments: one of them would keep the session from starting at all.
        parsed.vars.retain(|_, value| !value.contains('\0'));
        if let Some(arguments) = parsed.vars.remove("PEER_START_ARGS") {
            parsed.start_args = arguments.split_whitespace().map(str::to_owned).collect();
        }
        parsed
    }
}

/// The name and the value of a line that sets a variable.
fn variable(line: &str) -> Option<(&str, &str)> {
    let exported = line.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t']));
    let (key, value) = exported.unwrap_or(line).trim_start().split_once('=')?;
    let key = key.trim_end();
    is_name(key).then_some((key, value.trim()))
}

pub(crate) fn is_name(key: &str) -> bool {
    let mut chars = key.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_as_a_table() {
        let text = "# c\n\nA=1\nexport B = two words \nC=\"q'x\"\nD='s\"\nE=$A `x` ${B}\nA=3\n1X=no\nno line\nF=\nG=a=b\nPEER_START_ARGS=\" --x  y \"\n";
        let parsed = LaunchEnv::parse(text);
        let vars: Vec<(&str, &str)> = parsed.vars.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(
            vars,
            [
                ("A", "3"),
                ("B", "two words"),
                ("C", "q'x"),
                ("D", "'s\""),
                ("E", "$A `x` ${B}"),
                ("F", ""),
                ("G", "a=b")
            ]
        );
        assert_eq!(parsed.start_args, ["--x", "y"]);
    }

    #[test]
    fn odd_files_as_a_table() {
        for (text, vars, arguments) in [
            ("export\tA=1", "A=1", ""),
            ("exported=1", "exported=1", ""),
            ("A=\"", "A=\"", ""),
            ("A=\"\"", "A=", ""),
            ("A='\"x\"'", "A=\"x\"", ""),
            ("A=1\r\nB=2\r\n", "A=1 B=2", ""),
            ("A=x\0y\nPEER_START_ARGS=a\0b\nB=2", "B=2", ""),
            ("PEER_START_ARGS=-a\nPEER_START_ARGS='--b  c'", "", "--b c"),
            ("export PEER_START_ARGS=--one", "", "--one"),
            ("=x\nA B=1\nÄ=1\n _a1 =y", "_a1=y", ""),
        ] {
            let parsed = LaunchEnv::parse(text);
            let found: Vec<String> = parsed.vars.iter().map(|(key, value)| format!("{key}={value}")).collect();
            assert_eq!((found.join(" "), parsed.start_args.join(" ")), (vars.into(), arguments.into()), "{text:?}");
        }
    }

    #[test]
    fn a_missing_file_is_empty() {
        assert_eq!(LaunchEnv::read(Path::new("/nonexistent/launch.env")).unwrap(), LaunchEnv::default());
    }
}
