//! Files that others can place, or that are no regular files: the one peer whose file it is is refused by name, nobody
//! else waits, and `iapeer doctor` names the file.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;
use support::replacing::{self, clear, in_its_place};
use support::{Output, PATIENCE, TestHome, wait_until};

/// Far under any time-out of ours: whoever takes longer waits for something.
const SOON: Duration = Duration::from_secs(20);

fn soon(home: &TestHome, words: &[&str]) -> Output {
    home.spawn(words[0], &words[1..]).wait(SOON)
}

/// Puts something there that is no regular file, or none of ours.
fn place(what: &str, path: &Path) {
    match what {
        "link" => {
            let target = path.with_extension("target");
            fs::write(&target, "A=1\n").unwrap();
            in_its_place(path, || symlink(&target, path));
        }
        "open" => {
            clear(path);
            fs::write(path, "A=1\n").unwrap();
            fs::set_permissions(path, Permissions::from_mode(0o666)).unwrap();
        }
        other => replacing::place(other, path),
    }
}

fn home() -> TestHome {
    let home = TestHome::new();
    for name in ["al", "bob", "eve"] {
        home.parrot(name, &[]);
    }
    home
}

fn launch_env(home: &TestHome) -> PathBuf {
    home.cwd("bob").join(".iapeer/runtimes/parrot/launch.env")
}

/// Everything that looks at every peer comes to an end, and eve is served as ever.
#[track_caller]
fn nobody_else_waits(home: &TestHome, what: &str) {
    for words in [&["iapeer-superviser"][..], &["iapeer", "list"], &["iapeer", "status"], &["iapeer-drain", "--all"]] {
        assert_eq!(soon(home, words).code, 0, "{what}: {words:?}");
    }
    soon(home, &["iapeer", "doctor"]);
    let sent = soon(home, &["iapeer-send", "eve", "--from", "al", "-m", what]);
    assert!(sent.stdout.starts_with("delivered"), "{what}: {sent}");
}

#[test]
fn a_launch_env_that_is_no_file_of_ours_refuses_its_peer_by_name_and_costs_no_try() {
    let home = home();
    let path = launch_env(&home);
    for what in ["fifo", "loop", "zero", "link", "folder", "huge", "open"] {
        place(what, &path);
        // The first one gets a reason of its own; the others wait behind it.
        let wait = if what == "fifo" { "15" } else { "1" };
        let sent = soon(&home, &["iapeer-send", "bob", "--from", "al", "--wait", wait, "-m", what]);
        assert!(sent.code == 0 && sent.stdout.starts_with("queued"), "{what}: {sent}");
        assert!(sent.stdout.contains("launch.env") && sent.stdout.contains("parrot-bob"), "{what}: {sent}");
        home.at_rest("parrot-bob");
        let woken = soon(&home, &["iapeer-wake", "bob"]);
        assert_eq!(woken.code, if what == "open" { 77 } else { 78 }, "{what}: {woken}");
        let found = soon(&home, &["iapeer", "doctor"]).stdout;
        assert!(found.lines().any(|line| line.starts_with("✗ bob") && line.contains("launch.env")), "{what}: {found}");
        nobody_else_waits(&home, what);
        assert!(!home.state("parrot-bob", "deaths"), "{what}: a refusal is no death");
        clear(&path);
    }
    home.launch_env("bob", &[]);
    soon(&home, &["iapeer-drain", "parrot-bob"]);
    wait_until("all of them, in order", PATIENCE, || {
        home.bodies("bob") == ["fifo", "loop", "zero", "link", "folder", "huge", "open"]
    });
}

#[test]
fn a_profile_that_is_no_file_of_ours_refuses_its_peer_and_no_other() {
    let home = home();
    let path = home.cwd("bob").join(".iapeer/peer-profile.json");
    let own = fs::read(&path).unwrap();
    for what in ["fifo", "loop", "zero", "folder", "huge", "open"] {
        place(what, &path);
        let woken = soon(&home, &["iapeer-wake", "bob"]);
        assert_ne!(woken.code, 0, "{what}: {woken}");
        assert!(woken.stderr.contains("peer-profile.json"), "{what}: {woken}");
        let found = soon(&home, &["iapeer", "doctor"]).stdout;
        assert!(found.lines().any(|line| line.contains("peer-profile.json")), "{what}: {found}");
        assert_ne!(soon(&home, &["iapeer", "verify"]).code, 0, "{what}");
        nobody_else_waits(&home, what);
        clear(&path);
    }
    fs::write(&path, own).unwrap();
    assert_eq!(soon(&home, &["iapeer-wake", "bob"]).code, 0);
}

#[test]
fn a_folder_of_settings_that_others_may_write_is_refused_and_doctor_closes_it() {
    let home = home();
    let own = home.cwd("bob").join(".iapeer");
    for folder in [own.clone(), own.join("runtimes"), own.join("runtimes/parrot")] {
        fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
        let woken = soon(&home, &["iapeer-wake", "bob"]);
        assert!(woken.code == 77 && woken.stderr.contains(folder.to_str().unwrap()), "{woken}");
        let fixed = soon(&home, &["iapeer", "doctor", "--fix"]).stdout;
        assert!(fixed.lines().any(|line| line.starts_with("✓ bob")), "{fixed}");
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o755);
    }
    assert_eq!(soon(&home, &["iapeer-wake", "bob"]).code, 0);
}

#[test]
fn what_belongs_to_somebody_else_is_refused() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: only root can give files away");
        return;
    }
    let home = home();
    let own = home.cwd("bob").join(".iapeer");
    for path in [own.clone(), own.join("peer-profile.json"), launch_env(&home), own.join("IAPEER.md")] {
        std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
        let woken = soon(&home, &["iapeer-wake", "bob"]);
        assert!(woken.code == 77 && woken.stderr.contains(path.to_str().unwrap()), "{woken}");
        assert!(woken.stderr.contains("65534"), "{woken}");
        let found = soon(&home, &["iapeer", "doctor"]).stdout;
        assert!(found.contains(path.to_str().unwrap()), "{found}");
        std::os::unix::fs::chown(&path, Some(0), None).unwrap();
    }
    assert_eq!(soon(&home, &["iapeer-wake", "bob"]).code, 0);
}

#[test]
fn a_document_of_the_peer_that_is_no_file_refuses_it_and_a_link_to_one_is_read() {
    let home = home();
    let own = home.cwd("bob").join(".iapeer");
    place("fifo", &own.join("IAPEER.md"));
    let woken = soon(&home, &["iapeer-wake", "bob"]);
    assert!(woken.code == 78 && woken.stderr.contains("IAPEER.md"), "{woken}");
    assert!(soon(&home, &["iapeer", "doctor"]).stdout.contains("IAPEER.md"));
    nobody_else_waits(&home, "documents");
    clear(&own.join("IAPEER.md"));
    fs::write(home.cwd("bob").join("AGENTS.md"), "mind the gap\n").unwrap();
    symlink("../AGENTS.md", own.join("IAPEER.md")).unwrap();
    assert_eq!(soon(&home, &["iapeer-wake", "bob"]).code, 0);
}

#[test]
fn state_files_that_are_no_files_hold_up_nobody_and_doctor_names_them() {
    let home = home();
    home.ok("iapeer-wake", &["bob"]);
    home.ok("iapeer", &["stop", "bob"]);
    home.ok("iapeer", &["start", "bob"]);
    let kinds = [
        "session",
        "session.reaping",
        "teardown",
        "turn",
        "topic",
        "deaths",
        "last-death",
        "killed-by",
        "tool",
        "refresh",
        "stopped",
        "idle-reaped",
        "lock",
    ];
    for what in ["fifo", "zero", "folder", "huge"] {
        for kind in kinds {
            let path = home.state_dir().join(format!("parrot-bob.{kind}"));
            place(what, &path);
            let found = soon(&home, &["iapeer", "doctor"]).stdout;
            assert!(found.contains(path.to_str().unwrap()), "{what} {kind}: {found}");
            for words in [&["iapeer-superviser"][..], &["iapeer", "list"], &["iapeer-drain", "parrot-bob"]] {
                soon(&home, words);
            }
            let turn = soon(&home, &["env", "PEER_IDENTITY=parrot-bob", "PEER_LAUNCH=x", "iapeer-turn", "stop"]);
            assert_eq!(turn.code, 0, "{what} {kind}: {turn}");
            clear(&path);
        }
        nobody_else_waits(&home, what);
    }
    let left = fs::read_dir(home.state_dir()).unwrap().flatten().map(|entry| entry.path());
    left.filter(|path| path.to_str().unwrap().contains(".corrupt-")).for_each(|path| clear(&path));
    let sent = soon(&home, &["iapeer-send", "bob", "--from", "al", "-m", "well again"]);
    assert!(sent.stdout.starts_with("delivered"), "{sent}");
}

#[test]
fn a_queue_with_other_things_than_files_in_it_delivers_what_is_a_message() {
    let home = home();
    let queue = home.state_dir().join("parrot-bob.queue");
    home.ok("iapeer", &["stop", "eve"]);
    fs::create_dir_all(&queue).unwrap();
    for (name, what) in [("000001", "fifo"), ("000002", "zero"), ("000003", "folder"), ("000004", "huge")] {
        place(what, &queue.join(name));
    }
    let sent = soon(&home, &["iapeer-send", "bob", "--from", "al", "-m", "a message"]);
    assert!(sent.stdout.starts_with("delivered"), "{sent}");
    assert!(queue.join("corrupt/000004").exists(), "far over the size of a message");
    place("fifo", &queue.join("seq"));
    let sent = soon(&home, &["iapeer-send", "bob", "--from", "al", "-m", "not kept"]);
    assert!(sent.code != 0 && sent.stderr.contains("seq"), "{sent}");
    clear(&queue.join("seq"));
    assert!(soon(&home, &["iapeer-send", "bob", "--from", "al", "-m", "kept"]).stdout.starts_with("delivered"));
    assert_eq!(home.bodies("bob"), ["a message", "kept"]);
}

#[test]
fn logs_that_are_no_files_cost_their_lines_and_nothing_else() {
    for what in ["fifo", "zero", "loop", "folder"] {
        let home = home();
        let logs = home.root().join("logs");
        for name in ["lifecycle.log", "delivery.log", "exits.log"] {
            place(what, &logs.join("iapeer").join(name));
        }
        let sent = soon(&home, &["iapeer-send", "bob", "--from", "al", "-m", "x"]);
        assert!(sent.stdout.starts_with("delivered"), "{what}: {sent}");
        assert_eq!(soon(&home, &["iapeer", "logs"]).code, 0);
        assert_eq!(soon(&home, &["iapeer-superviser"]).code, 0);
        assert!(soon(&home, &["iapeer", "doctor"]).stdout.contains("delivery.log"), "{what}");
    }
}

#[test]
fn a_pane_log_that_is_no_file_refuses_its_peer_by_name() {
    let home = home();
    let pane_log = home.root().join("logs/lifecycle/parrot-bob.log");
    fs::create_dir_all(pane_log.parent().unwrap()).unwrap();
    for what in ["fifo", "zero", "folder"] {
        place(what, &pane_log);
        let woken = soon(&home, &["iapeer-wake", "bob"]);
        assert!(woken.code == 78 && woken.stderr.contains("parrot-bob.log"), "{what}: {woken}");
        nobody_else_waits(&home, what);
        clear(&pane_log);
    }
    assert_eq!(soon(&home, &["iapeer-wake", "bob"]).code, 0);
}

#[test]
fn a_kick_a_registry_and_a_manifest_that_are_no_files_are_named() {
    let home = home();
    place("fifo", &home.state_dir().join("kick"));
    let sent = soon(&home, &["iapeer-send", "bob", "--from", "al", "-m", "x"]);
    assert!(sent.stdout.starts_with("delivered"), "{sent}");
    let _socket = UnixListener::bind(home.state_dir().join("parrot-bob.topic")).unwrap();
    assert!(soon(&home, &["iapeer", "doctor"]).stdout.contains("parrot-bob.topic"));
    let manifest = home.root().join("runtimes/codex/runtime.json");
    fs::create_dir_all(manifest.parent().unwrap()).unwrap();
    place("fifo", &manifest);
    let added = soon(&home, &["iapeer", "add-runtime", "codex", "--peer", "bob"]);
    assert!(added.code != 0 && added.stderr.contains("runtime.json"), "{added}");
    let registry = home.root().join("peers-profiles.json");
    place("fifo", &registry);
    let listed = soon(&home, &["iapeer", "list"]);
    assert!(listed.code == 78 && listed.stderr.contains("peers-profiles.json"), "{listed}");
}

#[test]
fn a_folder_that_serves_others_is_never_closed() {
    let home = home();
    let shared = home.dir().join("shared");
    fs::create_dir(&shared).unwrap();
    // As /tmp, and as a home in which others' things are.
    for (mode, file) in [(0o1777, "x"), (0o755, "Documents")] {
        fs::write(shared.join(file), "").unwrap();
        for variable in ["IAPEER_SOCK_DIR", "IAPEER_ROOT"] {
            fs::set_permissions(&shared, Permissions::from_mode(mode)).unwrap();
            let run = |program: &str, args: &[&str]| home.start(with(&home, variable, &shared, program, args), None);
            let refused = run("iapeer", &["list"]).wait(SOON);
            assert_eq!(refused.code, 77, "{refused}");
            assert!(refused.stderr.contains(variable) && !refused.stderr.contains("chmod"), "{refused}");
            let fixed = run("iapeer", &["doctor", "--fix"]).wait(SOON);
            let advice = format!("set {variable} to a folder of iapeer's own");
            assert!(fixed.code == 77 && fixed.stdout.contains(&advice), "{fixed}");
            assert!(!fixed.stdout.contains("chmod") && !fixed.stdout.contains("chown"), "{fixed}");
            assert_eq!(fs::metadata(&shared).unwrap().mode() & 0o7777, mode, "{variable}");
        }
        fs::remove_file(shared.join(file)).unwrap();
    }
    // An empty one is nobody else's.
    let run = |args: &[&str]| home.start(with(&home, "IAPEER_SOCK_DIR", &shared, "iapeer", args), None).wait(SOON);
    assert!(run(&["list"]).stderr.contains("chmod 700"));
    assert_eq!(run(&["doctor", "--fix"]).code, 0);
    assert_eq!(fs::metadata(&shared).unwrap().mode() & 0o7777, 0o700);
}

#[test]
fn what_was_moved_away_as_doctor_said_is_not_named_again() {
    let home = home();
    home.ok("iapeer-superviser", &[]);
    let state = home.state_dir();
    fs::create_dir_all(state.join("parrot-bob.queue/inflight")).unwrap();
    for (what, name) in [
        ("fifo", "parrot-bob.topics"),
        ("folder", "parrot-bob.last-death"),
        ("fifo", "parrot-bob.queue/inflight/000009"),
    ] {
        place(what, &state.join(name));
        fs::set_permissions(state.join(name), Permissions::from_mode(0o700)).unwrap();
    }
    let commands = |output: Output| {
        let findings = output.json_lines();
        let of = |line: &serde_json::Value| line["commands"].as_array().cloned().unwrap_or_default();
        findings.iter().flat_map(of).map(|text| text.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let moves = commands(soon(&home, &["iapeer", "doctor", "--json"]));
    assert_eq!(moves.iter().filter(|line| line.starts_with("mv ")).count(), 3, "{moves:?}");
    for line in &moves {
        let ran = soon(&home, &["sh", "-c", line]);
        // While one of the others is still there, `doctor --fix` says so by its code.
        assert!(ran.code == 0 || line.starts_with("iapeer doctor"), "{line}: {ran}");
    }
    assert_eq!(commands(soon(&home, &["iapeer", "doctor", "--json"])), [""; 0]);
}

/// The command with the folder `dir` as `variable` says.
fn with(home: &TestHome, variable: &str, dir: &Path, program: &str, args: &[&str]) -> std::process::Command {
    let mut command = home.cmd(program);
    command.args(args).env(variable, dir);
    command
}

#[test]
fn files_are_private_also_with_umask_0() {
    let home = TestHome::new();
    let script = "umask 0; iapeer create al --runtime parrot && iapeer create bob --runtime parrot && \
                  iapeer create w --runtime parrot --ephemeral && \
                  iapeer-send bob --from al --topic t -m x && iapeer-send w --from al -m x && iapeer rename al ann && \
                  iapeer stop bob && iapeer start bob && iapeer-superviser && iapeer-drain --all && iapeer remove ann";
    let ran = home.run("sh", &["-c", script]);
    assert_eq!(ran.code, 0, "{ran}");
    let mut todo = vec![home.root()];
    while let Some(path) = todo.pop() {
        // A drain or a hook that is still at work may just have moved or removed it.
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        let kind = meta.file_type();
        if kind.is_dir() {
            todo.extend(fs::read_dir(&path).into_iter().flatten().map(|entry| entry.unwrap().path()));
        }
        if kind.is_dir() || kind.is_file() {
            let open = meta.mode() & 0o077;
            assert_eq!(open, 0, "{} is open to others: {:o}", path.display(), meta.mode() & 0o777);
        }
    }
}

#[test]
fn a_byte_order_mark_is_no_part_of_what_a_file_says() {
    let home = home();
    let profile = home.cwd("bob").join(".iapeer/peer-profile.json");
    for path in [profile.clone(), launch_env(&home), home.root().join("peers-profiles.json")] {
        let text = fs::read(&path).unwrap();
        fs::write(&path, [b"\xef\xbb\xbf", text.as_slice()].concat()).unwrap();
    }
    let sent = soon(&home, &["iapeer-send", "bob", "--from", "al", "-m", "x"]);
    assert!(sent.stdout.starts_with("delivered"), "{sent}");
    assert_eq!(home.bodies("bob"), ["x"], "the first variable of launch.env was read");
    assert_eq!(home.ok("iapeer", &["verify"]).stderr, "");
}

#[test]
fn what_is_shown_steers_no_terminal() {
    let home = home();
    let log = home.root().join("logs/iapeer/lifecycle.log");
    let line = "ts=2026-01-31T12:00:00.000Z ev=x identity=parrot-bob why=\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}txt\n";
    fs::write(&log, line).unwrap();
    let dead = home.state_dir().join("parrot-bob.queue/dead");
    fs::create_dir_all(&dead).unwrap();
    let item = serde_json::json!({"v": 1, "id": "01M7YEQDPSFQ470K9N062NKM85", "task": "x", "from": "parrot-al",
        "accepted": 1, "attempts": 5, "reason": "screen: \u{1b}[2J\u{9b}31m"});
    fs::write(dead.join("000001"), item.to_string()).unwrap();
    let death = serde_json::json!({"at": 1, "event": "server-exit", "cause": "\u{1b}[31mred", "over": false});
    fs::write(home.state_dir().join("parrot-bob.last-death"), death.to_string()).unwrap();
    for words in [
        &["iapeer", "logs"][..],
        &["iapeer", "logs", "--json"],
        &["iapeer", "list"],
        &["iapeer", "list", "--json"],
        &["iapeer-drain", "--list"],
        &["iapeer-drain", "--list", "--json"],
        &["iapeer", "doctor"],
    ] {
        let shown = soon(&home, words).stdout;
        let steers = shown.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
        assert_eq!(steers, None, "{words:?}: {shown:?}");
        assert!(shown.contains("bob"), "{words:?}: {shown:?}");
    }
}

/// A file in the folder's place, since root may list any folder.
#[test]
fn a_folder_that_can_not_be_listed_is_said_and_never_empty() {
    let home = home();
    let root = home.root();
    let cases: [(&str, &[&str]); 3] = [
        ("history", &["iapeer", "history"]),
        ("logs/iapeer", &["iapeer", "logs"]),
        ("state/lifecycle/parrot-bob.approval", &["iapeer", "answer", "bob", "allow"]),
    ];
    for (folder, words) in cases {
        let path = root.join(folder);
        clear(&path);
        fs::write(&path, "").unwrap();
        let said = soon(&home, words);
        assert!(said.code != 0 && said.stderr.contains("cannot list"), "{folder}: {said}");
        assert!(said.stderr.contains(path.to_str().unwrap()), "{folder}: {said}");
        clear(&path);
    }
}
