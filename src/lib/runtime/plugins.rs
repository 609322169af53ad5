//! The user's MCP servers and plugins that a peer's sessions are started with.
//!
//! The form of a name says what it means: `/folder` is the folder of a plugin, `NAME@MARKETPLACE` an installed plugin,
//! any other name an MCP server that the user has configured. The manifest says in which files the program defines each
//! of them, and which arguments make the program load it.

use super::fill::{FillError, fill};
use super::plugin_servers::PluginServers;
use super::plugin_source::{PluginPlace, PluginSource};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// How each kind of plugin is added to a launch of a program. A missing kind is not supported.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginWays {
    /// An MCP server.
    #[serde(default)]
    pub server: Option<PluginWay>,
    /// An installed plugin.
    #[serde(default)]
    pub plugin: Option<PluginWay>,
    /// The folder of a plugin.
    #[serde(default)]
    pub folder: Option<PluginWay>,
}

/// How one kind of plugin is added to a launch of a program.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginWay {
    /// The user's own files that may define the plugin; the first that does counts. Without any, the name itself is
    /// used.
    #[serde(default)]
    pub from: Vec<PluginSource>,
    /// Arguments that make the program load the plugin; `{plugin}` is its name.
    #[serde(default)]
    pub args: Vec<String>,
    /// Where its definition goes in the files that are written for each launch.
    #[serde(default)]
    pub into: Option<PluginPlace>,
    /// The MCP servers that it brings itself, where the program does not load them.
    #[serde(default)]
    pub servers: Option<PluginServers>,
}

/// Whether `text` can name a plugin.
pub(crate) fn is_plugin(text: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty()
            && !word.starts_with('-')
            && word.len() <= 128
            && word.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    let mut halves = text.splitn(2, '@');
    text.starts_with('/') && !text.chars().any(char::is_control) || halves.all(is_word)
}

impl PluginWays {
    /// How the plugin `name` is added to a launch, if the program supports its kind.
    pub(crate) fn way(&self, name: &str) -> Option<&PluginWay> {
        match name {
            _ if name.starts_with('/') => self.folder.as_ref(),
            _ if name.contains('@') => self.plugin.as_ref(),
            _ => self.server.as_ref(),
        }
    }
}

impl PluginWay {
    /// The definition of the plugin in the first of the user's files that defines it; `true` where only its existence
    /// is known. `None`: no file defines it. `values` are those of a launch, `get` looks up a variable of the session.
    pub(crate) fn definition(
        &self,
        name: &str,
        values: &BTreeMap<String, String>,
        get: impl Fn(&str) -> Option<String>,
    ) -> Option<Value> {
        if name.starts_with('/') && !PathBuf::from(name).is_dir() {
            return None;
        }
        if self.from.is_empty() {
            return Some(Value::Bool(true));
        }
        self.from.iter().find_map(|source| source.definition(name, values, &get))
    }

    /// The files in which the plugin is looked up, for people.
    pub(crate) fn places(
        &self,
        values: &BTreeMap<String, String>,
        get: impl Fn(&str) -> Option<String>,
    ) -> Vec<PathBuf> {
        let mut places: Vec<PathBuf> = self.from.iter().map(|source| source.path(values, &get)).collect();
        places.dedup();
        places
    }

    /// The arguments for the plugin `name`.
    pub(crate) fn arguments(&self, name: &str, values: &BTreeMap<String, String>) -> Result<Vec<String>, FillError> {
        let mut values = values.clone();
        values.insert("plugin".into(), name.to_owned());
        self.args.iter().map(|word| fill(word, &values)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_a_plugin() {
        for (text, is) in [
            ("notes", true),
            ("my-server.v2", true),
            ("tool@market", true),
            ("/a/folder", true),
            ("", false),
            ("a b", false),
            ("a@b@c", false),
            ("@market", false),
            ("relative/folder", false),
            ("--flag", false),
        ] {
            assert_eq!(is_plugin(text), is, "{text:?}");
        }
    }

    #[test]
    fn the_first_file_that_knows_it_counts() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().to_string_lossy().into_owned();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write(
            "user.json",
            r#"{"servers":{"a":{"command":"x"}},"projects":{"/w/bob":{"servers":{"p":{"command":"y"}}}}}"#,
        );
        write("c.toml", "[servers.t]\ncommand = \"z\"\n");
        let way: PluginWay = serde_json::from_str(
            r#"{"from":[{"path":"{home}/missing.json","at":["servers"]},{"path":"{env:X_DIR:{home}}/user.json","at":["servers"]},
                {"path":"{home}/user.json","at":["projects","{cwd}","servers"]},
                {"path":"{home}/c.toml","contains":"[servers.{plugin}]"}],"args":["--with","{plugin}"]}"#,
        )
        .unwrap();
        let values = BTreeMap::from([("home".to_owned(), home), ("cwd".to_owned(), "/w/bob".to_owned())]);
        let found = |name: &str| way.definition(name, &values, |_| None);
        assert_eq!(found("a"), Some(serde_json::json!({"command": "x"})));
        assert_eq!(found("p"), Some(serde_json::json!({"command": "y"})));
        assert_eq!(found("t"), Some(Value::Bool(true)));
        assert_eq!(found("b"), None);
        assert_eq!(way.arguments("a", &values).unwrap(), ["--with", "a"]);
        // Two sources in one file are one place.
        let places = ["missing.json", "user.json", "c.toml"].map(|name| dir.path().join(name));
        assert_eq!(way.places(&values, |_| None), places);
    }
}
