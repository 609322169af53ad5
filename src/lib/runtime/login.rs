//! Signs that a user is logged in to a program, for `iapeer doctor`: files and variables exist; whether a token in them
//! is valid is not checked.

use crate::base::paths::Paths;
use crate::store::open::{self, Rule};
use serde::Deserialize;
use std::path::PathBuf;

/// Signs that somebody has logged in. One of them is enough.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// Files that are there after a login.
    #[serde(default)]
    pub files: Vec<LoginFile>,
    /// Variables of the session that replace a login.
    #[serde(default)]
    pub env: Vec<String>,
    /// Arguments with which the program logs in, in a terminal of the user's.
    #[serde(default)]
    pub args: Vec<String>,
    /// How to log in.
    pub hint: String,
}

/// A file that exists after a login.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginFile {
    /// Its path; `{home}` and `{env:NAME:DEFAULT}` are filled in.
    pub path: String,
    /// Text that the file must contain; without it, the file only has to exist.
    #[serde(default)]
    pub contains: Option<String>,
}

impl Login {
    /// Whether there is any sign, or the manifest names none. `get` looks up a variable of the session.
    pub(crate) fn is_seen(&self, paths: &Paths, get: impl Fn(&str) -> Option<String>) -> bool {
        if self.env.is_empty() && self.files.is_empty() {
            return true;
        }
        let is_set = |name: &String| get(name).is_some_and(|value| !value.is_empty());
        self.env.iter().any(is_set) || self.files.iter().any(|file| file.says_so(paths, &get))
    }
}

impl LoginFile {
    fn says_so(&self, paths: &Paths, get: impl Fn(&str) -> Option<String>) -> bool {
        let path = PathBuf::from(fill_env(&self.path.replace("{home}", &paths.home().to_string_lossy()), get));
        match &self.contains {
            None => path.exists(),
            Some(words) => {
                // The file is the agent's own, so links are followed; but iapeer must not wait for a FIFO's writer.
                let found = open::read(&path, Rule { max: open::REGISTRY_MAX, ..Rule::DOCUMENT });
                found.is_ok_and(|bytes| bytes.is_some_and(|bytes| String::from_utf8_lossy(&bytes).contains(words)))
            }
        }
    }
}

/// Replaces each `{env:NAME:DEFAULT}` in `text` by the variable's value, or by the default where it is empty.
pub(crate) fn fill_env(text: &str, get: impl Fn(&str) -> Option<String>) -> String {
    let mut text = text.to_owned();
    while let Some((before, after)) = text.split_once("{env:") {
        let Some((name, rest)) = after.split_once('}') else { break };
        let (name, default) = name.split_once(':').unwrap_or((name, ""));
        text = format!("{before}{}{rest}", get(name).filter(|v| !v.is_empty()).unwrap_or_else(|| default.to_owned()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_sign_will_do() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().to_owned();
        let paths = Paths::read(|name| (name == "HOME").then(|| home.clone())).unwrap();
        let login: Login = serde_json::from_str(
            r#"{"files":[{"path":"{env:X_DIR:{home}/.x}/auth.json"},{"path":"{home}/.x.json","contains":"\"account\""}],
                "env":["X_KEY"],"hint":"x login"}"#,
        )
        .unwrap();
        assert!(!login.is_seen(&paths, |_| None));
        assert!(!login.is_seen(&paths, |_| Some(String::new())));
        assert!(login.is_seen(&paths, |name| (name == "X_KEY").then(|| "k".into())));
        std::fs::write(home.join(".x.json"), "{}").unwrap();
        assert!(!login.is_seen(&paths, |_| None));
        std::fs::write(home.join(".x.json"), r#"{"account":1}"#).unwrap();
        assert!(login.is_seen(&paths, |_| None));
        std::fs::remove_file(home.join(".x.json")).unwrap();
        std::fs::write(home.join("auth.json"), "").unwrap();
        assert!(login.is_seen(&paths, |name| (name == "X_DIR").then(|| home.to_string_lossy().into_owned())));
    }
}
