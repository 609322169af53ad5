//! MCP servers that a plugin brings itself. Where a session loads only the servers that it is given by name, it is
//! given these by name too.

use super::fill::fill;
use super::plugin_source::{PluginPlace, PluginSource, read};
use crate::store::open::without_bom;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where a plugin's own servers are defined, and how they are given to a session.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginServers {
    /// The user's file that knows in which folder an installed plugin is. Without one the plugin's name is its folder.
    #[serde(default)]
    pub installed: Option<PluginSource>,
    /// The plugin's description, in its folder: `name`, and servers or the files that have them.
    pub manifest: String,
    /// The file in its folder that has servers without being named.
    pub file: String,
    /// The key of the servers, in the description and in such files.
    pub at: String,
    /// The name of a server in the session: `{plugin_name}` and `{server}` are filled in.
    pub called: String,
    /// The variable that is the plugin's folder, in the definitions of servers and for their programs.
    pub variable: String,
    /// Where the definitions go in the files that are written for each launch.
    pub into: PluginPlace,
}

/// A file of a plugin that is no JSON object, or whose content can't be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} can't be understood", .0.display())]
pub(crate) struct BadPlugin(pub(crate) PathBuf);

impl PluginServers {
    /// The servers of the plugin `name`, each with its name in the session. `values` are those of a launch, `get` looks
    /// up a variable of the session.
    pub(crate) fn of(
        &self,
        name: &str,
        values: &BTreeMap<String, String>,
        get: impl Fn(&str) -> Option<String>,
    ) -> Result<Vec<(String, Value)>, BadPlugin> {
        let Some(folder) = self.folder(name, values, get) else { return Ok(Vec::new()) };
        let described = object(&folder.join(&self.manifest))?.unwrap_or_default();
        let base = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let plugin = described.get("name").and_then(Value::as_str).map_or(base, str::to_owned);
        let mut servers = self.in_file(&folder.join(&self.file))?;
        let more = match described.get(&self.at) {
            Some(Value::Array(several)) => several.clone(),
            one => one.cloned().into_iter().collect(),
        };
        for more in more {
            match more {
                Value::Object(map) => servers.extend(map),
                Value::String(path) => servers.extend(self.in_file(&folder.join(path))?),
                _ => return Err(BadPlugin(folder.join(&self.manifest))),
            }
        }
        let root = folder.to_string_lossy().into_owned();
        let called = |server: String| {
            let names = BTreeMap::from([("plugin_name".to_owned(), plugin.clone()), ("server".to_owned(), server)]);
            fill(&self.called, &names).map_err(|_| BadPlugin(folder.join(&self.manifest)))
        };
        servers.into_iter().map(|(server, definition)| Ok((called(server)?, self.placed(definition, &root)))).collect()
    }

    fn folder(
        &self,
        name: &str,
        values: &BTreeMap<String, String>,
        get: impl Fn(&str) -> Option<String>,
    ) -> Option<PathBuf> {
        let Some(installed) = &self.installed else { return Some(PathBuf::from(name)) };
        let known = installed.definition(name, values, &get)?;
        // A plugin may be installed for the user and for single folders: the entry for this folder comes first.
        let cwd = values.get("cwd").map(String::as_str);
        let entries = known.as_array().cloned().unwrap_or_else(|| vec![known]);
        let of = |entry: &Value, key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
        let here = entries.iter().find(|entry| of(entry, "projectPath").is_some_and(|path| Some(path.as_str()) == cwd));
        let everywhere = || entries.iter().find(|entry| of(entry, "projectPath").is_none());
        of(here.or_else(everywhere)?, "installPath").map(PathBuf::from)
    }

    /// The servers in a file: below the key `at`, or, without that key, the whole file.
    fn in_file(&self, path: &Path) -> Result<Map<String, Value>, BadPlugin> {
        let Some(mut whole) = object(path)? else { return Ok(Map::new()) };
        match whole.remove(&self.at) {
            Some(Value::Object(servers)) => Ok(servers),
            None => Ok(whole),
            Some(_) => Err(BadPlugin(path.to_owned())),
        }
    }

    /// A definition with the plugin's folder filled in.
    fn placed(&self, mut definition: Value, root: &str) -> Value {
        replace(&mut definition, &format!("${{{}}}", self.variable), root);
        if let Some(map) = definition.as_object_mut().filter(|map| map.contains_key("command")) {
            let env = map.entry("env").or_insert_with(|| Map::new().into());
            if let Some(env) = env.as_object_mut() {
                env.entry(&self.variable).or_insert_with(|| root.into());
            }
        }
        definition
    }
}

/// The object in a file of a plugin's; `None`: there is no such file.
fn object(path: &Path) -> Result<Option<Map<String, Value>>, BadPlugin> {
    let bad = || BadPlugin(path.to_owned());
    let Some(bytes) = read(path).map_err(|_| bad())? else { return Ok(None) };
    serde_json::from_slice(without_bom(&bytes)).map(Some).map_err(|_| bad())
}

/// Replaces `from` in every text of `value`.
fn replace(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::String(text) => *text = text.replace(from, to),
        Value::Array(values) => values.iter_mut().for_each(|value| replace(value, from, to)),
        Value::Object(map) => map.values_mut().for_each(|value| replace(value, from, to)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn servers(installed: Value) -> PluginServers {
        serde_json::from_value(
            json!({"installed": installed, "manifest": ".claude-plugin/plugin.json", "file": ".mcp.json",
            "at": "mcpServers", "called": "plugin:{plugin_name}:{server}", "variable": "ROOT",
            "into": {"file": "mcp", "at": "mcpServers"}}),
        )
        .unwrap()
    }

    #[test]
    fn servers_are_found_wherever_a_plugin_may_have_them() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("tools");
        let folder = root.to_string_lossy().into_owned();
        let write = |name: &str, text: &str| {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let names = || -> Vec<String> {
            let found = servers(Value::Null).of(&folder, &BTreeMap::new(), |_| None).unwrap();
            found.into_iter().map(|(name, _)| name).collect()
        };
        std::fs::create_dir(&root).unwrap();
        assert_eq!(names(), [""; 0]);
        // The file may have the servers alone; without a description the folder's name is the plugin's.
        write(
            ".mcp.json",
            r#"{"a":{"command":"${ROOT}/a","args":["-c","${ROOT}/c"],"env":{"X":"1"}},"w":{"url":"http://h"}}"#,
        );
        assert_eq!(names(), ["plugin:tools:a", "plugin:tools:w"]);
        let found = servers(Value::Null).of(&folder, &BTreeMap::new(), |_| None).unwrap();
        let a = json!({"command": format!("{folder}/a"), "args": ["-c", format!("{folder}/c")], "env": {"X": "1", "ROOT": folder}});
        assert_eq!((&found[0].1, &found[1].1), (&a, &json!({"url": "http://h"})));
        write(".mcp.json", r#"{"mcpServers":{"a":{"command":"a"}}}"#);
        write("more.json", r#"{"mcpServers":{"b":{"command":"b"}}}"#);
        for (value, wanted) in [
            (json!({"i": {"command": "i"}}), vec!["plugin:my:a", "plugin:my:i"]),
            (json!("./more.json"), vec!["plugin:my:a", "plugin:my:b"]),
            (json!(["./more.json", {"i": {"command": "i"}}]), vec!["plugin:my:a", "plugin:my:b", "plugin:my:i"]),
        ] {
            write(".claude-plugin/plugin.json", &json!({"name": "my", "mcpServers": value}).to_string());
            assert_eq!(names(), wanted);
        }
        // A file that can't be understood is an error; the other servers are not given alone.
        write("more.json", "{torn");
        let bad = servers(Value::Null).of(&folder, &BTreeMap::new(), |_| None).unwrap_err();
        assert_eq!(bad, BadPlugin(root.join("./more.json")));
    }

    #[test]
    fn an_installed_plugin_is_where_the_program_says() {
        let dir = tempfile::tempdir().unwrap();
        let [all, here] = ["all", "here"].map(|name| dir.path().join(name));
        for folder in [&all, &here] {
            std::fs::create_dir(folder).unwrap();
            std::fs::write(folder.join(".mcp.json"), r#"{"s":{"command":"${ROOT}"}}"#).unwrap();
        }
        let known = json!({"plugins": {"t@m": [{"scope": "user", "installPath": all}, {"scope": "local", "projectPath": "/w", "installPath": here}]}});
        std::fs::write(dir.path().join("installed.json"), known.to_string()).unwrap();
        let servers = servers(json!({"path": "{home}/installed.json", "at": ["plugins"]}));
        for (cwd, folder) in [("/w", &here), ("/elsewhere", &all)] {
            let home = dir.path().to_string_lossy().into_owned();
            let values = BTreeMap::from([("home".to_owned(), home), ("cwd".to_owned(), cwd.to_owned())]);
            let found = servers.of("t@m", &values, |_| None).unwrap();
            assert_eq!(found[0].1["command"], json!(folder), "{cwd}");
            assert_eq!(servers.of("other@m", &values, |_| None).unwrap(), []);
        }
    }
}
