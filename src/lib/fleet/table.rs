//! The tables and keys of a fleet file. The parser refuses keys that are not here.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The whole file.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FleetTables {
    #[serde(default)]
    pub(crate) fleet: FleetTable,
    #[serde(default)]
    pub(crate) peers: BTreeMap<String, PeerTable>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) schedules: BTreeMap<String, ScheduleTable>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) hosts: BTreeMap<String, HostTable>,
}

/// `[fleet]`.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FleetTable {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) defaults: Option<DefaultsTable>,
}

/// `[fleet.defaults]`: the values for agents that don't set them.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DefaultsTable {
    pub(crate) runtime: Option<String>,
    pub(crate) role: Option<RoleValue>,
    pub(crate) args: Option<Vec<String>>,
    pub(crate) limits: Option<LimitsTable>,
    pub(crate) approvals: Option<String>,
    pub(crate) imports: Option<String>,
    pub(crate) resume: Option<String>,
    pub(crate) tags: Option<Vec<String>>,
    pub(crate) initial_prompt: Option<String>,
    pub(crate) env: Option<BTreeMap<String, String>>,
    pub(crate) env_file: Option<PathBuf>,
}

/// `[peers.NAME]`.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PeerTable {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) runtime: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) intelligence: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<RoleValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) args: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) folder: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) worktree: Option<WorktreeTable>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ephemeral: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limits: Option<LimitsTable>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) approvals: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) imports: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resume: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) after_limit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) delivery: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit_text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tags: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) initial_prompt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) env: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) env_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) renamed_from: Option<String>,
}

/// A role: its text, or the file that contains it.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(untagged, expecting = "a role is a text, or { file = \"PATH\" }")]
pub(crate) enum RoleValue {
    Text(String),
    InFile(RoleFile),
}

/// `role = { file = "PATH" }`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoleFile {
    pub(crate) file: PathBuf,
}

/// `worktree = { repo = "PATH", branch = "NAME", base = "COMMIT" }`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorktreeTable {
    pub(crate) repo: PathBuf,
    pub(crate) branch: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) base: Option<String>,
}

/// `limits = { … }`, as systemd takes them.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LimitsTable {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory_max: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory_high: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tasks_max: Option<Amount>,
}

/// A number, or a number with a unit.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(untagged, expecting = "a limit is a number, or a text such as \"2G\"")]
pub(crate) enum Amount {
    Number(u64),
    Text(String),
}

impl Amount {
    pub(crate) fn text(&self) -> String {
        match self {
            Amount::Number(number) => number.to_string(),
            Amount::Text(text) => text.clone(),
        }
    }
}

/// `[schedules.NAME]`.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScheduleTable {
    pub(crate) to: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) on_calendar: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) every: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) path_changed: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pile: Option<bool>,
}

/// `[hosts.NAME]`: a host that is reached by ssh.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HostTable {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) destination: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) options: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) root: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) program: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) keep_secs: u32,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) fetch: bool,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::DeserializeOwned;
    use serde_json::Value;

    /// The keys that the parser knows for `T`.
    fn keys<T: DeserializeOwned + std::fmt::Debug>() -> Vec<String> {
        let said = toml::from_str::<T>("zzz = 1").unwrap_err().message().to_owned();
        let (_, known) = said.split_once("expected ").unwrap();
        let mut keys: Vec<String> = known.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        keys.sort();
        keys
    }

    #[test]
    fn the_schema_knows_the_same_keys() {
        let schema: Value = serde_json::from_str(include_str!("../../../share/iapeer/fleet.schema.json")).unwrap();
        let of = |pointer: &str| {
            let properties = schema.pointer(&format!("{pointer}/properties")).unwrap().as_object().unwrap();
            let mut keys: Vec<String> = properties.keys().cloned().collect();
            keys.sort();
            keys
        };
        let peer = "/properties/peers/additionalProperties";
        assert_eq!(of(""), keys::<FleetTables>());
        assert_eq!(of("/properties/fleet"), keys::<FleetTable>());
        assert_eq!(of("/properties/fleet/properties/defaults"), keys::<DefaultsTable>());
        assert_eq!(of(peer), keys::<PeerTable>());
        assert_eq!(of(&format!("{peer}/properties/worktree")), keys::<WorktreeTable>());
        assert_eq!(of("/properties/hosts/additionalProperties"), keys::<HostTable>());
        assert_eq!(of("/definitions/limits"), keys::<LimitsTable>());
        assert_eq!(of("/properties/schedules/additionalProperties"), keys::<ScheduleTable>());
    }
}
