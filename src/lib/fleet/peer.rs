//! One peer of a fleet file: the content of its profile, its folder, its role and its worktree.

use crate::base::identity::{Intelligence, Personality, Runtime};
use crate::fleet::error::FleetError;
use crate::fleet::reading::Reading;
use crate::fleet::table::{DefaultsTable, FleetTables, LimitsTable, PeerTable, RoleValue};
use crate::runtime::{Kind, Manifest};
use crate::store::launch_env::{self, LaunchEnv};
use crate::store::profile_update::Tag;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// Longest role, in bytes.
const ROLE_MAX: u64 = 256 << 10;

/// The keys of a profile that a fleet file decides on, each with its name in the file. A key that the file does not have
/// is removed from the profile.
pub(crate) const KEYS: [(&str, &str); 16] = [
    ("wake_policy", "ephemeral"),
    ("max_attempts", "max_attempts"),
    ("limits", "limits"),
    ("approvals", "approvals"),
    ("imports", "imports"),
    ("resume", "resume"),
    ("after_limit", "after_limit"),
    ("delivery", "delivery"),
    ("limit_text", "limit_text"),
    ("tags", "tags"),
    ("initial_prompt", "initial_prompt"),
    ("args", "args"),
    ("env", "env"),
    ("env_file", "env_file"),
    ("fleet", "fleet"),
    ("worktree", "worktree"),
];

/// What a fleet file says about one peer.
#[derive(Debug, Clone)]
pub(crate) struct FleetPeer {
    pub(crate) name: Personality,
    /// `None`: unchanged; for a new peer the default one.
    pub(crate) runtime: Option<Runtime>,
    /// `None`: unchanged.
    pub(crate) description: Option<String>,
    /// `None`: unchanged.
    pub(crate) intelligence: Option<Intelligence>,
    /// `None`: unchanged; for a new peer `<root>/peers/<name>`.
    pub(crate) folder: Option<PathBuf>,
    pub(crate) role: Option<String>,
    pub(crate) worktree: Option<FleetWorktree>,
    /// The old name; `Some(None)`: the file says that this is a new peer.
    pub(crate) renamed_from: Option<Option<Personality>>,
    /// The values for [`KEYS`]: `null` where the file has none.
    pub(crate) keys: Map<String, Value>,
}

/// A worktree that is to be a peer's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FleetWorktree {
    /// A folder of the repository.
    pub(crate) repo: PathBuf,
    pub(crate) branch: String,
    /// The commit from which the branch is made if it does not exist.
    pub(crate) base: String,
}

pub(crate) fn read_all(reading: Reading<'_>, tables: &FleetTables) -> Result<Vec<FleetPeer>, FleetError> {
    let defaults = tables.fleet.defaults.clone().unwrap_or_default();
    tables.peers.iter().map(|(name, table)| read(reading, &defaults, name, table)).collect()
}

fn read(
    reading: Reading<'_>,
    defaults: &DefaultsTable,
    name: &str,
    table: &PeerTable,
) -> Result<FleetPeer, FleetError> {
    let wrong = |key: &str, why: String| reading.wrong(&["peers", name, key], why);
    let personality: Personality = name.parse().map_err(|error| reading.wrong(&["peers", name], format!("{error}")))?;
    let runtime = table.runtime.as_ref().or(defaults.runtime.as_ref());
    let runtime: Option<Runtime> =
        runtime.map(|text| text.parse()).transpose().map_err(|error| wrong("runtime", format!("{error}")))?;
    let manifest = match &runtime {
        None => None,
        Some(runtime) => {
            let manifest = Manifest::load(reading.world.paths, runtime);
            Some(manifest.map_err(|error| wrong("runtime", error.to_string()))?)
        }
    };
    let is_agent = manifest.as_ref().is_none_or(|manifest| manifest.kind == Kind::Tui);
    let whole = if is_agent { with_defaults(table, defaults) } else { table.clone() };
    if manifest.is_some_and(|manifest| manifest.kind == Kind::Mailbox) {
        refuse_of_a_session(reading, name, table)?;
    }
    let intelligence = table.intelligence.as_deref().map(|word| {
        Intelligence::parse(word).ok_or_else(|| wrong("intelligence", "it is artificial, natural or absent".into()))
    });
    let role = match &whole.role {
        None => None,
        Some(RoleValue::Text(text)) => Some(text.clone()),
        Some(RoleValue::InFile(file)) => Some(reading.text(&["peers", name, "role"], &file.file, ROLE_MAX)?),
    };
    if role.as_ref().is_some_and(|role| role.len() as u64 > ROLE_MAX) {
        return Err(wrong("role", format!("a role has {ROLE_MAX} bytes at most")));
    }
    let worktree = table.worktree.as_ref().map(|worktree| FleetWorktree {
        repo: reading.absolute(&worktree.repo),
        branch: worktree.branch.clone(),
        base: worktree.base.clone().unwrap_or_else(|| "HEAD".to_owned()),
    });
    let renamed_from = match table.renamed_from.as_deref() {
        None => None,
        Some("") => Some(None),
        Some(old) => Some(Some(old.parse().map_err(|error| wrong("renamed_from", format!("{error}")))?)),
    };
    if renamed_from.as_ref().is_some_and(|old| old.as_ref() == Some(&personality)) {
        return Err(wrong("renamed_from", "that is the name it has now".into()));
    }
    let keys = keys(reading, name, &whole, worktree.as_ref())?;
    Ok(FleetPeer {
        name: personality,
        runtime,
        description: whole.description.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()),
        intelligence: intelligence.transpose()?,
        folder: table.folder.as_ref().map(|folder| reading.absolute(folder)),
        role: role.filter(|role| !role.trim().is_empty()),
        worktree,
        renamed_from,
        keys,
    })
}

/// The peer's own values, and the defaults where it has none. Variables of the environment are merged one by one.
fn with_defaults(table: &PeerTable, defaults: &DefaultsTable) -> PeerTable {
    let defaults = defaults.clone();
    let mut env = defaults.env.unwrap_or_default();
    env.extend(table.env.clone().unwrap_or_default());
    let own = table.clone();
    PeerTable {
        role: own.role.or(defaults.role),
        args: own.args.or(defaults.args),
        limits: own.limits.or(defaults.limits),
        approvals: own.approvals.or(defaults.approvals),
        imports: own.imports.or(defaults.imports),
        resume: own.resume.or(defaults.resume),
        tags: own.tags.or(defaults.tags),
        initial_prompt: own.initial_prompt.or(defaults.initial_prompt),
        env: Some(env),
        env_file: own.env_file.or(defaults.env_file),
        ..own
    }
}

/// Refuses the keys that are about sessions, for a peer that has none.
fn refuse_of_a_session(reading: Reading<'_>, name: &str, table: &PeerTable) -> Result<(), FleetError> {
    let given = [
        ("role", table.role.is_some()),
        ("args", table.args.is_some()),
        ("worktree", table.worktree.is_some()),
        ("ephemeral", table.ephemeral.is_some()),
        ("max_attempts", table.max_attempts.is_some()),
        ("limits", table.limits.is_some()),
        ("approvals", table.approvals.is_some()),
        ("imports", table.imports.is_some()),
        ("resume", table.resume.is_some()),
        ("after_limit", table.after_limit.is_some()),
        ("delivery", table.delivery.is_some()),
        ("limit_text", table.limit_text.is_some()),
        ("initial_prompt", table.initial_prompt.is_some()),
        ("env", table.env.is_some()),
        ("env_file", table.env_file.is_some()),
    ];
    match given.into_iter().find(|(_, given)| *given) {
        Some((key, _)) => {
            let why = format!("{key} is about sessions, and {name} has none: its runtime only files messages");
            Err(reading.wrong(&["peers", name, key], why))
        }
        None => Ok(()),
    }
}

fn keys(
    reading: Reading<'_>,
    name: &str,
    table: &PeerTable,
    worktree: Option<&FleetWorktree>,
) -> Result<Map<String, Value>, FleetError> {
    let wrong = |key: &str, why: String| reading.wrong(&["peers", name, key], why);
    let word = |key: &str, value: &Option<String>, words: &[&str]| match value {
        Some(value) if !words.contains(&value.as_str()) => {
            Err(wrong(key, format!("{value:?} is none of {}", words.join(", "))))
        }
        value => Ok(json!(value)),
    };
    for tag in table.tags.iter().flatten() {
        tag.parse::<Tag>().map_err(|error| wrong("tags", format!("{tag:?} is no tag: {error}")))?;
    }
    let long =
        table.initial_prompt.as_ref().is_some_and(|text| text.chars().count() > crate::message::limits::MAX_BODY);
    if long {
        return Err(wrong("initial_prompt", format!("it has {} characters at most", crate::message::limits::MAX_BODY)));
    }
    if table.args.iter().flatten().any(|word| word.contains('\0')) {
        return Err(wrong("args", "an argument can't hold U+0000".into()));
    }
    let mut keys = Map::new();
    let mut set = |key: &str, value: Value| drop(keys.insert(key.to_owned(), value));
    set("wake_policy", if table.ephemeral == Some(true) { json!("ephemeral") } else { Value::Null });
    set("max_attempts", json!(table.max_attempts.filter(|n| *n > 0)));
    set("limits", limits(reading, name, table.limits.as_ref())?);
    set("approvals", word("approvals", &table.approvals, &["ask", "bypass"])?);
    set("imports", word("imports", &table.imports, &["ask", "allow", "deny"])?);
    set("resume", word("resume", &table.resume, &["always", "topic", "never"])?);
    set("after_limit", word("after_limit", &table.after_limit, &["wait", "continue"])?);
    set("delivery", word("delivery", &table.delivery, &["type"])?);
    set("limit_text", json!(table.limit_text));
    set("tags", list(table.tags.as_ref()));
    set("initial_prompt", json!(table.initial_prompt.as_ref().filter(|text| !text.is_empty())));
    set("args", list(table.args.as_ref()));
    set("env", env(reading, name, table)?);
    set("env_file", env_file(reading, name, table)?);
    set("fleet", json!(reading.fleet));
    set("worktree", worktree.map_or(Value::Null, |tree| json!({ "repo": tree.repo, "branch": tree.branch })));
    Ok(keys)
}

/// A list; an empty one counts as missing.
fn list(words: Option<&Vec<String>>) -> Value {
    words.filter(|words| !words.is_empty()).map_or(Value::Null, |words| json!(words))
}

fn limits(reading: Reading<'_>, name: &str, table: Option<&LimitsTable>) -> Result<Value, FleetError> {
    let Some(table) = table else { return Ok(Value::Null) };
    let all = [("memory_max", &table.memory_max), ("memory_high", &table.memory_high), ("tasks_max", &table.tasks_max)];
    let mut limits = Map::new();
    for (key, amount) in all {
        let Some(text) = amount.as_ref().map(|amount| amount.text()) else { continue };
        if !is_amount(&text) {
            let why = format!("{text:?} is no limit: give a number such as 200, \"2G\", \"50%\" or \"infinity\"");
            return Err(reading.wrong(&["peers", name, "limits", key], why));
        }
        limits.insert(key.to_owned(), text.into());
    }
    Ok(if limits.is_empty() { Value::Null } else { limits.into() })
}

/// A limit as systemd takes it (systemd.resource-control(5)).
fn is_amount(text: &str) -> bool {
    let number = text.strip_suffix(['K', 'M', 'G', 'T', '%']).unwrap_or(text);
    text == "infinity" || !number.is_empty() && number.bytes().all(|c| c.is_ascii_digit())
}

fn env(reading: Reading<'_>, name: &str, table: &PeerTable) -> Result<Value, FleetError> {
    let Some(env) = table.env.as_ref().filter(|env| !env.is_empty()) else { return Ok(Value::Null) };
    for (key, value) in env {
        let wrong = |why: String| reading.wrong(&["peers", name, "env", key], why);
        if !launch_env::is_name(key) || value.contains('\0') {
            return Err(wrong(format!("{key:?} can't be a variable of the environment")));
        }
        if ["PATH", "IAPEER_ROOT", "IAPEER_SOCK_DIR"].contains(&key.as_str()) || key.starts_with("PEER_") {
            return Err(wrong(format!("{key} is set by iapeer: choose another name")));
        }
        if is_secret(key) {
            return Err(wrong(format!("{key} looks like a secret: put it into a file and name that as env_file")));
        }
    }
    Ok(json!(env))
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["_KEY", "_TOKEN", "_SECRET", "_PASSWORD", "_PASSWD", "_CREDENTIALS"].iter().any(|end| name.ends_with(end))
        || ["TOKEN", "SECRET", "PASSWORD"].contains(&name.as_str())
}

fn env_file(reading: Reading<'_>, name: &str, table: &PeerTable) -> Result<Value, FleetError> {
    let Some(file) = &table.env_file else { return Ok(Value::Null) };
    let path = reading.absolute(file);
    let wrong = |why: String| reading.wrong(&["peers", name, "env_file"], why);
    match LaunchEnv::read_there(&path) {
        Ok(Some(_)) => Ok(json!(path)),
        Ok(None) => Err(wrong(format!("{} is missing", path.display()))),
        Err(error) => Err(wrong(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_and_secrets_as_tables() {
        for (text, fine) in
            [("2G", true), ("50%", true), ("9", true), ("infinity", true), ("", false), ("G", false), ("2GB", false)]
        {
            assert_eq!(is_amount(text), fine, "{text:?}");
        }
        for (name, secret) in [
            ("ANTHROPIC_API_KEY", true),
            ("GITHUB_TOKEN", true),
            ("TOKEN", true),
            ("MAX_TOKENS", false),
            ("KEYBOARD", false),
        ] {
            assert_eq!(is_secret(name), secret, "{name}");
        }
    }
}
