//! The launchd agents in `plists/`: well-formed, only keys of launchd.plist(5) with values of their types, and
//! none of the slips that launchd takes without a word. Not a substitute for launchd itself.

#![allow(unreachable_pub, clippy::unwrap_used)]

use plist::{Dictionary, Value};
use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What a key's value must be.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Bool,
    Text,
    /// Whole seconds over zero.
    Seconds,
    /// An absolute path: launchd expands neither `~` nor variables.
    Path,
    /// At least one text.
    Texts,
    /// At least one absolute path.
    Paths,
    /// A dictionary of texts.
    Variables,
    /// A decimal number: `63` is 0077, and `77` is a slip.
    Umask,
    /// A boolean, or a dictionary of conditions.
    KeepAlive,
    ProcessType,
}

/// The keys we use or may come to use; a new one is added here with its kind.
const KEYS: &[(&str, Kind)] = &[
    ("AbandonProcessGroup", Kind::Bool),
    ("EnvironmentVariables", Kind::Variables),
    ("ExitTimeOut", Kind::Seconds),
    ("KeepAlive", Kind::KeepAlive),
    ("Label", Kind::Text),
    ("ProcessType", Kind::ProcessType),
    ("ProgramArguments", Kind::Texts),
    ("RunAtLoad", Kind::Bool),
    ("StandardErrorPath", Kind::Path),
    ("StandardOutPath", Kind::Path),
    ("StartInterval", Kind::Seconds),
    ("ThrottleInterval", Kind::Seconds),
    ("Umask", Kind::Umask),
    ("WatchPaths", Kind::Paths),
    ("WorkingDirectory", Kind::Path),
    // Ours: files without it are foreign and never touched. launchd ignores keys it does not know.
    ("com.iapeer.managed", Kind::Bool),
];

impl Kind {
    fn fits(self, value: &Value) -> bool {
        let absolute = |value: &Value| value.as_string().is_some_and(|path| path.starts_with('/'));
        let all = |value: &Value, fits: fn(&Value) -> bool| {
            value.as_array().is_some_and(|items| !items.is_empty() && items.iter().all(fits))
        };
        match self {
            Kind::Bool => value.as_boolean().is_some(),
            Kind::Text => value.as_string().is_some_and(|text| !text.is_empty()),
            Kind::Seconds => value.as_unsigned_integer().is_some_and(|seconds| seconds > 0),
            Kind::Path => absolute(value),
            Kind::Texts => all(value, |item| item.as_string().is_some()),
            Kind::Paths => all(value, |item| item.as_string().is_some_and(|path| path.starts_with('/'))),
            Kind::Variables => value.as_dictionary().is_some_and(|vars| vars.values().all(|v| v.as_string().is_some())),
            Kind::Umask => {
                value.as_unsigned_integer().is_some_and(|mask| mask <= 0o777 && ![77, 27, 22].contains(&mask))
            }
            Kind::KeepAlive => value.as_boolean().is_some() || value.as_dictionary().is_some_and(keep_alive),
            Kind::ProcessType => {
                value.as_string().is_some_and(|t| ["Background", "Standard", "Adaptive", "Interactive"].contains(&t))
            }
        }
    }
}

/// `Crashed` = false would start the job anew after every run that did not crash.
fn keep_alive(conditions: &Dictionary) -> bool {
    conditions.iter().all(|(key, value)| match key.as_str() {
        "SuccessfulExit" => value.as_boolean().is_some(),
        "Crashed" => value.as_boolean() == Some(true),
        _ => false,
    })
}

/// Everything wrong with the text of `LABEL.plist`.
fn lint(label: &str, text: &str) -> Vec<String> {
    let value = match Value::from_reader_xml(text.as_bytes()) {
        Ok(value) => value,
        Err(error) => return vec![format!("not a property list: {error}")],
    };
    let Some(job) = value.as_dictionary() else { return vec!["the top is not a dictionary".into()] };
    let mut wrong = slips(text);
    if job.get("Label").and_then(Value::as_string) != Some(label) {
        wrong.push("Label is not the file's name".into());
    }
    match job.get("ProgramArguments").and_then(Value::as_array).and_then(|args| args.first()) {
        Some(program) if Kind::Path.fits(program) => {}
        _ => wrong.push("ProgramArguments does not begin with an absolute path".into()),
    }
    for (key, value) in job {
        match KEYS.iter().find(|(name, _)| name == key) {
            None => wrong.push(format!("unknown key {key}")),
            Some((_, kind)) if !kind.fits(value) => wrong.push(format!("{key} is not {kind:?}")),
            Some(_) => {}
        }
    }
    wrong
}

/// What a lenient parser lets pass: a key twice in one dictionary, text inside `<true>`.
fn slips(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut dictionaries: Vec<HashSet<&str>> = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        rest = &rest[start..];
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let Some((tag, after)) = rest[1..].split_once('>') else { break };
        let content = after.split('<').next().unwrap_or_default();
        match tag {
            "dict" => dictionaries.push(HashSet::new()),
            "/dict" => drop(dictionaries.pop()),
            "key" if !dictionaries.last_mut().is_none_or(|keys| keys.insert(content)) => {
                wrong.push(format!("key {content} is there twice"));
            }
            "true" | "false" => wrong.push(format!("<{tag}> is not empty")),
            _ => {}
        }
        rest = after;
    }
    wrong
}

#[test]
fn every_shipped_agent_is_sound() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("plists");
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let label = path.file_name().unwrap().to_str().unwrap().strip_suffix(".plist").expect("only .plist files here");
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(lint(label, &text), [""; 0], "{}", path.display());
        // Else a peer named "superviser" would be taken for one that launchd manages.
        assert!(!label.starts_with("com.iapeer."), "{label} looks like the agent of a peer");
        let value = Value::from_reader_xml(text.as_bytes()).unwrap();
        let job = value.as_dictionary().unwrap();
        for key in ["AbandonProcessGroup", "com.iapeer.managed"] {
            assert_eq!(job.get(key).and_then(Value::as_boolean), Some(true), "{label}: {key}");
        }
        assert_eq!(job.get("Umask").and_then(Value::as_unsigned_integer), Some(0o077), "{label}");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o002, 0, "launchctl refuses what others may write: {}", path.display());
        seen += 1;
    }
    assert!(seen > 0);
}

#[test]
fn what_the_lint_finds() {
    let head = "<plist version=\"1.0\"><dict><key>Label</key><string>a</string>";
    let program = "<key>ProgramArguments</key><array><string>/bin/true</string></array>";
    let rows: &[(&str, &str)] = &[
        ("", ""),
        ("<!-- <dict><key>Label</key> -->", ""),
        ("<key>KeepAlive</key><dict><key>SuccessfulExit</key><false/></dict>", ""),
        ("<key>Bogus</key><true/>", "unknown key Bogus"),
        ("<key>RunAtLoad</key><string>yes</string>", "RunAtLoad is not Bool"),
        ("<key>RunAtLoad</key><true/><key>RunAtLoad</key><true/>", "RunAtLoad"),
        ("<key>StartInterval</key><integer>0</integer>", "StartInterval is not Seconds"),
        ("<key>Umask</key><integer>77</integer>", "Umask is not Umask"),
        ("<key>WatchPaths</key><array><string>~/kick</string></array>", "WatchPaths is not Paths"),
        ("<key>WatchPaths</key><array/>", "WatchPaths is not Paths"),
        ("<key>KeepAlive</key><dict><key>Crashed</key><false/></dict>", "KeepAlive is not KeepAlive"),
        ("<key>ProcessType</key><string>Fast</string>", "ProcessType is not ProcessType"),
        ("<key>open", "not a property list"),
    ];
    for (extra, wanted) in rows {
        let found = lint("a", &format!("{head}{program}{extra}</dict></plist>"));
        let hit = if wanted.is_empty() { found.is_empty() } else { found.iter().any(|line| line.contains(wanted)) };
        assert!(hit, "{extra:?} gave {found:?}");
    }
    assert!(!lint("b", &format!("{head}{program}</dict></plist>")).is_empty(), "a foreign label");
    assert!(!lint("a", &format!("{head}</dict></plist>")).is_empty(), "no program");
}
