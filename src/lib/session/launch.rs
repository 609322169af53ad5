//! Building a launch: the argument vector from the manifest, the environment from an allowlist, and the files that a
//! runtime needs for each launch.

use crate::base::exit::{Exit, Failure};
use crate::base::home;
use crate::base::paths::{self, Paths};
use crate::base::shell;
use crate::base::wake::Mode;
use crate::host::inherited::BASE;
use crate::runtime::manifest::{TEXTS, fill, fill_json};
use crate::runtime::{Kind, ManifestError, digests};
use crate::session::beside;
use crate::session::extras::{Extras, PluginLaunch};
use crate::session::memory;
use crate::store::durable;
use crate::store::durable::StoreError;
use crate::store::event_log::Event;
use crate::store::launch_env::LaunchEnv;
use crate::store::open::{self, Rule};
use crate::world::peer::Peer;
use crate::world::{Launch, World};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Variables that a session gets from the program that starts it. Nothing else of that program's environment reaches
/// the session: it may be the environment of another agent, with that agent's secrets.
const ALLOWED: &[&str] = &[
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "PATH",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "NOTIFIER_FALLBACK_TARGET",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_CACHE_HOME",
    "XDG_STATE_HOME",
    "DBUS_SESSION_BUS_ADDRESS",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NOTIFIER_RUNTIME_BIN",
    "TELEGRAM_RUNTIME_BIN",
];
const ALLOWED_PREFIXES: &[&str] = &["LC_", "IAPEER_", "IAP_"];

/// The variables that tell a session about itself.
const OWN: [&str; 4] = ["PEER_PERSONALITY", "PEER_RUNTIME", "PEER_IDENTITY", "PEER_LAUNCH"];

/// How many seconds longer the agent's program waits for the approval hook than the hook may take.
const HOOK_MARGIN: u64 = 30;

/// The folders in which programs are searched for, besides those of the caller's PATH.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin:/opt/homebrew/bin";

/// The part of `environment` that may reach a session or a detached program of ours.
pub fn allowed(environment: impl Iterator<Item = (String, String)>) -> BTreeMap<String, String> {
    let mut kept: BTreeMap<String, String> = environment.filter(|(name, _)| passes(name)).collect();
    let usual = match kept.get("HOME") {
        Some(home) => format!("{home}/.local/bin:{DEFAULT_PATH}"),
        None => DEFAULT_PATH.into(),
    };
    let path = match kept.get("PATH") {
        Some(given) => with_back(given, &usual),
        None => usual,
    };
    kept.insert("PATH".into(), path);
    kept
}

/// `path`, followed by those of the `usual` folders that it lacks: the program that wakes a session may have a short
/// PATH.
fn with_back(path: &str, usual: &str) -> String {
    let given: Vec<&str> = path.split(':').filter(|dir| !dir.is_empty()).collect();
    let lacks = usual.split(':').filter(|dir| !given.contains(dir));
    given.iter().copied().chain(lacks).collect::<Vec<_>>().join(":")
}

/// Variables with the original values of the `changed` ones: iapeer's programs in the session restore these values
/// before they pass the environment on.
fn bases<'a>(
    changed: impl Iterator<Item = &'a String>,
    environment: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let value = |name: &String| environment.get(name).cloned().unwrap_or_default();
    changed.filter(|name| passes(name)).map(|name| (format!("{BASE}{name}"), value(name))).collect()
}

fn passes(name: &str) -> bool {
    ALLOWED.contains(&name) || ALLOWED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// This process's environment, without what is not UTF-8, and with the user's home where the program that started this
/// process (a hook, a job of cron's) left it out.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    let given =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let is_blank = |value: Option<std::ffi::OsString>| value.is_none_or(|value| value.is_empty());
    let home = is_blank(std::env::var_os("HOME")).then(home::of_user).flatten();
    given.chain(home.and_then(|home| Some(("HOME".to_owned(), home.into_os_string().into_string().ok()?))))
}

/// The folder that this program is in, and iapeer's other programs are.
pub fn bin_dir() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        std::env::current_exe()
            .ok()
            .and_then(|exe| exe.canonicalize().ok())
            .and_then(|exe| exe.parent().map(Path::to_owned))
            .unwrap_or_default()
    })
}

/// A new name for a launch: the session's hooks carry the name, which tells them from hooks of another launch.
pub(crate) fn new_launch_name(world: &World<'_>) -> String {
    crate::base::MessageId::generate(world.now()).to_string().to_lowercase()
}

/// The longest argument that Linux passes to a program, in bytes (MAX_ARG_STRLEN).
const ARGUMENT_MAX: usize = (128 << 10) - 1;

/// The launch of `peer`, not yet started. `prompt` is the assembled system prompt's file, where there is one.
pub fn build<'a>(
    world: &World<'_>,
    peer: &'a Peer,
    mode: Mode,
    name: &str,
    prompt: Option<&Path>,
) -> Result<Launch<'a>, Failure> {
    let manifest = &peer.manifest;
    if !manifest.allows(peer.intelligence()) {
        return Err(Failure::new(
            Exit::Refused,
            format!(
                "runtime {:?} is not for a peer of intelligence {}: change {}",
                manifest.runtime.as_str(),
                peer.intelligence(),
                paths::profile_path(peer.cwd()).display()
            ),
        ));
    }
    let mut environment = allowed(environment());
    let bin_dir = bin_dir();
    let program = find_program(world.paths, peer, &environment)?;
    let launch_env = launch_env(peer)?;
    environment.extend(bases(manifest.env.keys().chain(launch_env.vars.keys()), &environment));

    let mut values = BTreeMap::from([
        ("cwd".into(), peer.cwd().to_string_lossy().into_owned()),
        ("home".into(), home_of(&launch_env, world.paths)),
        ("root".into(), world.paths.root().to_string_lossy().into_owned()),
        ("identity".into(), peer.identity.to_string()),
        ("personality".into(), peer.identity.personality().to_string()),
        ("iapeer_turn".into(), bin_dir.join("iapeer-turn").to_string_lossy().into_owned()),
        ("iapeer_turn_sh".into(), shell::quoted(&bin_dir.join("iapeer-turn").to_string_lossy())),
        ("iapeer_mcp".into(), bin_dir.join("iapeer-mcp").to_string_lossy().into_owned()),
    ]);
    values.extend(TEXTS.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())));
    for event in ["start", "prompt", "stop", "end", "failed", "notice", "approval"] {
        values.insert(format!("turn_{event}"), format!("{} {event}", values["iapeer_turn_sh"]));
    }
    // The agent's timeout must not end the hook before the hook has given up by itself.
    let patience = world.settings.approval.as_secs() + HOOK_MARGIN;
    values.insert("approval_secs".into(), patience.to_string());
    if mode == Mode::Resume
        && let Ok(Some(reference)) = world.host.resumable(peer)
    {
        values.insert("session".into(), session_id(&reference).to_owned());
    }
    // A client that gives its servers a reduced environment passes these on by name.
    let passed: Vec<&str> = environment.keys().map(String::as_str).chain(OWN).collect();
    values.insert("mcp_env".into(), serde_json::json!(passed).to_string());
    if let Some(prompt) = prompt {
        values.insert("prompt_file".into(), prompt.to_string_lossy().into_owned());
        let text = open::read(prompt, Rule::DOCUMENT)?.unwrap_or_default();
        values.insert("prompt".into(), String::from_utf8_lossy(&text).into_owned());
    }
    let extras = Extras::of(world.paths, peer)?;
    let get = |name: &str| launch_env.vars.get(name).or_else(|| environment.get(name)).cloned();
    let plugins = extras.plugins_of(peer, &values, get)?;
    for name in &plugins.missing {
        world.lifecycle(&Event::new("plugin-missing").field("identity", &peer.identity).field("plugin", name));
    }
    for (name, bad) in &plugins.bad {
        let event = Event::new("plugin-servers").field("identity", &peer.identity).field("plugin", name);
        world.lifecycle(&event.field("reason", bad));
    }
    write_files(world, peer, &mut values, &plugins)?;
    let bad = |source| ManifestError::Fill { runtime: manifest.runtime.clone(), source };
    let sums = digests(&manifest.digests, &values).map_err(bad)?;
    values.extend(sums);
    let mut enabled = vec!["hooks", "trust", "mcp", if peer.asks() { "ask" } else { "bypass" }];
    enabled.extend(extras.memory_group());
    if prompt.is_some() {
        enabled.push("prompt");
    }
    if mode == Mode::Resume {
        enabled.push("resume");
    }
    let mut argv = vec![program.to_string_lossy().into_owned()];
    let further = [plugins.args, launch_env.start_args].concat();
    let way = beside::way(world, peer, &argv[0], &enabled, &mut values, &further).map_err(bad)?;
    enabled.extend(way.group());
    argv.extend(manifest.arguments(&enabled, &values, &further).map_err(bad)?);

    if let Some(long) = argv.iter().map(String::len).find(|len| *len > ARGUMENT_MAX) {
        let why = format!(
            "{} takes its system prompt as an argument, which has {long} bytes and may have {ARGUMENT_MAX}: shorten the \
             files in {}",
            manifest.runtime,
            peer.cwd().join(".iapeer").display()
        );
        return Err(Failure::new(Exit::Refused, why));
    }

    let path = environment.get("PATH").cloned().unwrap_or_default();
    let mut env = environment;
    let of_groups = enabled.iter().filter_map(|group| manifest.group_env.get(*group)).flatten();
    for (key, value) in manifest.env.iter().chain(of_groups) {
        env.insert(key.clone(), fill(value, &values).map_err(bad)?);
    }
    env.extend(launch_env.vars);
    // These are set last, so that nothing can override the session's identity and the folders in which its programs and
    // ours search.
    env.insert("PATH".into(), with_front(bin_dir, &path));
    env.insert("IAPEER_ROOT".into(), world.paths.root().to_string_lossy().into_owned());
    env.remove("IAPEER_SOCK_DIR");
    if world.paths.has_own_socket_dir() {
        env.insert("IAPEER_SOCK_DIR".into(), world.paths.socket_dir().to_string_lossy().into_owned());
    }
    env.insert("PEER_PERSONALITY".into(), peer.identity.personality().to_string());
    env.insert("PEER_RUNTIME".into(), peer.identity.runtime().to_string());
    env.insert("PEER_IDENTITY".into(), peer.identity.to_string());
    env.insert("PEER_LAUNCH".into(), name.to_owned());
    env.retain(|key, _| !["CLAUDECODE", "TMUX", "TMUX_PANE"].contains(&key.as_str()));
    let pane_log = world.paths.pane_log(&peer.identity);
    // If the log were a FIFO, the program by which tmux writes the log would wait for a reader as long as the session
    // lives.
    if let Some(unfit) = open::fault(&pane_log, Rule { max: u64::MAX, ..Rule::LOG }) {
        return Err(Failure::new(unfit.exit(), format!("{} is not started: {unfit}", peer.identity)));
    }
    let pane_log_from = std::fs::metadata(&pane_log).map_or(0, |meta| meta.len());
    let env = env.into_iter().collect();
    Ok(Launch { peer, argv, env, pane_log, pane_log_from, name: name.to_owned(), way })
}

/// Variables and arguments for the peer's sessions: those of its profile, of the file of variables that the profile
/// names, and of its `launch.env`; of a variable that is set twice the last one counts.
pub(crate) fn launch_env(peer: &Peer) -> Result<LaunchEnv, StoreError> {
    let policy = peer.policy();
    let mut all = LaunchEnv { vars: policy.env(), start_args: policy.args() };
    let mut add = |found: LaunchEnv| {
        all.vars.extend(found.vars);
        all.start_args.extend(found.start_args);
    };
    if let Some(path) = policy.env_file() {
        let missing = || StoreError::io("read", &path, ErrorKind::NotFound.into());
        add(LaunchEnv::read_there(&path)?.ok_or_else(missing)?);
    }
    add(LaunchEnv::read(&paths::launch_env_path(peer.cwd(), &peer.manifest.runtime))?);
    Ok(all)
}

/// The home of the peer's sessions: its own (one account for each agent), else the user's.
fn home_of(launch_env: &LaunchEnv, paths: &Paths) -> String {
    let own = launch_env.vars.get("HOME").filter(|home| !home.is_empty());
    own.cloned().unwrap_or_else(|| paths.home().to_string_lossy().into_owned())
}

/// The path of the program of the peer's runtime, or why there is none.
pub fn find_program(paths: &Paths, peer: &Peer, environment: &BTreeMap<String, String>) -> Result<PathBuf, Failure> {
    let path = environment.get("PATH").map(std::ffi::OsStr::new);
    Ok(peer.manifest.find_program(
        paths,
        bin_dir(),
        |name| environment.get(name).cloned(),
        |candidate| crate::host::spawn::find_program(candidate, path),
    )?)
}

/// Writes the manifest's per-launch files, with the definitions of plugins in them, and adds `{file:NAME}` to the values.
fn write_files(
    world: &World<'_>,
    peer: &Peer,
    values: &mut BTreeMap<String, String>,
    plugins: &PluginLaunch,
) -> Result<(), Failure> {
    let dir = world.paths.launch_files(&peer.identity);
    for (name, template) in &peer.manifest.files {
        let mut content = fill_json(template, values)
            .map_err(|source| ManifestError::Fill { runtime: peer.manifest.runtime.clone(), source })?;
        for (place, plugin, definition) in plugins.entries.iter().filter(|(place, ..)| place.file == *name) {
            if let Some(map) = content.as_object_mut() {
                map.entry(&place.at).or_insert_with(|| Map::new().into())[plugin] = definition.clone();
            }
        }
        paths::create_dirs(&dir)?;
        let (path, text) = match name.contains('.') {
            true => (dir.join(name), text_of(&content).into_bytes()),
            false => {
                let text = serde_json::to_vec_pretty(&content);
                let text = text.map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
                (dir.join(format!("{name}.json")), text)
            }
        };
        durable::write_atomic(&path, &text)?;
        values.insert(format!("file:{name}"), path.to_string_lossy().into_owned());
    }
    Ok(())
}

/// The text of a file that is no JSON: a string, or a list of lines.
fn text_of(content: &Value) -> String {
    let lines = content.as_array().map(Vec::as_slice).unwrap_or(std::slice::from_ref(content));
    lines.iter().filter_map(Value::as_str).map(|line| format!("{line}\n")).collect()
}

/// Assembles the system prompt where the runtime takes one and the peer has doctrine of its own.
pub(crate) fn write_prompt(world: &World<'_>, peer: &Peer) -> Result<Option<PathBuf>, Failure> {
    if peer.manifest.kind != Kind::Tui || !peer.manifest.doctrine || !peer.cwd().join(".iapeer/IAPEER.md").exists() {
        return Ok(None);
    }
    let memory = Extras::of(world.paths, peer)?.memory_plugin;
    let memory = memory.then(|| memory::slot(world, peer, allowed(environment()))).flatten();
    let text = crate::prompt::compose_for(world.paths, peer.cwd(), &peer.record, memory.as_deref(), world.now())?;
    let path = world.paths.prompt(&peer.identity);
    if let Some(dir) = path.parent() {
        paths::create_dirs(dir)?;
    }
    durable::write_atomic(&path, text.as_bytes())?;
    Ok(Some(path))
}

/// The conversation's id in the name of its transcript: the UUID at the name's end, else the whole name.
fn session_id(reference: &str) -> &str {
    let tail = reference.len().checked_sub(36).and_then(|at| reference.get(at..));
    let is_uuid = |text: &&str| {
        text.char_indices().all(|(at, c)| if [8, 13, 18, 23].contains(&at) { c == '-' } else { c.is_ascii_hexdigit() })
    };
    tail.filter(is_uuid).unwrap_or(reference)
}

fn with_front(dir: &Path, path: &str) -> String {
    let dir = dir.to_string_lossy();
    if dir.is_empty() || path.split(':').any(|part| part == dir) { path.to_owned() } else { format!("{dir}:{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_senders_secrets_and_session_do_not_pass() {
        let given = [
            ("PATH", "/bin"),
            ("HOME", "/h"),
            ("LC_ALL", "C"),
            ("IAPEER_ROOT", "/r"),
            ("CANARY_SECRET", "x"),
            ("CLAUDECODE", "1"),
            ("CLAUDE_CODE_SESSION_ID", "x"),
            ("TMUX", "x"),
            ("PEER_IDENTITY", "claude-eve"),
            ("ANTHROPIC_API_KEY", "x"),
            ("LD_PRELOAD", "x"),
        ];
        let kept = allowed(given.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())));
        let names: Vec<&str> = kept.keys().map(String::as_str).collect();
        assert_eq!(names, ["HOME", "IAPEER_ROOT", "LC_ALL", "PATH"]);
    }

    #[test]
    fn a_conversation_is_named_by_the_uuid_at_the_end() {
        let uuid = "01a1fd14-5888-70f0-aedf-0707e3f20c8b";
        assert_eq!(session_id(&format!("rollout-2026-11-21T07-48-51-{uuid}")), uuid);
        assert_eq!(session_id(uuid), uuid);
        assert_eq!(
            session_id("a-long-name-that-is-no-uuid-but-has-more-than-36"),
            "a-long-name-that-is-no-uuid-but-has-more-than-36"
        );
        assert_eq!(session_id("short"), "short");
    }

    #[test]
    fn a_short_path_gets_what_it_lacks_behind_it() {
        assert_eq!(with_back("/x:/bin", "/usr/bin:/bin:/y"), "/x:/bin:/usr/bin:/y");
        assert_eq!(with_back("", "/bin"), "/bin");
    }

    #[test]
    fn a_missing_path_gets_the_default() {
        assert_eq!(allowed(std::iter::empty())["PATH"], DEFAULT_PATH);
        let home = std::iter::once(("HOME".to_owned(), "/h".to_owned()));
        assert_eq!(allowed(home)["PATH"], format!("/h/.local/bin:{DEFAULT_PATH}"));
    }
}
