//! All errors in a profile, for `iapeer verify`, which reports every error and not only the first.

use crate::base::identity::{Intelligence, Runtime};
use crate::base::normalize;
use serde::Serialize;
use serde_json::Value;

/// How severe an issue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The peer does not work with such a profile.
    Error,
    /// The peer works, but somebody should examine the profile.
    Warn,
}

/// Something that is wrong in a profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Issue {
    /// How severe the issue is.
    pub severity: Severity,
    /// The field; `<root>` stands for the whole profile.
    pub field: String,
    /// What is wrong with the field.
    pub message: String,
}

/// Everything that is wrong in `raw`, the profile of a peer in a folder named `folder` (spec 04).
pub(crate) fn conformance(raw: &Value, folder: &str) -> Vec<Issue> {
    let mut issues = Vec::new();
    let mut add =
        |severity, field: &str, message: String| issues.push(Issue { severity, field: field.into(), message });
    let Value::Object(map) = raw else {
        add(Severity::Error, "<root>", "not an object".into());
        return issues;
    };
    let runtime = |value: &Value| value.as_str().is_some_and(|text| text.parse::<Runtime>().is_ok());
    match map.get("personality").and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty()) {
        None => add(Severity::Error, "personality", "personality is required".into()),
        Some(text) if normalize::personality_from(text).is_err() => {
            add(Severity::Error, "personality", format!("{text:?} gives no peer name"));
        }
        Some(text) if normalize::normalize(text) != normalize::normalize(folder) => {
            add(Severity::Warn, "personality", format!("{text:?} is not the name of its folder, {folder:?}"));
        }
        Some(_) => {}
    }
    let present = |key: &str| map.get(key).filter(|value| !value.is_null());
    match (present("default_runtime"), present("runtime")) {
        (Some(value), _) if !runtime(value) => {
            add(Severity::Error, "default_runtime", format!("{value} is no runtime"))
        }
        (Some(value), Some(mirror)) if value != mirror => {
            add(Severity::Warn, "runtime", format!("the legacy mirror says {mirror}, default_runtime {value}"));
        }
        (Some(_), _) => {}
        (None, Some(value)) if runtime(value) => {
            add(Severity::Warn, "default_runtime", "only the legacy name `runtime` is there".into());
        }
        (None, _) => add(Severity::Error, "default_runtime", "missing".into()),
    }
    match map.get("runtimes") {
        None => {}
        Some(Value::Array(list)) => {
            for bad in list.iter().filter(|item| !runtime(item)) {
                add(Severity::Error, "runtimes", format!("{bad} is no runtime"));
            }
            let default = present("default_runtime").or_else(|| present("runtime"));
            if default.is_some_and(|default| !list.contains(default)) {
                add(Severity::Error, "runtimes", "the default runtime is not in it".into());
            }
        }
        Some(_) => add(Severity::Error, "runtimes", "not an array".into()),
    }
    for field in ["description", "initial_prompt"] {
        if map.get(field).is_some_and(|value| !value.is_string()) {
            add(Severity::Error, field, "not a string".into());
        }
    }
    if map.get("wake_policy").is_some_and(|value| value != "ephemeral") {
        add(Severity::Warn, "wake_policy", "only \"ephemeral\" means something".into());
    }
    if let Some(value) = map.get("resume")
        && !["always", "topic", "never"].iter().any(|word| value == word)
    {
        add(Severity::Warn, "resume", "only \"always\", \"topic\" and \"never\" mean something".into());
    }
    match present("intelligence") {
        Some(word) if word != "" && word.as_str().and_then(Intelligence::parse).is_none() => {
            add(Severity::Error, "intelligence", format!("unknown word {word}"));
        }
        _ => {}
    }
    let known: [(&str, &[&str]); 5] = [
        ("native_memory", &["on", "off"]),
        ("memory_plugin", &["on", "off"]),
        ("approvals", &["bypass", "ask"]),
        ("after_limit", &["wait", "continue"]),
        ("imports", &["ask", "allow", "deny"]),
    ];
    for (key, words) in known {
        if map.get(key).is_some_and(|value| !value.is_null() && !words.iter().any(|word| value == word)) {
            let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
            add(Severity::Warn, key, format!("only {} mean something", words.join(" and ")));
        }
    }
    if map.get("delivery").is_some_and(|value| !value.is_null() && value != "type") {
        add(Severity::Warn, "delivery", "only \"type\" means something".into());
    }
    if map.get("max_attempts").is_some_and(|value| value.as_u64().is_none_or(|n| n == 0 || n > u32::MAX.into())) {
        add(Severity::Warn, "max_attempts", "only a whole number over 0 means something".into());
    }
    if map.get("limits").is_some_and(|value| !value.is_object()) {
        add(Severity::Warn, "limits", "only an object with memory_max, memory_high, tasks_max means something".into());
    }
    if map.get("enable").is_some_and(|value| {
        !value.is_null() && !value.as_array().is_some_and(|list| list.iter().all(Value::is_string))
    }) {
        add(Severity::Warn, "enable", "only a list of names means something".into());
    }
    match map.get("interfaces") {
        Some(value) if !value.is_object() => add(Severity::Error, "interfaces", "not an object".into()),
        Some(value) if value.pointer("/telegram/aliases").is_some() => {
            add(Severity::Warn, "interfaces.telegram.aliases", "no longer read".into());
        }
        _ => {}
    }
    if map.contains_key("aliases") {
        add(Severity::Warn, "aliases", "no longer read".into());
    }
    issues
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::paths;
    use crate::store::profile::Profile;
    use serde_json::json;

    #[test]
    fn conformance_as_a_table() {
        use Severity::{Error, Warn};
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(".iapeer")).unwrap();
        let ok = || json!({"personality": "bob", "default_runtime": "claude", "runtimes": ["claude"]});
        let with = |key: &str, value: Value| {
            let mut raw = ok();
            raw[key] = value;
            raw
        };
        let cases = [
            (ok(), vec![]),
            (json!([]), vec![(Error, "<root>")]),
            (with("personality", json!("other")), vec![(Warn, "personality")]),
            (with("default_runtime", json!("x y")), vec![(Error, "default_runtime"), (Error, "runtimes")]),
            (json!({"personality": "bob", "runtime": "claude"}), vec![(Warn, "default_runtime")]),
            (with("runtime", json!("codex")), vec![(Warn, "runtime")]),
            (with("runtimes", json!(7)), vec![(Error, "runtimes")]),
            (with("runtimes", json!(["codex"])), vec![(Error, "runtimes")]),
            (with("description", json!(7)), vec![(Error, "description")]),
            (with("wake_policy", json!("x")), vec![(Warn, "wake_policy")]),
            (with("intelligence", json!("alien")), vec![(Error, "intelligence")]),
            (with("intelligence", json!(7)), vec![(Error, "intelligence")]),
            (with("intelligence", json!("human")), vec![]),
            (with("intelligence", json!(null)), vec![]),
            (
                json!({"personality": "Bob", "default_runtime": null, "runtime": "claude"}),
                vec![(Warn, "default_runtime")],
            ),
            (with("runtimes", json!(["claude", 7])), vec![(Error, "runtimes")]),
            (with("initial_prompt", json!(7)), vec![(Error, "initial_prompt")]),
            (with("resume", json!("x")), vec![(Warn, "resume")]),
            (with("approvals", json!("never")), vec![(Warn, "approvals")]),
            (with("approvals", json!("ask")), vec![]),
            (with("imports", json!("yes")), vec![(Warn, "imports")]),
            (with("imports", json!("allow")), vec![]),
            (with("delivery", json!("typed")), vec![(Warn, "delivery")]),
            (with("delivery", json!("type")), vec![]),
            (with("after_limit", json!("x")), vec![(Warn, "after_limit")]),
            (with("max_attempts", json!(0)), vec![(Warn, "max_attempts")]),
            (with("limits", json!([])), vec![(Warn, "limits")]),
            (with("interfaces", json!({"telegram": {"aliases": []}})), vec![(Warn, "interfaces.telegram.aliases")]),
            (json!({"default_runtime": "claude"}), vec![(Error, "personality")]),
            (json!({"personality": "bob"}), vec![(Error, "default_runtime")]),
            (with("interfaces", json!(1)), vec![(Error, "interfaces")]),
            (with("aliases", json!([])), vec![(Warn, "aliases")]),
        ];
        for (raw, expected) in cases {
            let found = conformance(&raw, "bob");
            // A profile without an error must be readable: `iapeer verify` must not pass a profile with which a wake
            // fails.
            if found.iter().all(|issue| issue.severity == Warn) {
                std::fs::write(paths::profile_path(dir.path()), raw.to_string()).unwrap();
                Profile::read(dir.path()).unwrap();
            }
            let found: Vec<_> = found.iter().map(|issue| (issue.severity, issue.field.as_str())).collect();
            assert_eq!(found, expected, "{raw}");
        }
    }
}
