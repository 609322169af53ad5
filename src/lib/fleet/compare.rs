//! How a peer of this host differs from what a fleet file says about it.

use crate::base::exit::Failure;
use crate::base::fleet_paths::role_path;
use crate::fleet::peer::{FleetPeer, KEYS};
use crate::fleet::step::FieldChange;
use crate::store::open::{self, Rule, without_bom};
use crate::store::profile::Profile;
use crate::store::registry::PeerRecord;
use serde_json::Value;
use std::path::Path;

/// The values that differ between the registered peer of `record` and `wanted`.
pub(crate) fn differences(record: &PeerRecord, wanted: &FleetPeer) -> Result<Vec<FieldChange>, Failure> {
    let mut found = Vec::new();
    let kept = Profile::read(&record.cwd)?;
    if kept.is_none() {
        found.push(FieldChange::new("profile", None, Some("written anew".into())));
    }
    let Some(profile) = kept.or_else(|| record.to_profile()) else { return Ok(found) };
    let mut compare = |field: &str, from: Option<String>, to: Option<String>| {
        if from != to {
            found.push(FieldChange::new(field, from, to));
        }
    };
    if let Some(runtime) = &wanted.runtime {
        compare("runtime", Some(profile.default_runtime().to_string()), Some(runtime.to_string()));
    }
    if let Some(text) = &wanted.description {
        compare("description", shown("description", profile.raw.get("description")), quoted(text));
    }
    if let Some(intelligence) = wanted.intelligence {
        compare("intelligence", Some(profile.intelligence().to_string()), Some(intelligence.to_string()));
    }
    for (key, field) in KEYS {
        compare(field, shown(key, profile.raw.get(key)), shown(key, wanted.keys.get(key)));
    }
    compare("role", role(&record.cwd)?.as_deref().and_then(quoted), wanted.role.as_deref().and_then(quoted));
    Ok(found)
}

/// The role that is in the folder of a peer.
pub(crate) fn role(cwd: &Path) -> Result<Option<String>, Failure> {
    let bytes = open::read(&role_path(cwd), Rule::DOCUMENT_OF_A_PEER)?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(without_bom(&bytes)).into_owned()))
}

fn quoted(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| format!("{text:?}"))
}

/// A value of a profile as it is compared and shown. A missing value, `null` and an empty value are the same.
fn shown(key: &str, value: Option<&Value>) -> Option<String> {
    match value? {
        Value::Null => None,
        Value::String(text) if key == "wake_policy" => (text == "ephemeral").then(|| "true".to_owned()),
        Value::String(text) => quoted(text),
        Value::Array(list) if list.is_empty() => None,
        Value::Object(map) if map.is_empty() => None,
        // A number and its text are the same limit; the order of the keys has no meaning.
        Value::Object(map) => {
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let mut words: Vec<String> = map.iter().map(|(key, value)| format!("{key} = {:?}", text(value))).collect();
            words.sort();
            Some(format!("{{ {} }}", words.join(", ")))
        }
        value => Some(value.to_string()),
    }
}
