//! The user's files that define plugins, and the places in the files of a launch that take the definitions.

use super::login::fill_env;
use crate::store::durable::StoreError;
use crate::store::open::{self, Rule};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A file of the user that defines plugins.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginSource {
    /// Its path; `{home}`, `{cwd}` and `{env:NAME:DEFAULT}` are filled in.
    pub path: String,
    /// The keys that lead to the object with the definitions in a JSON file; its keys are the plugins' names.
    #[serde(default)]
    pub at: Vec<String>,
    /// In place of keys: the text that the file contains where it defines the plugin.
    #[serde(default)]
    pub contains: Option<String>,
}

/// A place in a file for a launch.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginPlace {
    /// The file's name in the manifest.
    pub file: String,
    /// The key of the object into which the definition is put, under its name.
    pub at: String,
}

impl PluginSource {
    pub(super) fn path(&self, values: &BTreeMap<String, String>, get: impl Fn(&str) -> Option<String>) -> PathBuf {
        PathBuf::from(fill_env(&filled(&self.path, values), get))
    }

    pub(super) fn definition(
        &self,
        name: &str,
        values: &BTreeMap<String, String>,
        get: impl Fn(&str) -> Option<String>,
    ) -> Option<Value> {
        let bytes = read(&self.path(values, get)).ok()??;
        if let Some(words) = &self.contains {
            let words = words.replace("{plugin}", name);
            return String::from_utf8_lossy(&bytes).contains(&words).then_some(Value::Bool(true));
        }
        let whole: Value = serde_json::from_slice(&bytes).ok()?;
        let all = self.at.iter().try_fold(&whole, |at, key| at.get(filled(key, values)))?;
        all.get(name).cloned()
    }
}

/// The content of a file of an agent's program or of a plugin; `None`: there is no such file. Links are followed, but
/// iapeer must not wait for the writer of a FIFO.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    open::read(path, Rule { max: open::REGISTRY_MAX, ..Rule::DOCUMENT })
}

/// `text` with the folders of the launch filled in.
fn filled(text: &str, values: &BTreeMap<String, String>) -> String {
    ["home", "cwd"].iter().fold(text.to_owned(), |text, name| {
        let value = values.get(*name).map(String::as_str).unwrap_or_default();
        text.replace(&format!("{{{name}}}"), value)
    })
}
