//! A runtime's manifest: how to start it, read its screen, type into it, and find its transcript.
//!
//! The built-in manifests are embedded; `<root>/runtimes/<rt>/runtime.json` adds a runtime, or repairs a built-in one:
//! the file is merged over the built-in manifest key by key (RFC 7396), so that a repair names only what changed.

use crate::base::delivery_kind::DeliveryKind;
use crate::base::evidence::Evidence;
use crate::base::exit::Failure;
use crate::base::identity::{Intelligence, Runtime};
use crate::base::paths::{self, Paths};
use crate::runtime::app_server::AppServer;
use crate::runtime::login::Login;
use crate::store::durable;
use crate::store::open::{self, Rule, without_bom};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) use crate::runtime::fill::fill_json;
pub use crate::runtime::fill::{FillError, fill};
use crate::runtime::keys::one_or_more;
pub use crate::runtime::keys::{Keys, Meaning, MidTurn};
pub use crate::runtime::manifest_error::ManifestError;
pub use crate::runtime::needle::{Choice, Needle, RecordRule};
pub use crate::runtime::plugins::PluginWays;
pub use crate::runtime::program::Program;
pub use crate::runtime::screen_rules::{ByProfile, Dialog, DialogReply, ScreenRules};
pub use crate::runtime::transcript_rules::TranscriptRules;

/// What kind of program it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// An agent with a composer on its screen; started on demand.
    Tui,
    /// A bridge that reads lines; always on, held by the service manager.
    Router,
    /// A person: messages are filed in a folder. There is no program and no session.
    Mailbox,
}

/// The whole manifest. Every key has its meaning here; an unknown one is an error that names the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The runtime's id.
    pub runtime: Runtime,
    /// What kind of program it is.
    pub kind: Kind,
    /// The version of the program with which the rules were measured, or the first and the last one: `iapeer list` and
    /// `iapeer doctor` report a newer or older installed version.
    #[serde(default, deserialize_with = "one_or_more")]
    pub measured: Vec<String>,
    /// Whether the project's own tests do not cover it; reported together with `measured`.
    #[serde(default)]
    pub experimental: bool,
    /// The only natures that a peer on it may have; empty means those that the runtime's name implies.
    #[serde(default)]
    pub intelligence: Vec<Intelligence>,
    /// Where the program is. A mailbox has none.
    #[serde(default)]
    pub program: Program,
    /// Its arguments. `{@group}` stands for the group of that name, where the group applies; `{name}` for a value.
    pub argv: Vec<String>,
    /// Groups of arguments: `resume`, `prompt`, `hooks`, `mcp`, `bypass` or `ask` by the profile's `approvals`, and
    /// `native_memory_on` or `native_memory_off` where the profile has a word on that.
    #[serde(default)]
    pub groups: BTreeMap<String, Vec<String>>,
    /// Variables of the session that go with a group of that name.
    #[serde(default)]
    pub group_env: BTreeMap<String, BTreeMap<String, String>>,
    /// How an MCP server or a plugin of the user's is added to a launch.
    #[serde(default)]
    pub plugins: PluginWays,
    /// JSON files written for each launch; `{file:NAME}` is the path of one. Strings in them are filled in too. A file
    /// whose name has an ending (`plugin.js`) is a text, or a list of its lines.
    #[serde(default)]
    pub files: BTreeMap<String, Value>,
    /// Variables that are added to the session's environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Whether it takes a system prompt of ours.
    #[serde(default)]
    pub doctrine: bool,
    /// Whether it has our MCP tool; otherwise the envelope tells the agent to run `iapeer-send`.
    #[serde(default)]
    pub mcp: bool,
    /// How to read its screen. Routers have none.
    #[serde(default)]
    pub screen: Option<ScreenRules>,
    /// Which keys to press.
    #[serde(default)]
    pub keys: Keys,
    /// The ways in which messages go into a session, the best first; empty means typing.
    #[serde(default)]
    pub delivery: Vec<DeliveryKind>,
    /// The app-server that is started beside the terminal, where messages go by an app-server.
    #[serde(default)]
    pub app_server: Option<AppServer>,
    /// Texts whose SHA-256 sum is `{digest:NAME}`: a program may trust a hook by its sum.
    #[serde(default)]
    pub digests: BTreeMap<String, String>,
    /// What proves that a message landed, best first.
    #[serde(default)]
    pub evidence: Vec<Evidence>,
    /// Whether hooks report its turns. Only for readers of the manifest: a turn event always counts.
    #[serde(default)]
    pub turns: bool,
    /// Whether its screen offers nothing to answer while its permission hook waits: then, with somebody attached, the
    /// hook waits for a few seconds only.
    #[serde(default)]
    pub hook_hides_dialog: bool,
    /// Whether its hook for the end of a turn is called for a failed turn too: then the transcript and the screen tell
    /// how the turn ended.
    #[serde(default)]
    pub failed_turns_stop: bool,
    /// Merged over this manifest where the profile's `approvals` is `ask`.
    #[serde(default)]
    pub ask: Option<Value>,
    /// Where its transcripts are.
    #[serde(default)]
    pub transcript: Option<TranscriptRules>,
    /// Signs that somebody has logged in. Without it, no login is needed.
    #[serde(default)]
    pub login: Option<Login>,
}

const BUILT_IN: &[(&str, &str)] = &[
    ("claude", include_str!("builtin/claude.json")),
    ("codex", include_str!("builtin/codex.json")),
    ("copilot", include_str!("builtin/copilot.json")),
    ("gemini", include_str!("builtin/gemini.json")),
    ("notifier", include_str!("builtin/notifier.json")),
    ("opencode", include_str!("builtin/opencode.json")),
    ("parrot", include_str!("builtin/parrot.json")),
    ("person", include_str!("builtin/person.json")),
    ("qwen", include_str!("builtin/qwen.json")),
    ("telegram", include_str!("builtin/telegram.json")),
];

/// Texts that a manifest may name, with their names.
pub(crate) const TEXTS: &[(&str, &str)] = &[("builtin:opencode.js", include_str!("builtin/opencode.js"))];

/// The built-in runtimes' ids.
pub(crate) fn built_in() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(|(name, _)| *name)
}

impl Manifest {
    /// The manifest of `runtime`: the built-in one with the user's merged over it, or the user's alone.
    pub fn load(paths: &Paths, runtime: &Runtime) -> Result<Manifest, ManifestError> {
        Manifest::load_for(paths, runtime, false)
    }

    /// [`Manifest::load`] for a peer whose approvals are asked for (`asks`), or not.
    pub(crate) fn load_for(paths: &Paths, runtime: &Runtime, asks: bool) -> Result<Manifest, ManifestError> {
        let path = paths.manifest(runtime);
        let bad = |why: String| ManifestError::Bad { path: path.clone(), why };
        let base = BUILT_IN.iter().find(|(name, _)| *name == runtime.as_str()).map(|(_, text)| text.as_bytes());
        let broken = |error: serde_json::Error| bad(format!("the built-in one is broken: {error}"));
        let own = match open::read(&path, Rule::DOCUMENT) {
            Ok(Some(bytes)) => {
                Some(serde_json::from_slice(without_bom(&bytes)).map_err(|error| bad(error.to_string()))?)
            }
            Ok(None) => None,
            Err(error) => return Err(bad(error.to_string())),
        };
        let manifest: Manifest = match (base, own) {
            (None, None) => {
                let known = built_in().collect::<Vec<_>>().join(", ");
                return Err(ManifestError::Unknown { runtime: runtime.to_string(), known, path });
            }
            (Some(text), None) if !asks => serde_json::from_slice(text).map_err(broken)?,
            (base, own) => {
                let mut value: Value = base.map_or(Ok(Value::Null), serde_json::from_slice).map_err(broken)?;
                merge(&mut value, own.unwrap_or_else(|| Value::Object(Map::new())));
                if let Some(patch) = value.get_mut("ask").filter(|patch| asks && !patch.is_null()).map(Value::take) {
                    merge(&mut value, patch);
                }
                // Parsed from text, as a built-in manifest is: parsing it from the value would link all the code for
                // reading a manifest a second time.
                let text = serde_json::to_vec(&value).map_err(|error| bad(error.to_string()))?;
                serde_json::from_slice(&text).map_err(|error| bad(without_place(&error)))?
            }
        };
        if manifest.runtime != *runtime {
            return Err(bad(format!("it says it is for runtime {}", manifest.runtime)));
        }
        if manifest.kind != Kind::Mailbox && manifest.program.candidates.is_empty() {
            return Err(bad("a runtime with a program needs program.candidates".into()));
        }
        if manifest.delivery.contains(&DeliveryKind::AppServer) && manifest.app_server.is_none() {
            return Err(bad("delivery by app-server needs app_server".into()));
        }
        for kind in [DeliveryKind::Http, DeliveryKind::File] {
            if manifest.delivery.contains(&kind) && !manifest.groups.contains_key(kind.as_str()) {
                return Err(bad(format!("delivery by {kind} needs groups.{kind}")));
            }
        }
        if manifest.kind == Kind::Tui && manifest.screen.is_none() {
            return Err(bad("a tui runtime needs screen rules".into()));
        }
        Ok(manifest)
    }

    /// [`Manifest::load`], which also copies the user's part of the manifest below the root `to`. A broken one is an
    /// error that names the file in the root `from`.
    pub(crate) fn take_along(from: &Paths, to: &Paths, runtime: &Runtime) -> Result<Manifest, Failure> {
        let manifest = Manifest::load(from, runtime)?;
        let copy = to.manifest(runtime);
        if let (Some(text), Some(folder)) = (open::read(&from.manifest(runtime), Rule::DOCUMENT)?, copy.parent()) {
            paths::create_dirs(folder)?;
            durable::write_atomic(&copy, &text)?;
        }
        Ok(manifest)
    }

    /// The program to start. `look` finds an executable by name or path; `get` looks up a variable.
    pub fn find_program(
        &self,
        paths: &Paths,
        bin_dir: &std::path::Path,
        get: impl Fn(&str) -> Option<String>,
        look: impl Fn(&str) -> Option<PathBuf>,
    ) -> Result<PathBuf, ManifestError> {
        let fill = |text: &String| {
            text.replace("{home}", &paths.home().to_string_lossy()).replace("{bin_dir}", &bin_dir.to_string_lossy())
        };
        let tried: Vec<String> = match get(&self.program.variable).filter(|value| !value.is_empty()) {
            Some(named) => vec![named],
            None => self.program.candidates.iter().map(fill).collect(),
        };
        let found = tried.iter().find_map(|candidate| look(candidate)).map(|found| {
            if self.program.native.is_empty() {
                return found;
            }
            let native = found.canonicalize().ok().and_then(|real| native_beside(&real, &self.program.native));
            native.filter(|path| look(&path.to_string_lossy()).is_some()).unwrap_or(found)
        });
        found.ok_or_else(|| ManifestError::NoProgram {
            runtime: self.runtime.to_string(),
            looked: tried.join(", "),
            hint: self.program.hint.clone(),
            variable: self.program.variable.clone(),
        })
    }

    /// The pause between a paste of `bytes` bytes and the submit key.
    pub fn settle(&self, bytes: usize) -> Duration {
        let longer = (bytes as u64).saturating_mul(self.keys.settle_per_kb_ms) / 1000;
        Duration::from_millis(self.keys.settle_ms.saturating_add(longer))
    }

    /// `text` in the parts in which it is pasted.
    pub(crate) fn parts<'t>(&self, text: &'t str) -> Vec<&'t str> {
        let most = self.keys.paste_bytes.filter(|most| *most >= 1000).unwrap_or(usize::MAX);
        let (mut parts, mut rest) = (Vec::new(), text);
        while rest.len() > most {
            let cut = (0..=most).rev().find(|at| rest.is_char_boundary(*at)).unwrap_or(rest.len());
            let (part, after) = rest.split_at(cut);
            parts.push(part);
            rest = after;
        }
        parts.push(rest);
        parts
    }

    /// Whether its program takes messages out of the queue itself, and settles each when the service behind it has
    /// taken the message. Messages to any other router are typed as lines.
    pub(crate) fn takes_messages_itself(&self) -> bool {
        self.kind == Kind::Router && self.evidence.contains(&Evidence::Api)
    }

    /// Whether a peer on this runtime may have this nature.
    pub fn allows(&self, intelligence: Intelligence) -> bool {
        if self.intelligence.is_empty() {
            Intelligence::allowed_for(&self.runtime).contains(&intelligence)
        } else {
            self.intelligence.contains(&intelligence)
        }
    }
}

/// The program that one of `patterns` finds, seen from the folder of `program`.
fn native_beside(program: &std::path::Path, patterns: &[String]) -> Option<PathBuf> {
    patterns.iter().find_map(|pattern| {
        let mut found = vec![program.parent()?.to_owned()];
        for part in pattern.split('/') {
            found = found.iter().flat_map(|dir| matching(dir, part)).collect();
        }
        found.into_iter().find(|path| path.is_file())
    })
}

/// The entries of `dir` that `part` names; one `*` in it stands for anything.
fn matching(dir: &std::path::Path, part: &str) -> Vec<PathBuf> {
    let Some((front, back)) = part.split_once('*') else { return vec![dir.join(part)] };
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.len() >= part.len() - 1 && name.starts_with(front) && name.ends_with(back))
        .collect();
    names.sort();
    names.iter().map(|name| dir.join(name)).collect()
}

/// What is wrong with a merged manifest, without line and column: the merged text is in no file.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(what, _)| what.to_owned())
}

/// RFC 7396: `null` removes, objects merge, the rest replaces.
fn merge(base: &mut Value, patch: Value) {
    match patch {
        Value::Object(patch) => {
            if !base.is_object() {
                *base = Value::Object(Default::default());
            }
            if let Value::Object(base) = base {
                for (key, value) in patch {
                    if value.is_null() {
                        base.remove(&key);
                    } else {
                        merge(base.entry(key).or_insert(Value::Null), value);
                    }
                }
            }
        }
        other => *base = other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::exit::Exit;

    fn paths(root: &std::path::Path) -> Paths {
        let root = root.to_owned();
        Paths::read(move |name| (name == "IAPEER_ROOT").then(|| root.clone())).unwrap()
    }

    #[test]
    fn every_built_in_manifest_loads() {
        let dir = tempfile::tempdir().unwrap();
        for name in built_in() {
            let manifest = Manifest::load(&paths(dir.path()), &name.parse().unwrap()).unwrap();
            assert_eq!(manifest.runtime.as_str(), name);
        }
    }

    #[test]
    fn a_users_manifest_repairs_one_key_and_a_bad_one_names_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let p = paths(dir.path());
        let parrot: Runtime = "parrot".parse().unwrap();
        let file = p.manifest(&parrot);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, r#"{"screen":{"composer":"> "},"keys":{"settle_ms":7}}"#).unwrap();
        let manifest = Manifest::load(&p, &parrot).unwrap();
        assert_eq!((manifest.screen.unwrap().composer.prefix, manifest.keys.settle_ms), (vec!["> ".to_owned()], 7));
        for bad in [r#"{"scren":{}}"#, "{torn", r#"{"kind":"gui"}"#, r#"{"runtime":"other"}"#, r#"{"screen":null}"#] {
            std::fs::write(&file, bad).unwrap();
            let error = Manifest::load(&p, &parrot).unwrap_err();
            assert_eq!(error.exit(), Exit::Config, "{bad}");
            assert!(error.to_string().contains("runtime.json"), "{error}");
            assert_eq!(
                error.to_string().contains("line 1 column"),
                bad == "{torn",
                "a place in a text that is there: {error}"
            );
        }
    }

    #[test]
    fn an_unknown_runtime_is_69_and_says_where_a_manifest_would_go() {
        let dir = tempfile::tempdir().unwrap();
        let error = Manifest::load(&paths(dir.path()), &"nosuch".parse().unwrap()).unwrap_err();
        assert_eq!(error.exit(), Exit::Refused);
        assert!(error.to_string().contains("runtimes/nosuch/runtime.json"), "{error}");
    }

    #[test]
    fn groups_are_spliced_where_the_manifest_puts_them() {
        let dir = tempfile::tempdir().unwrap();
        let mut manifest = Manifest::load(&paths(dir.path()), &"parrot".parse().unwrap()).unwrap();
        manifest.argv = ["{@resume}", "-C", "{cwd}", "{@extra}", "{@prompt}"].map(String::from).to_vec();
        manifest.groups = BTreeMap::from([
            ("resume".into(), vec!["resume".into(), "--last".into()]),
            ("prompt".into(), vec!["-p".into(), "{prompt_file}".into()]),
        ]);
        let values = BTreeMap::from([("cwd".into(), "/w".into())]);
        let args = manifest.arguments(&["resume"], &values, &["-x".into()]).unwrap();
        assert_eq!(args, ["resume", "--last", "-C", "/w", "-x"]);
        let error = manifest.arguments(&["prompt"], &values, &[]).unwrap_err();
        assert!(matches!(&error, FillError::Unknown { name, .. } if name == "prompt_file"), "{error}");
    }

    #[test]
    fn the_program_behind_a_wrapper_is_started_where_it_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let p = paths(dir.path());
        let wrapper = dir.path().join("node_modules/@openai/codex/bin/codex.js");
        let native = dir.path().join("node_modules/@openai/codex-linux-x64/vendor/x86_64-musl/bin/codex");
        std::fs::create_dir_all(wrapper.parent().unwrap()).unwrap();
        std::fs::write(&wrapper, "").unwrap();
        let manifest = Manifest::load(&p, &"codex".parse().unwrap()).unwrap();
        let find = || {
            let look = |name: &str| Some(PathBuf::from(name)).filter(|path| path.is_file());
            let get = |_: &str| Some(wrapper.to_string_lossy().into_owned());
            manifest.find_program(&p, dir.path(), get, look).unwrap()
        };
        assert_eq!(find(), wrapper);
        std::fs::create_dir_all(native.parent().unwrap()).unwrap();
        std::fs::write(&native, "").unwrap();
        assert_eq!(find().canonicalize().unwrap(), native.canonicalize().unwrap());
    }

    #[test]
    fn a_missing_program_is_69_and_names_variable_and_hint() {
        let dir = tempfile::tempdir().unwrap();
        let p = paths(dir.path());
        let manifest = Manifest::load(&p, &"codex".parse().unwrap()).unwrap();
        let error = manifest.find_program(&p, dir.path(), |_| None, |_| None).unwrap_err();
        assert_eq!(error.exit(), Exit::Refused);
        assert!(error.to_string().contains("IAPEER_CODEX_BIN"), "{error}");
    }
}
