//! What an attacker, a slip of the hand or a broken disk puts in the way of what is newest: files of other hosts, what
//! they say, fleet files, transcripts, inboxes. Nothing waits for ever, nothing panics, errors are one line, and the
//! others are served.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;
use support::{Output, SmallDisk, TestHome, wait_until};

/// Whoever takes longer waits for something.
const SOON: Duration = Duration::from_secs(40);

#[track_caller]
fn soon(home: &TestHome, words: &[&str]) -> Output {
    let output = home.spawn(words[0], &words[1..]).wait(SOON);
    fine(&output, words);
    output
}

/// It neither panicked nor was killed.
#[track_caller]
fn fine(output: &Output, words: &[&str]) {
    assert!(output.code < 100 && !output.stderr.contains("panicked"), "{words:?}: {output}");
}

const KINDS: [&str; 6] = ["fifo", "loop", "zero", "folder", "huge", "binary"];

fn place(kind: &str, path: &Path) {
    clear(path);
    match kind {
        "fifo" => nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap(),
        "loop" => symlink(path, path).unwrap(),
        "zero" => symlink("/dev/zero", path).unwrap(),
        "folder" => fs::create_dir(path).unwrap(),
        "huge" => fs::File::create(path).unwrap().set_len(300 << 20).unwrap(),
        "binary" => fs::write(path, b"\xff\xfe\0{\"a\":").unwrap(),
        other => panic!("{other}"),
    }
}

fn clear(path: &Path) {
    match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path).unwrap(),
        _ => drop(fs::remove_file(path)),
    }
}

/// A home with parrots al and bob and the person me.
fn home() -> TestHome {
    let home = TestHome::new();
    home.set("IAPEER_SERVICE_MANAGER", "none");
    home.parrot("al", &[]);
    home.parrot("bob", &[("PARROT_TURN_MS", "5")]);
    home.ok("iapeer", &["create", "me", "--runtime", "person"]);
    home
}

#[track_caller]
fn bob_is_served(home: &TestHome, what: &str) {
    assert_eq!(soon(home, &["iapeer-superviser"]).code, 0, "{what}");
    let sent = soon(home, &["iapeer-send", "bob", "--from", "al", "--wait", "30", "-m", what]);
    assert!(sent.stdout.starts_with("delivered"), "{what}: {sent}");
}

#[test]
fn files_about_other_hosts_may_be_anything() {
    let home = home();
    let root = home.root();
    fs::create_dir_all(root.join("hosts")).unwrap();
    for name in ["hosts/box.json", "hostname", "nats.json", "owner", "hosts/box.removed"] {
        let path = root.join(name);
        let before = fs::read(&path).ok();
        for kind in KINDS {
            place(kind, &path);
            let what = format!("{name} is a {kind}");
            for words in [
                &["iapeer", "list"][..],
                &["iapeer", "host", "list"],
                &["iapeer", "doctor"],
                &["iapeer", "attention"],
                &["iapeer-relay", "push", "box"],
                &["iapeer-relay", "peers", "box"],
                &["iapeer-send", "me@box", "--from", "al", "--wait", "1", "-m", "x"],
            ] {
                let said = soon(&home, words);
                assert!(said.stderr.lines().count() <= 2, "{what}: {words:?}: {said}");
            }
            let served = home.run_with("iapeer-relay", &["receive", "--host", "box"], b"\n");
            fine(&served, &["receive"]);
            bob_is_served(&home, &what);
            clear(&path);
        }
        if let Some(before) = before {
            fs::write(&path, before).unwrap();
        }
    }
}

#[test]
fn names_of_hosts_are_checked() {
    let home = home();
    for host in ["../x", "a/b", "", "@", "a\nb", "\u{202e}box", "-oProxyCommand=x", &"x".repeat(300)] {
        let sent = soon(&home, &["iapeer-send", &format!("me@{host}"), "--from", "al", "-m", "x"]);
        assert!([64, 67].contains(&sent.code), "{host:?}: {sent}");
        for words in [&["host", "add", host, "me@there"][..], &["host", "remove", host], &["host", "test", host]] {
            let said = soon(&home, &[&["iapeer"], words].concat());
            assert!([64, 67].contains(&said.code), "{words:?}: {said}");
        }
    }
    // What is known stays known when a new way to it is refused.
    home.ok("iapeer", &["host", "add", "box", "me@there"]);
    let file = home.root().join("hosts/box.json");
    let before = fs::read(&file).unwrap();
    for bad in [" ", "a\nb", "me@there\u{7f}"] {
        let said = soon(&home, &["iapeer", "host", "add", "box", bad]);
        assert_eq!((said.code, said.stderr.lines().count()), (64, 1), "{bad:?}: {said}");
        assert_eq!(fs::read(&file).unwrap(), before, "{bad:?}");
    }
}

/// What `iapeer-relay receive` answers to `text` behind a hello.
fn receive(home: &TestHome, text: &[u8]) -> (Output, Vec<Value>) {
    let hello = json!({"hello": {"host": "laptop", "version": "9", "protocol": [1, 1]}});
    let input = [format!("{hello}\n").as_bytes(), text].concat();
    let said = home.run_with("iapeer-relay", &["receive", "--host", "laptop"], &input);
    fine(&said, &["iapeer-relay", "receive"]);
    let lines = said.json_lines().into_iter().skip(1).collect();
    (said, lines)
}

#[test]
fn whatever_another_host_says_is_taken_once_or_refused() {
    let home = home();
    fs::create_dir_all(home.root().join("hosts")).unwrap();
    fs::write(home.root().join("hosts/laptop.json"), r#"{"transport":"ssh"}"#).unwrap();
    let id = |n: u32| format!("01ARZ3NDEKTSV4RRFFQ6{n:06}");
    let message = |n: u32, more: Value| {
        let mut message = json!({"id": id(n), "seq": n, "to": "me", "from": "person-me", "from_intelligence": "natural", "sent": 1, "body": "x"});
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        format!("{}\n", json!({ "message": message }))
    };
    let part = |n: u32, more: Value| {
        let mut part = json!({"id": id(n), "file": 0, "name": "f", "offset": 0, "data": "eA=="});
        part.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        format!("{}\n", json!({ "part": part }))
    };
    // Foreign, torn and oversized lines end the conversation; what was taken before stays.
    let long = "x".repeat(3 << 20);
    let deep = "[".repeat(200_000);
    for bad in
        [&b"\xff\xfe\0\n"[..], b"{}\n", b"{\"message\":", long.as_bytes(), deep.as_bytes(), b"\"done\" \"done\"\n"]
    {
        let (said, _) = receive(&home, &[message(1, json!({})).as_bytes(), bad].concat());
        assert!(said.stderr.len() < 2000, "{said}");
    }
    // Numbers at their ends, pieces that belong nowhere, receipts of what was never sent, a message to itself.
    let odd = [
        part(2, json!({"offset": u64::MAX})),
        part(2, json!({"file": usize::MAX})),
        part(2, json!({"name": "../../x", "data": "not base64"})),
        message(2, json!({"files": [{"name": "f", "size": u64::MAX}, {"name": "f", "size": u64::MAX}]})),
        message(3, json!({"files": [{"name": "f", "size": 1}], "body": ""})),
        message(4, json!({"seq": u64::MAX, "sent": u64::MAX})),
        message(5, json!({"to": "me\nx"})),
        message(6, json!({"to": "", "errand": {"receipt": {"about": id(9), "seq": u64::MAX, "outcome": "delivered"}}})),
        message(
            7,
            json!({"to": "", "errand": {"receipt": {"about": id(9), "seq": 0, "outcome": "dead", "reason": "\u{1b}[2J"}}}),
        ),
        message(8, json!({"body": "x".repeat(16_001)})),
        message(9, json!({"to": "me@laptop"})),
    ];
    let (_, acks) = receive(&home, odd.concat().as_bytes());
    assert!(acks.iter().all(|ack| ack["ack"]["outcome"].is_string() || ack["bye"].is_string()), "{acks:?}");
    // The memory of one conversation has a bound, however fast the other end talks.
    let flood: String = (0..400).map(|n| part(1000 + n, json!({"data": "eHh4".repeat(150_000)}))).collect();
    let limited = home.root().parent().unwrap().join("limited");
    let relay = support::bin("iapeer-relay");
    fs::write(&limited, format!("#!/bin/sh\nulimit -v 800000\nexec {} \"$@\"\n", relay.display())).unwrap();
    let mut command = home.cmd("sh");
    command.arg(&limited).args(["receive", "--host", "laptop"]);
    let hello = json!({"hello": {"host": "laptop", "version": "9", "protocol": [1, 1]}});
    let said = home.start(command, Some(format!("{hello}\n{flood}").as_bytes())).wait(SOON * 3);
    assert_eq!(said.code, 0, "{said}");
    wait_until("the letters", SOON, || home.queue("person-me").0 == 0);
    let letters = support::mail::letters(&home);
    assert!(letters.iter().filter(|letter| letter["id"] == id(1)).count() == 1, "{letters:?}");
    assert!(letters.iter().all(|letter| letter["from"] == "person-me@laptop"), "{letters:?}");
    bob_is_served(&home, "after all that");
}

#[test]
fn a_full_disk_accepts_nothing_for_another_host() {
    let home = TestHome::new();
    let Some(disk) = SmallDisk::mount_with(&home.root(), "size=400k,mode=700") else {
        return eprintln!("SKIPPED: this user may not mount a small disk");
    };
    home.set("IAPEER_SERVICE_MANAGER", "none");
    home.ok("iapeer", &["create", "me", "--runtime", "person"]);
    home.ok("iapeer", &["host", "add", "box"]);
    let file = home.dir().join("f");
    fs::write(&file, vec![b'x'; 300_000]).unwrap();
    let attach =
        ["iapeer-send", "me@box", "--from", "me", "--wait", "0", "-m", "x", "--attach", file.to_str().unwrap()];
    let mut accepted = 0;
    let full = loop {
        let sent = soon(&home, &attach);
        match sent.code {
            0 => accepted += 1,
            _ => break sent,
        }
        assert!(accepted < 3, "300 kB fit three times into 400 kB");
    };
    assert!([73, 74].contains(&full.code) && full.stderr.lines().count() == 1, "{full}");
    let (waiting, inflight, dead) = support::mail::outbox(&home, "box");
    assert_eq!((waiting, inflight, dead), (accepted, 0, 0), "what was refused is not kept");
    let copies = fs::read_dir(home.root().join("state/outbox/box.files")).map_or(0, |all| all.count());
    assert_eq!(copies, accepted, "nor are its files");
    soon(&home, &["iapeer-superviser"]);
    drop(disk);
}

#[test]
fn a_fleet_file_may_be_anything() {
    let home = home();
    let file = home.dir().join("team.toml");
    let path = file.to_str().unwrap();
    let all = |what: &str| {
        for verb in ["diff", "up", "down"] {
            let said = soon(&home, &["iapeer", verb, path]);
            assert!(said.code != 0 && said.stderr.lines().count() == 1, "{verb}, {what:.60}: {said}");
        }
    };
    for kind in KINDS {
        place(kind, &file);
        all(kind);
        clear(&file);
    }
    let deep = |open: &str, close: &str| format!("a = {}1{}\n", open.repeat(100_000), close.repeat(100_000));
    let peer = |more: &str| format!("[peers.dan]\nruntime = \"parrot\"\n{more}\n");
    for text in [
        deep("[", "]"),
        deep("{a=", "}"),
        format!("{} = 1\n", vec!["a"; 100_000].join(".")),
        "[peers.\"../x\"]\nruntime = \"parrot\"\n".into(),
        "[peers.\"a\\nb\"]\nruntime = \"parrot\"\n".into(),
        "[peers.iapeer]\nruntime = \"parrot\"\n".into(),
        peer("folder = \"a\\nb\""),
        peer("folder = \"/dev/null/x\""),
        peer("env = { \"A=B\" = \"x\" }"),
        peer("env_file = \"team.toml/x\""),
        peer("role = { file = \"/dev/zero\" }"),
        peer("role = { file = \"fifo\" }"),
        peer("worktree = { repo = \".\", branch = \"--upload-pack=x\" }"),
        peer("worktree = { repo = \"/dev/zero\", branch = \"x\" }"),
        "[hosts.box]\ndestination = \"-oProxyCommand=x\"\n".into(),
        "[hosts.\"../x\"]\ndestination = \"me@x\"\n".into(),
    ] {
        place("fifo", &home.dir().join("fifo"));
        fs::write(&file, &text).unwrap();
        for verb in ["diff", "up"] {
            let said = soon(&home, &["iapeer", verb, path]);
            assert!(said.code != 0 && said.stderr.lines().count() == 1, "{verb}, {text:.80}: {said}");
        }
        assert!(!home.ok("iapeer", &["list"]).stdout.contains("dan"), "{text:.80}");
    }
    bob_is_served(&home, "after all that");
}

#[test]
fn a_worktree_and_a_folder_may_be_called_anything() {
    let home = home();
    for (name, value) in [("user.name", "n"), ("user.email", "n@example.invalid"), ("init.defaultBranch", "main")] {
        home.ok("git", &["config", "--global", name, value]);
    }
    let odd = home.dir().join("a #{pid} #(touch pwned) %H; \"q\" 'r' $HOME");
    let repo = odd.join("repo");
    fs::create_dir_all(&repo).unwrap();
    let git = |words: &[&str]| drop(home.ok("git", &[&["-C", repo.to_str().unwrap()], words].concat()));
    git(&["init", "-q"]);
    git(&["commit", "-q", "--allow-empty", "-m", "one"]);
    let file = repo.join("team.toml");
    let record = home.dir().join("dan.record");
    let text = format!(
        "[peers.dan]\nruntime = \"parrot\"\nfolder = \"../tree #(touch pwned) #{{pane_id}}/dan\"\nworktree = {{ repo = \".\", branch = \"dan\" }}\nenv = {{ PARROT_RECORD = \"{}\" }}\n",
        record.display()
    );
    fs::write(&file, text).unwrap();
    let path = file.to_str().unwrap();
    home.ok("iapeer", &["up", path]);
    let sent = soon(&home, &["iapeer-send", "dan", "--from", "al", "--wait", "30", "-m", "hello"]);
    assert!(sent.stdout.starts_with("delivered"), "{sent}");
    assert_eq!(home.bodies("dan"), ["hello"]);
    let cwd = home.tmux("parrot-dan", &["display-message", "-p", "#{pane_current_path}"]);
    assert!(cwd.stdout.contains("tree #(touch pwned) #{pane_id}"), "{cwd}");
    let found = home.ok("find", &[home.dir().to_str().unwrap(), "-name", "pwned"]);
    assert_eq!(found.stdout, "", "a name was run");
    assert_eq!(home.ok("iapeer", &["diff", path]).stdout, "nothing differs\n");
}

#[test]
fn the_list_that_git_keeps_may_be_anything() {
    let home = home();
    for (name, value) in [("user.name", "n"), ("user.email", "n@example.invalid"), ("init.defaultBranch", "main")] {
        home.ok("git", &["config", "--global", name, value]);
    }
    let repo = home.dir().join("repo");
    fs::create_dir_all(&repo).unwrap();
    home.ok("git", &["-C", repo.to_str().unwrap(), "init", "-q"]);
    home.ok("git", &["-C", repo.to_str().unwrap(), "commit", "-q", "--allow-empty", "-m", "one"]);
    let file = repo.join("team.toml");
    fs::write(&file, "[peers.dan]\nruntime = \"parrot\"\nworktree = { repo = \".\", branch = \"dan\" }\n").unwrap();
    let exclude = repo.join(".git/info/exclude");
    for kind in ["fifo", "folder", "zero"] {
        place(kind, &exclude);
        let said = home.spawn("iapeer", &["up", file.to_str().unwrap()]).wait(SOON);
        assert!(said.code != 0 && said.stderr.contains("exclude"), "{kind}: {said}");
        clear(&exclude);
    }
    // What is not UTF-8 in it is git's own business.
    fs::write(&exclude, b"\xff\xfe\n").unwrap();
    home.ok("iapeer", &["up", file.to_str().unwrap()]);
}

/// The records of a turn that ends before it began, of all the tokens that a number can hold, at the ends of time.
fn odd_records(cwd: &Path) -> String {
    let cwd = cwd.to_str().unwrap();
    let usage = json!({"input_tokens": u64::MAX, "output_tokens": u64::MAX, "cache_creation_input_tokens": u64::MAX, "cache_read_input_tokens": u64::MAX});
    let mut text = String::new();
    for at in ["2026-11-26T20:00:00Z", "2999-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z"] {
        for line in [
            json!({"type": "user", "cwd": cwd, "promptSource": "typed", "timestamp": at, "message": {"role": "user", "content": "x"}}),
            json!({"type": "assistant", "cwd": cwd, "timestamp": "2026-11-26T19:00:00Z", "message": {"role": "assistant", "model": "\u{1b}[2J\u{202e}m", "usage": usage}}),
            json!({"type": "assistant", "timestamp": at, "message": {"role": "assistant", "model": "m", "usage": usage}}),
            json!({"type": "system", "subtype": "turn_duration", "durationMs": u64::MAX, "timestamp": "2026-11-26T18:00:00Z"}),
            json!({"timestamp": 1e300, "type": "user", "promptSource": "typed"}),
        ] {
            text += &format!("{line}\n");
        }
    }
    text
}

#[test]
fn transcripts_may_be_anything() {
    let home = home();
    // A peer of Claude Code's, which need not be installed to be told of.
    home.ok("iapeer", &["create", "clo", "--runtime", "claude"]);
    let slug: String =
        home.cwd("clo").to_str().unwrap().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let dir = home.home().join(".claude/projects").join(slug);
    fs::create_dir_all(&dir).unwrap();
    let path = dir.join("a.jsonl");
    let page = home.dir().join("page.html");
    let page = page.to_str().unwrap();
    let told = |what: &str| {
        for words in [
            &["iapeer", "usage", "--since", "2000-01-01T00:00:00Z"][..],
            &["iapeer", "usage", "--by", "day", "--since", "2000-01-01T00:00:00Z"],
            &["iapeer", "usage", "--by", "model", "--json"],
            &["iapeer", "timeline"],
            &["iapeer", "timeline", "--since", "2000-01-01T00:00:00Z"],
            &["iapeer", "timeline", "--svg", "-"],
            &["iapeer", "timeline", "--html", page],
            &["iapeer", "list"],
            &["iapeer", "status"],
        ] {
            let said = soon(&home, words);
            assert_eq!(said.code, 0, "{what}: {words:?}: {said}");
            assert!(!said.stdout.contains('\u{1b}') && !said.stdout.contains('\u{202e}'), "{what}: {words:?}: {said}");
        }
    };
    for kind in KINDS {
        place(kind, &path);
        told(kind);
        clear(&path);
    }
    // A line without an end, a line of 300 MB, and behind it one that counts.
    fs::write(&path, odd_records(&home.cwd("clo"))).unwrap();
    told("odd records");
    let good = odd_records(&home.cwd("clo"));
    let mut file = fs::File::create(&path).unwrap();
    file.write_all(b"{\"type\":\"user\",\"x\":\"").unwrap();
    for _ in 0..300 {
        file.write_all(&[b'x'; 1 << 20]).unwrap();
    }
    file.write_all(b"\"}\n").unwrap();
    file.write_all(good.as_bytes()).unwrap();
    drop(file);
    told("a line of 300 MB");
    let used = soon(&home, &["iapeer", "usage", "--since", "2000-01-01T00:00:00Z", "--json"]).json_lines();
    let row = used.iter().find(|row| row["peer"] == "clo").unwrap();
    assert_ne!(row["usage"]["tokens"]["output"], 0, "what stands behind it counts: {row}");
    clear(&path);
    bob_is_served(&home, "after all that");
}

#[test]
fn a_picture_is_written_where_it_is_asked_for_and_nowhere_else() {
    let home = home();
    let at = |name: &str| home.dir().join(name);
    // A link is followed, not replaced.
    fs::write(at("target.svg"), "old").unwrap();
    symlink(at("target.svg"), at("link.svg")).unwrap();
    home.ok("iapeer", &["timeline", "--svg", at("link.svg").to_str().unwrap()]);
    assert!(at("link.svg").symlink_metadata().unwrap().is_symlink());
    assert!(fs::read_to_string(at("target.svg")).unwrap().starts_with("<svg"));
    // A device is written to, not replaced.
    let out = at("out.svg");
    let mut command = home.cmd("sh");
    command.args(["-c", "iapeer timeline --svg /dev/stdout | cat > \"$1\"", "sh"]).arg(&out);
    assert_eq!(home.start(command, None).wait(SOON).code, 0);
    assert!(fs::read_to_string(&out).unwrap().starts_with("<svg"));
    for bad in ["missing/x.svg", "."] {
        let said = soon(&home, &["iapeer", "timeline", "--svg", at(bad).to_str().unwrap()]);
        assert!(said.code == 73 && said.stderr.lines().count() == 1, "{bad}: {said}");
    }
}

#[test]
fn what_lies_in_an_inbox_may_be_anything() {
    let home = home();
    home.ok("iapeer-send", &["me", "--from", "al", "-m", "a letter"]);
    let new = home.cwd("me").join("inbox/new");
    wait_until("the letter", SOON, || fs::read_dir(&new).is_ok_and(|all| all.count() == 1));
    for kind in KINDS {
        for name in
            ["2026-11-21T05:46:07.000Z-parrot-al-01ARZ3NDEKTSV4RRFFQ69G5FAV.md", "note.md", ".hidden", "\u{1b}[2J.md"]
        {
            let path = new.join(name);
            place(kind, &path);
            for words in [
                &["iapeer", "inbox", "me"][..],
                &["iapeer", "inbox", "me", "--all", "--json"],
                &["iapeer", "read", "01ARZ3NDEKTSV4RRFFQ69G5FAV"],
                &["iapeer", "list"],
                &["iapeer", "doctor"],
            ] {
                let said = soon(&home, words);
                assert!(!said.stdout.contains('\u{1b}'), "{name:?} is a {kind}: {words:?}: {said}");
            }
            clear(&path);
        }
    }
    let letters = support::mail::letters(&home);
    assert!(letters.iter().any(|letter| letter["body"] == "a letter"), "{letters:?}");
}

#[test]
fn what_somebody_waits_for_may_be_anything() {
    let home = home();
    home.ok("iapeer", &["owner", "me"]);
    let state = home.state_dir();
    let ends = json!({"state": "approval", "evidence": "hook", "text": "x\u{1b}[2J", "since": u64::MAX, "told": u64::MAX, "id": "../../x", "answers": ["allow"]});
    for kind in KINDS.into_iter().chain(["ends"]) {
        let attention = state.join("parrot-bob.attention");
        match kind {
            "ends" => fs::write(&attention, ends.to_string()).unwrap(),
            kind => place(kind, &attention),
        }
        let approval = state.join("parrot-bob.approval");
        fs::create_dir_all(&approval).unwrap();
        for name in ["x.json", "x.answer", "x.taken"] {
            place(if kind == "ends" { "binary" } else { kind }, &approval.join(name));
        }
        for words in [
            &["iapeer", "attention"][..],
            &["iapeer", "answer", "bob", "allow"],
            &["iapeer", "answer", "bob", "x", "deny", "-m", "\u{1b}"],
            &["iapeer", "answer", "bob", "../../x", "allow"],
            &["iapeer", "list"],
            &["iapeer", "doctor"],
            &["iapeer-superviser"],
        ] {
            let said = soon(&home, words);
            assert!(!said.stdout.contains('\u{1b}'), "{kind}: {words:?}: {said}");
        }
        clear(&attention);
        fs::remove_dir_all(&approval).unwrap();
        let sent = soon(&home, &["iapeer-send", "al", "--from", "bob", "--wait", "30", "-m", kind]);
        assert!(sent.stdout.starts_with("delivered"), "{kind}: {sent}");
    }
    // The owner has to be told, and the file that says who that is is none.
    let waits = json!({"state": "login", "evidence": "screen", "text": "x", "since": 1});
    fs::write(state.join("parrot-al.attention"), waits.to_string()).unwrap();
    for kind in KINDS {
        place(kind, &home.root().join("owner"));
        assert_eq!(soon(&home, &["iapeer-superviser"]).code, 0, "owner is a {kind}");
        clear(&home.root().join("owner"));
    }
}
