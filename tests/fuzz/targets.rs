//! What others give us to read, as functions from bytes: they must not panic, and what they understand must come back the
//! same when it is written and read again. Used by `tests/fuzz.rs` and by the targets of `fuzz/` (cargo-fuzz).

use iapeer::base::HostName;
use iapeer::base::clock::{EpochMs, SystemClock};
use iapeer::base::identity::{Identity, Intelligence};
use iapeer::base::paths::{self, Paths};
use iapeer::base::settings::Settings;
use iapeer::chronicle::usage::UsageBy;
use iapeer::chronicle::{page, svg, text, timeline, usage, usage_table};
use iapeer::fleet::file::Fleet;
use iapeer::machine::RealHost;
use iapeer::message::envelope::{Envelope, Instruction};
use iapeer::relay::receive;
use iapeer::runtime::transcript::Transcripts;
use iapeer::runtime::{Manifest, Screen};
use iapeer::session::hook::{self, Hook};
use iapeer::store::hosts::HostFile;
use iapeer::store::nats::NatsFile;
use iapeer::store::profile::Profile;
use iapeer::store::queue::Item;
use iapeer::store::registry::Registry;
use iapeer::store::session_record::SessionRecord;
use iapeer::telegram::update::{self, Update};
use iapeer::world::World;
use std::cell::OnceCell;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A kind of input: its name, what reads it.
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
}

pub const TARGETS: &[Target] = &[
    Target { name: "envelope", run: envelope },
    Target { name: "profile", run: profile },
    Target { name: "registry", run: registry },
    Target { name: "item", run: item },
    Target { name: "screen", run: screen },
    Target { name: "transcript", run: transcript },
    Target { name: "manifest", run: manifest_file },
    Target { name: "hook", run: hook_input },
    Target { name: "wire", run: wire },
    Target { name: "hosts", run: host_files },
    Target { name: "fleet", run: fleet_file },
    Target { name: "update", run: telegram_update },
    Target { name: "chronicle", run: chronicle },
];

/// Runs the target `name`, for a fuzzer that has one program for each.
#[allow(dead_code, reason = "for fuzz/")]
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target of that name");
    (target.run)(bytes);
}

/// A root of this thread's own, in memory where the system has a folder for that.
struct Place {
    paths: Paths,
    cwd: PathBuf,
    manifests: Vec<Manifest>,
    _dir: tempfile::TempDir,
}

thread_local! {
    static PLACE: OnceCell<Place> = const { OnceCell::new() };
}

fn with_place<T>(run: impl FnOnce(&Place) -> T) -> T {
    PLACE.with(|place| run(place.get_or_init(make_place)))
}

fn make_place() -> Place {
    let memory = Path::new("/dev/shm");
    let mut builder = tempfile::Builder::new();
    builder.prefix("iapeer-fuzz-");
    let dir =
        if memory.is_dir() { builder.tempdir_in(memory) } else { builder.tempdir() }.expect("a folder can be made");
    let paths = Paths::read(|name| match name {
        "IAPEER_ROOT" => Some(dir.path().join("r")),
        "HOME" => Some(dir.path().join("h")),
        _ => None,
    })
    .expect("a fresh root is fine");
    paths.ensure().expect("a fresh root can be made");
    let cwd = dir.path().join("w");
    for folder in [cwd.join(".iapeer"), dir.path().join("h"), paths.root().join("runtimes/other"), transcripts(&cwd)] {
        fs::create_dir_all(folder).expect("a folder can be made");
    }
    let load = |name: &str| Manifest::load(&paths, &name.parse().expect("it is built in")).expect("it is built in");
    let manifests = ["parrot", "claude", "codex", "telegram", "notifier"].map(load).into();
    Place { paths, cwd, manifests, _dir: dir }
}

fn transcripts(cwd: &Path) -> PathBuf {
    cwd.join("transcripts")
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("a file can be written");
}

fn envelope(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(read) = Envelope::decode(&text) {
        for instruction in [Instruction::Send, Instruction::Mcp] {
            let again = Envelope::decode(&read.encode(instruction));
            assert_eq!(again.as_ref(), Ok(&read), "an envelope comes back another one");
        }
    }
    // Any text is a body.
    let body = Envelope {
        from: "parrot-al".parse().expect("an identity"),
        intelligence: Intelligence::Artificial,
        ts: "2026-01-31T12:00:00Z".into(),
        topic: None,
        id: None,
        re: None,
        redelivered: None,
        attachments: vec![],
        body: text.into_owned(),
    };
    let again = Envelope::decode(&body.encode(Instruction::Send)).expect("what was encoded can be decoded");
    assert_eq!(again.body, body.body, "a body comes back another one");
}

fn profile(bytes: &[u8]) {
    with_place(|place| {
        write(&paths::profile_path(&place.cwd), bytes);
        if let Ok(Some(profile)) = Profile::read(&place.cwd) {
            let _ = (profile.personality(), profile.default_runtime(), profile.policy().ephemeral());
        }
    });
}

fn registry(bytes: &[u8]) {
    with_place(|place| {
        write(&place.paths.registry(), bytes);
        if let Ok(registry) = Registry::read(&place.paths) {
            for peer in registry.peers() {
                assert!(registry.get(&peer.personality).is_some(), "a peer that is there is not found");
            }
        }
    });
}

fn item(bytes: &[u8]) {
    if let Ok(item) = serde_json::from_slice::<Item>(bytes) {
        let again = serde_json::to_vec(&item).expect("an item can be written");
        assert_eq!(serde_json::from_slice::<Item>(&again).ok(), Some(item), "an item comes back another one");
    }
    if let Ok(record) = serde_json::from_slice::<SessionRecord>(bytes) {
        let again = serde_json::to_vec(&record).expect("a record can be written");
        assert!(serde_json::from_slice::<SessionRecord>(&again).is_ok(), "a record can't be read again");
    }
}

fn screen(bytes: &[u8]) {
    let screen = Screen {
        styled: String::from_utf8_lossy(bytes).into_owned(),
        title: String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned(),
        host: "host".into(),
        width: bytes.first().map_or(0, |first| usize::from(*first)),
    };
    let _ = (screen.rows(), screen.cursor_row("❯"));
    assert!(screen.tail().chars().count() <= 160);
    with_place(|place| {
        for rules in place.manifests.iter().filter_map(|manifest| manifest.screen.as_ref()) {
            let _ = (screen.sight(rules), screen.whole_draft(rules), screen.verdicts(rules));
            let _ = screen.shown(rules, EpochMs(1_795_000_000_000));
        }
    });
}

fn transcript(bytes: &[u8]) {
    let id = "01M7YEQDPSFQ470K9N062NKM85".parse().expect("an id");
    with_place(|place| {
        for manifest in &place.manifests {
            let Some(rules) = &manifest.transcript else { continue };
            let mut rules = rules.clone();
            rules.dir = transcripts(&place.cwd).to_string_lossy().into_owned();
            rules.cwd = None;
            let file = transcripts(&place.cwd).join("a.jsonl");
            write(&file, bytes);
            let found = Transcripts::of(&rules, &place.paths, &place.cwd, |_| None);
            let _ = (found.newest(), found.last_activity(), found.trouble());
            let _ =
                (found.carries(id), found.carries_since(&[(file, 7)].into(), id), found.compacted_since(&[].into()));
        }
    });
}

fn manifest_file(bytes: &[u8]) {
    with_place(|place| {
        let runtime = "other".parse().expect("a runtime");
        write(&place.paths.manifest(&runtime), bytes);
        if let Ok(manifest) = Manifest::load(&place.paths, &runtime) {
            let _ = manifest.settle(16_000);
            if let Some(rules) = &manifest.screen {
                let _ = Screen { styled: "❯ 1. Yes\n".into(), ..Screen::default() }.shown(rules, EpochMs(1));
            }
        }
    });
}

fn hook_input(bytes: &[u8]) {
    with_place(|place| {
        with_world(place, |world| {
            let identity: Identity = "parrot-bob".parse().expect("an identity");
            for hook in [Hook::Start, Hook::Prompt, Hook::End] {
                let _ = hook::record(world, &identity, None, hook, bytes);
            }
        });
    });
}

/// Runs `act` in the world of a program. What it starts is not there to be started.
fn with_world<T>(place: &Place, act: impl FnOnce(&World<'_>) -> T) -> T {
    let (clock, settings) = (SystemClock::default(), Settings::read(|_| None).expect("the defaults"));
    let host = RealHost::new(&place.paths, &settings, &clock);
    act(&World::new(&place.paths, &settings, &clock, &host, "fuzz"))
}

/// The peers `al` on several runtimes and `me`, a person.
fn register(place: &Place) {
    let (al, me) = (place.cwd.display(), place.cwd.join("me"));
    fs::create_dir_all(me.join(".iapeer")).expect("a folder can be made");
    write(&paths::profile_path(&me), br#"{"personality":"me","runtime":"person","intelligence":"natural"}"#);
    write(&paths::profile_path(&place.cwd), br#"{"personality":"al","runtime":"claude","intelligence":"artificial"}"#);
    let registry = format!(
        r#"{{"version":2,"peers":[{{"personality":"al","default_runtime":"claude","runtimes":["claude","codex","parrot"],"intelligence":"artificial","cwd":"{al}"}},{{"personality":"me","default_runtime":"person","runtimes":["person"],"intelligence":"natural","cwd":"{}"}}]}}"#,
        me.display()
    );
    write(&place.paths.registry(), registry.as_bytes());
}

/// What another host says after its hello.
fn wire(bytes: &[u8]) {
    with_place(|place| {
        register(place);
        fs::create_dir_all(place.paths.root().join("hosts")).expect("a folder can be made");
        let other: HostName = "box".parse().expect("a host's name");
        write(&place.paths.host_file(&other), br#"{"transport":"ssh"}"#);
        write(&place.paths.hostname(), b"here\n");
        let hello = &b"{\"hello\":{\"host\":\"box\",\"version\":\"1\",\"protocol\":[1,1]}}\n"[..];
        let mut said = Vec::new();
        let input = std::io::Cursor::new([hello, bytes].concat());
        let _ = with_world(place, |world| receive::receive(world, &other, input, &mut said));
        let lines = said.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        for line in lines {
            assert!(serde_json::from_slice::<serde_json::Value>(line).is_ok(), "it says what is no line");
        }
        // Whatever it says, it writes into the queues, the outbox and the folder of attachments alone.
        let mut names: Vec<String> = names_in(place.paths.root());
        names.extend(names_in(&place.cwd));
        names.extend(names_in(place.paths.root().parent().expect("it is in a folder")));
        let known =
            ["cache", "history", "hosts", "hostname", "logs", "peers-profiles.json", "runtimes", "socks", "state"];
        let known =
            known.iter().chain(&[".iapeer", "me", "transcripts", "h", "r", "w", "people", "peers-profiles.lock"]);
        let known: Vec<&str> = known.copied().collect();
        assert!(names.iter().all(|name| known.contains(&name.as_str())), "it writes elsewhere: {names:?}");
        for left in ["state", "history", "cache"] {
            let _ = fs::remove_dir_all(place.paths.root().join(left));
        }
        place.paths.ensure().expect("a root can be made again");
    });
}

fn names_in(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn host_files(bytes: &[u8]) {
    with_place(|place| {
        let host: HostName = "box".parse().expect("a host's name");
        fs::create_dir_all(place.paths.root().join("hosts")).expect("a folder can be made");
        write(&place.paths.host_file(&host), bytes);
        if let Ok(Some(file)) = HostFile::read(&place.paths, &host) {
            file.write(&place.paths, &host).expect("what was read can be written");
            assert_eq!(HostFile::read(&place.paths, &host).ok().flatten(), Some(file), "a host comes back another one");
        }
        write(&place.paths.hostname(), bytes);
        let _ = iapeer::store::hosts::own_name(&place.paths);
        let nats = place.paths.nats();
        write(&nats, bytes);
        fs::set_permissions(&nats, fs::Permissions::from_mode(0o600)).expect("it is ours");
        let _ = NatsFile::read(&place.paths);
        let _ = (fs::remove_file(nats), fs::remove_file(place.paths.hostname()));
    });
}

fn fleet_file(bytes: &[u8]) {
    with_place(|place| {
        register(place);
        let file = place.cwd.join("fleet.toml");
        write(&file, bytes);
        let _ = with_world(place, |world| Fleet::read(world, &file).map(drop));
        let _ = fs::remove_file(&file);
    });
}

fn telegram_update(bytes: &[u8]) {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(bytes) else { return };
    let Ok(read) = serde_json::from_value::<Update>(value) else { return };
    let Some(message) = &read.message else { return };
    for file in message.files() {
        let name = file.saved_name();
        assert!(!name.is_empty() && !name.starts_with('.') && !name.contains('/'), "{name:?} is no name of a file");
    }
    if message.is_of(7) {
        let text = update::shown_again(message.text());
        let whole: String = text.concat().split('\n').collect();
        let given: String = message.text().split('\n').collect();
        let bare = |text: String| -> String { text.chars().filter(|c| !c.is_whitespace()).collect() };
        assert_eq!(bare(whole), bare(given), "a text comes back another one");
        assert!(text.iter().all(|part| part.encode_utf16().count() <= 4096), "a part is too long for Telegram");
    }
}

/// A transcript, up to the first NUL; behind it the lines of a log, which are told of together.
fn chronicle(bytes: &[u8]) {
    with_place(|place| {
        register(place);
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        for manifest in &place.manifests {
            let Some(rules) = &manifest.transcript else { continue };
            let found = Transcripts::of(rules, &place.paths, &place.cwd, |_| None);
            fs::create_dir_all(found.dir()).expect("a folder can be made");
            write(&found.dir().join("a.jsonl"), &bytes[..end]);
        }
        write(&place.paths.root().join("logs/iapeer/lifecycle.log"), bytes.get(end + 1..).unwrap_or_default());
        with_world(place, |world| {
            for by in [UsageBy::Peer, UsageBy::Day, UsageBy::Model] {
                let used = usage::usage(world, EpochMs(0), by, None).expect("the files can be read");
                let _ = usage_table::lines(&used, by.as_str(), None);
            }
            for since in [EpochMs(0), EpochMs(1_795_000_000_000)] {
                let told = timeline::timeline(world, since, &[]).expect("the files can be read");
                let _ = (svg::svg(&told), page::page(&told, &[], "here"));
                let _ = [20, 80, 300].map(|width| text::lines(&told, width));
            }
        });
    });
}
